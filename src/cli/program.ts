import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { parseDuration } from '../component/duration.ts';
import { exitStatus } from './report.ts';

/**
 * The command line. Each command's code is loaded only when it is called: a cluster starts a dozen of these processes.
 * @param entry this program's entry file: the components of a cluster are subcommands of it, and the programs of the
 *   built-in images lie in `images` beside it
 */
export function createProgram(entry: string): Command {
  const program = new Command('signalbox')
    .description('Kubernetes Service networking on one Linux machine, or in a cluster that exists')
    .version(packageVersion())
    .exitOverride((error) => process.exit(error.exitCode === 0 ? exitStatus.done : exitStatus.wrongUsage))
    .showHelpAfterError('(see `signalbox --help`)')
    .enablePositionalOptions();
  addClusterCommands(program, entry);
  addProxyMode(program);
  addInspection(program);
  addComponents(program, entry);
  addPublishing(program);
  for (const command of program.commands) command.showHelpAfterError(`(see \`signalbox ${command.name()} --help\`)`);
  return program;
}

const nameOption = () => new Option('--name <name>', 'which cluster').default('default');

function addClusterCommands(program: Command, entry: string): void {
  program
    .command('up')
    .description('start a cluster, or go on with one that was stopped, and apply manifests')
    .addOption(
      new Option('-f, --filename <file|dir|->', 'manifests to apply (may be given several times)')
        .argParser(collect)
        .default([], 'none'),
    )
    .option('--nodes <count>', 'how many nodes (default: 3, or as before)', integer)
    .option('--proxy-mode <mode>', 'how nodes program their kernel (default: nftables, or as before)')
    .addOption(nameOption())
    .option(
      '--ip-family <family>',
      'addresses of nodes, Pods and Services: ipv4, ipv6 or dual (default: ipv4, or as before)',
    )
    .option('--node-local-dns', 'have a DNS server on each node, for its Pods (default: none, or as before)')
    .option('--no-node-local-dns', 'have none, where there were some before')
    .option('--api-port <port>', "port of the API on this machine's 127.0.0.1 (default: a free one)", integer)
    .option(
      '--publish',
      "make node ports, load balancers and the cluster's DNS reachable on this machine's loopback (or as before)",
    )
    .option('--no-publish', 'no longer')
    .option('--host-route', 'as root: let this machine route to nodes, Pods and Services (or as before)')
    .option('--no-host-route', 'no longer')
    .addOption(
      new Option('--wait <duration>', 'how long to wait until all is Ready: 500ms, 60s, 2m')
        .argParser(duration)
        .default(60_000, '60s'),
    )
    .option('--foreground', 'stay until interrupted, then take the cluster down')
    .action(async (options) => (await import('./up.ts')).up(options, entry));

  program
    .command('down')
    .description('stop a cluster and remove all it left')
    .addOption(nameOption().conflicts('all'))
    .option('--all', 'every cluster')
    .option('--keep-data', 'keep its objects, for the next `signalbox up`')
    .action(async (options) => (await import('./down.ts')).down(options));
}

function addProxyMode(program: Command): void {
  program
    .command('proxy-mode')
    .description('move a running cluster to another proxy mode, node by node, while it serves')
    .argument('<mode>', 'nftables, iptables, ipvs or userspace')
    .addOption(nameOption())
    .action(async (mode, options) => (await import('./proxy-mode.ts')).proxyMode(mode, options));
}

function addInspection(program: Command): void {
  program
    .command('status')
    .description('what runs')
    .addOption(nameOption())
    .addOption(new Option('-o, --output <format>', 'how to print it').choices(['text', 'json']).default('text'))
    .action(async (options) => (await import('./status.ts')).status(options));

  program
    .command('kubeconfig')
    .description("print the path of a cluster's kubeconfig file")
    .addOption(nameOption())
    .action(async (options) => (await import('./kubeconfig.ts')).kubeconfig(options));

  program
    .command('exec')
    .description('run a command where TARGET is: pod/NAME[.NAMESPACE], node/NAME, or client')
    .argument('<target>')
    .argument('<command>')
    .argument('[args...]')
    .addOption(nameOption())
    .option('-c, --container <container>', "which of a Pod's containers (default: the first)")
    .passThroughOptions()
    .action(async (target, command, args, options) => {
      // `--` is kept for the command's own sake by the parser, but here it only says that the command begins.
      const words = command === '--' ? args : [command, ...args];
      await (await import('./exec.ts')).exec({ target, command: words, ...options });
    });
}

