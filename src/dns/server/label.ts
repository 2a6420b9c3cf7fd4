import { urlHost } from '../../net/ip.ts';
import type { ListenAddress } from '../config/types.ts';

/** A listening address as CoreDNS names it in metrics: `dns://:53`, `tls://10.96.0.10:853`. */
export function serverLabel({ ip, port, transport }: ListenAddress): string {
  return `${transport}://${ip === undefined || ip === '0.0.0.0' ? '' : urlHost(ip)}:${port}`;
}
