import { describe, expect, test } from 'vitest';
import { runTypeScript } from '../../../test/run-typescript.ts';
import { soon } from '../../../test/soon.ts';
import { openRoutes } from '../links.ts';
import { parseLink, RTM_DELLINK, RTM_NEWLINK } from './link-messages.ts';
import type { NetlinkReply } from './message.ts';
import { routeGroup, watchNetlink } from './watch.ts';

function record() {
  const messages: NetlinkReply[] = [];
  let overruns = 0;
  const listener = {
    message: (message: NetlinkReply) => messages.push(message),
    overrun: () => {
      overruns++;
    },
  };
  return { messages, listener, overruns: () => overruns };
}

describe('watchNetlink', () => {
  test('hears of devices that come and go, in order, and nothing after close', async () => {
    const { messages, listener, overruns } = record();
    const routes = openRoutes();
    const watch = watchNetlink('route', [routeGroup.link], listener);
    routes.createBridge({ name: 'seen' });
    await soon(() => expect(messages.map((m) => m.type)).toContain(RTM_NEWLINK));
    routes.deleteLink('seen');
    await soon(() => expect(messages.at(-1)?.type).toBe(RTM_DELLINK));
    expect(parseLink(messages.at(-1)?.payload ?? new Uint8Array()).name).toBe('seen');
    watch.close();
    watch.close();
    const count = messages.length;
    routes.createBridge({ name: 'unseen' });
    routes.deleteLink('unseen');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([messages.length - count, overruns()]).toEqual([0, 0]);
    routes.close();
  });

  test('serves several watches, each its groups', async () => {
    const [links, addresses] = [record(), record()];
    const watches = [
      watchNetlink('route', [routeGroup.link], links.listener),
      watchNetlink('route', [routeGroup.ipv4Address, routeGroup.ipv6Address], addresses.listener),
    ];
    const routes = openRoutes();
    routes.createBridge({ name: 'br0' });
    await soon(() => expect(links.messages).not.toEqual([]));
    expect(addresses.messages).toEqual([]);
    routes.deleteLink('br0');
    for (const watch of watches) watch.close();
    routes.close();
  });

  test('says when notifications were lost, and goes on', async () => {
    const { messages, listener, overruns } = record();
    const routes = openRoutes();
    routes.createBridge({ name: 'busy' });
    const watch = watchNetlink('route', [routeGroup.link], listener);
    // All within one turn of the event loop: nobody can take them.
    for (let i = 0; i < 2_000; i++) routes.setLink('busy', { mtu: 1000 + (i % 2) });
    await soon(() => expect(overruns()).toBe(1));
    const before = messages.length;
    routes.deleteLink('busy');
    await soon(() => expect(messages.slice(before).map((m) => m.type)).toContain(RTM_DELLINK));
    watch.close();
    routes.close();
  });

  test('does not keep the process alive, nor end it when closed amid notifications', () => {
    const source = `
      import { openRoutes } from './src/kernel/links.ts';
      import { unshareNetns } from './src/kernel/netns.ts';
      import { routeGroup, watchNetlink } from './src/kernel/netlink/watch.ts';
      unshareNetns();
      const routes = openRoutes();
      routes.createBridge({ name: 'br0' });
      const listener = { message() {}, overrun() {} };
      for (let i = 0; i < 200; i++) {
        const watch = watchNetlink('route', [routeGroup.link], listener);
        routes.setLink('br0', { mtu: 1000 + i });
        watch.close();
      }
      watchNetlink('route', [routeGroup.link], listener);
      routes.setLink('br0', { mtu: 900 });
      process.stdout.write('done');`;
    expect(runTypeScript(source)).toMatchObject({ status: 0, signal: null, stdout: 'done' });
  });
});
