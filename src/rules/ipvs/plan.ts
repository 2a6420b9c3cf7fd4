import { type IpvsCommand, type RealServer, realServerKey, sameOptions, type VirtualServer } from './syntax.ts';

/** How one virtual server becomes another. */
export interface ServerPlan {
  /** What gives clients somewhere to go. */
  readonly first: readonly IpvsCommand[];
  /** What takes from them where they went: to be done when the way there is open or closed. */
  readonly last: readonly IpvsCommand[];
  /** What is there then; `undefined` for nothing. */
  readonly result: VirtualServer | undefined;
}

/**
 * What makes of a virtual server, as the kernel has it, the one that is wanted. Real servers that are not wanted any
 * more keep the connections they have and get no new ones (weight 0), or are deleted at once where there is nothing to
 * wait for. Without any real server there is no virtual one.
 * @param drains whether connections to the virtual server have an end
 */
export function planServer(
  before: VirtualServer | undefined,
  after: VirtualServer | undefined,
  drains: boolean,
): ServerPlan {
  if (after === undefined)
    return { first: [], last: before === undefined ? [] : [deletion(before)], result: undefined };
  const { address } = after;
  const left = new Map(before?.realServers.map((server) => [realServerKey(server), server]));
  const first: IpvsCommand[] = [];
  for (const realServer of after.realServers) {
    const key = realServerKey(realServer);
    const old = left.get(key);
    left.delete(key);
    if (old === undefined) first.push({ verb: 'add-real', address, realServer });
    else if (!sameRealServer(old, realServer)) first.push({ verb: 'edit-real', address, realServer });
  }
  const leaving = [...left.values()];
  const kept = drains ? leaving.map((server) => ({ ...server, weight: 0 })) : [];
  const realServers = [...after.realServers, ...kept];
  if (realServers.length === 0)
    return { first: [], last: before === undefined ? [] : [deletion(before)], result: undefined };
  const { realServers: _, address: __, ...options } = after;
  if (before === undefined) first.unshift({ verb: 'add', address, options });
  else if (!sameOptions(before, after)) first.unshift({ verb: 'edit', address, options });
  const last: IpvsCommand[] = drains
    ? leaving.filter(({ weight }) => weight !== 0).map((old) => quiescence(after, old))
    : leaving.map((realServer) => ({ verb: 'delete-real', address, realServer }));
  return { first, last, result: { ...after, realServers } };
}

function quiescence({ address }: VirtualServer, realServer: RealServer): IpvsCommand {
  return { verb: 'edit-real', address, realServer: { ...realServer, weight: 0 } };
}

function deletion({ address }: VirtualServer): IpvsCommand {
  return { verb: 'delete', address };
}

function sameRealServer(left: RealServer, right: RealServer): boolean {
  return left.weight === right.weight && left.forwarding === right.forwarding;
}
