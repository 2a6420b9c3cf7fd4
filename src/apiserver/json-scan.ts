const maxDepth = 1_000;

/** A level of nesting: an object with its keys so far, or a list with the index of the element under way. */
type Level = { readonly keys: Set<string>; key: string } | { index: number };

/**
 * Looks through JSON text for what the parser hides: fields that stand twice in one object. Checks nothing else of the
 * syntax.
 * @throws Error when it nests deeper than 1,000 levels
 */
export function scanJson(text: string): { readonly duplicates: readonly string[] } {
  const duplicates: string[] = [];
  const levels: Level[] = [];
  let expectsKey = false;
  for (let i = 0; i < text.length; i++) {
    const level = levels.at(-1);
    switch (text.charCodeAt(i)) {
      case 0x22: {
        const end = stringEnd(text, i);
        if (expectsKey && level !== undefined && 'keys' in level) {
          level.key = readString(text, i, end);
          if (level.keys.has(level.key)) duplicates.push(pathOf(levels));
          level.keys.add(level.key);
          expectsKey = false;
        }
        i = end;
        break;
      }
      case 0x7b:
        levels.push({ keys: new Set(), key: '' });
        expectsKey = true;
        break;
      case 0x5b:
        levels.push({ index: 0 });
        expectsKey = false;
        break;
      case 0x7d:
      case 0x5d:
        levels.pop();
        expectsKey = false;
        break;
      case 0x2c:
        expectsKey = level !== undefined && 'keys' in level;
        if (level !== undefined && 'index' in level) level.index++;
        break;
    }
    if (levels.length > maxDepth) throw new Error('exceeded max depth');
  }
  return { duplicates };
}

/** Place of the closing quote. */
function stringEnd(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x5c) i++;
    else if (c === 0x22) return i;
  }
  return text.length;
}

function readString(text: string, start: number, end: number): string {
  const raw = text.slice(start + 1, end);
  if (!raw.includes('\\')) return raw;
  try {
    return JSON.parse(text.slice(start, end + 1)) as string;
  } catch {
    return raw;
  }
}

function pathOf(levels: readonly Level[]): string {
  let path = '';
  for (const level of levels) {
    if ('index' in level) path += `[${level.index}]`;
    else path += path === '' ? level.key : `.${level.key}`;
  }
  return path;
}
