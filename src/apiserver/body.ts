import { scanJson } from './json-scan.ts';
import { badRequest, unsupportedMediaType } from './status.ts';

/** A request's body, parsed; `duplicates` says which fields it has twice, of 100 at most. */
export interface ParsedBody {
  readonly value: unknown;
  readonly duplicates: readonly string[];
}

/** As many as Kubernetes tells of: a body has room for a million. */
export const maxProblems = 100;
/** More of a key is not repeated. */
const maxKeyLength = 256;

/** The media type of a header, without its parameters, in lower case. */
export function mediaType(header: string | undefined): string {
  return (header ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

/**
 * Reads an object's body: JSON, or YAML or Kubernetes' protobuf if the content type says so. `schemaType` is the type
 * that the body should have.
 * @throws StatusError 400, 415
 */
export async function parseBody(
  body: Buffer,
  contentType: string | undefined,
  schemaType: string,
): Promise<ParsedBody> {
  const type = mediaType(contentType);
  switch (type) {
    case '':
    case 'application/json':
      return parseJson(body);
    case 'application/yaml':
      return parseYaml(body);
    case 'application/vnd.kubernetes.protobuf':
      return parseProtobuf(body, schemaType);
    default:
      throw unsupportedMediaType(
        `the body of the request was in an unknown format - accepted media types include: ${bodyTypes.join(', ')}`,
      );
  }
}

const bodyTypes = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'];

/** What kubectl's own create commands send, whatever the server says it takes. */
async function parseProtobuf(body: Buffer, schemaType: string): Promise<ParsedBody> {
  const { readProtobuf } = await import('./protobuf.ts');
  try {
    return { value: readProtobuf(body, schemaType), duplicates: [] };
  } catch (error) {
    throw badRequest(`the body cannot be decoded: ${messageOf(error)}`);
  }
}

/** @throws StatusError 400 */
export function parseJson(body: Buffer): ParsedBody {
  const text = body.toString();
  try {
    const { duplicates } = scanJson(text);
    const problems = duplicates.slice(0, maxProblems).map((path) => `duplicate field ${JSON.stringify(path)}`);
    return { value: JSON.parse(text) as unknown, duplicates: problems };
  } catch (error) {
    throw badRequest(`couldn't get version/kind; json parse error: ${messageOf(error)}`);
  }
}

/**
 * Of a key that stands twice the later value counts, as in JSON.
 * @throws StatusError 400
 */
export async function parseYaml(body: Buffer): Promise<ParsedBody> {
  const { yaml } = await import('../component/yaml.ts');
  try {
    const text = body.toString();
    const document = yaml.parseDocument(text, { uniqueKeys: true, version: '1.1', merge: true });
    const problem = document.errors.find(({ code }) => code !== 'DUPLICATE_KEY');
    if (problem !== undefined) throw problem;
    const duplicates = document.errors.slice(0, maxProblems).map(({ pos: [start], linePos }) => {
      const line = linePos?.[0].line ?? 0;
      return `line ${line}: key ${JSON.stringify(yamlKeyAt(text, start))} already set in map`;
    });
    return { value: document.toJS({ maxAliasCount: 100 }) as unknown, duplicates };
  } catch (error) {
    throw badRequest(`error converting YAML to JSON: ${messageOf(error)}`);
  }
}

/** The key that begins there, without its quotes. */
function yamlKeyAt(text: string, start: number): string {
  const [key = ''] = text.slice(start, start + maxKeyLength).split(/\s*(?::(?=\s|$)|[,}\n])/, 1);
  return key.replace(/^(["'])(.*)\1$/, '$2');
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
