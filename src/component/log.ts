import { type DestinationStream, type Logger, pino } from 'pino';

export type { Logger };

/** How a log is written. */
export interface LogOptions {
  /** Lines of JSON (if not given), or lines for people in the manner of Kubernetes' own components. */
  readonly format?: 'json' | 'text';
  /** In place of `SIGNALBOX_LOG`. */
  readonly level?: 'debug' | 'trace';
}

/**
 * The log of one component: lines on standard error, level from `SIGNALBOX_LOG` (default `info`) unless given.
 * Values of keys that can hold secrets are never written.
 */
export function createLogger(component: string, { format = 'json', level }: LogOptions = {}): Logger {
  const stderr = pino.destination({ fd: 2, sync: true });
  return pino(
    {
      name: component,
      level: level ?? process.env.SIGNALBOX_LOG ?? 'info',
      redact: ['token', 'clientKey', 'authorization', '*.token', '*.clientKey', '*.authorization'],
    },
    format === 'json' ? stderr : asText(stderr),
  );
}

/** Writes each line of JSON as `textLine` has it. */
function asText(destination: DestinationStream): DestinationStream {
  return { write: (line) => destination.write(textLine(JSON.parse(line))) };
}

/** The letters by which Kubernetes' components begin a line, by pino's numbers. */
const severities: { readonly [level: number]: string } = { 40: 'W', 50: 'E', 60: 'F' };

/**
 * One line as klog has it: severity and date, time, process, component, then the message in quotes and what belongs to
 * it as `key="value"`.
 */
export function textLine(entry: { readonly [key: string]: unknown }): string {
  const { level, time, pid, name, msg, hostname: _, ...details } = entry;
  const at = new Date(Number(time)).toISOString();
  const head = `${severities[Number(level)] ?? 'I'}${at.slice(5, 10).replace('-', '')} ${at.slice(11, 23)}000`;
  const fields = Object.entries(details).map(([key, value]) => ` ${key}=${JSON.stringify(shown(value))}`);
  return `${head} ${String(pid).padStart(7)} ${name}] ${JSON.stringify(msg ?? '')}${fields.join('')}\n`;
}

/** Of an error the message: its stack is for programs. */
function shown(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'message' in value ? value.message : value;
}
