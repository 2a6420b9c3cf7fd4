import { align, attributeHeaderLength, littleEndian, NLA_F_NESTED } from '../netlink/attributes.ts';
import { NFTA_SET_ELEM_DATA, NFTA_SET_ELEM_KEY } from './constants.ts';

const header = attributeHeaderLength;

/**
 * Says whether two multitudes of elements are the same without keeping either: their number, and two sums of 32 bits
 * over the elements, in whatever order they come. Two that differ agree with a probability of 1 in 2^64: enough
 * against mistakes, and none against somebody who may change the tables anyway.
 */
export class ElementDigest {
  #count = 0;
  #first = 0;
  #second = 0;

  /** Takes in the elements of one list, `NFTA_LIST_ELEM` after `NFTA_LIST_ELEM` from one offset to another. */
  add(view: DataView, from: number, to: number): void {
    for (let at = from; at + header <= to; ) {
      const length = view.getUint16(at, littleEndian);
      if (length < header) return;
      this.#addElement(view, at + header, Math.min(at + length, to));
      at += align(length);
    }
  }

  equals(other: ElementDigest): boolean {
    return this.#count === other.#count && this.#first === other.#first && this.#second === other.#second;
  }

  // The kernel has an order of its own for an element's attributes, so they are summed up too.
  #addElement(view: DataView, from: number, to: number): void {
    let first = 0;
    let second = 0;
    for (let at = from; at + header <= to; ) {
      const length = view.getUint16(at, littleEndian);
      if (length < header) break;
      const type = view.getUint16(at + 2, littleEndian) & ~NLA_F_NESTED;
      // Within a key or data is one more attribute, whose flag the kernel leaves out.
      const value = type === NFTA_SET_ELEM_KEY || type === NFTA_SET_ELEM_DATA ? at + 2 * header : at + header;
      const end = at + align(length);
      let a = mix(type, length);
      let b = mix(length, ~type);
      for (let word = value; word < end; word += 4) {
        const bits = view.getUint32(word, littleEndian);
        a = mix(a, bits);
        b = Math.imul(b ^ bits, secondFactor) ^ (b >>> 13);
      }
      first = (first + a) | 0;
      second = (second + b) | 0;
      at = end;
    }
    this.#count++;
    this.#first = (this.#first + mix(first, second)) | 0;
    this.#second = (this.#second + mix(second, ~first)) | 0;
  }
}

// Odd factors with about half of their bits set, as multiplicative hashes want them.
const firstFactor = 0x2c1b3c6d;
const secondFactor = 0x297a2d39;

function mix(state: number, bits: number): number {
  const h = Math.imul(state ^ bits, firstFactor);
  return Math.imul(h ^ (h >>> 15), secondFactor) ^ (state >>> 7);
}
