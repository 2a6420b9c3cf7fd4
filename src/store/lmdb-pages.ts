/** The file of an LMDB environment as pages, read one at a time. */
export interface PageFile {
  readonly pageSize: number;
  /** How many pages the file has; the last may be cut short. */
  readonly pageCount: number;
  /** The bytes of one page: fewer than `pageSize` where the file ends. They last until the next call. */
  read(page: number): Buffer;
}

/** The newest state of an environment, by its meta page. */
export interface Snapshot {
  /** The last page that was ever in use. */
  readonly lastPage: number;
  /** MDB_db records: the tree of free pages, and the tree of tables. */
  readonly freeTree: Buffer;
  readonly mainTree: Buffer;
}

// struct MDB_page_header, MDB_node, MDB_db and MDB_ovpage of LMDB 1.0 (data format 2), which lmdb-js is built on.
const pageHeader = { txnId: 8, flags: 18, lower: 20, upper: 22, pages: 20, bytes: 24 } as const;
const nodeHeader = { low: 0, high: 2, flags: 4, keySize: 6, bytes: 8 } as const;
const tree = { depth: 6, entries: 32, root: 40, bytes: 48 } as const;
const overflow = { page: 0, pages: 16, bytes: 24 } as const;
const pageKind = { branch: 0x01, leaf: 0x02, overflow: 0x04 } as const;
const kindMask = 0x6f;
const nodeFlag = { overflow: 0x01, table: 0x02, duplicates: 0x04 } as const;
const noPage = 0xffff_ffff_ffff_ffffn;
/** A tree of this depth would have more pages than a disk. */
const maxDepth = 32;

/**
 * Walks all pages that an environment has in use, without LMDB, which trusts what it finds and follows a wrong number
 * out of the file. Costs one read of each page of keys; of values that have pages of their own it looks at the first.
 * What the keys and values are is not looked at.
 * @throws Error that says which page is damaged, and how
 */
export function checkPages(file: PageFile, { freeTree, mainTree, lastPage }: Snapshot): void {
  const walk = new PageWalk(file, lastPage);
  walk.tree(freeTree, false);
  walk.tree(mainTree, true);
}

/** Where in the tree the walk is. */
interface TreeLevel {
  readonly level: number;
  readonly depth: number;
  readonly hasTables: boolean;
}

/** What one page says of others. */
interface PageContent {
  readonly children: number[];
  readonly tables: Buffer[];
  readonly overflows: { readonly first: number; readonly pages: number }[];
  /** Entries of a leaf; 0 for a branch. */
  entries: number;
}

class PageWalk {
  readonly #file: PageFile;
  readonly #lastPage: number;
  /** Pages met: a page has one place. Without this, a loop among damaged pages would have no end. */
  readonly #met: Uint8Array;

  constructor(file: PageFile, lastPage: number) {
    this.#file = file;
    this.#lastPage = Math.min(lastPage, file.pageCount - 1);
    this.#met = new Uint8Array(this.#lastPage + 1);
  }

  tree(record: Buffer, hasTables: boolean): void {
    const root = record.readBigUInt64LE(tree.root);
    const depth = record.readUInt16LE(tree.depth);
    const expected = record.readBigUInt64LE(tree.entries);
    if (root === noPage && expected === 0n) return;
    if (depth > maxDepth) throw new Error(`a tree says that it is ${depth} pages deep`);
    const entries = this.#subtree(Number(root), { level: 1, depth, hasTables });
    if (BigInt(entries) !== expected) throw new Error(`the tree at page ${root} has ${entries} entries of ${expected}`);
  }

