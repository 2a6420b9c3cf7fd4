import { type Logger, pino } from 'pino';

export type { Logger };

/**
 * The log of one component: JSON lines on standard error, level from `SIGNALBOX_LOG` (default `info`).
 * Values of keys that can hold secrets are never written.
 */
export function createLogger(component: string): Logger {
  return pino(
    {
      name: component,
      level: process.env.SIGNALBOX_LOG ?? 'info',
      redact: ['token', 'clientKey', 'authorization', '*.token', '*.clientKey', '*.authorization'],
    },
    pino.destination({ fd: 2, sync: true }),
  );
}
