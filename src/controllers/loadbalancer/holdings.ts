import type { Service } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import type { Index } from '../../client/index-of.ts';
import type { Ip } from '../../net/ip.ts';
import { addressesOf, isSame } from './outcome.ts';
import { type Sharing, sharingOf } from './wish.ts';

/** Which Services have which address: what the cache shows, and what was given in writes that it does not show yet. */
export class Holdings {
  readonly #shown: Index<Stored<Service>>;
  readonly #promised = new Map<string, { readonly ips: readonly Ip[]; readonly sharing: Sharing }>();

  /** `shown`: the Services of the cache by each address that their status has. */
  constructor(shown: Index<Stored<Service>>) {
    this.#shown = shown;
  }

  /** All that have the address, but for the Service `key`. */
  others(ip: Ip, key: string): Sharing[] {
    const shown = this.#shown.get(ip).map(sharingOf);
    const given = [...this.#promised.values()].filter(({ ips }) => ips.includes(ip)).map(({ sharing }) => sharing);
    const all = new Map([...shown, ...given].map((each) => [each.service, each]));
    all.delete(key);
    return [...all.values()];
  }

  /** They are the Service's from now on, whatever the cache shows. */
  promise(key: string, ips: readonly Ip[], sharing: Sharing): void {
    this.#promised.set(key, { ips, sharing });
  }

  /** From now on the cache says what the Service has. */
  forget(key: string): void {
    this.#promised.delete(key);
  }

  /** The cache has another state of the Service. */
  changed(key: string, current: Service | undefined): void {
    const promised = this.#promised.get(key);
    if (current === undefined || isSame(addressesOf(current), promised?.ips ?? [])) this.forget(key);
  }
}
