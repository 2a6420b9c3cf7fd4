import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { openRoutes, type Routes } from '../../src/kernel/links.ts';
import { inFreshNetns, inNetns, openNetns } from '../../src/kernel/netns.ts';
import { writeSysctl } from '../../src/kernel/sysctl.ts';
import { familyOf, type Ip, type IpFamily, parseIp } from '../../src/net/ip.ts';
import { bundleTypeScript } from '../run-typescript.ts';

/** One call that an agent is to make. */
export interface Command {
  readonly id: number;
  readonly protocol: 'tcp' | 'udp';
  readonly ip: string;
  readonly port: number;
  /** UDP: sends from this port, so that calls are one flow. */
  readonly sourcePort?: number;
}

/** What came of a call: the answer's text, `NAME ADDRESS-SEEN`, or an errno's name or `TIMEOUT`. */
export interface CallResult {
  readonly id: number;
  readonly milliseconds: number;
  readonly answer?: string;
  readonly error?: string;
}

/** The addresses of the topology, by family. */
export const addresses = {
  IPv4: {
    bridge: parseIp('10.244.1.1'),
    podA: parseIp('10.244.1.2'),
    podB: parseIp('10.244.1.3'),
    podC: parseIp('10.244.1.4'),
    node: parseIp('192.168.101.3'),
    client: parseIp('192.168.101.100'),
  },
  IPv6: {
    bridge: parseIp('fd00:10:244:1::1'),
    podA: parseIp('fd00:10:244:1::2'),
    podB: parseIp('fd00:10:244:1::3'),
    podC: parseIp('fd00:10:244:1::4'),
    node: parseIp('fd00:192:168:101::3'),
    client: parseIp('fd00:192:168:101::100'),
  },
} as const;

const families: readonly IpFamily[] = ['IPv4', 'IPv6'];
export type PodName = 'podA' | 'podB' | 'podC';
const podNames: readonly PodName[] = ['podA', 'podB', 'podC'];
/** Where every Pod serves, TCP and UDP. */
export const podPort = 8080;

let agentSource: string | undefined;

/** A network namespace with an agent in it. */
export class Place {
  readonly routes: Routes;
  readonly fd: number;
  readonly #agent: ChildProcess;
  readonly #waiting = new Map<number, (result: CallResult) => void>();
  #nextId = 1;
  readonly ready: Promise<void>;

  constructor(name: string, ports: readonly number[] = []) {
    const { fd, routes } = inFreshNetns(() => ({ fd: openNetns('/proc/thread-self/ns/net'), routes: openRoutes() }));
    this.fd = fd;
    this.routes = routes;
    routes.setLink('lo', { up: true });
    agentSource ??= bundleTypeScript("import './test/conformance/agent.ts';");
    const args = ['-e', agentSource, name, ...ports.map(String)];
    this.#agent = this.run(() => spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] }));
    this.ready = this.#listen();
  }

  /** Runs a function with the thread in this namespace. */
  run<T>(body: () => T): T {
    return inNetns(this.path, body);
  }

  get path(): string {
    return `/proc/self/fd/${this.fd}`;
  }

  /** Calls an address from here, by a process of this namespace. */
  call(protocol: Command['protocol'], to: { ip: string; port: number; sourcePort?: number }): Promise<CallResult> {
    const id = this.#nextId++;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#agent.stdin?.write(`${JSON.stringify({ id, protocol, ...to })}\n`);
    });
  }

  close(): void {
    this.#agent.kill('SIGKILL');
    this.routes.close();
    closeSync(this.fd);
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

/** A node with three Pods on a bridge, and a client on the node's network, both families. */
export class Topology {
  readonly node = new Place('node');
  readonly client = new Place('client');
  readonly pods: { readonly [N in PodName]: Place } = {
    podA: new Place('podA', [podPort]),
    podB: new Place('podB', [podPort]),
    podC: new Place('podC', [podPort]),
  };

  /** Lays the links and waits for all agents. */
  async start(): Promise<void> {
    this.node.run(() => {
      writeSysctl('net.ipv4.ip_forward', 1);
      writeSysctl('net.ipv6.conf.all.forwarding', 1);
      // A Pod that is told of the shorter way to another one would miss the address translation.
      for (const device of ['all', 'default']) writeSysctl(`net.ipv4.conf.${device}.send_redirects`, 0);
      // Where br_netfilter is loaded, a bridge would answer for the IP stack, and not send a frame back where it came from.
      for (const family of ['iptables', 'ip6tables']) {
        if (existsSync(`/proc/sys/net/bridge/bridge-nf-call-${family}`))
          writeSysctl(`net.bridge.bridge-nf-call-${family}`, 0);
      }
    });
    this.#bridge();
    this.#client();
    for (const name of podNames) this.#pod(name);
    await Promise.all([this.node, this.client, ...Object.values(this.pods)].map((place) => place.ready));
  }

  close(): void {
    for (const place of [this.node, this.client, ...Object.values(this.pods)]) place.close();
  }

  #bridge(): void {
    this.node.routes.createBridge({ name: 'cni0', up: true });
    for (const family of families) {
      this.node.routes.addAddress('cni0', { ip: addresses[family].bridge, prefix: family === 'IPv4' ? 24 : 64 });
    }
  }

  #client(): void {
    const peer = { name: 'eth0', up: true, netns: { fd: this.client.fd } };
    this.node.routes.createVeth({ name: 'eth0', up: true, peer });
    for (const family of families) {
      const { node, client } = addresses[family];
      const prefix = family === 'IPv4' ? 24 : 64;
      this.node.routes.addAddress('eth0', { ip: node, prefix });
      this.client.routes.addAddress('eth0', { ip: client, prefix });
      // The client knows no Pod network: answers come back to it by way of the node alone.
      this.client.routes.addRoute({ destination: 'default', gateway: node, device: 'eth0' });
      this.node.routes.addRoute({ destination: 'default', gateway: client, device: 'eth0' });
    }
  }

  #pod(name: PodName): void {
    const pod = this.pods[name];
    const peer = { name: 'eth0', up: true, netns: { fd: pod.fd } };
    this.node.routes.createVeth({ name: `to-${name}`, up: true, master: 'cni0', peer });
    for (const family of families) {
      const gateway = addresses[family].bridge;
      this.#address(pod, addresses[family][name]);
      pod.routes.addRoute({ destination: 'default', gateway, device: 'eth0', onlink: true });
    }
  }

  /** A host address, so that Pods of one node talk through the node. */
  #address(pod: Place, ip: Ip): void {
    pod.routes.addAddress('eth0', { ip, prefix: familyOf(ip) === 'IPv4' ? 32 : 128 });
  }
}
