import { type Ip, ipToBytes } from '../../net/ip.ts';
import type { Name } from './name.ts';

declare const rdataBrand: unique symbol;
/** A record's data in wire form, names in it uncompressed; one character an octet. Equal data are equal strings. */
export type Rdata = string & { readonly [rdataBrand]: true };

/** Data of an A or AAAA record (RFC 1035 §3.4.1, RFC 3596 §2.2). */
export function addressRdata(ip: Ip): Rdata {
  return String.fromCharCode(...ipToBytes(ip)) as Rdata;
}

/** Data of a CNAME, NS or PTR record (RFC 1035 §3.3). */
export function nameRdata(target: Name): Rdata {
  return target as string as Rdata;
}

/** Data of a TXT record with one string of at most 255 octets (RFC 1035 §3.3.14). */
export function textRdata(text: string): Rdata {
  return (String.fromCharCode(text.length) + text) as Rdata;
}

/** What a client needs to connect to one of several places (RFC 2782). */
export interface SrvData {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  readonly target: Name;
}

/** Where the weight's 16 bits are in an SRV record's data. */
export const srvWeightOffset = 2;

/** Where the target's name begins in an SRV record's data. */
export const srvTargetOffset = 6;

/** Data of an SRV record. */
export function srvRdata(data: SrvData): Rdata {
  const numbers = [data.priority, data.weight, data.port].flatMap((value) => [value >> 8, value & 0xff]);
  // Joined, not added up: record data are kept, and a string that was added up keeps its parts too.
  return [String.fromCharCode(...numbers), data.target].join('') as Rdata;
}

/** The data of an SRV record with another weight. */
export function withSrvWeight(rdata: Rdata, weight: number): Rdata {
  return (rdata.slice(0, srvWeightOffset) + twoOctets(weight) + rdata.slice(srvWeightOffset + 2)) as Rdata;
}

/** A zone's start of authority; times in seconds (RFC 1035 §3.3.13). */
export interface SoaData {
  readonly primary: Name;
  readonly mailbox: Name;
  readonly serial: number;
  readonly refresh: number;
  readonly retry: number;
  readonly expire: number;
  /** How long a negative answer may be kept (RFC 2308 §4). */
  readonly minimum: number;
}

/** Data of an SOA record. */
export function soaRdata(data: SoaData): Rdata {
  const numbers = [data.serial, data.refresh, data.retry, data.expire, data.minimum].map(fourOctets).join('');
  return (data.primary + data.mailbox + numbers) as Rdata;
}

function twoOctets(value: number): string {
  return String.fromCharCode((value >> 8) & 0xff, value & 0xff);
}

function fourOctets(value: number): string {
  return twoOctets(value >>> 16) + twoOctets(value & 0xffff);
}
