import { isDeepStrictEqual } from 'node:util';
import type { FieldErrors } from '../field-error.ts';
import type { CoreEvent } from '../generated/types.ts';
import { qualifiedName } from '../names.ts';

const maxWordLength = 128;
const maxMessageLength = 1024;

/**
 * Checks an Event as it is stored. One without `eventTime`, the older kind, lies in the namespace of what it is about;
 * one with it says who saw what.
 */
export function validateEvent(object: CoreEvent, errors: FieldErrors): void {
  const about = object.involvedObject?.namespace ?? '';
  const namespace = object.metadata?.namespace ?? '';
  const isNew = object.eventTime !== undefined;
  const isPlaced =
    about === '' ? namespace === 'default' || (isNew && namespace === 'kube-system') : isNew || about === namespace;
  if (!isPlaced) errors.invalid('involvedObject.namespace', about, 'does not match event.namespace');
  if (isNew) validateNewEvent(object, errors);
}

function validateNewEvent(object: CoreEvent, errors: FieldErrors): void {
  const { reportingComponent = '', message = '' } = object;
  if (reportingComponent === '') errors.required('reportingController');
  errors.invalidEach('reportingController', reportingComponent, qualifiedName(reportingComponent));
  for (const field of ['reportingInstance', 'action', 'reason'] as const) {
    const text = object[field] ?? '';
    if (text === '') errors.required(field);
    if (text.length > maxWordLength) errors.invalid(field, '', `can have at most ${maxWordLength} characters`);
  }
  if (message.length > maxMessageLength)
    errors.invalid('message', '', `can have at most ${maxMessageLength} characters`);
}

const immutable = [
  'involvedObject',
  'reason',
  'message',
  'source',
  'firstTimestamp',
  'lastTimestamp',
  'count',
  'reportingComponent',
  'reportingInstance',
  'type',
  'eventTime',
  'action',
  'related',
] as const;

/**
 * What events.k8s.io/v1 asks for beside: a new Event has an `eventTime` and nothing of the older kind, and later only
 * its series grows. `old` is absent for a new one.
 */
export function validateEventOfGroup(next: CoreEvent, old: CoreEvent | undefined, errors: FieldErrors): void {
  if (old !== undefined) {
    for (const field of immutable)
      if (!isDeepStrictEqual(next[field], old[field])) errors.invalid(field, next[field], 'field is immutable');
    return;
  }
  if (next.eventTime === undefined) errors.required('eventTime');
  if (next.type !== 'Normal' && next.type !== 'Warning')
    errors.invalid('type', '', `has invalid value: ${next.type ?? ''}`);
  const unset = {
    firstTimestamp: next.firstTimestamp,
    lastTimestamp: next.lastTimestamp,
    count: next.count || undefined,
  };
  for (const [field, value] of Object.entries(unset))
    if (value !== undefined) errors.invalid(field, '', 'needs to be unset');
  if (next.source?.component || next.source?.host) errors.invalid('source', '', 'needs to be unset');
}
