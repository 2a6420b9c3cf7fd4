import { diff } from '../../rules/nftables/diff.ts';
import type { Element, Program } from '../../rules/nftables/syntax.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { elementBytes, encodeElement } from './element-codec.ts';
import { ElementDigest } from './element-digest.ts';
import { type ElementLayout, elementLayout } from './fields.ts';
import type { Verdict } from './interface.ts';
import { elementListsInSteps, loadShapeInSteps, readGeneration } from './load.ts';

/** Groups encoded in one step. */
const groupsAtOnce = 200;

/**
 * Compares the kernel's table with what it should be, in steps. The socket is used for this alone, and closed in the
 * end.
 */
export function* verifyTable(
  socket: NetlinkSocket,
  program: Program,
  groups: Iterable<readonly Element[]>,
): Generator<undefined, Verdict, undefined> {
  try {
    const generation = readGeneration(socket);
    if (yield* isSame(socket, program, groups)) return 'same';
    return readGeneration(socket) === generation ? 'different' : 'interrupted';
  } finally {
    socket.close();
  }
}

/** By digests of the elements of each set, so that neither what is read nor what should be there is held. */
function* isSame(
  socket: NetlinkSocket,
  program: Program,
  groups: Iterable<readonly Element[]>,
): Generator<undefined, boolean, undefined> {
  const shape = yield* loadShapeInSteps(socket, program);
  yield;
  if (shape === undefined || diff(shape, { ...program, elements: [] }).commands.length > 0) return false;
  const wanted = new WantedElements(program);
  wanted.add(program.elements);
  let count = 0;
  for (const group of groups) {
    wanted.add(group);
    if (++count % groupsAtOnce === 0) yield;
  }
  for (const { name: set, dynamic } of program.sets) {
    if (dynamic !== undefined) continue;
    const found = new ElementDigest();
    const read = (list: Uint8Array) => {
      found.add(new DataView(list.buffer, list.byteOffset, list.byteLength), 0, list.byteLength);
    };
    if (!(yield* elementListsInSteps(socket, { name: program, set }, read))) return false;
    if (!found.equals(wanted.digest(set))) return false;
  }
  return true;
}

/** Digests of what should be in each set: of the elements as they would be sent. */
class WantedElements {
  readonly #sets: ReadonlyMap<string, { readonly layout: ElementLayout; readonly digest: ElementDigest }>;
  #scratch = new DataView(new ArrayBuffer(1024));

  constructor(program: Program) {
    this.#sets = new Map(
      program.sets.map((set) => [set.name, { layout: elementLayout(set), digest: new ElementDigest() }]),
    );
  }

  add(elements: readonly Element[]): void {
    for (const element of elements) {
      const set = this.#sets.get(element.set);
      if (set === undefined) throw new TypeError(`nftables: no set ${element.set}`);
      const length = elementBytes(element, set.layout);
      if (length > this.#scratch.byteLength) this.#scratch = new DataView(new ArrayBuffer(2 * length));
      const view = this.#scratch;
      const bytes = new Uint8Array(view.buffer);
      bytes.fill(0, 0, length);
      encodeElement(element, set.layout, { target: { bytes, view }, at: 0 });
      set.digest.add(view, 0, length);
    }
  }

  digest(set: string): ElementDigest {
    return this.#sets.get(set)?.digest ?? new ElementDigest();
  }
}
