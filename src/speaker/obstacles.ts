import type { Ip } from '../net/ip.ts';
import { rankNodes } from './election.ts';
import type { Picture } from './speaker.ts';

/** What a node knows of itself that keeps it from announcing. */
export interface OwnState {
  readonly nodeName: string;
  readonly picture: Picture;
  /** The addresses that belong on a device of this node. */
  readonly here: ReadonlySet<Ip>;
  /** Whether the node's own rules serve the address. */
  readonly serves: (address: Ip) => boolean;
}

/**
 * Why an address is not announced where it should be, in words that follow it; `undefined` when it is, when it has no
 * endpoint to lead to, and when that is another node's to tell: the one that is wanted most. Others may announce it then.
 */
export function obstacleOf(address: Ip, { nodeName, picture, here, serves }: OwnState): string | undefined {
  const { nodes } = picture;
  const claims = picture.claims.get(address) ?? [];
  const [first] = rankNodes(address, claims, nodes);
  if (first === undefined) {
    const [teller] = rankNodes(
      address,
      claims,
      nodes.map((node) => ({ ...node, eligible: true })),
    );
    if (teller !== nodeName) return undefined;
    return 'is not announced: every node that could is not Ready, is about to go, or has the label node.kubernetes.io/exclude-from-external-load-balancers, as kubeadm gives it to nodes of the control plane';
  }
  if (first !== nodeName) return undefined;
  const from = `is not announced from node "${nodeName}", whose turn it is`;
  if (!serves(address))
    return `${from}: its proxy has not said that its rules are in, see proxyHealth in the configuration of the speaker`;
  if (!here.has(address))
    return `${from}: it has no device with an address in that subnet, or may not speak on it, as its log says; take a pool on the nodes' link, or name the devices by interfaces in the configuration of the speaker`;
  return undefined;
}

/** What goes on for less comes with every start and every change. Milliseconds. */
const patienceMs = 10_000;

/** Tells of obstacles that stay, each once. */
export class ObstacleWatch {
  readonly #onObstacle: (address: Ip, obstacle: string) => void;
  #known = new Map<Ip, { readonly why: string; readonly since: number; told: boolean }>();

  constructor(onObstacle: (address: Ip, obstacle: string) => void) {
    this.#onObstacle = onObstacle;
  }

  /** Looks at all addresses there are; `now` in milliseconds of a clock that goes on evenly. */
  look(own: OwnState, now: number): void {
    const before = this.#known;
    this.#known = new Map();
    for (const address of own.picture.claims.keys()) {
      const why = obstacleOf(address, own);
      if (why === undefined) continue;
      const old = before.get(address);
      const known = old?.why === why ? old : { why, since: now, told: false };
      this.#known.set(address, known);
      if (known.told || now - known.since < patienceMs) continue;
      known.told = true;
      this.#onObstacle(address, why);
    }
  }
}
