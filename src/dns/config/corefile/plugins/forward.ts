import { rcode } from '../../../wire/constants.ts';
import { parseName } from '../../../wire/name.ts';
import { forwardDefaults } from '../../defaults.ts';
import { parseForwardTarget } from '../../forward-target.ts';
import type { ClientTlsSettings, ForwardSettings } from '../../types.ts';
import {
  argumentOf,
  argumentsOf,
  choiceOf,
  durationOf,
  integerOf,
  type OptionReaders,
  parsedOf,
  readOptions,
  zonesOf,
} from '../arguments.ts';
import { corefileError } from '../error.ts';
import type { Directive } from '../parse.ts';
import type { Draft, Plugin } from './plugin.ts';

/** More than any resolver library reads, and as many as CoreDNS takes. */
const maxTargets = 15;

/** `forward FROM TO… { … }`: names asked of other servers. */
export const forward: Plugin = {
  repeats: true,
  read(directive, { block }) {
    const [from = directive.name, ...to] = argumentsOf(directive, 2, 1 + maxTargets);
    const targets = to.map((token) => parsedOf(token, parseForwardTarget));
    const settings: Draft<Omit<ForwardSettings, 'from'>> = { ...forwardDefaults, to: targets };
    readOptions(directive, {
      ...transportOptions(settings),
      ...upstreamOptions(settings),
      ...failureOptions(settings),
    });
    const named = targets.findIndex((target) => target.kind === 'server' && target.serverName !== undefined);
    if (named >= 0 && settings.tls.serverName !== undefined)
      throw corefileError(to[named] ?? directive.name, 'has a name beside tls_servername', 'name it in one place');
    block.forward = [...block.forward, ...zonesOf(from).map((zone) => ({ ...settings, from: zone }))];
  },
};

/** How upstreams are spoken to. */
function transportOptions(settings: Draft<Omit<ForwardSettings, 'from'>>): OptionReaders {
  return {
    force_tcp: (option) => {
      argumentsOf(option, 0, 0);
      settings.forceTcp = true;
    },
    prefer_udp: (option) => {
      argumentsOf(option, 0, 0);
      settings.preferUdp = true;
    },
    expire: (option) => {
      settings.expireMs = durationOf(argumentOf(option), 1);
    },
    tls: (option) => {
      settings.tls = { ...settings.tls, ...tlsFilesOf(option) };
    },
    tls_servername: (option) => {
      settings.tls = { ...settings.tls, serverName: argumentOf(option).text };
    },
  };
}

/** Which names are asked for, and of which upstream. */
function upstreamOptions(settings: Draft<Omit<ForwardSettings, 'from'>>): OptionReaders {
  return {
    except: (option) => {
      settings.except = [...settings.except, ...argumentsOf(option, 1).flatMap(zonesOf)];
    },
    max_fails: (option) => {
      settings.maxFails = integerOf(argumentOf(option), 0, 1e9);
    },
    health_check: (option) => {
      readHealthCheck(option, settings);
    },
    policy: (option) => {
      settings.policy = choiceOf(argumentOf(option), ['random', 'round_robin', 'sequential']);
    },
    max_concurrent: (option) => {
      settings.maxConcurrent = integerOf(argumentOf(option), 0, 1e9);
    },
  };
}

/** What follows when an upstream, or all of them, have no answer. */
function failureOptions(settings: Draft<Omit<ForwardSettings, 'from'>>): OptionReaders {
  return {
    failover: (option) => {
      settings.failover = [...settings.failover, ...rcodesOf(option, ['NOERROR'])];
    },
    failfast_all_unhealthy_upstreams: (option) => {
      argumentsOf(option, 0, 0);
      settings.failFast = true;
    },
    next: (option) => {
      settings.next = [...settings.next, ...rcodesOf(option)];
    },
    next_on_nodata: (option) => {
      argumentsOf(option, 0, 0);
      settings.nextOnNoData = true;
    },
  };
}

/** Response codes by their names, in any case. */
function rcodesOf(option: Directive, except: readonly string[] = []): number[] {
  const names = Object.keys(rcode).filter((name) => !except.includes(name)) as (keyof typeof rcode)[];
  return argumentsOf(option, 1).map((token) => rcode[choiceOf({ ...token, text: token.text.toUpperCase() }, names)]);
}

/** `health_check DURATION [no_rec] [domain NAME]`. */
function readHealthCheck(option: Directive, settings: Draft<Omit<ForwardSettings, 'from'>>): void {
  const [interval = option.name, ...rest] = argumentsOf(option, 1, 4);
  // More often than this is a load, and no health check.
  settings.healthCheckMs = durationOf(interval, 10);
  for (let i = 0; i < rest.length; i++) {
    const word = choiceOf(rest[i] ?? option.name, ['no_rec', 'domain']);
    if (word === 'no_rec') settings.healthCheckRecursion = false;
    else {
      const token = rest[++i];
      const domain = token === undefined ? undefined : parseName(token.text);
      if (domain === undefined)
        throw corefileError(token ?? option.name, 'health_check has no name after domain', 'put one there');
      settings.healthCheckDomain = domain;
    }
  }
}

/** `tls [CA]` or `tls CERT KEY [CA]`. */
function tlsFilesOf(option: Directive): Omit<ClientTlsSettings, 'serverName'> {
  const files = argumentsOf(option, 0, 3).map(({ text }) => text);
  const [certFile, keyFile] = files.length > 1 ? files : [];
  const caFile = files.length === 1 ? files[0] : files[2];
  return { certFile, keyFile, caFile };
}
