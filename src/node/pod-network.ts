import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { openRoutes, type Routes } from '../kernel/links.ts';
import { createNetns, deleteNetns, inNetns } from '../kernel/netns.ts';
import { writeSysctl, writeSysctlIfKnown } from '../kernel/sysctl.ts';
import { bits, type Cidr } from '../net/cidr.ts';
import { familyOf, type Ip, ipToBytes } from '../net/ip.ts';
import { gatewayOf } from './ipam.ts';

/** The network of a node's Pods: a bridge, and for each Pod a pinned network namespace with a link to it. */
export interface PodNetwork {
  /**
   * Makes a Pod's network namespace with its addresses, anew if there is one already.
   * @returns its path
   */
  attach(uid: string, ips: readonly Ip[]): string;
  /** Takes a Pod's network away; does nothing when there is none. */
  detach(uid: string): void;
  close(): void;
}

/** The interface of a Pod, as its programs see it. */
const podDevice = 'eth0';

/**
 * Makes the node's side of the Pod network in the calling thread's network namespace: the bridge with the first address
 * of each block, and forwarding. What an earlier agent made for Pods is removed: their processes ended with it.
 *
 * A Pod's address is a /32 (/128): all it sends goes to the bridge's address, so that traffic between two Pods of one
 * node is forwarded, not bridged, and meets the node's rules and connection tracking in both directions.
 * @param folder where the network namespaces are pinned
 */
export function openPodNetwork(bridge: string, cidrs: readonly Cidr[], folder: string): PodNetwork {
  mkdirSync(folder, { recursive: true });
  const routes = openRoutes();
  try {
    layBridge(routes, bridge, cidrs);
    clean(routes, bridge, folder);
  } catch (error) {
    routes.close();
    throw error;
  }
  const detach = (uid: string) => {
    routes.deleteLink(hostDevice(uid));
    deleteNetns(join(folder, uid));
  };
  return {
    attach: (uid, ips) => {
      const path = join(folder, uid);
      detach(uid);
      createNetns(path);
      try {
        if (ips.some((ip) => familyOf(ip) === 'IPv6')) inNetns(path, () => skipAddressDetection('default'));
        const peer = { name: podDevice, netns: { path }, mac: macOf(ips[0]) };
        routes.createVeth({ name: hostDevice(uid), master: bridge, up: true, peer });
        inNetns(path, () => addressPod(ips, cidrs));
      } catch (error) {
        detach(uid);
        throw error;
      }
      return path;
    },
    detach,
    close: () => routes.close(),
  };
}

function layBridge(routes: Routes, bridge: string, cidrs: readonly Cidr[]): void {
  // Without an address of its own a bridge takes that of a port, and changes it as Pods come and go.
  const mac = macOf(cidrs[0] === undefined ? undefined : gatewayOf(cidrs[0]));
  if (routes.getLink(bridge) === undefined) routes.createBridge({ name: bridge, mac });
  if (cidrs.some(({ family }) => family === 'IPv6')) skipAddressDetection(bridge.replaceAll('.', '/'));
  // Frames that only pass the bridge are not to meet the rules a second time: one that a Service leads back to the Pod
  // it came from would be taken for bridged, and dropped, as a bridge sends nothing out of the port it came in by.
  for (const family of ['iptables', 'ip6tables']) writeSysctlIfKnown(`net.bridge.bridge-nf-call-${family}`, 0);
  routes.setLink(bridge, { up: true });
  for (const cidr of cidrs) {
    routes.addAddress(bridge, { ip: gatewayOf(cidr), prefix: cidr.prefix });
    if (cidr.family === 'IPv4') {
      writeSysctl('net.ipv4.ip_forward', 1);
      // Traffic between two Pods leaves by the device it came from, and that is as it should be.
      for (const name of ['all', bridge]) writeSysctl(`net.ipv4.conf.${name.replaceAll('.', '/')}.send_redirects`, 0);
    } else {
      writeSysctl('net.ipv6.conf.all.forwarding', 1);
    }
  }
}

// For the link-local address alone it takes two seconds, in which a neighbour gets no answer.
function skipAddressDetection(device: string): void {
  writeSysctl(`net.ipv6.conf.${device}.accept_dad`, 0);
}

function clean(routes: Routes, bridge: string, folder: string): void {
  const index = routes.getLink(bridge)?.index;
  for (const link of routes.listLinks()) {
    if (link.master === index && hostDevicePattern.test(link.name)) routes.deleteLink(link.name);
  }
  for (const name of readdirSync(folder)) deleteNetns(join(folder, name));
}

const hostDevicePattern = /^veth[0-9a-f]{8}$/;

/** The node's end of a Pod's link. Names of devices have 15 characters at most. */
function hostDevice(uid: string): string {
  return `veth${createHash('sha256').update(uid).digest('hex').slice(0, 8)}`;
}

/**
 * A link-layer address that belongs to an IP address: when a Pod gets the IP address of one that went, what others
 * remember of that one (for up to half a minute) is true of its successor as well.
 */
function macOf(ip: Ip | undefined): string {
  const bytes = ip === undefined ? [0, 0, 0, 1] : [...ipToBytes(ip).slice(-4)];
  return [0x0a, 0x58, ...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

function addressPod(ips: readonly Ip[], cidrs: readonly Cidr[]): void {
  const routes = openRoutes();
  try {
    routes.setLink(podDevice, { up: true });
    for (const ip of ips) {
      const family = familyOf(ip);
      const cidr = cidrs.find((c) => c.family === family);
      if (cidr === undefined) continue;
      const prefix = bits(family);
      const gateway = gatewayOf(cidr);
      // Told of the shorter way to another Pod, it would miss the address translation; in IPv6 a router always tells.
      if (family === 'IPv6') writeSysctl(`net.ipv6.conf.${podDevice}.accept_redirects`, 0);
      routes.addAddress(podDevice, { ip, prefix });
      routes.addRoute({ destination: { family, base: gateway, prefix }, device: podDevice });
      routes.addRoute({ destination: 'default', gateway, device: podDevice });
    }
  } finally {
    routes.close();
  }
}
