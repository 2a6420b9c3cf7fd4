const randomTries = 32;

/** Node ports and the order in which they are given out: the lowest ones are left for those who ask by number. */
export class PortRange {
  readonly from: number;
  readonly to: number;
  readonly staticBand: number;

  /** Both ends belong to the range. */
  constructor(range: { readonly from: number; readonly to: number }) {
    this.from = range.from;
    this.to = range.to;
    const size = this.to - this.from + 1;
    // A thirty-second of the range, but 16 to 128 (KEP 3668); 86 of the usual 2768.
    this.staticBand = size < 16 ? 0 : Math.min(Math.max(16, Math.floor(size / 32)), 128, size);
  }

  contains(port: number): boolean {
    return Number.isInteger(port) && port >= this.from && port <= this.to;
  }

  /** A free port, by chance; nothing when all are taken. */
  pick(isFree: (port: number) => boolean, random: () => number = Math.random): number | undefined {
    const dynamic = this.from + this.staticBand;
    return pickBetween(dynamic, this.to, { isFree, random }) ?? pickBetween(this.from, dynamic - 1, { isFree, random });
  }

  toString(): string {
    return `${this.from}-${this.to}`;
  }
}

function pickBetween(
  from: number,
  to: number,
  { isFree, random }: { isFree: (port: number) => boolean; random: () => number },
): number | undefined {
  const count = to - from + 1;
  if (count <= 0) return undefined;
  for (let i = 0; i < randomTries; i++) {
    const port = from + Math.floor(random() * count);
    if (isFree(port)) return port;
  }
  for (let port = from; port <= to; port++) if (isFree(port)) return port;
  return undefined;
}
