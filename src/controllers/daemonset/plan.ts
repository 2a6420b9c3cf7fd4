import type { ControllerRevision, DaemonSet, DaemonSetStatus, Node, Pod } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { templateGenerationAnnotation, templateGenerationLabel } from '../../api/well-known.ts';
import { claim, controllerReference } from '../ownership.ts';
import { isActive, isFinished, isReady, isTerminating, msUntilAvailable } from '../pod-state.ts';
import { planRevisions, revisionLabel } from '../revisions.ts';
import { withoutZeros } from '../status.ts';
import { parseTime } from '../time.ts';
import { deletion, type Write } from '../write.ts';
import { daemonPodSpec, nodeOf, onlyOn, placeOf } from './nodes.ts';

export const daemonSetType = { apiVersion: 'apps/v1', kind: 'DaemonSet' } as const;

/** All that a round for one DaemonSet looks at. */
export interface DaemonSetInput {
  readonly set: Stored<DaemonSet>;
  readonly nodes: readonly Stored<Node>[];
  /** Pods that the DaemonSet controls, and Pods of its namespace that nobody controls. */
  readonly pods: readonly Stored<Pod>[];
  /** Revisions that it controls, and those of its namespace that nobody controls. */
  readonly revisions: readonly Stored<ControllerRevision>[];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** What is to be done for one DaemonSet. */
export interface DaemonSetPlan {
  /** Adoptions and releases, revisions, then Pods created and deleted. */
  readonly writes: readonly Write[];
  readonly status: DaemonSetStatus;
  /** When the next Pod becomes available without any further change. */
  readonly requeueAfterMs: number | undefined;
}

/** One node with the DaemonSet's Pods on it. */
interface Place {
  readonly node: string;
  readonly wanted: 'run' | 'leave' | 'none';
  /** Pods of older templates, oldest first. */
  readonly old: readonly Stored<Pod>[];
  /** Pods of the present template, oldest first. */
  readonly new: readonly Stored<Pod>[];
}

/** One Pod on every node that the template allows; at an update, as many at a time as the strategy allows. */
export function planDaemonSet({ set, nodes, pods, revisions, now }: DaemonSetInput): DaemonSetPlan {
  const owner = { owner: set, ownerType: daemonSetType };
  const { claimed, writes } = claim({ ...owner, selector: set.spec?.selector, candidates: pods, resource: 'pods' });
  const live = new Set(claimed.map((pod) => pod.metadata.labels?.[revisionLabel] ?? ''));
  const history = planRevisions({ ...owner, revisions, live });
  const isAvailable = (pod: Pod) => isActive(pod) && msUntilAvailable(pod, set.spec?.minReadySeconds ?? 0, now) === 0;
  const places = placesOf(set, { nodes, pods: claimed, hash: history.updateHash });
  const waits = claimed.flatMap((pod) => msUntilAvailable(pod, set.spec?.minReadySeconds ?? 0, now) ?? []);
  const waiting = waits.filter((ms) => ms > 0);
  const leaving = set.metadata.deletionTimestamp !== undefined;
  const create = (node: string): Write => ({
    verb: 'create',
    resource: 'pods',
    object: newDaemonPod(set, node, history.updateHash),
  });
  const changes = leaving
    ? []
    : [...places.flatMap((place) => presence(place, create)), ...updates(set, places, { isAvailable, create })];
  return {
    writes: [...writes, ...history.writes, ...changes],
    status: daemonSetStatus(set, places, isAvailable),
    requeueAfterMs: waiting.length === 0 ? undefined : Math.min(...waiting),
  };
}

function placesOf(
  set: Stored<DaemonSet>,
  { nodes, pods, hash }: { nodes: readonly Stored<Node>[]; pods: readonly Stored<Pod>[]; hash: string },
): Place[] {
  const byAge = [...pods].sort(
    (a, b) => parseTime(a.metadata.creationTimestamp) - parseTime(b.metadata.creationTimestamp),
  );
  const there = new Map<string, Stored<Pod>[]>();
  for (const pod of byAge) there.set(nodeOf(pod) ?? '', [...(there.get(nodeOf(pod) ?? '') ?? []), pod]);
  const isNew = (pod: Stored<Pod>) => pod.metadata.labels?.[revisionLabel] === hash;
  return nodes.map((node) => {
    const found = there.get(node.metadata.name) ?? [];
    return {
      node: node.metadata.name,
      wanted: placeOf(set, node),
      old: found.filter((pod) => !isNew(pod)),
      new: found.filter(isNew),
    };
  });
}

/** What a node lacks or has too much of, whatever the templates. */
function presence(place: Place, create: (node: string) => Write): Write[] {
  const all = [...place.old, ...place.new].filter((pod) => !isTerminating(pod));
  if (place.wanted === 'none') return all.map((pod) => deletion('pods', pod));
  const finished = all.filter(isFinished);
  const surplus = [place.old, place.new].flatMap((pods) => pods.filter(isActive).slice(1));
  const remove = [...finished, ...surplus].map((pod) => deletion('pods', pod));
  // The successor comes when the predecessor is gone: it may need what that holds.
  const empty = place.old.length + place.new.length === 0;
  return place.wanted === 'run' && empty ? [create(place.node)] : remove;
}

interface UpdateTools {
  readonly isAvailable: (pod: Pod) => boolean;
  readonly create: (node: string) => Write;
}

function updates(set: DaemonSet, places: readonly Place[], tools: UpdateTools): Write[] {
  const { type, rollingUpdate } = set.spec?.updateStrategy ?? {};
  if (type !== 'RollingUpdate') return [];
  const running = places.filter(({ wanted }) => wanted === 'run');
  const maxSurge = resolve(rollingUpdate?.maxSurge ?? 0, running.length);
  if (maxSurge > 0) return surge(running, maxSurge, tools);
  const bound = Math.max(1, resolve(rollingUpdate?.maxUnavailable ?? 1, running.length));
  return replace(running, bound, tools);
}

/** Deletes old Pods: those that serve nobody at once, the others as far as the bound allows. */
function replace(places: readonly Place[], maxUnavailable: number, { isAvailable }: UpdateTools): Write[] {
  const unavailable = places.filter((place) => ![...place.old, ...place.new].some(isAvailable)).length;
  const old = places.flatMap((place) => place.old.filter(isActive).slice(0, 1));
  const broken = old.filter((pod) => !isAvailable(pod));
  const serving = old.filter(isAvailable).slice(0, Math.max(0, maxUnavailable - unavailable));
  return [...broken, ...serving].map((pod) => deletion('pods', pod));
}

/** Adds new Pods beside old ones as far as the bound allows, and deletes the old ones whose successor serves. */
function surge(places: readonly Place[], maxSurge: number, { isAvailable, create }: UpdateTools): Write[] {
  const both = places.filter((place) => place.old.length > 0 && place.new.length > 0);
  const done = both.flatMap((place) => (place.new.some(isAvailable) ? place.old.filter(isActive) : []));
  const alone = places.filter((place) => place.new.length === 0 && place.old.some(isActive));
  const next = alone.slice(0, Math.max(0, maxSurge - both.length));
  return [...done.map((pod) => deletion('pods', pod)), ...next.map(({ node }) => create(node))];
}

/** A share is of all nodes, rounded up. */
function resolve(value: number | string, total: number): number {
  return typeof value === 'number' ? value : Math.ceil((Number.parseInt(value, 10) * total) / 100);
}

function newDaemonPod(set: Stored<DaemonSet>, node: string, hash: string): Pod {
  const { labels, annotations } = set.spec?.template.metadata ?? {};
  const number = set.metadata.annotations?.[templateGenerationAnnotation];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: `${set.metadata.name}-`,
      namespace: set.metadata.namespace ?? '',
      labels: {
        ...labels,
        [revisionLabel]: hash,
        ...(number === undefined ? {} : { [templateGenerationLabel]: number }),
      },
      ...(annotations === undefined ? {} : { annotations }),
      ownerReferences: [controllerReference(set, daemonSetType)],
    },
    spec: onlyOn(node, daemonPodSpec(set)),
  };
}

function daemonSetStatus(
  set: Stored<DaemonSet>,
  places: readonly Place[],
  isAvailable: (pod: Pod) => boolean,
): DaemonSetStatus {
  const wanted = places.filter((place) => place.wanted === 'run');
  const podsOf = (place: Place) => [...place.old, ...place.new].filter(isActive);
  const count = (matches: (place: Place) => boolean) => wanted.filter(matches).length;
  const available = count((place) => podsOf(place).some(isAvailable));
  // Conditions there are by others alone.
  const { collisionCount, conditions } = set.status ?? {};
  return {
    currentNumberScheduled: count((place) => podsOf(place).length > 0),
    numberMisscheduled: places.filter((place) => place.wanted !== 'run' && podsOf(place).length > 0).length,
    desiredNumberScheduled: wanted.length,
    numberReady: count((place) => podsOf(place).some(isReady)),
    ...withoutZeros({
      updatedNumberScheduled: count((place) => place.new.some(isActive)),
      numberAvailable: available,
      numberUnavailable: wanted.length - available,
      observedGeneration: set.metadata.generation ?? 0,
    }),
    ...(collisionCount === undefined ? {} : { collisionCount }),
    ...(conditions === undefined ? {} : { conditions }),
  };
}
