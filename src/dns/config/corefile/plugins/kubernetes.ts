import { parseLabelSelector, SelectorError } from '../../../../api/label-selector.ts';
import { rootName } from '../../../wire/name.ts';
import { kubernetesDefaults } from '../../defaults.ts';
import type { KubernetesSettings } from '../../types.ts';
import { isClusterDomain } from '../../zone-fields.ts';
import {
  argumentOf,
  argumentsOf,
  choiceOf,
  integerOf,
  type OptionReaders,
  readOptions,
  zonesOr,
} from '../arguments.ts';
import { corefileError } from '../error.ts';
import type { Directive } from '../parse.ts';
import { type ApiLines, accessOptions, takeAccess } from './api-access.ts';
import type { Draft, Plugin } from './plugin.ts';

/** `kubernetes [ZONE…] { … }`: a cluster's names. */
export const kubernetes: Plugin = {
  read(directive, { block, server, zones }) {
    const access: ApiLines = {};
    const settings: Draft<KubernetesSettings> = {
      ...kubernetesDefaults,
      zones: zonesOr(directive.args, zones),
      fallthrough: [],
    };
    readOptions(directive, {
      ...selectionOptions(settings),
      ...accessOptions(access),
      pods: (option) => {
        settings.pods = choiceOf(argumentOf(option), ['disabled', 'insecure', 'verified']);
      },
      endpoint_pod_names: (option) => {
        argumentsOf(option, 0, 0);
        settings.endpointPodNames = true;
      },
      ttl: (option) => {
        settings.ttl = integerOf(argumentOf(option), 0, 3600);
      },
      noendpoints: (option) => {
        argumentsOf(option, 0, 0);
        settings.noEndpoints = true;
      },
      ignore: (option) => {
        choiceOf(argumentOf(option), ['empty_service']);
        settings.ignoreEmptyService = true;
      },
      fallthrough: (option) => {
        settings.fallthrough = zonesOr(option.args, [rootName]);
      },
    });
    takeAccess(access, server);
    if (!settings.zones.some(isClusterDomain))
      throw corefileError(directive.name, 'kubernetes names no cluster domain', 'name one, as cluster.local');
    if (settings.namespaces.length > 0 && settings.namespaceLabels !== undefined)
      throw corefileError(directive.name, 'has namespaces and namespace_labels', 'choose one of them');
    block.kubernetes = settings;
  },
};

function selectionOptions(settings: Draft<KubernetesSettings>) {
  return {
    namespaces: (option) => {
      settings.namespaces = [...settings.namespaces, ...argumentsOf(option, 1).map(({ text }) => text)];
    },
    namespace_labels: (option) => {
      settings.namespaceLabels = selectorOf(option);
    },
    labels: (option) => {
      settings.labels = selectorOf(option);
    },
  } satisfies OptionReaders;
}

/** A label selector, which may have spaces in it. */
function selectorOf(option: Directive): string {
  const [first = option.name, ...rest] = argumentsOf(option, 1);
  const text = [first, ...rest].map((token) => token.text).join(' ');
  try {
    parseLabelSelector(text);
    return text;
  } catch (cause) {
    if (!(cause instanceof SelectorError)) throw cause;
    throw corefileError(first, `${text} is not a label selector`, 'write it as app=web,tier in (front,back)', cause);
  }
}
