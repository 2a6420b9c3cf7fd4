import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Node } from '../api/generated/types.ts';
import { createLogger } from '../component/log.ts';
import { openRoutes, type Routes } from '../kernel/links.ts';
import { formatCidr } from '../net/cidr.ts';
import { parseIp } from '../net/ip.ts';
import { createNodeRouter, type NodeRouter, wantedRoutes } from './node-routes.ts';

let folder: string;
let routes: Routes;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sbx-routes-'));
  routes = openRoutes();
  routes.createVeth({ name: 'eth-test', up: true, peer: { name: 'eth-peer' } });
  routes.setLink('eth-peer', { up: true });
  routes.addAddress('eth-test', { ip: parseIp('192.168.101.3'), prefix: 24 });
});
afterEach(() => {
  routes.deleteLink('eth-test');
  routes.close();
  rmSync(folder, { recursive: true, force: true });
});

function node(name: string, address: string, ...podCIDRs: string[]): Node {
  return { metadata: { name }, spec: { podCIDRs }, status: { addresses: [{ type: 'InternalIP', address }] } };
}

function router(): NodeRouter {
  return createNodeRouter(routes, { nodeName: 'node-1', file: join(folder, 'routes.json'), log: createLogger('test') });
}

function table(): Record<string, string> {
  const withGateway = routes.listRoutes('IPv4').flatMap(({ destination, gateway }) => {
    return destination === 'default' || gateway === undefined ? [] : [[formatCidr(destination), gateway]];
  });
  return Object.fromEntries(withGateway);
}

const own = node('node-1', '192.168.101.3', '10.244.1.0/24');
const two = node('node-2', '192.168.101.4', '10.244.2.0/24');
const three = node('node-3', '192.168.101.5', '10.244.3.0/24');

describe('wantedRoutes', () => {
  it('wantedRoutes leads to every other node, by the address of the same family', () => {
    const dual: Node = {
      ...node('node-4', '192.168.101.6', '10.244.4.0/24', 'fd00:4::/64', 'fd00:5::/64'),
      status: {
        addresses: [
          { type: 'Hostname', address: 'n' },
          { type: 'InternalIP', address: 'fd00::6' },
        ],
      },
    };
    expect([...wantedRoutes([own, two, dual, { metadata: { name: 'new' } }], 'node-1')]).toEqual([
      ['10.244.2.0/24', '192.168.101.4'],
      ['fd00:4::/64', 'fd00::6'],
      ['fd00:5::/64', 'fd00::6'],
    ]);
  });
});

describe('createNodeRouter', () => {
  it('createNodeRouter follows nodes as they come, move and go', () => {
    const r = router();
    r.update([own, two]);
    expect(table()).toEqual({ '10.244.2.0/24': '192.168.101.4' });
    r.update([own, node('node-2', '192.168.101.9', '10.244.2.0/24'), three]);
    expect(table()).toEqual({ '10.244.2.0/24': '192.168.101.9', '10.244.3.0/24': '192.168.101.5' });
    r.update([own, three]);
    expect(table()).toEqual({ '10.244.3.0/24': '192.168.101.5' });
  });

  it('createNodeRouter removes what an earlier agent set, and nothing of others', () => {
    routes.addRoute({
      destination: { family: 'IPv4', base: parseIp('172.30.0.0'), prefix: 16 },
      gateway: parseIp('192.168.101.77'),
    });
    router().update([own, two, three]);
    router().update([own, three]);
    expect(table()).toEqual({ '10.244.3.0/24': '192.168.101.5', '172.30.0.0/16': '192.168.101.77' });
  });

  it('createNodeRouter tries again what the kernel refused', () => {
    const r = router();
    const far = node('node-2', '203.0.113.9', '10.244.2.0/24');
    r.update([far, three]);
    expect(table()).toEqual({ '10.244.3.0/24': '192.168.101.5' });
    routes.addAddress('eth-test', { ip: parseIp('203.0.113.1'), prefix: 24 });
    r.update([far, three]);
    expect(table()).toHaveProperty(['10.244.2.0/24'], '203.0.113.9');
  });
});
