import type { Protocol } from '../net/port.ts';
import type { Frontend } from './types.ts';

/** A Service port that wants to have a frontend. */
export interface Claimant {
  /** `ServicePort.name`. */
  readonly name: string;
  /** Creation time of its Service, milliseconds since the epoch. */
  readonly created: number;
  /** Whether it wants the frontend as its own cluster IP, which nobody else can take from it. */
  readonly clusterIp: boolean;
}

/** An address and port that more than one Service port claims. */
export interface Contest {
  /** `TCP 192.0.2.1 80`. */
  readonly frontend: string;
  /** Name of the Service port that has it. */
  readonly owner: string;
  /** Names of those that would have it next, in order. */
  readonly waiting: readonly string[];
}

/** Protocol, address and port as one text: what no two Services can have at the same time. */
export function frontendKey(protocol: Protocol, { ip, port }: Pick<Frontend, 'ip' | 'port'>): string {
  return `${protocol} ${ip} ${port}`;
}

/**
 * Who has which frontend when several Services name the same external IP and port, or a node's address and port. The
 * order is that of `precedes`, whatever the order in which the claims came: every node decides alike, and a restart
 * changes nothing. When the owner goes, the next in the line has it.
 */
export class FrontendOwners {
  /** The line of claimants; a bare one where there is no quarrel, as nearly everywhere. */
  readonly #lines = new Map<string, Claimant | readonly Claimant[]>();

  /** Name of the Service port that has the frontend. */
  ownerOf(key: string): string | undefined {
    const line = this.#lines.get(key);
    return line === undefined || 'name' in line ? line?.name : line[0]?.name;
  }

  /** Those in the line as a contest, or `undefined` when there are fewer than two. */
  contestFor(key: string): Contest | undefined {
    const line = this.#lines.get(key);
    if (line === undefined || 'name' in line) return undefined;
    const [owner, ...waiting] = line;
    if (owner === undefined || waiting.length === 0) return undefined;
    return { frontend: key, owner: owner.name, waiting: waiting.map(({ name }) => name) };
  }

  /** Puts a claimant in its place in the line, instead of an earlier claim of the same name. */
  claim(key: string, claimant: Claimant): void {
    if (!this.#lines.has(key)) {
      this.#lines.set(key, claimant);
      return;
    }
    const others = this.#line(key).filter(({ name }) => name !== claimant.name);
    this.#lines.set(key, others.length === 0 ? claimant : [...others, claimant].sort(precedes));
  }

  /** Takes the Service port of this name out of the line. */
  release(key: string, name: string): void {
    const [first, ...more] = this.#line(key).filter((claimant) => claimant.name !== name);
    if (first === undefined) this.#lines.delete(key);
    else this.#lines.set(key, more.length === 0 ? first : [first, ...more]);
  }

  #line(key: string): readonly Claimant[] {
    const line = this.#lines.get(key);
    if (line === undefined) return [];
    return 'name' in line ? [line] : line;
  }
}

/** A cluster IP first, as it was allocated to its Service; then the older Service; then the name that sorts first. */
function precedes(a: Claimant, b: Claimant): number {
  if (a.clusterIp !== b.clusterIp) return a.clusterIp ? -1 : 1;
  if (a.created !== b.created) return a.created - b.created;
  return a.name < b.name ? -1 : 1;
}
