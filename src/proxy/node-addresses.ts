import { dummyDevice } from '../backends/ipvs/names.ts';
import type { Routes } from '../kernel/links.ts';
import type { Ip } from '../net/ip.ts';

/** Addresses of the node's devices, but for those that ipvs mode gives a device for Services. */
export function nodeAddresses(routes: Routes): Ip[] {
  const ofServices = routes.getLink(dummyDevice)?.index;
  return routes.listAddresses().flatMap(({ ip, link }) => (link === ofServices ? [] : [ip]));
}
