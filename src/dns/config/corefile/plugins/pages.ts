import { parseIp } from '../../../../net/ip.ts';
import type { HttpAddress } from '../../types.ts';
import {
  argumentOf,
  argumentsOf,
  choiceOf,
  durationOf,
  httpAddressOf,
  readOptions,
  requireNoBlock,
} from '../arguments.ts';
import { corefileError } from '../error.ts';
import type { Directive } from '../parse.ts';
import type { Plugin } from './plugin.ts';

/** `health [ADDRESS] { lameduck DURATION }`. */
export const health: Plugin = {
  read(directive, { server }) {
    const address = pageAddress(directive, { ip: undefined, port: 8080 }, server.health);
    let lameduckMs = server.health?.lameduckMs ?? 0;
    readOptions(directive, {
      lameduck: (option) => {
        lameduckMs = Math.max(lameduckMs, durationOf(argumentOf(option)));
      },
    });
    server.health = { ...address, lameduckMs };
  },
};

/** `ready [ADDRESS]`. */
export const ready: Plugin = {
  read(directive, { server }) {
    server.ready = pageAddress(directive, { ip: undefined, port: 8181 }, server.ready);
    readOptions(directive, {
      // What has been whole once is served from memory, and stays ready: looked at once or always, it is the same.
      monitor: (option) => {
        choiceOf(argumentOf(option), ['until-ready', 'continuously']);
      },
    });
  },
};

/** `prometheus [ADDRESS]`. */
export const prometheus: Plugin = {
  read(directive, { server }) {
    const [token] = argumentsOf(directive, 0, 1);
    const address = token === undefined ? { ip: parseIp('127.0.0.1'), port: 9153 } : httpAddressOf(token);
    requireNoBlock(directive);
    if (!server.metrics.some((other) => isSame(address, other))) server.metrics = [...server.metrics, address];
  },
};

/** `reload [INTERVAL] [JITTER]`; the jitter is at most half of the interval. */
export const reload: Plugin = {
  read(directive, { server }) {
    const [interval, jitter] = argumentsOf(directive, 0, 2);
    requireNoBlock(directive);
    const intervalMs = interval === undefined ? 30_000 : durationOf(interval, 2_000);
    const jitterMs = jitter === undefined ? 15_000 : durationOf(jitter, 1_000);
    const settings = { intervalMs, jitterMs: Math.min(jitterMs, intervalMs / 2) };
    const before = server.reload;
    if (before !== undefined && (before.intervalMs !== settings.intervalMs || before.jitterMs !== settings.jitterMs))
      throw corefileError(directive.name, 'says another interval than the reload above', 'say it once');
    server.reload = settings;
  },
};

/** The address of a page of which the server has one, whichever blocks name it. */
function pageAddress(directive: Directive, usual: HttpAddress, before: HttpAddress | undefined): HttpAddress {
  const [token] = argumentsOf(directive, 0, 1);
  const address = token === undefined ? usual : httpAddressOf(token);
  if (before === undefined || isSame(address, before)) return address;
  const problem = `${directive.name.text} has another address than the one above`;
  throw corefileError(directive.name, problem, 'name one address; the page is about all blocks');
}

function isSame(a: HttpAddress, b: HttpAddress): boolean {
  return a.ip === b.ip && a.port === b.port;
}
