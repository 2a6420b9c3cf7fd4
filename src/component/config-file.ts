import { SignalboxError } from '../errors/error.ts';

/**
 * What the text of a configuration file says: one object of JSON or YAML. Documents of YAML with nothing in them do not
 * count, as many files begin or end with `---`.
 * @param source `file` is what errors call it, `remedy` what else it might be
 * @throws SignalboxError `INVALID_CONFIG`, with line and column of what cannot be read
 */
export async function parseConfigText(
  text: string,
  { file, remedy = 'give a file of JSON or YAML' }: { readonly file: string; readonly remedy?: string },
): Promise<unknown> {
  // JSON is what clusters of ours are told, and the parser of YAML takes time to load.
  const json = text.trimStart().startsWith('{') ? tryParseJson(text) : undefined;
  if (json !== undefined) return json;
  const invalid = (problem: string, todo: string, cause?: unknown) =>
    new SignalboxError('INVALID_CONFIG', { object: file, problem, remedy: todo, cause });
  const { yaml } = await import('./yaml.ts');
  try {
    const documents = yaml.parseAllDocuments(text);
    for (const { errors } of documents) if (errors[0] !== undefined) throw errors[0];
    const [document, ...others] = documents.map((each) => each.toJS()).filter((each) => each !== null);
    if (others.length === 0) return document;
    throw invalid(`has ${others.length + 1} documents`, 'leave the one that is meant');
  } catch (cause) {
    if (cause instanceof SignalboxError) throw cause;
    const [problem = ''] = (cause as Error).message.split('\n');
    throw invalid(`cannot be read (${problem.replace(/:$/, '')})`, remedy, cause);
  }
}

/** What is no JSON may be YAML that begins like it, whose parser can say where it goes wrong. */
function tryParseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