function addComponents(program: Command, entry: string): void {
  for (const [component, description] of [
    ['apiserver', 'the API server'],
    ['controllers', 'the controllers'],
    ['node', 'the node agent, inside the network namespace of its node'],
  ] as const) {
    componentCommand(program, component, description)
      .requiredOption('--config <file>', configHelp)
      .action(async (options) => (await import('./component.ts')).runComponent(component, options));
  }
  componentCommand(program, 'speaker', "announces load balancers' addresses, inside the network namespace of its node")
    .requiredOption('--config <file>', configHelp)
    .option('--node-name <name>', 'name of the own Node object, in place of what the configuration says')
    .action(async (options) => (await import('./component.ts')).runComponent('speaker', options));

  componentCommand(program, 'proxy', 'the node proxy, inside the network namespace of its node')
    .addOption(new Option('--config <file>', configHelp).conflicts('cleanup'))
    .option('--hostname-override <name>', 'name of the own Node object, in place of what the configuration says')
    .option('--cleanup', 'remove the rules of all modes from this network namespace, and end')
    .action(async (options, command) => {
      if (options.cleanup === true) return (await import('./proxy-cleanup.ts')).cleanUpProxy();
      if (options.config === undefined) command.error("error: required option '--config <file>' not specified");
      await (await import('./component.ts')).runComponent('proxy', options);
    });

  componentCommand(program, 'dns', 'the cluster DNS server, or that of one node, inside its network namespace')
    .addOption(new Option('--config <file>', `${configHelp}, or a Corefile`).conflicts('cleanup'))
    .option(
      '--node-local [addresses]',
      'serve this node alone, at addresses of its own (default: 169.254.20.10) and without connection tracking',
    )
    .option('--workers <count>', 'processes that answer, in place of what the configuration says (default: 1)', integer)
    .option('--cleanup', 'with --node-local: remove what it left in this network namespace, and end')
    .action(async (options, command) => {
      const { nodeLocal, config, cleanup } = options;
      if (cleanup === true) {
        if (nodeLocal === undefined) command.error("error: option '--cleanup' goes with '--node-local'");
        return (await import('./node-local-cleanup.ts')).cleanUpNodeLocal();
      }
      const { runComponent, runNodeLocal } = await import('./component.ts');
      if (nodeLocal !== undefined) return runNodeLocal(options);
      if (config === undefined) command.error("error: required option '--config <file>' not specified");
      await runComponent('dns', options);
    });

  program
    .command('dns-worker', { hidden: true })
    .action(async () => (await import('../dns/workers/worker.ts')).runWorker());

  program
    .command('supervisor', { hidden: true })
    .requiredOption('--dir <dir>', 'folder of the cluster')
    .requiredOption('--nodes <count>', 'how many nodes', integer)
    .requiredOption('--proxy-mode <mode>', 'mode of the proxies')
    .requiredOption('--ip-family <family>', 'families of addresses')
    .requiredOption('--api-port <port>', 'port on the host', integer)
    .option('--node-local-dns', 'a DNS server on each node')
    .option('--publish', 'run a publisher, with the channel inherited')
    .option('--held-folder <dir>', 'end with standard input, and remove this folder')
    .action(async (options) => (await import('../cluster/supervisor.ts')).runSupervisor(options, entry));
}

// Parts of `up --publish`: nobody calls them but a cluster.
function addPublishing(program: Command): void {
  program
    .command('publisher', { hidden: true })
    .option('--kubeconfig <file>', 'how to reach the API')
    .requiredOption('--config <file>', configHelp)
    .action(async (options) => (await import('./component.ts')).runComponent('publisher', options));

  program
    .command('binder', { hidden: true })
    .action(async () => (await import('../publisher/binder.ts')).runBinder(inheritedChannel));
}

/** The binder finds its end of the channel where a child's first other file descriptor is. */
const inheritedChannel = 3;

const configHelp = 'its configuration, as JSON or YAML';

function componentCommand(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .description(`run one component: ${description}`)
    .option(
      '--kubeconfig <file>',
      name === 'apiserver'
        ? "where to write an administrator's kubeconfig; certificates that are missing are made too"
        : 'how to reach the API (default: $KUBECONFIG, or the service account of the Pod)',
    );
}

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}

function integer(value: string): number {
  if (!/^\d{1,9}$/.test(value)) throw new InvalidArgumentError('It is a whole number.');
  return Number(value);
}

/** `500ms`, `60s`, `1m30s`, in milliseconds. */
function duration(value: string): number {
  const milliseconds = parseDuration(value);
  if (milliseconds === undefined) throw new InvalidArgumentError('It is a number with a unit: 500ms, 60s, 2m.');
  return milliseconds;
}

function packageVersion(): string {
  // The same two steps up from src/cli/ and from dist/bin/.
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;
}
