/**
 * Six bytes of `02:42:ac:11:00:02`.
 * @throws RangeError for any other text
 */
export function parseMac(text: string): Uint8Array {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) throw new RangeError(`${text} is not a link-layer address`);
  return Uint8Array.from(text.split(':'), (octet) => Number.parseInt(octet, 16));
}

/** The inverse of `parseMac`, in lower case. */
export function formatMac(mac: Uint8Array): string {
  return Array.from(mac, (octet) => octet.toString(16).padStart(2, '0')).join(':');
}

/** Every station of a link. */
export const broadcastMac = 'ff:ff:ff:ff:ff:ff';
