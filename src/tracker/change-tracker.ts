import type { EndpointSlice, Service } from '../api/generated/types.ts';
import { Accumulator, type PendingChange } from './accumulator.ts';
import { readService, type ServiceFacts } from './service-facts.ts';
import { readSlice, type SliceFacts, triggerTime } from './slice-facts.ts';

/** All that changed between two takes, each object once. */
export interface TrackedChanges {
  readonly services: readonly PendingChange<ServiceFacts>[];
  readonly slices: readonly PendingChange<SliceFacts>[];
}

/**
 * Follows Services and EndpointSlices as the API reports them and keeps only their facts, so that the API objects can
 * be dropped. What is pending depends on nothing but the state last taken and the latest one.
 */
export class ChangeTracker {
  readonly #services = new Accumulator<ServiceFacts>();
  readonly #slices = new Accumulator<SliceFacts>();
  readonly #start: number;

  /** `start`: when its owner began to follow the API, milliseconds since the epoch. */
  constructor(start: number) {
    this.#start = start;
  }

  /** How many objects there are that concern the proxy. */
  get counts(): { readonly services: number; readonly slices: number } {
    return { services: this.#services.latest.size, slices: this.#slices.latest.size };
  }

  /** How many objects differ from the state last taken. */
  get pendingCounts(): { readonly services: number; readonly slices: number } {
    return { services: this.#services.pendingCount, slices: this.#slices.pendingCount };
  }

  /**
   * Notes the state of the Service of this key, or that it is gone. `at`: milliseconds since the epoch.
   * Returns whether it means anything new to the proxy.
   */
  recordService(key: string, service: Service | undefined, at: number): boolean {
    return this.#services.record(key, service && readService(service), at);
  }

  /** As `recordService`; the time of the change is the one that the slice's controller noted, when it did. */
  recordSlice(key: string, slice: EndpointSlice | undefined, at: number): boolean {
    const since = slice === undefined ? at : triggerTime(slice, { start: this.#start, arrival: at });
    return this.#slices.record(key, slice && readSlice(slice), since);
  }

  /** Hands out what is pending and begins anew. */
  take(): TrackedChanges {
    return { services: this.#services.take(), slices: this.#slices.take() };
  }
}
