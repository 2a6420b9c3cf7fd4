import { isPlainObject } from '../api/decode.ts';
import type { Json } from './openapi-schema.ts';

/**
 * How a field of a JSON document is written in a message: its number, and what it is. `named` are the entries of an
 * object, each a message of name and value; `any` is a value as YAML, of which JSON is a part.
 */
type FieldRule =
  | { readonly number: number; readonly form: 'text' | 'flag' | 'any' }
  | { readonly number: number; readonly form: 'message' | 'messages' | 'named'; readonly of: string }
  | { readonly number: number; readonly form: 'texts' };

interface MessageRule {
  readonly fields: { readonly [field: string]: FieldRule };
  /** Where fields whose names begin with `x-` go. */
  readonly extensions?: number;
}

const text = (number: number): FieldRule => ({ number, form: 'text' });
const texts = (number: number): FieldRule => ({ number, form: 'texts' });
const flag = (number: number): FieldRule => ({ number, form: 'flag' });
const message = (number: number, of: string): FieldRule => ({ number, form: 'message', of });
const messages = (number: number, of: string): FieldRule => ({ number, form: 'messages', of });
const named = (number: number, of: string): FieldRule => ({ number, form: 'named', of });

/** The messages of `OpenAPIv2.proto` (github.com/google/gnostic), as far as the document uses them. */
const rules: { readonly [name: string]: MessageRule } = {
  Document: {
    fields: { swagger: text(1), info: message(2, 'Info'), paths: message(8, 'Paths'), definitions: message(9, 'Map') },
  },
  Info: { fields: { title: text(1), version: text(2) } },
  Operation: {
    fields: {
      operationId: text(5),
      produces: texts(6),
      consumes: texts(7),
      parameters: messages(8, 'ParametersItem'),
      responses: message(9, 'Responses'),
    },
    extensions: 13,
  },
  PathItem: {
    fields: {
      get: message(2, 'Operation'),
      put: message(3, 'Operation'),
      post: message(4, 'Operation'),
      delete: message(5, 'Operation'),
      patch: message(8, 'Operation'),
      parameters: messages(9, 'ParametersItem'),
    },
  },
  BodyParameter: { fields: { name: text(2), in: text(3), required: flag(4), schema: message(5, 'Schema') } },
  QueryParameterSubSchema: {
    fields: { in: text(2), description: text(3), name: text(4), type: text(6), uniqueItems: flag(20) },
  },
  PathParameterSubSchema: {
    fields: {
      required: flag(1),
      in: text(2),
      description: text(3),
      name: text(4),
      type: text(5),
      uniqueItems: flag(19),
    },
  },
  Response: { fields: { description: text(1), schema: message(2, 'SchemaItem') } },
  SchemaItem: { fields: { schema: message(1, 'Schema') } },
  Schema: {
    fields: {
      $ref: text(1),
      format: text(2),
      description: text(4),
      default: { number: 5, form: 'any' },
      required: texts(19),
      additionalProperties: message(21, 'AdditionalPropertiesItem'),
      type: message(22, 'TypeItem'),
      items: message(23, 'ItemsItem'),
      properties: message(25, 'Map'),
    },
    extensions: 31,
  },
};

/** An OpenAPI 2 document as the protobuf message that Kubernetes' clients read. Throws on what it has no number for. */
export function encodeSwagger(document: Json): Uint8Array {
  return encode('Document', document);
}

function encode(type: string, value: unknown): Buffer {
  const special = specials[type];
  if (special !== undefined) return special(value);
  const rule = rules[type];
  if (rule === undefined || !isPlainObject(value)) throw new Error(`${type} cannot be written as protobuf`);
  const parts: Buffer[] = [];
  const extensions: Buffer[] = [];
  for (const [name, content] of Object.entries(value)) {
    const field = rule.fields[name];
    if (field !== undefined) parts.push(encodeField(field, content));
    else if (rule.extensions !== undefined && name.startsWith('x-'))
      extensions.push(bytes(rule.extensions, namedValue(name, anyValue(content))));
    else throw new Error(`${type}.${name} cannot be written as protobuf`);
  }
  return Buffer.concat([...parts, ...extensions]);
}

function encodeField(field: FieldRule, content: unknown): Buffer {
  const { number } = field;
  switch (field.form) {
    case 'text':
      return bytes(number, Buffer.from(String(content)));
    case 'texts':
      return Buffer.concat((content as string[]).map((one) => bytes(number, Buffer.from(one))));
    case 'flag':
      return content === true ? Buffer.concat([varint(number << 3), varint(1)]) : Buffer.alloc(0);
    case 'any':
      return bytes(number, anyValue(content));
    case 'message':
      return bytes(number, encode(field.of, content));
    case 'messages':
      return Buffer.concat((content as unknown[]).map((one) => bytes(number, encode(field.of, one))));
    case 'named':
      return Buffer.concat(
        Object.entries(content as Json).map(([name, one]) => bytes(number, namedValue(name, encode(field.of, one)))),
      );
  }
}

/** Messages that JSON has no object for. */
const specials: { readonly [type: string]: (value: unknown) => Buffer } = {
  Paths: (value) => encodeField(named(2, 'PathItem'), value),
  Map: (value) => encodeField(named(1, 'Schema'), value),
  Responses: (value) => encodeField(named(1, 'ResponseValue'), value),
  ResponseValue: (value) => bytes(1, encode('Response', { ...(value as Json), ...schemaItem(value as Json) })),
  TypeItem: (value) => bytes(1, Buffer.from(String(value))),
  ItemsItem: (value) => bytes(1, encode('Schema', value)),
  AdditionalPropertiesItem: (value) => bytes(1, encode('Schema', value)),
  ParametersItem: (value) => bytes(1, encode('Parameter', value)),
  Parameter: (value) => {
    const { in: place } = value as { in: string };
    if (place === 'body') return bytes(1, encode('BodyParameter', value));
    const inQuery = place === 'query';
    return bytes(
      2,
      bytes(inQuery ? 3 : 4, encode(inQuery ? 'QueryParameterSubSchema' : 'PathParameterSubSchema', value)),
    );
  },
};

function schemaItem({ schema }: Json): Json {
  return schema === undefined ? {} : { schema: { schema } };
}

function namedValue(name: string, value: Buffer): Buffer {
  return Buffer.concat([bytes(1, Buffer.from(name)), bytes(2, value)]);
}

function anyValue(value: unknown): Buffer {
  return bytes(2, Buffer.from(JSON.stringify(value)));
}

/** A field with a length before its content. */
function bytes(number: number, content: Buffer): Buffer {
  return Buffer.concat([varint((number << 3) | 2), varint(content.length), content]);
}

function varint(value: number): Buffer {
  const digits: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) digits.push((rest & 0x7f) | 0x80);
  return Buffer.from([...digits, rest]);
}
