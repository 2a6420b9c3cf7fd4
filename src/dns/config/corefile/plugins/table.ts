import { corefileError } from '../error.ts';
import type { Directive } from '../parse.ts';
import { cache } from './cache.ts';
import { forward } from './forward.ts';
import { kubernetes } from './kubernetes.ts';
import { errors, log } from './log.ts';
import { hosts, transfer } from './names.ts';
import { health, prometheus, ready, reload } from './pages.ts';
import type { Drafts, Plugin } from './plugin.ts';
import { bind, bufsize, loadbalance, loop, tls } from './server.ts';

/** Every plugin of a Corefile that is honoured; all others are refused. */
const plugins = new Map<string, Plugin>(
  Object.entries({
    bind,
    bufsize,
    cache,
    errors,
    forward,
    health,
    hosts,
    kubernetes,
    loadbalance,
    log,
    loop,
    prometheus,
    ready,
    reload,
    tls,
    transfer,
  }),
);

/**
 * Reads the plugins of one block into its draft. Their order has no meaning, as in CoreDNS.
 * @throws SignalboxError `INVALID_CONFIG` with the name and line of what is not honoured
 */
export function readPlugins(directives: readonly Directive[], drafts: Drafts): void {
  const seen = new Set<string>();
  for (const directive of directives) {
    const { name } = directive;
    const plugin = name.isQuoted ? undefined : plugins.get(name.text);
    if (plugin === undefined) {
      const remedy = `remove it; there are ${[...plugins.keys()].join(', ')}`;
      throw corefileError(name, `plugin ${name.text} is not supported`, remedy);
    }
    if (seen.has(name.text) && plugin.repeats !== true)
      throw corefileError(name, `plugin ${name.text} is in this block already`, 'leave one of them');
    seen.add(name.text);
    plugin.read(directive, drafts);
  }
}
