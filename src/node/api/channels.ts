/** Channels of a session with a container, by the number that each message begins with (channel.k8s.io). */
export const channel = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;

/**
 * The subprotocols spoken over WebSockets, the preferred one first; who offers none speaks the last. Version 5 can end
 * the input and go on; before version 4 a session that failed says so in words, and one that went well says nothing.
 */
export const sessionProtocols = [
  'v5.channel.k8s.io',
  'v4.channel.k8s.io',
  'v4.base64.channel.k8s.io',
  'channel.k8s.io',
  'base64.channel.k8s.io',
  '',
] as const;

/** What a client says in a session with a container. */
export type ClientMessage =
  | { readonly type: 'stdin'; readonly data: Buffer }
  | { readonly type: 'stdinEnd' }
  | { readonly type: 'resize'; readonly columns: number; readonly rows: number };

/** One message of the server: the channel's number, then the bytes. */
export function channelMessage(number: number, data: Uint8Array): Buffer {
  const message = Buffer.allocUnsafe(data.length + 1);
  message[0] = number;
  message.set(data, 1);
  return message;
}

/** How messages are written and read in a protocol: as bytes, or as text for clients that take none. */
export function messagesOf(protocol: string): readonly [write: typeof textMessage, read: (message: Buffer) => Buffer] {
  return protocol.includes('base64') ? [textMessage, fromTextMessage] : [channelMessage, (message) => message];
}

/** The number as a digit, or what follows the digits in ASCII, then base64. */
function textMessage(number: number, data: Uint8Array): Buffer | string {
  return `${String.fromCharCode(digitZero + number)}${Buffer.from(data).toString('base64')}`;
}

const digitZero = 0x30;

/** A message of text as one of bytes. */
function fromTextMessage(message: Buffer): Buffer {
  const text = message.toString('latin1');
  return channelMessage(text.charCodeAt(0) - digitZero, Buffer.from(text.slice(1), 'base64'));
}

/** Reads a client's message; nothing for one that means nothing here. */
export function readClientMessage(message: Buffer): ClientMessage | undefined {
  const data = message.subarray(1);
  switch (message[0]) {
    case channel.stdin:
      return { type: 'stdin', data };
    case channel.resize:
      return readResize(data);
    case channel.close:
      return data[0] === channel.stdin ? { type: 'stdinEnd' } : undefined;
    default:
      return undefined;
  }
}

/** Reads `{"Width": 80, "Height": 24}`, as Go writes it; nothing where it is no size. */
export function readResize(data: Buffer): ClientMessage | undefined {
  try {
    const { Width: columns, Height: rows } = JSON.parse(data.toString()) as { Width?: unknown; Height?: unknown };
    return isSize(columns) && isSize(rows) ? { type: 'resize', columns, rows } : undefined;
  } catch {
    return undefined;
  }
}

function isSize(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= 0xffff;
}

/** The Status that a session ends with: the fields of Kubernetes' Status that its clients read. */
export interface SessionStatus {
  readonly metadata: object;
  readonly status: 'Success' | 'Failure';
  readonly message?: string;
  readonly reason?: string;
  readonly details?: object;
  readonly code?: number;
}

/** The Status of a program that ended. */
export function exitStatus(exitCode: number): SessionStatus {
  if (exitCode === 0) return { metadata: {}, status: 'Success' };
  return {
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: exit status ${exitCode}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(exitCode) }] },
  };
}

/** The Status of a session that broke down. */
export function failureStatus(message: string): SessionStatus {
  return {
    metadata: {},
    status: 'Failure',
    message,
    reason: 'InternalError',
    details: { causes: [{ message }] },
    code: 500,
  };
}
