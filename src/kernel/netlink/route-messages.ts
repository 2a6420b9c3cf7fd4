import { bits, type Cidr, formatCidr } from '../../net/cidr.ts';
import { familyOf, type Ip, type IpFamily, ipFromBytes, ipToBytes } from '../../net/ip.ts';
import { addressFamily } from './address-messages.ts';
import { type Attribute, bytes, encodePayload, littleEndian, parseAttributes, u32 } from './attributes.ts';
import { type NetlinkRequest, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE } from './message.ts';
import { readU32 } from './readers.ts';

/** What becomes of a packet: sent on, taken in as the host's own, dropped, or refused. */
export type RouteType = 'unicast' | 'local' | 'blackhole' | 'unreachable' | 'prohibit';
export type RouteScope = 'global' | 'link' | 'host';

/** A route. `Device` is how the device is named: by name or index when asked for, by index when told. */
export interface RouteSpec<Device = string | number> {
  /** Where to; `default` of the gateway's family, or of `family` when there is no gateway. */
  readonly destination: Cidr | 'default';
  /** IPv4 unless told; only read for a default route without gateway. */
  readonly family?: IpFamily;
  readonly gateway?: Ip;
  readonly device?: Device;
  /** The gateway is a neighbour although no address of the device says so. */
  readonly onlink?: boolean;
  /** `link` without a gateway, `global` with one, unless told. IPv6 has no scopes. */
  readonly scope?: RouteScope;
  /** Address that packets from this host go out with. */
  readonly source?: Ip;
  /** `main` (254) unless told. */
  readonly table?: number;
  /** Lower is preferred. The kernel's default is 0 for IPv4, 1024 for IPv6. */
  readonly metric?: number;
  /** `unicast` unless told. */
  readonly type?: RouteType;
}

/** A route as the kernel has it. Routes with several next hops are told without gateway and device. */
export interface RouteEntry extends RouteSpec<number> {
  readonly family: IpFamily;
  readonly table: number;
  readonly type: RouteType;
}

// include/uapi/linux/rtnetlink.h
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_TABLE = 15;
const RTPROT_STATIC = 4;
const RTNH_F_ONLINK = 4;
const RTM_F_CLONED = 0x200;
const RTM_F_FIB_MATCH = 0x2000;
const RT_TABLE_MAIN = 254;
const scopes: { readonly [S in RouteScope]: number } = { global: 0, link: 253, host: 254 };
const RT_SCOPE_NOWHERE = 255;
const types: { readonly [T in RouteType]: number } = {
  unicast: 1,
  local: 2,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
};
const typeNames: ReadonlyMap<number, RouteType> = reversed(types);
const scopeNames: ReadonlyMap<number, RouteScope> = reversed(scopes);

function reversed<Name extends string>(numbers: { readonly [N in Name]: number }): Map<number, Name> {
  return new Map((Object.keys(numbers) as Name[]).map((name) => [numbers[name], name]));
}

const headerLength = 12;

/** Adds a route; refused with EEXIST when there is one to the same destination. */
export function newRouteRequest(route: RouteSpec<number>): NetlinkRequest {
  return {
    type: RTM_NEWROUTE,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    payload: routePayload(route, {
      protocol: RTPROT_STATIC,
      type: types[route.type ?? 'unicast'],
      scope: defaultScope(route),
    }),
    operation: `add route ${describeRoute(route)}`,
  };
}

/** Adds a route, or puts it in the place of the one to the same destination, table and metric. */
export function replaceRouteRequest(route: RouteSpec<number>): NetlinkRequest {
  return {
    ...newRouteRequest(route),
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    operation: `replace route ${describeRoute(route)}`,
  };
}

/** Removes the first route that has all that is given. Refused with ESRCH when there is none. */
export function deleteRouteRequest(route: RouteSpec<number>): NetlinkRequest {
  const type = route.type === undefined ? 0 : types[route.type];
  const scope = route.scope === undefined ? RT_SCOPE_NOWHERE : scopes[route.scope];
  return {
    type: RTM_DELROUTE,
    flags: 0,
    payload: routePayload(route, { type, scope }),
    operation: `delete route ${describeRoute(route)}`,
  };
}

/** Asks for the routes of a table. */
export function listRoutesRequest(family: IpFamily, table: number): NetlinkRequest {
  const header = rtmsg({ family: addressFamily[family] });
  return {
    type: RTM_GETROUTE,
    flags: NLM_F_DUMP,
    payload: encodePayload(header, [u32(RTA_TABLE, table)]),
    operation: `list ${family} routes of table ${table}`,
  };
}

