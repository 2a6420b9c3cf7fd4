import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { isTrue } from './request-info.ts';
import type { ApiAnswer, ApiRequest } from './requests.ts';

/** From this size on an answer is worth compressing; as kube-apiserver's. */
const minGzipBytes = 128 * 1024;
/** The fastest: its client is near, or would not ask. */
const gzipLevel = 1;

const compress = promisify(gzip);

/** An answer as its client likes to see it: JSON indented for people, large answers compressed for who takes that. */
export async function present(
  answer: ApiAnswer,
  request: Pick<ApiRequest, 'method' | 'query' | 'headers'>,
): Promise<ApiAnswer> {
  const shown = wantsPretty(request) && isJson(answer) ? { ...answer, body: indent(answer.body) } : answer;
  const isLarge = request.method === 'GET' && Buffer.byteLength(shown.body) >= minGzipBytes;
  if (!isLarge || !takesGzip(request.headers['accept-encoding'])) return shown;
  const body = await compress(shown.body, { level: gzipLevel });
  const vary = shown.headers?.vary === undefined ? 'Accept-Encoding' : `${shown.headers.vary}, Accept-Encoding`;
  return { ...shown, body, headers: { ...shown.headers, 'content-encoding': 'gzip', vary } };
}

const isJson = ({ type, body }: ApiAnswer) => type.startsWith('application/json') && body.length > 0;

function indent(body: string | Buffer): string {
  return `${JSON.stringify(JSON.parse(body.toString()), null, 2)}\n`;
}

/** Asked for, or else for those that people read the output of. */
function wantsPretty({ query, headers }: Pick<ApiRequest, 'query' | 'headers'>): boolean {
  const pretty = query.get('pretty');
  if (pretty !== null) return isTrue(pretty);
  return /^(curl|Wget|Mozilla\/5\.0)/.test(headers['user-agent'] ?? '');
}

function takesGzip(header: string | string[] | undefined): boolean {
  return String(header ?? '')
    .split(',')
    .some((part) => /^\s*gzip\s*(;\s*q=(1|0\.0*[1-9]).*)?$/.test(part));
}
