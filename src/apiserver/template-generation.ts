import { canonicalJson } from '../api/canonical-json.ts';
import type { DaemonSet } from '../api/generated/types.ts';
import { templateGenerationAnnotation } from '../api/well-known.ts';

/** A new DaemonSet's template is its first, unless it comes with a number from elsewhere. */
export function numberTemplate(daemonSet: DaemonSet): void {
  setNumber(daemonSet, numberOf(daemonSet) ?? 1);
}

/** Counts a changed template, in place; nobody but the server does. */
export function countTemplate(next: DaemonSet, old: DaemonSet): void {
  const isSame = canonicalJson(next.spec?.template ?? {}) === canonicalJson(old.spec?.template ?? {});
  setNumber(next, (numberOf(old) ?? 1) + (isSame ? 0 : 1));
}

function numberOf({ metadata }: DaemonSet): number | undefined {
  const text = metadata?.annotations?.[templateGenerationAnnotation] ?? '';
  return /^[1-9]\d{0,15}$/.test(text) ? Number(text) : undefined;
}

function setNumber(daemonSet: DaemonSet, number: number): void {
  const annotations = { ...daemonSet.metadata?.annotations, [templateGenerationAnnotation]: String(number) };
  daemonSet.metadata = { ...daemonSet.metadata, annotations };
}
