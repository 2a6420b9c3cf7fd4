import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { openRoutes, type Routes } from '../../src/kernel/links.ts';
import { inFreshNetns, inNetns, openNetns } from '../../src/kernel/netns.ts';
import { writeSysctl, writeSysctlIfKnown } from '../../src/kernel/sysctl.ts';
import { bits } from '../../src/net/cidr.ts';
import { familyOf, type Ip, type IpFamily } from '../../src/net/ip.ts';
import { bundleTypeScript } from '../run-typescript.ts';
import { otherNodePort } from './objects.ts';
import {
  addresses,
  type ClientName,
  deviceOf,
  families,
  hostPort,
  manyAddresses,
  type PodName,
  podPort,
  secondPodPort,
} from './places.ts';

/** Calls that an agent is to make: so many from each source. */
export interface Command {
  readonly id: number;
  readonly protocol: 'tcp' | 'udp';
  readonly ip: string;
  readonly port: number;
  readonly times: number;
  /** Addresses to call from; what the kernel chooses unless told. */
  readonly sources?: readonly string[];
  /** UDP: sends from this port, so that calls are one flow. */
  readonly sourcePort?: number;
  /** Milliseconds until a call is given up. */
  readonly timeout: number;
}

/** What came of each call, in the order of sources: `NAME ADDRESS-SEEN`, an errno's name, or `TIMEOUT`. */
export interface CallResult {
  readonly id: number;
  readonly milliseconds: number;
  readonly outcomes: readonly string[];
}

/** Where an agent serves, and what it calls itself there. */
export interface ListenAddress {
  readonly name: string;
  readonly ip: Ip;
  readonly port: number;
}

/** Everybody's device but the node's: kernels before 6.2 refuse a name that the node has, too. */
const uplink = 'uplink';
/** How many clients podC can be. */
export const crowdSize = 40;

let agentSource: string | undefined;

/** A network namespace with an agent in it. */
export class Place {
  readonly routes: Routes;
  readonly fd: number;
  readonly ready: Promise<void>;
  readonly #agent: ChildProcess;
  readonly #waiting = new Map<number, (result: CallResult) => void>();
  #nextId = 1;

  /** @param netns `own`: that of this process, which is the node under test */
  constructor(netns: 'fresh' | 'own', listening: readonly ListenAddress[]) {
    const open = () => ({ fd: openNetns('/proc/thread-self/ns/net'), routes: openRoutes() });
    const { fd, routes } = netns === 'own' ? open() : inFreshNetns(open);
    this.fd = fd;
    this.routes = routes;
    routes.setLink('lo', { up: true });
    // An address that the agent is to serve on may come later.
    this.#sysctl('net.ipv4.ip_nonlocal_bind');
    this.#sysctl('net.ipv6.ip_nonlocal_bind');
    // Told of the shorter way to another Pod, it would miss the address translation; in IPv6 a router always tells.
    for (const device of ['all', 'default']) this.#sysctl(`net.ipv6.conf.${device}.accept_redirects`, 0);
    agentSource ??= bundleTypeScript("import './test/conformance/agent.ts';");
    const args = ['-e', agentSource, JSON.stringify(listening)];
    this.#agent = this.run(() => spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] }));
    this.ready = this.#listen();
  }

  /** Runs a function with the thread in this namespace. */
  run<T>(body: () => T): T {
    return inNetns(`/proc/self/fd/${this.fd}`, body);
  }

  /** Calls an address from here, by a process of this namespace. */
  call(command: Omit<Command, 'id'>): Promise<CallResult> {
    const id = this.#nextId++;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#agent.stdin?.write(`${JSON.stringify({ id, ...command })}\n`);
    });
  }

  close(): void {
    this.#agent.removeAllListeners('exit').kill('SIGKILL');
    this.routes.close();
    closeSync(this.fd);
  }

  #sysctl(name: string, value = 1): void {
    this.run(() => writeSysctl(name, value));
  }

  #listen(): Promise<void> {
    const { stdout } = this.#agent;
    if (stdout === null) throw new Error('the agent has no standard output');
    return new Promise((resolve, reject) => {
      this.#agent.once('exit', (code) => reject(new Error(`the agent ended with ${code}`)));
      createInterface({ input: stdout }).on('line', (line) => {
        if (line === 'ready') return resolve();
        const result = JSON.parse(line) as CallResult;
        this.#waiting.get(result.id)?.(result);
        this.#waiting.delete(result.id);
      });
    });
  }
}

/**
 * The test bed, in both families: the namespace of this process is the node under test. It has three Pods on a bridge,
 * two Pods of other nodes, a client outside, and a host beyond that has the external IPs and the balancer's address, and
 * hears what the node leaves alone. All ways lead through the node, as the answers of an endpoint must come back to it.
 */
export class Topology {
  readonly node = new Place('own', [
    ...families.map((family) => ({ name: 'node', ip: addresses[family].node, port: hostPort })),
    ...families.map((family) => ({ name: 'other', ip: addresses[family].nodeToBeyond, port: otherNodePort })),
  ]);
  readonly client = new Place('fresh', []);
  readonly beyond = new Place('fresh', beyondServes());
  readonly pods: { readonly [P in PodName]: Place } = {
    podA: new Place('fresh', podServes('podA')),
    podB: new Place('fresh', podServes('podB')),
    podC: new Place('fresh', podServes('podC')),
    podD: new Place('fresh', podServes('podD')),
    podE: new Place('fresh', podServes('podE')),
  };

