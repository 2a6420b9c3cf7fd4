import { readFileSync } from 'node:fs';
import { parseConfigText } from '../component/config-file.ts';
import { ownSuccession, tellNotReady } from '../component/handover.ts';
import { createLogger } from '../component/log.ts';
import { SignalboxError } from '../errors/error.ts';

/** What is said on the command line beside the configuration's path, and holds before what stands there. */
interface Overrides {
  readonly kubeconfig?: string;
  readonly hostnameOverride?: string;
  /** Of the speaker. */
  readonly nodeName?: string;
  /** Of the DNS server. */
  readonly workers?: number;
}

/** Runs a component by its configuration, at a path, until the signal aborts. */
type Run = (path: string, signal: AbortSignal, overrides: Overrides) => Promise<void>;

/** The components by their subcommand; each is loaded alone. */
const components = {
  apiserver: async () => {
    const { parseApiServerConfig } = await import('../apiserver/config-file.ts');
    const { runApiServer } = await import('../apiserver/server.ts');
    return byFields((config, signal) => runApiServer(parseApiServerConfig(config), signal));
  },
  controllers: async () => {
    const { parseControllersConfig } = await import('../controllers/config.ts');
    const { runControllers } = await import('../controllers/run.ts');
    return byFields((config, signal, { kubeconfig }) =>
      runControllers({ ...parseControllersConfig(config), ...(kubeconfig && { kubeconfig }) }, signal),
    );
  },
  node: async () => {
    const { parseNodeConfig } = await import('../node/config.ts');
    const { runNode } = await import('../node/run.ts');
    return byFields((config, signal) => runNode(parseNodeConfig(config), signal));
  },
  proxy: async () => {
    const { parseProxyConfig } = await import('../proxy/config.ts');
    const { runProxy } = await import('../proxy/run.ts');
    return byFields((config, signal, { hostnameOverride, kubeconfig }) => {
      const parsed = parseProxyConfig(config);
      const client = { ...parsed.client, ...(kubeconfig && { kubeconfig }) };
      return runProxy({ ...parsed, client, ...(hostnameOverride && { hostnameOverride }) }, signal, ownSuccession());
    });
  },
  speaker: async () => {
    const { parseSpeakerConfig } = await import('../speaker/config.ts');
    const { runSpeaker } = await import('../speaker/run.ts');
    return byFields((config, signal, { nodeName, kubeconfig }) => {
      const told = { ...(nodeName && { nodeName }), ...(kubeconfig && { kubeconfig }) };
      return runSpeaker({ ...parseSpeakerConfig(config), ...told }, signal);
    });
  },
  publisher: async () => {
    const { parsePublisherConfig } = await import('../publisher/config.ts');
    const { runPublisher } = await import('../publisher/run.ts');
    return byFields((config, signal) => runPublisher(parsePublisherConfig(config), signal));
  },
  dns: async () => {
    const { runDns } = await import('../dns/run.ts');
    // It reads its file itself, which may be a Corefile, and may change.
    return runDns;
  },
} as const;

/** Runs one component until SIGTERM or SIGINT, then lets it finish. */
export async function runComponent(
  name: keyof typeof components,
  options: Overrides & { readonly config: string },
): Promise<void> {
  const stop = toldToStop();
  if (name === 'apiserver' && options.kubeconfig !== undefined) {
    const { runStandaloneApiServer } = await import('./standalone-api-server.ts');
    return runStandaloneApiServer(await readConfig(options.config), options.kubeconfig, stop);
  }
  useKubeconfig(options.kubeconfig);
  const run = await components[name]();
  try {
    await run(options.config, stop, options);
  } catch (error) {
    tellNotReady(error);
    throw error;
  }
}

/** Runs the DNS server of this node, which goes without a configuration, until SIGTERM or SIGINT, then lets it finish. */
export async function runNodeLocal(options: {
  readonly kubeconfig?: string;
  readonly config?: string;
  /** Addresses, separated by commas; `true`: the usual one. */
  readonly nodeLocal: string | true;
  /** Processes that answer. */
  readonly workers?: number;
}): Promise<void> {
  const stop = toldToStop();
  useKubeconfig(options.kubeconfig);
  const { parseAddresses } = await import('../node-local/places.ts');
  const { runNodeLocalDns } = await import('../node-local/run.ts');
  const { readNodeLocalConfig } = await import('../node-local/config.ts');
  const addresses = options.nodeLocal === true ? undefined : parseAddresses(options.nodeLocal);
  const { withOverrides } = await import('../dns/run.ts');
  const read = async () => withOverrides(await readNodeLocalConfig(options.config, addresses), options);
  await runNodeLocalDns({ read, addresses, log: createLogger('dns') }, stop);
}

function toldToStop(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
  return stop.signal;
}

/** All components but the API server find their kubeconfig as kubectl does; the option is the shorter way to say it. */
function useKubeconfig(path: string | undefined): void {
  if (path !== undefined) process.env.KUBECONFIG = path;
}

/** Of components whose configuration is an object, in a file that is read once. */
function byFields(run: (config: unknown, signal: AbortSignal, overrides: Overrides) => Promise<void>): Run {
  return async (path, signal, overrides) => await run(await readConfig(path), signal, overrides);
}

async function readConfig(path: string): Promise<unknown> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new SignalboxError('INVALID_CONFIG', {
      object: path,
      problem: `cannot be read (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})`,
      remedy: 'give a file of JSON or YAML',
      cause: error,
    });
  }
  return parseConfigText(text, { file: path });
}
