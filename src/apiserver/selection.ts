import { parseFieldSelector } from '../api/field-selector.ts';
import { parseLabelSelector, SelectorError } from '../api/label-selector.ts';
import { otherVersionOf } from '../api/other-versions.ts';
import { apiVersionOf, type Resource } from '../api/resources.ts';
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
      if (read === undefined) {
        const subject = `${apiVersionOf(resource)}, Resource=${resource.plural}`;
        throw badRequest(
          `Unable to find ${JSON.stringify(subject)} that match label selector ${JSON.stringify(labelText)}, field selector ${JSON.stringify(fieldText)}: field label not supported: ${field}`,
        );
      }
      return (object: ApiObject) => (read(object) === value) === equal;
    });
    return ({ object }) => matchesLabels(object.metadata.labels) && conditions.every((holds) => holds(object));
  } catch (error) {
    if (error instanceof SelectorError) throw badRequest(error.message);
    throw error;
  }
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
