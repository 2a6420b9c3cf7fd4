/** Record types that clients ask for, by the names IANA's registry has for them. */
export const recordType = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  HINFO: 13,
  MX: 15,
  TXT: 16,
  RP: 17,
  AFSDB: 18,
  AAAA: 28,
  LOC: 29,
  SRV: 33,
  NAPTR: 35,
  CERT: 37,
  DNAME: 39,
  OPT: 41,
  APL: 42,
  DS: 43,
  SSHFP: 44,
  IPSECKEY: 45,
  RRSIG: 46,
  NSEC: 47,
  DNSKEY: 48,
  DHCID: 49,
  NSEC3: 50,
  NSEC3PARAM: 51,
  TLSA: 52,
  SMIMEA: 53,
  HIP: 55,
  CDS: 59,
  CDNSKEY: 60,
  OPENPGPKEY: 61,
  CSYNC: 62,
  ZONEMD: 63,
  SVCB: 64,
  HTTPS: 65,
  SPF: 99,
  TKEY: 249,
  TSIG: 250,
  IXFR: 251,
  AXFR: 252,
  MAILB: 253,
  MAILA: 254,
  ANY: 255,
  URI: 256,
  CAA: 257,
} as const;

/** Record classes (RFC 1035 §3.2.4, RFC 2136 §1.3). All of Kubernetes' names are in `IN`. */
export const recordClass = { IN: 1, CH: 3, HS: 4, NONE: 254, ANY: 255 } as const;

/** Kinds of query (RFC 1035 §4.1.1, RFC 1996 §3.1). */
export const opcode = { QUERY: 0, NOTIFY: 4 } as const;

/** Response codes by IANA's names (RFC 1035 §4.1.1, RFC 2136 §2.2); those above 15 need an OPT record to be said (RFC 6891 §6.1.3). */
export const rcode = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  YXDOMAIN: 6,
  YXRRSET: 7,
  NXRRSET: 8,
  NOTAUTH: 9,
  NOTZONE: 10,
  BADVERS: 16,
} as const;

/** Bits of the header's second 16-bit word (RFC 1035 §4.1.1, RFC 4035 §3.2). */
export const flag = {
  QR: 0x8000,
  AA: 0x0400,
  TC: 0x0200,
  RD: 0x0100,
  RA: 0x0080,
  AD: 0x0020,
  CD: 0x0010,
} as const;

/** Where the opcode stands in that word. */
export const opcodeMask = 0x7800;

/** Octets before the question section. */
export const headerLength = 12;

/** The largest UDP message to a client that says nothing else (RFC 1035 §4.2.1). */
export const classicUdpLimit = 512;

/** The largest message there is: TCP's length prefix has 16 bits. */
export const messageLimit = 65_535;

/** The first octet of a compression pointer has these two bits set (RFC 1035 §4.1.4). */
export const pointerMark = 0xc0;