  /** Returns how many entries the leaves below have. */
  #subtree(page: number, at: TreeLevel): number {
    const { children, tables, overflows, entries } = this.#content(page, at);
    for (const { first, pages } of overflows) this.#overflow(first, pages);
    for (const table of tables) this.tree(table, false);
    let count = entries;
    for (const child of children) count += this.#subtree(child, { ...at, level: at.level + 1 });
    return count;
  }

  #content(page: number, { level, depth, hasTables }: TreeLevel): PageContent {
    const bytes = this.#open(page, level === depth ? pageKind.leaf : pageKind.branch);
    if (bytes.length < this.#file.pageSize) throw new Error(`the file ends within page ${page}`);
    const content: PageContent = { children: [], tables: [], overflows: [], entries: 0 };
    // Places in a page are counted from the end of its header.
    const lower = bytes.readUInt16LE(pageHeader.lower);
    const upper = bytes.readUInt16LE(pageHeader.upper);
    const body = bytes.subarray(pageHeader.bytes);
    if (lower > upper || upper > body.length || lower % 2 !== 0) throw new Error(`page ${page} is damaged`);
    for (let slot = 0; slot < lower; slot += 2) {
      const start = body.readUInt16LE(slot);
      const node = start >= upper && start + nodeHeader.bytes <= body.length ? body.subarray(start) : undefined;
      if (node === undefined) throw new Error(`page ${page} is damaged`);
      if (level < depth) addChild(content, page, node);
      else addEntry(content, page, { node, hasTables });
    }
    if (content.children.length === 0 && level < depth) throw new Error(`page ${page} leads nowhere`);
    return content;
  }

  #overflow(first: number, pages: number): void {
    const bytes = this.#open(first, pageKind.overflow);
    if (bytes.readUInt32LE(pageHeader.pages) !== pages || pages < 1)
      throw new Error(`page ${first} does not begin a value of ${pages} pages`);
    for (let page = first + 1; page < first + pages; page++) this.#meet(page);
    if (first + pages > this.#file.pageCount) throw new Error(`the file ends before page ${first + pages - 1}`);
  }

  /** Reads a page that should be of this kind, and be met for the first time. */
  #open(page: number, kind: number): Buffer {
    this.#meet(page);
    const bytes = this.#file.read(page);
    if (bytes.length < pageHeader.bytes) throw new Error(`the file ends before page ${page}`);
    const isOwn = bytes.readBigUInt64LE(0) === BigInt(page);
    if (!isOwn || (bytes.readUInt16LE(pageHeader.flags) & kindMask) !== kind)
      throw new Error(`page ${page} is damaged`);
    return bytes;
  }

  #meet(page: number): void {
    if (page >= this.#file.pageCount) throw new Error(`the file ends before page ${page}`);
    if (page < 2 || page > this.#lastPage) throw new Error(`there should be no page ${page}`);
    if (this.#met[page] !== 0) throw new Error(`page ${page} is used twice`);
    this.#met[page] = 1;
  }
}

function addChild(content: PageContent, page: number, node: Buffer): void {
  const low = node.readUInt32LE(nodeHeader.low);
  const keySize = node.readUInt16LE(nodeHeader.keySize);
  if (nodeHeader.bytes + keySize > node.length) throw new Error(`page ${page} is damaged`);
  content.children.push(low + node.readUInt16LE(nodeHeader.flags) * 2 ** 32);
}

function addEntry(
  content: PageContent,
  page: number,
  { node, hasTables }: { readonly node: Buffer; readonly hasTables: boolean },
): void {
  const size = node.readUInt32LE(nodeHeader.low);
  const flags = node.readUInt16LE(nodeHeader.flags);
  const dataAt = nodeHeader.bytes + node.readUInt16LE(nodeHeader.keySize);
  const isOverflow = (flags & nodeFlag.overflow) !== 0;
  const isTable = (flags & nodeFlag.table) !== 0;
  const bytes = isOverflow ? overflow.bytes : size;
  if (dataAt + bytes > node.length || (flags & nodeFlag.duplicates) !== 0 || isTable !== hasTables)
    throw new Error(`page ${page} is damaged`);
  if (isTable && (isOverflow || size !== tree.bytes)) throw new Error(`page ${page} is damaged`);
  const data = node.subarray(dataAt, dataAt + bytes);
  content.entries++;
  if (isTable) content.tables.push(Buffer.from(data));
  if (isOverflow) {
    const pages = Number(data.readBigUInt64LE(overflow.pages));
    content.overflows.push({ first: Number(data.readBigUInt64LE(overflow.page)), pages });
  }
}