  get places(): readonly Place[] {
    return [this.node, this.client, this.beyond, ...Object.values(this.pods)];
  }

  place(name: ClientName): Place {
    return name === 'node' || name === 'client' ? this[name] : this.pods[name];
  }

  /** Lays the links and waits for all agents. */
  async start(): Promise<void> {
    routerSysctls();
    this.node.routes.createBridge({ name: 'cni0', up: true });
    for (const family of families) {
      const prefix = family === 'IPv4' ? 24 : 64;
      this.node.routes.addAddress('cni0', { ip: addresses[family].bridge, prefix });
    }
    this.#host(this.client, 'eth0', { node: 'node', host: 'client' });
    this.#host(this.beyond, 'eth1', { node: 'nodeToBeyond', host: 'beyond' });
    for (const name of ['podA', 'podB', 'podC'] as const) this.#localPod(name);
    this.#remotePod('podD', 'nodeToD');
    this.#remotePod('podE', 'nodeToE');
    for (const family of families) this.#ways(family);
    await Promise.all(this.places.map((place) => place.ready));
  }

  close(): void {
    for (const place of this.places) place.close();
  }

  /** A link from the node to a place. */
  #link(place: Place, end: { readonly name: string; readonly master?: string }): void {
    this.node.routes.createVeth({ ...end, up: true, peer: { name: uplink, netns: { fd: place.fd } } });
    place.routes.setLink(uplink, { up: true });
  }

  /** A host on a network of its own with the node. */
  #host(place: Place, device: string, names: { node: keyof Addresses; host: keyof Addresses }): void {
    this.#link(place, { name: device });
    for (const family of families) {
      const { [names.node]: node, [names.host]: host } = addresses[family];
      const prefix = family === 'IPv4' ? 24 : 64;
      this.node.routes.addAddress(device, { ip: node, prefix });
      place.routes.addAddress(uplink, { ip: host, prefix });
      place.routes.addRoute({ destination: 'default', gateway: node, device: uplink });
    }
  }

  #ways(family: IpFamily): void {
    const { node, beyond } = this;
    const { client, beyond: gateway, external, balancer } = addresses[family];
    node.routes.addRoute({ destination: 'default', gateway: client, device: 'eth0' });
    for (const ip of [external, balancer]) {
      beyond.routes.addAddress(uplink, hostAddress(ip));
      node.routes.addRoute({ destination: block(ip), gateway, device: 'eth1' });
    }
  }

  #localPod(name: 'podA' | 'podB' | 'podC'): void {
    const pod = this.pods[name];
    this.#link(pod, { name: `to-${name}`, master: 'cni0' });
    for (const family of families) {
      const own = [addresses[family][name], ...(name === 'podC' ? manyAddresses(family, crowdSize) : [])];
      // Host addresses, so that Pods of one node talk through the node.
      for (const ip of own) pod.routes.addAddress(uplink, hostAddress(ip));
      const gateway = addresses[family].bridge;
      pod.routes.addRoute({ destination: 'default', gateway, device: uplink, onlink: true });
    }
  }

  #remotePod(name: 'podD' | 'podE', nodeAddress: 'nodeToD' | 'nodeToE'): void {
    const pod = this.pods[name];
    const device = deviceOf[name];
    this.#link(pod, { name: device });
    for (const family of families) {
      const { [name]: ip, [nodeAddress]: gateway } = addresses[family];
      this.node.routes.addAddress(device, hostAddress(gateway));
      pod.routes.addAddress(uplink, hostAddress(ip));
      pod.routes.addRoute({ destination: 'default', gateway, device: uplink, onlink: true });
      this.node.routes.addRoute({ destination: block(ip), device });
    }
  }
}

type Addresses = (typeof addresses)[IpFamily];

function routerSysctls(): void {
  writeSysctl('net.ipv4.ip_forward', 1);
  writeSysctl('net.ipv6.conf.all.forwarding', 1);
  // Kernels before 6.3 keep so many routes to single hosts, and drop packets for which they need another one.
  writeSysctlIfKnown('net.ipv6.route.max_size', 1 << 20);
  // Refusals by ICMP are many here, and a kernel sends few to one host.
  writeSysctl('net.ipv4.icmp_ratelimit', 0);
  writeSysctl('net.ipv6.icmp.ratelimit', 0);
  // A Pod that is told of the shorter way to another one would miss the address translation.
  for (const device of ['all', 'default']) writeSysctl(`net.ipv4.conf.${device}.send_redirects`, 0);
  // Where br_netfilter is loaded, a bridge would answer for the IP stack, and not send a frame back where it came from.
  for (const family of ['iptables', 'ip6tables']) {
    if (existsSync(`/proc/sys/net/bridge/bridge-nf-call-${family}`))
      writeSysctl(`net.bridge.bridge-nf-call-${family}`, 0);
  }
}

function podServes(name: PodName): ListenAddress[] {
  return families.flatMap((family) => {
    const ip = addresses[family][name];
    return [
      { name, ip, port: podPort },
      { name: `${name}:${secondPodPort}`, ip, port: secondPodPort },
    ];
  });
}

function beyondServes(): ListenAddress[] {
  return families.flatMap((family) =>
    [addresses[family].external, addresses[family].balancer].flatMap((ip) =>
      [80, 81].map((port) => ({ name: 'beyond', ip, port })),
    ),
  );
}

function hostAddress(ip: Ip) {
  return { ip, prefix: bits(familyOf(ip)) };
}

function block(ip: Ip) {
  return { family: familyOf(ip), base: ip, prefix: bits(familyOf(ip)) };
}
