import { parseFieldSelector } from '../api/field-selector.ts';
import { parseLabelSelector, SelectorError } from '../api/label-selector.ts';
import { otherVersionOf } from '../api/other-versions.ts';
import type { Resource } from '../api/resources.ts';
import { badRequest } from './status.ts';
import type { ApiObject, StoredObject } from './stored-object.ts';
import type { Strategy } from './strategy.ts';

/**
 * Which objects the selectors of a list, watch or deletecollection choose.
 * @throws StatusError 400
 */
export function readSelection(
  query: URLSearchParams,
  resource: Resource,
  strategy: Strategy<ApiObject>,
): (object: StoredObject) => boolean {
  const labelText = query.get('labelSelector') ?? '';
  const fieldText = query.get('fieldSelector') ?? '';
  if (labelText === '' && fieldText === '') return () => true;
  try {
    const matchesLabels = parseLabelSelector(labelText);
    const conditions = parseFieldSelector(fieldText).map(({ field, equal, value }) => {
      const read = fieldReader(field, resource, strategy);
      if (read === undefined) throw badRequest(unknownField(field, strategy));
      return (object: ApiObject) => (read(object) === value) === equal;
    });
    return ({ object }) => matchesLabels(object.metadata.labels) && conditions.every((holds) => holds(object));
  } catch (error) {
    if (error instanceof SelectorError) throw badRequest(error.message);
    throw error;
  }
}

/** Of resources that have nothing to select by but their names, Kubernetes says it in other words. */
function unknownField(field: string, strategy: Strategy<ApiObject>): string {
  return strategy.selectableFields === undefined
    ? `${JSON.stringify(field)} is not a known field selector: only "metadata.name", "metadata.namespace"`
    : `field label not supported: ${field}`;
}

function fieldReader(
  field: string,
  resource: Resource,
  strategy: Strategy<ApiObject>,
): ((object: ApiObject) => string) | undefined {
  if (field === 'metadata.name') return (object) => object.metadata.name ?? '';
  if (field === 'metadata.namespace' && resource.namespaced) return (object) => object.metadata.namespace ?? '';
  const other = otherVersionOf(resource);
  const stored = other === undefined ? field : other.selectors[field];
  return stored === undefined ? undefined : strategy.selectableFields?.[stored];
}
