import { insideMarkOf, insideMarks, insideNumberOf } from '../../backends/ipvs/names.ts';
import type { InsideKey } from '../../backends/ipvs/service.ts';
import { SignalboxError } from '../../errors/error.ts';
import { familyOf, type IpFamily } from '../../net/ip.ts';
import { printVirtualAddress } from '../../rules/ipvs/print.ts';
import type { Resource } from '../../rules/ipvs/resources.ts';

/**
 * Numbers of the addresses and ports that lead clients inside elsewhere than others. One keeps its number as long as it
 * is in the kernel, also when the proxy is started anew.
 */
export class InsideNumbers {
  readonly #numbers = new Map<string, number>();
  /** By the virtual server that is meant: whose it is. */
  readonly #holders = new Map<string, string>();
  #next = 0;

  /** @throws SignalboxError `TOO_MANY_ENDPOINTS` */
  of(key: InsideKey): number {
    const text = keyText(key);
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    for (let tries = 0; tries < insideMarks; tries++) {
      const number = this.#next;
      this.#next = (number + 1) % insideMarks;
      if (!this.#holders.has(serverName(number, key))) {
        this.#set(text, number, key);
        return number;
      }
    }
    throw new SignalboxError('TOO_MANY_ENDPOINTS', {
      object: text,
      problem: 'is one address too many for which clients inside are led elsewhere than others',
      remedy: `keep them below ${insideMarks}`,
    });
  }

  /** Takes over the numbers that are in the kernel. */
  learn(resources: Iterable<Resource>): void {
    for (const resource of resources) {
      if (resource.kind !== 'entry') continue;
      const { ip, protocol, port, mark } = resource.entry;
      const number = mark === undefined ? undefined : insideNumberOf(mark);
      if (ip === undefined || protocol === undefined || port === undefined || number === undefined) continue;
      const key = { ip, protocol, port };
      if (!this.#numbers.has(keyText(key)) && !this.#holders.has(serverName(number, key)))
        this.#set(keyText(key), number, key);
    }
  }

  /** The virtual server of this name is no more: its number is free. */
  release(server: string): void {
    const holder = this.#holders.get(server);
    if (holder === undefined) return;
    this.#holders.delete(server);
    this.#numbers.delete(holder);
  }

  #set(text: string, number: number, key: InsideKey): void {
    this.#numbers.set(text, number);
    this.#holders.set(serverName(number, key), text);
  }
}

function keyText({ protocol, ip, port }: InsideKey): string {
  return `${protocol} ${ip} ${port}`;
}

/** Marks are apart by family and by whether they are for datagrams; so are the numbers in them. */
function serverName(number: number, { protocol, ip }: InsideKey): string {
  const family: IpFamily = familyOf(ip);
  return printVirtualAddress({ mark: insideMarkOf(number, protocol), family });
}
