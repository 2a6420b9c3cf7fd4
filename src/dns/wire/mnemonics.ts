import { rcode, recordClass, recordType } from './constants.ts';

const typeNames = new Map<number, string>(Object.entries(recordType).map(([name, type]) => [type, name]));
const classNames = new Map<number, string>(Object.entries(recordClass).map(([name, code]) => [code, name]));
const rcodeNames = new Map<number, string>(Object.entries(rcode).map(([name, code]) => [code, name]));

/** A record type's name, `TYPE65280` where none is known (RFC 3597 §5). */
export function typeName(type: number): string {
  return typeNames.get(type) ?? `TYPE${type}`;
}

/** A class's name, `CLASS32` where none is known. */
export function className(code: number): string {
  return classNames.get(code) ?? `CLASS${code}`;
}

/** A response code's name, `RCODE12` where none is known. */
export function rcodeName(code: number): string {
  return rcodeNames.get(code) ?? `RCODE${code}`;
}
