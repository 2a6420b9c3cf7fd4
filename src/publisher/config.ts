import { readConfig, readInteger, readText } from '../component/config-fields.ts';

/** What a publisher is told. */
export interface PublisherConfig {
  /** Path of the record of what is published. */
  readonly record: string;
  /** Differs between clusters of one machine. */
  readonly salt: string;
  /** File descriptor of its end of the channel to the binder. */
  readonly channel: number;
}

/**
 * Reads the fields of a configuration file: `record`, `salt` and `channel`, all required.
 * @throws SignalboxError `INVALID_CONFIG`
 */
export function parsePublisherConfig(object: unknown): PublisherConfig {
  return readConfig(object, { name: 'the publisher configuration' }, (fields) => ({
    record: fields.required('record', readText),
    salt: fields.required('salt', readText),
    channel: fields.required('channel', readInteger(3, 1023)),
  }));
}
