import { type FieldType, fieldsOf } from '../api/decode.ts';
import { protobufFields } from '../api/generated/protobuf.ts';

/** A body is not what its media type says. */
export class ProtobufError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ProtobufError';
  }
}

type Json = { [field: string]: unknown };

const magic = Buffer.from('k8s\0');
const maxDepth = 100;

/**
 * Fields that are pointers in Go: for these alone a zero that was sent says something. Others are written even when
 * nobody set them, and must read as absent, as they do in JSON.
 */
const pointers = new Set(
  [
    'replicas revisionHistoryLimit progressDeadlineSeconds terminationGracePeriodSeconds activeDeadlineSeconds priority',
    'tolerationSeconds runAsUser runAsGroup fsGroup deletionGracePeriodSeconds gracePeriodSeconds defaultMode mode',
    'partition expirationSeconds leaseDurationSeconds leaseTransitions orphanDependents allocateLoadBalancerNodePorts',
    'automountServiceAccountToken enableServiceLinks hostUsers shareProcessNamespace setHostnameAsFQDN optional',
    'privileged runAsNonRoot readOnlyRootFilesystem allowPrivilegeEscalation controller blockOwnerDeletion immutable',
    'ready serving terminating',
  ]
    .join(' ')
    .split(' '),
);

/**
 * Reads a body of `application/vnd.kubernetes.protobuf` as the JSON that would say the same. `type` is its type in the
 * schema.
 * @throws ProtobufError
 */
export function readProtobuf(body: Buffer, type: string): Json {
  if (!body.subarray(0, magic.length).equals(magic))
    throw new ProtobufError('the body does not begin as Kubernetes protobuf does');
  const envelope = fieldMap(body.subarray(magic.length));
  const typeMeta = fieldMap(bytesOf(envelope.get(1)));
  const object = readMessage(type, bytesOf(envelope.get(2)), 0);
  object.apiVersion = text(bytesOf(typeMeta.get(1)));
  object.kind = text(bytesOf(typeMeta.get(2)));
  return object;
}

type Wire = number | bigint | Buffer;

/** The last value of each field: what a message's field is when it is not repeated. */
function fieldMap(message: Buffer): Map<number, Wire> {
  return new Map(readFields(message));
}

function* readFields(message: Buffer): Generator<[number, Wire]> {
  const reader = { message, at: 0 };
  while (reader.at < message.length) {
    const tag = Number(readVarint(reader));
    yield [tag >>> 3, readWire(reader, tag & 7)];
  }
}

interface Reader {
  readonly message: Buffer;
  at: number;
}

function readVarint(reader: Reader): bigint {
  let value = 0n;
  for (let shift = 0n; shift < 70n; shift += 7n) {
    const byte = reader.message[reader.at++];
    if (byte === undefined) throw new ProtobufError('the body ends within a number');
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return BigInt.asIntN(64, value);
  }
  throw new ProtobufError('a number is too long');
}

function readWire(reader: Reader, wireType: number): Wire {
  if (wireType === 0) return readVarint(reader);
  const length = wireType === 2 ? Number(readVarint(reader)) : { 1: 8, 5: 4 }[wireType];
  if (length === undefined) throw new ProtobufError(`wire type ${wireType} is not known`);
  const end = reader.at + length;
  if (length < 0 || end > reader.message.length) throw new ProtobufError('the body ends within a field');
  const bytes = reader.message.subarray(reader.at, end);
  reader.at = end;
  return bytes;
}

const numbersOf = new Map<string, ReadonlyMap<number, string>>();

function fieldNumbers(key: string): ReadonlyMap<number, string> {
  let numbers = numbersOf.get(key);
  if (numbers === undefined) {
    const pairs = (protobufFields[key] ?? '').split(' ').filter((pair) => pair !== '');
    numbers = new Map(
      pairs.map((pair) => [Number(pair.slice(0, pair.indexOf(':'))), pair.slice(pair.indexOf(':') + 1)]),
    );
    numbersOf.set(key, numbers);
  }
  return numbers;
}

/** `key` is the type, or `Type~Name` for a struct whose fields are the type's own in JSON. */
function readMessage(key: string, message: Buffer, depth: number): Json {
  if (depth > maxDepth) throw new ProtobufError('the body nests too deep');
  const [type = key] = key.split('~');
  const numbers = fieldNumbers(key);
  const fields = fieldsOf(type);
  const object: Json = {};
  for (const [number, wire] of readFields(message)) {
    const mark = numbers.get(number);
    if (mark === undefined) continue;
    if (mark.startsWith('~')) {
      Object.assign(object, readMessage(`${type}${mark}`, bytesOf(wire), depth + 1));
      continue;
    }
    const field = mark.replace('!', '');
    const fieldType = fields.get(field);
    if (fieldType !== undefined) readField(object, { field, fieldType, wire, depth, bytes: mark.endsWith('!') });
  }
  return object;
}

