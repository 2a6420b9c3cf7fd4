import { StatusError } from './status.ts';

/** How a client wants the OpenAPI 2 document. */
export interface DescriptionForm {
  readonly type: string;
  readonly isProtobuf: boolean;
}

const json: DescriptionForm = { type: 'application/json', isProtobuf: false };
/** Answered by the name without `@`, which is no character of a media type (RFC 6838, 4.2). */
const protobuf: DescriptionForm = {
  type: 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf',
  isProtobuf: true,
};

const forms = new Map<string, DescriptionForm>([
  ['application/json', json],
  ['application/*', json],
  ['*/*', json],
  ['application/com.github.proto-openapi.spec.v2@v1.0+protobuf', protobuf],
  ['application/com.github.proto-openapi.spec.v2.v1.0+protobuf', protobuf],
]);

/**
 * The form of an Accept header that its client likes best; of those liked alike, the first.
 * @throws StatusError 406
 */
export function negotiateDescription(accept: string | undefined): DescriptionForm {
  if (accept === undefined || accept.trim() === '') return json;
  const asked = accept
    .split(',')
    .map((part) => {
      const [type = '', ...parameters] = part.split(';').map((piece) => piece.trim());
      const quality = Number(/^q=([\d.]+)$/.exec(parameters.find((one) => one.startsWith('q=')) ?? 'q=1')?.[1] ?? 0);
      return { form: forms.get(type.toLowerCase()), quality };
    })
    .filter(({ quality }) => quality > 0)
    .sort((a, b) => b.quality - a.quality);
  const best = asked.find(({ form }) => form !== undefined)?.form;
  if (best === undefined) {
    const types = [json.type, protobuf.type].join(', ');
    throw new StatusError('NotAcceptable', `only the following media types are accepted: ${types}`);
  }
  return best;
}
