import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { connect } from './client.ts';
import { userAgentOf } from './user-agent.ts';

let server: Server | undefined;
afterEach(() => server?.close());

test('userAgentOf has the form that Kubernetes reads names and versions from', () => {
  expect(userAgentOf('signalbox-proxy')).toMatch(/^signalbox-proxy\/v\d+\.\d+ \(linux\/\w+\)$/);
});

test('connect speaks under the name of its component', async () => {
  const agents: unknown[] = [];
  const listening = createServer((request, response) => {
    agents.push(request.headers['user-agent']);
    response.end('{}');
  }).listen(0, '127.0.0.1');
  server = listening;
  await new Promise((resolve) => listening.once('listening', resolve));
  const url = `http://127.0.0.1:${(listening.address() as AddressInfo).port}`;
  for (const component of [{ component: 'signalbox-node' }, {}]) {
    const client = connect({ server: url, ...component });
    await client.raw({ method: 'GET', path: '/version' });
    client.close();
  }
  expect(agents).toEqual([userAgentOf('signalbox-node'), userAgentOf('signalbox')]);
});
