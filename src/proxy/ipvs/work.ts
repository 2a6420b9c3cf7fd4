import type { SignalboxError } from '../../errors/error.ts';
import type { Ip } from '../../net/ip.ts';
import { printEntryKey } from '../../rules/ipset/print.ts';
import type { SetCommand } from '../../rules/ipset/syntax.ts';
import { planServer } from '../../rules/ipvs/plan.ts';
import { printVirtualAddress } from '../../rules/ipvs/print.ts';
import { type Resource, sameResource } from '../../rules/ipvs/resources.ts';
import type { IpvsCommand, VirtualServer } from '../../rules/ipvs/syntax.ts';
import type { ServicesKernel } from './kernel.ts';

/** One resource that becomes another: what the kernel has, and what it has then. */
export interface Change {
  readonly key: string;
  readonly before: Resource | undefined;
  readonly after: Resource | undefined;
}

/**
 * Changes of resources, put into an order in which no client is led to where nothing is: sets say of what kind an
 * address is before anything is served at it, servers are there before addresses and marks lead to them, and what goes
 * goes in the opposite order.
 */
export class Work {
  readonly changes: Change[] = [];
  readonly #drains: (server: VirtualServer) => boolean;
  readonly #entriesFirst: SetCommand[] = [];
  readonly #serversFirst: IpvsCommand[] = [];
  readonly #waysOpened: SetCommand[] = [];
  readonly #bound: Ip[] = [];
  readonly #waysClosed: SetCommand[] = [];
  readonly #unbound: Ip[] = [];
  readonly #serversLast: IpvsCommand[] = [];
  readonly #entriesLast: SetCommand[] = [];

  /** @param drains whether connections to a virtual server have an end that is waited for */
  constructor(drains: (server: VirtualServer) => boolean) {
    this.#drains = drains;
  }

  add({ key, before, after }: Change): void {
    const kind = after?.kind ?? before?.kind;
    if (kind === 'virtual-server') this.#addServer(key, before, after);
    else if (!sameResource(before, after)) {
      this.changes.push({ key, before, after });
      if (kind === 'address') this.#addAddress(before, after);
      else this.#addEntry(before, after);
    }
  }

  /** Carries all out; gives the refusals by key. */
  run({ ipvs, ipset, addresses }: ServicesKernel): Map<string, SignalboxError> {
    const refused = new Map<string, SignalboxError>();
    const sets = (commands: readonly SetCommand[]) => {
      for (const { command, error } of ipset.apply(commands))
        if ('entry' in command) refused.set(`${command.set.name} ${printEntryKey(command.entry)}`, error);
    };
    const servers = (commands: readonly IpvsCommand[]) => {
      for (const { command, error } of ipvs.apply(commands)) refused.set(printVirtualAddress(command.address), error);
    };
    sets(this.#entriesFirst);
    servers(this.#serversFirst);
    sets(this.#waysOpened);
    for (const { ip, error } of addresses.add(this.#bound)) refused.set(ip, error);
    sets(this.#waysClosed);
    for (const { ip, error } of addresses.remove(this.#unbound)) refused.set(ip, error);
    servers(this.#serversLast);
    sets(this.#entriesLast);
    return refused;
  }

  #addServer(key: string, before: Resource | undefined, after: Resource | undefined): void {
    const [old, wanted] = [serverOf(before), serverOf(after)];
    const some = wanted ?? old;
    const { first, last, result } = planServer(old, wanted, some !== undefined && this.#drains(some));
    this.#serversFirst.push(...first);
    this.#serversLast.push(...last);
    const resource: Resource | undefined = result && { kind: 'virtual-server', server: result };
    this.changes.push({ key, before, after: resource });
  }

  #addAddress(before: Resource | undefined, after: Resource | undefined): void {
    if (after?.kind === 'address') this.#bound.push(after.ip);
    else if (before?.kind === 'address') this.#unbound.push(before.ip);
  }

  #addEntry(before: Resource | undefined, after: Resource | undefined): void {
    // An entry with a mark leads packets to a virtual server.
    if (after?.kind === 'entry')
      (after.set.marks === true ? this.#waysOpened : this.#entriesFirst).push({ verb: 'add', ...after });
    else if (before?.kind === 'entry')
      (before.set.marks === true ? this.#waysClosed : this.#entriesLast).push({ verb: 'del', ...before });
  }
}

function serverOf(resource: Resource | undefined): VirtualServer | undefined {
  return resource?.kind === 'virtual-server' ? resource.server : undefined;
}
