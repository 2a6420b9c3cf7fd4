import type { ApiClient } from '../client/types.ts';
import type { Logger } from '../component/log.ts';
import { metricsContentType } from '../component/metrics.ts';
import { type MakePage, type Page, type PageServer, type Pages, servePages } from '../component/pages.ts';
import { SignalboxError } from '../errors/error.ts';
import { type BindSocket, bindSocket } from '../kernel/bound-sockets.ts';
import { Responder } from './answer.ts';
import { type OpenBlock, openBlock } from './blocks.ts';
import { isSameApi } from './config/api-access.ts';
import type { DnsConfig, HttpAddress, ServerBlock } from './config/types.ts';
import { feedZone, type OpenFeed } from './feed.ts';
import { formatServerAddress, type ServerAddress } from './forward/address.ts';
import { type Change, type Closable, Kept } from './kept.ts';
import { DnsMetrics } from './metrics.ts';
import { blockKey, type Plan, planServing, readCertificates } from './plans.ts';
import { serverLabel } from './server/label.ts';
import { listenAt } from './server/listen.ts';
import type { StreamListener } from './server/tcp.ts';
import { checkOwnHealth, exposeGauges, pluginsOfBlock, pluginsOfServer } from './server-metrics.ts';
import type { ServerTls } from './tls-files.ts';
import { formatName } from './wire/name.ts';
import { Workers } from './workers/workers.ts';

/** What a DNS server is started with. */
export interface DnsParts {
  readonly config: DnsConfig;
  /** Called once there is a block with the cluster's names. */
  readonly openClient: () => Promise<ApiClient>;
  readonly log: Logger;
  /** How its sockets are bound; for itself alone unless told otherwise. */
  readonly bind?: BindSocket;
  /** Waited for before sockets and pages are opened, while the zones are filled already: `whole` tells when they are. */
  readonly beforeListening?: (whole: () => Promise<void>) => Promise<void>;
  /** The program whose subcommand `dns-worker` a worker is; this process's own unless given. */
  readonly entry?: string;
}

/** What is waited for while a configuration is taken up: before sockets are opened, and before they are served by it. */
interface Waits {
  readonly listening: (zones: readonly (Promise<void> | undefined)[]) => Promise<void>;
  readonly serving: (workers: Promise<void>) => Promise<void>;
}

/** A listening address at work. */
interface Entrance {
  readonly responder: Responder;
  readonly listener: StreamListener;
  close(): Promise<void>;
}

/** A page at an address. */
interface OpenPage extends Closable {
  readonly port: number;
}

/** Answers under way when a configuration goes have this long, in milliseconds: longer than any client waits. */
const lingerMs = 5_000;
/** How long the zones of a new configuration may take to be whole before the old one stays, in milliseconds. */
const syncMs = 30_000;

/**
 * A DNS server that runs: sockets, pages and blocks by a configuration, which can be changed for another while queries
 * are answered.
 */
export class DnsServer {
  readonly metrics = new DnsMetrics();
  readonly #openClient: () => Promise<ApiClient>;
  readonly #log: Logger;
  readonly #blocks = new Kept<OpenBlock>();
  readonly #entrances = new Kept<Entrance>();
  readonly #pages = new Kept<OpenPage>();
  readonly #lingering = new Set<{ readonly end: () => Promise<void> }>();
  readonly #ownHealth: Closable;
  readonly #bind: BindSocket;
  readonly #entry: string;
  readonly #workers: Workers;
  #config: DnsConfig;
  #isLameduck = false;

