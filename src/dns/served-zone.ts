import type { ErrorLog } from './log/error-log.ts';
import type { QueryLog } from './log/query-log.ts';
import type { QueryMetrics } from './metrics.ts';
import type { Name } from './wire/name.ts';

/** A zone of a block, and where queries for names in it are counted and told. */
export interface ServedZone {
  readonly apex: Name;
  readonly metrics: QueryMetrics;
  /** Absent where none are to be told. */
  readonly log?: QueryLog | undefined;
  readonly errors?: ErrorLog | undefined;
}
