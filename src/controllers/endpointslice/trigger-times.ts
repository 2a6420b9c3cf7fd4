import type { Pod, Service } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { triggerTimeAnnotation } from '../../api/well-known.ts';
import { podCondition } from '../pod-state.ts';
import { formatTime, parseTime } from '../time.ts';

/** Remembers, for each Service, when its Pods changed last, to tell the time of the next change. */
export class TriggerTimes {
  readonly #seen = new Map<string, { readonly service: number; readonly pods: ReadonlyMap<string, number> }>();

  /**
   * The annotation for what changed since the last call for this Service: the earliest of the Pods' changes of readiness and
   * of the Service's creation. Empty when none of these is new.
   */
  next(key: string, service: Stored<Service>, pods: readonly Stored<Pod>[]): { readonly [annotation: string]: string } {
    const before = this.#seen.get(key);
    const now = {
      service: parseTime(service.metadata.creationTimestamp),
      pods: new Map(pods.map((pod) => [pod.metadata.uid, changeTime(pod)])),
    };
    this.#seen.set(key, now);
    const fresh = [...now.pods].filter(([uid, time]) => time > (before?.pods.get(uid) ?? 0)).map(([, time]) => time);
    if (now.service !== before?.service) fresh.push(now.service);
    return fresh.length === 0 ? {} : { [triggerTimeAnnotation]: formatTime(Math.min(...fresh)) };
  }

  /** To be called when the Service is gone. */
  forget(key: string): void {
    this.#seen.delete(key);
  }
}

function changeTime(pod: Stored<Pod>): number {
  return parseTime(podCondition(pod, 'Ready')?.lastTransitionTime ?? pod.metadata.creationTimestamp);
}