/** Asks for the route that packets to an address take. Refused with ENETUNREACH, among others, when there is none. */
export function findRouteRequest(ip: Ip): NetlinkRequest {
  const family = familyOf(ip);
  const header = rtmsg({ family: addressFamily[family], prefix: bits(family), flags: RTM_F_FIB_MATCH });
  return {
    type: RTM_GETROUTE,
    flags: 0,
    payload: encodePayload(header, [bytes(RTA_DST, ipToBytes(ip))]),
    operation: `find route to ${ip}`,
  };
}

/** The family a route is of. */
function familyOfRoute(route: RouteSpec): IpFamily {
  if (route.destination !== 'default') return route.destination.family;
  return route.gateway === undefined ? (route.family ?? 'IPv4') : familyOf(route.gateway);
}

function defaultScope({ scope, gateway, type }: RouteSpec): number {
  if (scope !== undefined) return scopes[scope];
  if (type === 'local') return scopes.host;
  // An IPv4 next hop must be nearer than the route: link scope is what makes it a neighbour.
  return gateway === undefined && (type === undefined || type === 'unicast') ? scopes.link : scopes.global;
}

interface RouteHeader {
  readonly family: number;
  readonly prefix?: number;
  /** Who set it. In a list or a deletion: 0 for anyone. */
  readonly protocol?: number;
  readonly scope?: number;
  readonly type?: number;
  readonly flags?: number;
}

/** `struct rtmsg`. The table goes by attribute: those above 255 do not fit here. */
function rtmsg({ family, prefix = 0, protocol = 0, scope = 0, type = 0, flags = 0 }: RouteHeader): Uint8Array {
  const header = new Uint8Array(headerLength);
  header[0] = family;
  header[1] = prefix;
  header[5] = protocol;
  header[6] = scope;
  header[7] = type;
  new DataView(header.buffer).setUint32(8, flags, littleEndian);
  return header;
}

function routePayload(route: RouteSpec<number>, head: { protocol?: number; type: number; scope: number }): Uint8Array {
  const { destination, gateway, device, source, metric, table = RT_TABLE_MAIN } = route;
  const family = familyOfRoute(route);
  const header = rtmsg({
    ...head,
    family: addressFamily[family],
    prefix: destination === 'default' ? 0 : destination.prefix,
    scope: family === 'IPv4' ? head.scope : 0,
    flags: route.onlink ? RTNH_F_ONLINK : 0,
  });
  const attributes: Attribute[] = [u32(RTA_TABLE, table)];
  if (destination !== 'default') attributes.push(bytes(RTA_DST, ipToBytes(destination.base)));
  if (gateway !== undefined) attributes.push(bytes(RTA_GATEWAY, ipToBytes(gateway)));
  if (device !== undefined) attributes.push(u32(RTA_OIF, device));
  if (source !== undefined) attributes.push(bytes(RTA_PREFSRC, ipToBytes(source)));
  if (metric !== undefined) attributes.push(u32(RTA_PRIORITY, metric));
  return encodePayload(header, attributes);
}

function describeRoute({ destination, gateway, device, table }: RouteSpec): string {
  return [
    destination === 'default' ? destination : formatCidr(destination),
    gateway === undefined ? '' : ` via ${gateway}`,
    device === undefined ? '' : ` dev ${device}`,
    table === undefined ? '' : ` table ${table}`,
  ].join('');
}

/** Reads the payload of `RTM_NEWROUTE`; `undefined` for kinds of routes nobody sets (broadcast, multicast, cached). */
export function parseRoute(payload: Uint8Array): RouteEntry | undefined {
  const type = typeNames.get(payload[7] ?? 0);
  const flags = new DataView(payload.buffer, payload.byteOffset).getUint32(8, littleEndian);
  if (type === undefined || (flags & RTM_F_CLONED) !== 0) return undefined;
  const family: IpFamily = payload[0] === addressFamily.IPv6 ? 'IPv6' : 'IPv4';
  const attributes = parseAttributes(payload, headerLength);
  const address = (attribute: number) => {
    const value = attributes.get(attribute);
    return value === undefined ? undefined : ipFromBytes(value);
  };
  const base = address(RTA_DST);
  const scope = family === 'IPv4' ? scopeNames.get(payload[6] ?? 0) : undefined;
  return {
    destination: base === undefined ? 'default' : { family, base, prefix: payload[1] ?? 0 },
    family,
    type,
    table: readU32(attributes.get(RTA_TABLE)) ?? payload[4] ?? 0,
    ...(scope === undefined ? {} : { scope }),
    ...present('gateway', address(RTA_GATEWAY)),
    ...present('device', readU32(attributes.get(RTA_OIF))),
    ...present('source', address(RTA_PREFSRC)),
    ...present('metric', readU32(attributes.get(RTA_PRIORITY))),
    ...((flags & RTNH_F_ONLINK) === 0 ? {} : { onlink: true }),
  };
}

function present<Key extends string, Value>(key: Key, value: Value | undefined): { [K in Key]?: Value } {
  return value === undefined ? {} : ({ [key]: value } as { [K in Key]: Value });
}
