import type { PodSpec } from './generated/types.ts';
import { parseQuantity } from './quantity.ts';

const names = ['cpu', 'memory'];

/**
 * A Pod's quality-of-service class, from the CPU and memory its containers ask for. Amounts count, not how they are
 * written, and an amount of zero is none.
 */
export function podQosClass(spec: PodSpec | undefined): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const containers = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];
  const asked = containers.map(({ resources: { limits = {}, requests = {} } = {} }) =>
    names.map((name) => {
      const limit = amount(limits[name]);
      return { limit, request: amount(requests[name]) ?? limit };
    }),
  );
  if (asked.flat().every(({ limit, request }) => limit === undefined && request === undefined)) return 'BestEffort';
  const isGuaranteed = asked.flat().every(({ limit, request }) => limit !== undefined && request === limit);
  return isGuaranteed ? 'Guaranteed' : 'Burstable';
}

function amount(text: string | undefined): number | undefined {
  const value = parseQuantity(text ?? '');
  // Where the unit's factor is no binary fraction, a double is off by its last digit: 0.1 is not 100 times 0.001.
  return value === undefined || value <= 0 ? undefined : Number(value.toPrecision(15));
}
