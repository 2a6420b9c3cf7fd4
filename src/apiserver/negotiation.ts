import { notAcceptable } from './status.ts';

/** How a client wants its answer. */
export interface Format {
  readonly type: 'json' | 'yaml';
  /** Whole objects, or a view of them. */
  readonly view: 'object' | 'table' | 'metadata';
}

const wholeJson: Format = { type: 'json', view: 'object' };

/**
 * The first media type of an Accept header that can be served. Protobuf, which Kubernetes' own clients ask for first,
 * cannot; nor can views of what is `whole`: answers that nobody lists.
 * @throws StatusError 406
 */
export function negotiate(accept: string | undefined, among: 'all' | 'whole' = 'all'): Format {
  if (accept === undefined || accept === '') return wholeJson;
  for (const part of accept.split(',')) {
    const [type = '', ...rest] = part.split(';').map((piece) => piece.trim());
    const format = formatOf(type.toLowerCase(), new Map(rest.map((p) => splitOnce(p, '='))));
    if (format !== undefined && (among === 'all' || format.view === 'object')) return format;
  }
  throw notAcceptable();
}

function formatOf(type: string, parameters: ReadonlyMap<string, string>): Format | undefined {
  const isJson = type === 'application/json' || type === '*/*' || type === 'application/*';
  if (!isJson && type !== 'application/yaml') return undefined;
  const as = parameters.get('as');
  if (as !== undefined && (parameters.get('g') !== 'meta.k8s.io' || parameters.get('v') !== 'v1')) return undefined;
  const view = as === undefined ? 'object' : views[as];
  return view === undefined ? undefined : { type: isJson ? 'json' : 'yaml', view };
}

const views: { readonly [as: string]: Format['view'] } = {
  Table: 'table',
  PartialObjectMetadata: 'metadata',
  PartialObjectMetadataList: 'metadata',
};

function splitOnce(text: string, at: string): [string, string] {
  const i = text.indexOf(at);
  return i < 0 ? [text, ''] : [text.slice(0, i), text.slice(i + 1)];
}
