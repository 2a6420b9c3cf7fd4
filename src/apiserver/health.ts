import { type ApiAnswer, textAnswer } from './requests.ts';
import { StatusError } from './status.ts';

/** Something that has to be well for the server to be well. Rejects when it is not. */
export interface HealthCheck {
  readonly name: string;
  /** Alive is a server that need not be started again; ready one that can serve. */
  readonly of: 'livez' | 'readyz';
  readonly run: () => Promise<void>;
}

const paths = /^\/(livez|readyz|healthz)(?:\/([^/]+))?\/?$/;

/** What a path asks about the server's health, if it does: of all checks, or of one by its name. */
export function healthQuestion(
  path: string,
): { readonly about: string; readonly check: string | undefined } | undefined {
  const [, about, check] = paths.exec(path) ?? [];
  return about === undefined ? undefined : { about, check };
}

/**
 * Answers `/livez`, `/readyz` and `/healthz` as kube-apiserver does: `ok`, or with `verbose` or a failure one line for
 * each check. Why one failed is only told to `onFailure`. Checks named by `exclude` are left out.
 * @throws StatusError 404 for a check that there is none of
 */
export async function answerHealth(
  { about, check }: { readonly about: string; readonly check: string | undefined },
  query: URLSearchParams,
  { checks, onFailure }: { readonly checks: readonly HealthCheck[]; onFailure: (name: string, error: unknown) => void },
): Promise<ApiAnswer> {
  const asked = checks.filter(({ of }) => about !== 'livez' || of === 'livez');
  const excluded = query.getAll('exclude');
  const chosen = asked.filter(({ name }) => (check === undefined ? !excluded.includes(name) : name === check));
  if (check !== undefined && chosen.length === 0) throw new StatusError('NotFound', '404 page not found');
  const lines = await Promise.all(
    chosen.map(async ({ name, run }) => {
      try {
        await run();
        return `[+]${name} ok`;
      } catch (error) {
        onFailure(name, error);
        return `[-]${name} failed: reason withheld`;
      }
    }),
  );
  const failed = lines.some((line) => line.startsWith('[-]'));
  if (!failed && (check !== undefined || !query.has('verbose'))) return textAnswer(200, 'ok');
  const left = asked.filter(({ name }) => excluded.includes(name)).map(({ name }) => `[+]${name} excluded: ok`);
  const unknown = excluded.filter((name) => !asked.some((one) => one.name === name));
  const warning =
    unknown.length === 0
      ? []
      : [
          `warn: some health checks cannot be excluded: no matches for ${unknown.map((n) => JSON.stringify(n)).join(',')}`,
        ];
  const verdict = `${about} check ${failed ? 'failed' : 'passed'}`;
  return textAnswer(failed ? 500 : 200, `${[...lines, ...left, ...warning, verdict].join('\n')}\n`);
}