function readField(
  object: Json,
  {
    field,
    fieldType,
    wire,
    depth,
    bytes,
  }: { field: string; fieldType: FieldType; wire: Wire; depth: number; bytes: boolean },
): void {
  if (fieldType.form === 'list') {
    object[field] ??= [];
    (object[field] as unknown[]).push(...readElements(fieldType.element, wire, depth));
  } else if (fieldType.form === 'map') {
    object[field] ??= {};
    const map = object[field] as Json;
    const entry = fieldMap(bytesOf(wire));
    const raw = entry.get(2) ?? Buffer.alloc(0);
    const value = bytes ? bytesOf(raw).toString('base64') : readValue(fieldType.value, raw, depth);
    const name = text(bytesOf(entry.get(1)));
    Object.defineProperty(map, name, { value, enumerable: true, writable: true, configurable: true });
  } else {
    const value = readValue(fieldType, wire, depth);
    const isZero = value === undefined || value === '' || ((value === 0 || value === false) && !pointers.has(field));
    if (!isZero) object[field] = value;
  }
}

/** A repeated number may come packed, all in one field. */
function readElements(type: FieldType, wire: Wire, depth: number): unknown[] {
  const isNumber = type.form === 'scalar' && ['int32', 'int64', 'boolean'].includes(type.name);
  if (!isNumber || !Buffer.isBuffer(wire)) return [readValue(type, wire, depth)];
  const reader = { message: wire, at: 0 };
  const values: unknown[] = [];
  while (reader.at < wire.length) values.push(readValue(type, readVarint(reader), depth));
  return values;
}

function readValue(type: FieldType, wire: Wire, depth: number): unknown {
  if (type.form === 'object') return readMessage(type.name, bytesOf(wire), depth + 1);
  if (type.form === 'list') {
    // A list as a map's value is wrapped in a message of its own.
    return [...readFields(bytesOf(wire))].map(([, element]) => readValue(type.element, element, depth + 1));
  }
  if (type.form === 'map') throw new ProtobufError('a map of maps is not known');
  switch (type.name) {
    case 'string':
      return text(bytesOf(wire));
    case 'bytes':
      return bytesOf(wire).toString('base64');
    case 'boolean':
      return numberOf(wire) !== 0;
    case 'int32':
    case 'int64':
      return numberOf(wire);
    case 'time':
    case 'micro-time':
      return readTime(bytesOf(wire));
    case 'quantity':
      return text(bytesOf(fieldMap(bytesOf(wire)).get(1)));
    case 'int-or-string':
      return readIntOrString(fieldMap(bytesOf(wire)));
    case 'any':
      return readRaw(bytesOf(fieldMap(bytesOf(wire)).get(1)));
    default:
      throw new ProtobufError(`values of type ${type.name} are not known`);
  }
}

/** A zero time is no time. */
function readTime(message: Buffer): string | undefined {
  const fields = fieldMap(message);
  const seconds = numberOf(fields.get(1) ?? 0);
  const nanos = numberOf(fields.get(2) ?? 0);
  if (message.length === 0) return undefined;
  const at = new Date(seconds * 1000);
  if (Number.isNaN(at.getTime())) throw new ProtobufError('a time is out of range');
  const whole = at.toISOString().slice(0, 19);
  return nanos === 0 ? `${whole}Z` : `${whole}.${String(Math.floor(nanos / 1000)).padStart(6, '0')}Z`;
}

function readIntOrString(fields: ReadonlyMap<number, Wire>): number | string {
  const isString = numberOf(fields.get(1) ?? 0) === 1;
  return isString ? text(bytesOf(fields.get(3))) : numberOf(fields.get(2) ?? 0);
}

function readRaw(json: Buffer): unknown {
  try {
    return json.length === 0 ? undefined : (JSON.parse(text(json)) as unknown);
  } catch {
    throw new ProtobufError('an embedded object is not JSON');
  }
}

function bytesOf(wire: Wire | undefined): Buffer {
  if (wire === undefined) return Buffer.alloc(0);
  if (!Buffer.isBuffer(wire)) throw new ProtobufError('a number stands where bytes are expected');
  return wire;
}

function numberOf(wire: Wire): number {
  if (Buffer.isBuffer(wire)) throw new ProtobufError('bytes stand where a number is expected');
  return Number(wire);
}

function text(bytes: Buffer): string {
  return bytes.toString('utf8');
}
