import type { Logger } from '../../component/log.ts';
import type { ForwardSettings } from '../config/types.ts';
import { flag, rcode, recordType } from '../wire/constants.ts';
import type { Response } from '../wire/response.ts';
import { formatServerAddress } from './address.ts';
import type { ForwardMetrics } from './forward-metrics.ts';
import type { AskOptions, Question } from './question.ts';
import { StreamExchange, type StreamTls } from './stream-exchange.ts';
import type { TargetServer } from './targets.ts';
import { UdpExchange } from './udp-exchange.ts';

/** How one other server is asked. */
export interface UpstreamOptions {
  readonly server: TargetServer;
  readonly settings: ForwardSettings;
  /** For servers whose transport is TLS. */
  readonly tls: StreamTls;
  readonly metrics: ForwardMetrics;
  readonly log: Logger;
}

/** How long a health check may take, in milliseconds. */
const checkTimeoutMs = 1_000;

/** Another server. */
export class Upstream {
  /** Its address, with its port. */
  readonly name: string;
  readonly #options: UpstreamOptions;
  readonly #udp: UdpExchange;
  readonly #stream: StreamExchange;
  #failedChecks = 0;
  #isChecked = false;
  #isClosed = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: UpstreamOptions) {
    const { server, settings, tls, metrics } = options;
    this.#options = options;
    this.name = formatServerAddress(server);
    const isTls = server.transport === 'tls';
    const onUse = (protocol: 'udp' | 'tcp' | 'tcp-tls') => (isReused: boolean) =>
      metrics.countConnection(this.name, protocol, isReused);
    this.#udp = new UdpExchange(server, onUse('udp'));
    this.#stream = new StreamExchange({
      server,
      tls: isTls ? { ...tls, serverName: server.serverName ?? tls.serverName } : undefined,
      expireMs: settings.expireMs,
      onUse: onUse(isTls ? 'tcp-tls' : 'tcp'),
    });
  }

  /** Whether it failed and has not answered a health check since. */
  get isSuspect(): boolean {
    return this.#isChecked;
  }

  /** Whether it failed so many health checks that it is to be passed over. */
  get isDown(): boolean {
    const { maxFails } = this.#options.settings;
    return maxFails > 0 && this.#failedChecks > maxFails;
  }

  /**
   * Asks once. What does not fit into a datagram is asked again over TCP, and what a server does not understand without
   * EDNS. Rejects when no answer comes in time.
   */
  async ask(question: Question, timeoutMs: number): Promise<Response> {
    const deadline = performance.now() + timeoutMs;
    const response = await this.#ask(question, { timeoutMs, edns: true });
    if (response.rcode !== rcode.FORMERR || question.dnssecOk) return response;
    try {
      return await this.#ask(question, { timeoutMs: deadline - performance.now(), edns: false });
    } catch {
      return response;
    }
  }

  /** Notes that it did not answer: from now on it is asked by ourselves, until it does. */
  noteFailure(): void {
    const { settings } = this.#options;
    if (this.#isChecked || this.#isClosed || settings.maxFails === 0) return;
    this.#isChecked = true;
    void this.#check();
  }

  /** Fails what is under way. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#udp.close();
    this.#stream.close();
  }

  async #check(): Promise<void> {
    const { settings, metrics, log } = this.#options;
    const flags = settings.healthCheckRecursion ? flag.RD : 0;
    const question = { name: settings.healthCheckDomain, type: recordType.NS, flags, dnssecOk: false } as const;
    try {
      // Any answer will do: it is about being there.
      await this.ask({ ...question, transport: 'udp' }, checkTimeoutMs);
      this.#isChecked = false;
      if (this.#failedChecks > 0) log.info({ upstream: this.name }, 'upstream answers again');
      this.#failedChecks = 0;
    } catch (err) {
      if (this.#isClosed) return;
      // Told of now and not before: a question without answer may well be due to servers that are asked for it in turn.
      if (this.#failedChecks === 0) log.warn({ upstream: this.name, err }, 'upstream does not answer');
      this.#failedChecks++;
      metrics.countFailedCheck(this.name);
      this.#timer = setTimeout(() => void this.#check(), settings.healthCheckMs).unref();
    }
  }

  async #ask(question: Question, { timeoutMs, edns }: AskOptions): Promise<Response> {
    const { server, settings } = this.#options;
    const deadline = performance.now() + timeoutMs;
    const left = () => Math.max(1, deadline - performance.now());
    if (server.transport === 'tls' || settings.forceTcp) return await this.#stream.ask(question, { timeoutMs, edns });
    const response =
      question.transport === 'tcp' && !settings.preferUdp
        ? await this.#askAsClient(question, { timeoutMs, edns })
        : await this.#udp.ask(question, { timeoutMs, edns });
    if (!isCut(response)) return response;
    try {
      return await this.#stream.ask(question, { timeoutMs: left(), edns });
    } catch {
      // The cut answer is one still, and says that it is cut.
      return response;
    }
  }

  /**
   * Asks over TCP, and over UDP too once half of the time is over, or TCP has failed: there are servers, and relays,
   * without TCP, and servers that are slow. The first answer counts, a whole one before one that was cut.
   */
  async #askAsClient(question: Question, { timeoutMs, edns }: AskOptions): Promise<Response> {
    const deadline = performance.now() + timeoutMs;
    const overTcp = this.#stream.ask(question, { timeoutMs, edns });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), timeoutMs / 2);
    });
    const soon = await Promise.race([overTcp.catch(() => undefined), late]);
    clearTimeout(timer);
    if (soon !== undefined) return soon;
    const overUdp = this.#udp.ask(question, { timeoutMs: Math.max(1, deadline - performance.now()), edns });
    const whole = overUdp.then((response) => (isCut(response) ? overTcp.catch(() => response) : response));
    return await Promise.any([overTcp, whole]).catch(() => overUdp);
  }
}

function isCut({ flags }: Response): boolean {
  return (flags & flag.TC) !== 0;
}
