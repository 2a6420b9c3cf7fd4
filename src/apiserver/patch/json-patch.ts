import { isDeepStrictEqual } from 'node:util';
import { isPlainObject } from '../../api/decode.ts';

/** A patch does not fit the document. */
export class PatchError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'PatchError';
  }
}

/** A patch asks for too much work; nothing was done. */
export class PatchTooLargeError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'PatchTooLargeError';
  }
}

const maxOperations = 10_000;
/** All that a patch copies, as JSON: without it, forty copies of what the last one made would fill any memory. */
const maxCopiedBytes = 3 * 1024 * 1024;
/** Elements of lists that a patch moves aside, all operations together. */
const maxMovedElements = 50_000_000;

interface PatchOperation {
  readonly op: string;
  readonly path: string;
  readonly from?: string;
  readonly value?: unknown;
}

/**
 * Applies a JSON Patch (RFC 6902). The document is not changed.
 * @throws PatchError, PatchTooLargeError
 */
export function applyJsonPatch(document: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw new PatchError('a JSON patch must be a list of operations');
  if (patch.length > maxOperations) {
    throw new PatchTooLargeError(
      `The allowed maximum operations in a JSON patch is ${maxOperations}, got ${patch.length}`,
    );
  }
  const root: Patched = { document: structuredClone(document), copiedBytes: 0, movedElements: 0 };
  for (const raw of patch) applyOperation(root, readOperation(raw));
  return root.document;
}

/** A document under way, and what has been done to it that costs more than the patch is long. */
interface Patched {
  document: unknown;
  copiedBytes: number;
  movedElements: number;
}

function readOperation(raw: unknown): PatchOperation {
  if (!isPlainObject(raw) || typeof raw.op !== 'string' || typeof raw.path !== 'string') {
    throw new PatchError('an operation of a JSON patch needs "op" and "path"');
  }
  const needsFrom = raw.op === 'move' || raw.op === 'copy';
  if (needsFrom && typeof raw.from !== 'string') throw new PatchError(`operation ${raw.op} needs "from"`);
  return {
    op: raw.op,
    path: raw.path,
    ...(typeof raw.from === 'string' ? { from: raw.from } : {}),
    ...('value' in raw ? { value: raw.value } : {}),
  };
}

function applyOperation(root: Patched, { op, path, from = '', value }: PatchOperation): void {
  switch (op) {
    case 'add':
      add(root, path, structuredClone(value));
      return;
    case 'remove':
      remove(root, path);
      return;
    case 'replace':
      if (path !== '') read(root, path);
      replace(root, path, structuredClone(value));
      return;
    case 'move': {
      if (path.startsWith(`${from}/`)) throw new PatchError(`cannot move ${from} into itself`);
      const moved = remove(root, from);
      add(root, path, moved);
      return;
    }
    case 'copy':
      add(root, path, copyOf(root, read(root, from)));
      return;
    case 'test':
      if (!isDeepStrictEqual(read(root, path), value)) throw new PatchError(`testing path ${path} failed`);
      return;
    default:
      throw new PatchError(`Unexpected kind: ${op}`);
  }
}

function copyOf(root: Patched, value: unknown): unknown {
  const text = JSON.stringify(value);
  root.copiedBytes += text.length;
  if (root.copiedBytes > maxCopiedBytes) {
    throw new PatchTooLargeError(
      `Unable to complete the copy, the accumulated size increase of copy is ${root.copiedBytes}, exceeding the limit ${maxCopiedBytes}`,
    );
  }
  return JSON.parse(text);
}

/** Counts what a list moves to make or close a gap. */
function countMoved(root: Patched, elements: number): void {
  root.movedElements += elements;
  if (root.movedElements > maxMovedElements) throw new PatchTooLargeError('the patch moves too many elements of lists');
}

function segments(path: string): string[] {
  if (path === '') return [];
  if (!path.startsWith('/')) throw new PatchError(`the path ${JSON.stringify(path)} must begin with "/"`);
  return path
    .slice(1)
    .split('/')
    .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function read(root: Patched, path: string): unknown {
  let at: unknown = root.document;
  for (const segment of segments(path)) at = child(at, segment, path);
  return at;
}

function child(container: unknown, segment: string, path: string): unknown {
  if (Array.isArray(container)) return container[index(segment, container.length - 1, path)];
  if (!isPlainObject(container) || !Object.hasOwn(container, segment)) {
    throw new PatchError(`the path ${path} does not exist`);
  }
  return container[segment];
}

function index(segment: string, max: number, path: string): number {
  const n = /^(0|[1-9]\d*)$/.test(segment) ? Number(segment) : Number.NaN;
  if (!(n <= max)) throw new PatchError(`the path ${path} does not exist: no element ${segment}`);
  return n;
}

function parentOf(root: Patched, path: string): { container: unknown; last: string } {
  const all = segments(path);
  const last = all.pop() ?? '';
  let container: unknown = root.document;
  for (const segment of all) container = child(container, segment, path);
  return { container, last };
}

function add(root: Patched, path: string, value: unknown): void {
  if (path === '') {
    root.document = value;
    return;
  }
  const { container, last } = parentOf(root, path);
  if (Array.isArray(container)) {
    const at = last === '-' ? container.length : index(last, container.length, path);
    countMoved(root, container.length - at);
    container.splice(at, 0, value);
  } else if (isPlainObject(container)) setField(container, last, value);
  else throw new PatchError(`the path ${path} does not lead into an object or list`);
}

function replace(root: Patched, path: string, value: unknown): void {
  if (path === '') {
    root.document = value;
    return;
  }
  const { container, last } = parentOf(root, path);
  if (Array.isArray(container)) container[index(last, container.length - 1, path)] = value;
  else if (isPlainObject(container)) setField(container, last, value);
}

function remove(root: Patched, path: string): unknown {
  const gone = read(root, path);
  if (path === '') throw new PatchError('the whole document cannot be removed');
  const { container, last } = parentOf(root, path);
  if (Array.isArray(container)) {
    const at = index(last, container.length - 1, path);
    countMoved(root, container.length - at);
    container.splice(at, 1);
  } else if (isPlainObject(container)) delete container[last];
  return gone;
}

/** A field whatever its name: `__proto__` has to be one too. */
export function setField(object: { [field: string]: unknown }, field: string, value: unknown): void {
  Object.defineProperty(object, field, { value, enumerable: true, writable: true, configurable: true });
}