  private constructor({ config, openClient, log, bind = bindSocket, entry = process.argv[1] ?? '' }: DnsParts) {
    this.#bind = bind;
    this.#config = config;
    this.#entry = entry;
    this.#openClient = openClient;
    this.#log = log;
    this.#workers = new Workers(this.metrics);
    exposeGauges(this.metrics, () => this.#blocks.values);
    this.#ownHealth = checkOwnHealth(() => {
      const { ip = '127.0.0.1' } = this.#config.health ?? {};
      const port = this.ports.health;
      return port === 0 ? undefined : { ip, port };
    }, this.metrics);
  }

  /**
   * Starts a server: when it resolves, queries are answered, if only with SERVFAIL.
   * @throws SignalboxError `PORT_TAKEN`, `INVALID_CONFIG`
   */
  static async start(parts: DnsParts): Promise<DnsServer> {
    const server = new DnsServer(parts);
    try {
      await server.#change(parts.config, {
        listening: async (zones) => parts.beforeListening?.(() => inTime(zones)),
        serving: async () => undefined,
      });
    } catch (error) {
      await server.close();
      throw error;
    }
    server.#log.info({ listen: server.addresses.map(formatServerAddress), zones: server.#zones() }, 'serving');
    return server;
  }

  get config(): DnsConfig {
    return this.#config;
  }

  /** Where it listens, UDP and TCP alike, in the order of the configuration. */
  get addresses(): readonly ServerAddress[] {
    return this.#entrances.values.map(({ listener }) => listener.address);
  }

  /** The ports of the pages; 0 for one that is not served. */
  get ports(): { readonly health: number; readonly ready: number; readonly metrics: number } {
    const [health = 0, ready = 0, metrics = 0] = [this.#config.health, this.#config.ready, this.#config.metrics[0]].map(
      (address, i) => this.#portOf(address, ['/health', '/ready', '/metrics'][i] ?? ''),
    );
    return { health, ready, metrics };
  }

  /** Resolves when the zones are whole, and all workers answer. */
  get synced(): Promise<void> {
    const synced = Promise.all([...zonesOf(this.#blocks.values), this.#workers.whole]);
    synced.catch(() => undefined);
    return synced.then(() => undefined);
  }

  /**
   * Goes over to another configuration. Blocks, sockets and pages that are in both stay as they are. Queries are
   * answered by the old blocks until the new ones know their zones, and from one moment to the next by the new ones.
   * @throws SignalboxError `PORT_TAKEN`, `INVALID_CONFIG`, `API_UNREACHABLE`; the old configuration stays then
   */
  async apply(config: DnsConfig): Promise<void> {
    if (!isSameApi(config, this.#config)) {
      throw new SignalboxError('INVALID_CONFIG', {
        object: config.apiServer === undefined ? 'kubeconfig' : 'endpoint',
        problem: 'cannot change while the server runs',
        remedy: 'start it again',
      });
    }
    await this.#change(config, { listening: inTime, serving: (workers) => inTime([workers]) });
  }

  /** From now on `/ready` says that this server is about to go; it lives, and `/health` says so. */
  lameduck(): void {
    this.#isLameduck = true;
  }

  /** Ends all: sockets first, then what answers rest on. */
  async close(): Promise<void> {
    this.#ownHealth.close();
    await this.#pages.close();
    await Promise.all([this.#workers.close(), this.#entrances.close()]);
    await this.#blocks.close();
    for (const { end } of [...this.#lingering]) await end();
  }

  async #change(config: DnsConfig, before: Waits): Promise<void> {
    const changes: Pick<Change<Closable>, 'undo'>[] = [];
    const noted = <C extends Pick<Change<Closable>, 'undo'>>(change: C): C => {
      changes.push(change);
      return change;
    };
    try {
      const needsApi = config.servers.some(({ kubernetes }) => kubernetes !== undefined);
      const client = needsApi ? await this.#openClient() : undefined;
      const blocks = noted(await this.#blocks.change(this.#wantedBlocks(config, client)));
      await before.listening(zonesOf([...blocks.open.values()]));
      const { metrics } = this;
      const plans = planServing({ config, blocks: blocks.open, metrics, onCrash: this.#onCrash });
      const certificates = await readCertificates(plans);
      const entrances = noted(await this.#entrances.change(this.#wantedEntrances(plans, certificates)));
      const pages = noted(await this.#pages.change(this.#wantedPages(config)));
      const workers = noted(
        this.#workers.change({
          config,
          blocks: blocks.open,
          certificates,
          sockets: new Map([...entrances.open].map(([key, { listener }]) => [key, listener.sockets])),
          entry: this.#entry,
          log: this.#log,
        }),
      );
      await before.serving(workers.whole);
      // Nothing below can fail, or waits: between two queries all is as it was, or all is new.
      this.#config = config;
      this.#notePlugins(plans);
      for (const [key, { options }] of plans) {
        const entrance = entrances.open.get(key);
        const tls = certificates.get(key);
        entrance?.responder.serve(options);
        if (tls !== undefined) entrance?.listener.secure(tls);
      }
      workers.accept();
      this.#retire([...pages.accept(), ...entrances.accept(), ...blocks.accept()]);
    } catch (error) {
      for (const change of changes.reverse()) await change.undo();
      throw error;
    }
  }

  #wantedBlocks(config: DnsConfig, client: ApiClient | undefined): Map<string, () => Promise<OpenBlock>> {
    const openFeed: OpenFeed | undefined = client && ((parts) => feedZone({ ...parts, client }));
    const onLoop = (settings: ServerBlock, upstream: string) => this.#workers.leaveOut(blockKey(settings), upstream);
    const parts = { openFeed, onLoop, log: this.#log, metrics: this.metrics };
    return new Map(config.servers.map((settings) => [blockKey(settings), () => openBlock(settings, parts)]));
  }

  #notePlugins(plans: ReadonlyMap<string, Plan>): void {
    this.metrics.forgetPlugins();
    const ofServer = pluginsOfServer(this.#config);
    for (const { address, blocks } of plans.values()) {
      for (const { settings } of blocks) {
        const plugins = [...ofServer, ...pluginsOfBlock(settings)];
        for (const zone of settings.zones) this.metrics.notePlugins(serverLabel(address), formatName(zone), plugins);
      }
    }
  }

  readonly #onCrash = (err: unknown): void => {
    this.metrics.countPanic();
    this.#log.error({ err }, 'a query could not be answered: this is a mistake in the server');
  };

  #wantedEntrances(
    plans: ReadonlyMap<string, Plan>,
    certificates: ReadonlyMap<string, ServerTls>,
  ): Map<string, () => Promise<Entrance>> {
    return new Map(
      [...plans].map(([key, { address, options }]) => [
        key,
        async () => {
          const responder = new Responder(options);
          const tls = certificates.get(key);
          const listener = await listenAt(address, { responder, log: this.#log, tls, bind: this.#bind });
          return { responder, listener, close: () => listener.close() };
        },
      ]),
    );
  }

  #wantedPages(config: DnsConfig): Map<string, () => Promise<OpenPage>> {
    const byAddress = new Map<string, { address: HttpAddress; pages: { [path: string]: MakePage } }>();
    const add = (address: HttpAddress | undefined, path: string, page: MakePage) => {
      if (address === undefined) return;
      // One address may carry several pages; port 0 is another one each time.
      const place = address.port === 0 ? `0 ${path}` : pageKey(address);
      const entry = byAddress.get(place) ?? { address, pages: {} };
      entry.pages[path] = page;
      byAddress.set(place, entry);
    };
    add(config.health, '/health', () => ({ body: 'OK' }));
    add(config.ready, '/ready', () => this.#readyPage());
    for (const address of config.metrics) add(address, '/metrics', () => this.#metricsPage());
    return new Map(
      [...byAddress.values()].map(({ address, pages }) => [
        `${pageKey(address)} ${Object.keys(pages).join(' ')}`,
        () => openPages(address, pages),
      ]),
    );
  }

  async #metricsPage(): Promise<Page> {
    const others = await this.#workers.count();
    return { type: metricsContentType, body: this.metrics.registry.text(others) };
  }

  /** 503 names who is not ready, or says that this server is about to go, as CoreDNS does. */
  #readyPage(): Page {
    if (this.#isLameduck) return { status: 503, body: 'Shutting down' };
    const isReady = this.#blocks.values.every(({ cluster }) => cluster?.feed.isReady() ?? true);
    return isReady ? { body: 'OK' } : { status: 503, body: 'kubernetes' };
  }

  #portOf(address: HttpAddress | undefined, path: string): number {
    if (address === undefined) return 0;
    const page = this.#pages.find((key) => {
      const [place, ...paths] = key.split(' ');
      return place === pageKey(address) && paths.includes(path);
    });
    return page?.port ?? 0;
  }

  #zones(): string[] {
    return this.#config.servers.flatMap(({ zones }) => zones.map(formatName));
  }

  /** Closes what has gone when its last answers are out. */
  #retire(gone: readonly Closable[]): void {
    if (gone.length === 0) return;
    const end = async () => {
      clearTimeout(timer);
      this.#lingering.delete(retired);
      for (const each of gone) await each.close();
    };
    const timer = setTimeout(() => void end(), lingerMs);
    const retired = { end };
    this.#lingering.add(retired);
  }
}

function pageKey({ ip, port }: HttpAddress): string {
  return `${ip ?? '*'}:${port}`;
}

async function openPages({ ip, port }: HttpAddress, pages: Pages): Promise<PageServer> {
  return await servePages({ host: ip, port }, pages);
}

/** When the blocks' zones are whole. */
function zonesOf(blocks: readonly OpenBlock[]): (Promise<void> | undefined)[] {
  return blocks.map(({ cluster }) => cluster?.feed.synced);
}

/** Waits until all is whole, as long as that may take. */
async function inTime(parts: readonly (Promise<unknown> | undefined)[]): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () =>
        reject(
          new SignalboxError('API_UNREACHABLE', {
            object: 'the new configuration',
            problem: `did not have its zones whole within ${syncMs / 1000} s`,
            remedy: 'see the log for what the API server answered',
          }),
        ),
      syncMs,
    );
  });
  try {
    await Promise.race([Promise.all(parts), late]);
  } finally {
    clearTimeout(timer);
  }
}
