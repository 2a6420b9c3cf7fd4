import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { createProgram } from '../../src/cli/program.ts';

const root = join(import.meta.dirname, '../..');
const notOurs = new Set(['node_modules', 'dist', '.git']);

interface Page {
  /** From the repository's root. */
  readonly path: string;
  readonly text: string;
  /** Without code blocks, whose text is no Markdown. */
  readonly prose: string;
}

function markdownFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (notOurs.has(entry.name)) return [];
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return markdownFiles(path);
    return entry.name.endsWith('.md') ? [relative(root, path)] : [];
  });
}

function readPage(path: string): Page {
  const text = readFileSync(join(root, path), 'utf8');
  return { path, text, prose: text.replace(/^```[\s\S]*?^```$/gm, '').replace(/\n\n(?: {4}.*\n)+/g, '\n\n') };
}

const pages = markdownFiles(root).map(readPage);
const pageAt = (path: string) => pages.find((page) => page.path === path) ?? expect.fail(`there is no ${path}`);
const architecture = pageAt('ARCHITECTURE.md');

/** Links to files: what is shown, and where they lead, from the repository's root; no `path` within the page. */
function linksOf(page: Page) {
  return [...page.prose.matchAll(/\[([^\]]+)\]\(([^)\s]+)\)/g)]
    .map(([, shown = '', target = '']) => ({ shown, target }))
    .filter(({ target }) => !/^[a-z]+:/.test(target))
    .map(({ shown, target }) => {
      const [path = '', anchor] = target.split('#');
      return { shown, anchor, path: path === '' ? page.path : normalize(join(dirname(page.path), path)) };
    });
}

/** The anchors that GitHub gives a page's headings, and those written as such. */
function anchorsOf({ prose }: Page): Set<string> {
  const headings = [...prose.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
  return new Set([...headings, ...[...prose.matchAll(/<a id="([^"]+)">/g)].map(([, id = '']) => id)]);
}

function declares(source: string, name: string): boolean {
  return new RegExp(`(?:function\\*?|class|const|interface|type) ${name}\\b`).test(source);
}

describe.each(pages.map((page) => [page.path, page] as const))('%s', (_, page) => {
  const links = linksOf(page);

  test('links to files that are there', () => {
    expect(links.map(({ path }) => path).filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });

  test('links to headings that are there', () => {
    const broken = links.filter(
      ({ path, anchor }) => anchor !== undefined && path.endsWith('.md') && !anchorsOf(pageAt(path)).has(anchor),
    );
    expect(broken).toEqual([]);
  });

  test('links names to the source files that declare them', () => {
    const broken = links.filter(({ shown, path }) => {
      const [, name] = /^`(\w+)`$/.exec(shown) ?? [];
      if (name === undefined || !path.endsWith('.ts') || !existsSync(join(root, path))) return false;
      return !declares(readFileSync(join(root, path), 'utf8'), name);
    });
    expect(broken).toEqual([]);
  });

  test('names paths of the repository that are there', () => {
    const topLevel = /^(?:src|test|docs|examples|tools|bench|bin|\.ci)\/[\w./-]*$/;
    const named = [...page.prose.matchAll(/`([^`\s]+)`/g)].map(([, path = '']) => path);
    expect(named.filter((path) => topLevel.test(path) && !existsSync(join(root, path)))).toEqual([]);
  });
});

describe('README.md', () => {
  test('draws the path of data as ARCHITECTURE.md does', () => {
    const picture = (page: Page) => /^```text\n(1 API object[\s\S]*?)^```$/m.exec(page.text)?.[1];
    expect(picture(pageAt('README.md'))).toMatch(/5 kernel transaction\n.*kernel\/\n$/);
    expect(picture(architecture)).toBe(picture(pageAt('README.md')));
  });

  test('links every page of docs/, or its folder', () => {
    const linked = linksOf(pageAt('README.md')).map(({ path }) => path.replace(/\/$/, ''));
    const docs = pages.map(({ path }) => path).filter((path) => path.startsWith('docs/'));
    expect(docs.length).toBeGreaterThan(3);
    expect(docs.filter((path) => !linked.includes(path) && !linked.includes(dirname(path)))).toEqual([]);
  });

  test('is a page', () => {
    expect(pageAt('README.md').text.split('\n').length).toBeLessThan(80);
  });
});

describe('ARCHITECTURE.md, "Who may import whom"', () => {
  const folders = readdirSync(join(root, 'src')).filter((name) => statSync(join(root, 'src', name)).isDirectory());
  const { overrides } = JSON.parse(readFileSync(join(root, 'biome.json'), 'utf8')) as {
    overrides: {
      includes: string[];
      linter: { rules: { style: { noRestrictedImports?: { options: { patterns: { group: string[] }[] } } } } };
    }[];
  };
  // Programs that run in Pods: nothing of ours imports them.
  const layers = folders.filter((folder) => folder !== 'images');

  const enforced = new Map(
    overrides.flatMap(({ includes: [include = ''], linter }) => {
      const folder = /^src\/([\w-]+)\/\*\*$/.exec(include)?.[1];
      const forbidden = linter.rules.style.noRestrictedImports?.options.patterns.flatMap(({ group }) => group);
      if (folder === undefined || forbidden === undefined) return [];
      const allowed = layers.filter((other) => other !== folder && !forbidden.includes(`**/${other}/**`));
      return [[folder, allowed.sort()] as const];
    }),
  );

  const [, section = ''] = /## Who may import whom\n([\s\S]*?)\n## /.exec(architecture.text) ?? [];
  const documented = new Map(
    [...section.matchAll(/^\| `([\w-]+)` \| (.+) \|$/gm)].map(([, folder = '', cell = '']) => {
      const names = [...cell.matchAll(/`([\w-]+)`/g)].map(([, name = '']) => name);
      const allowed = cell.startsWith('everything but')
        ? layers.filter((other) => other !== folder && !names.includes(other))
        : names;
      return [folder, allowed.sort()] as const;
    }),
  );

  test('has every folder of src/ but the topmost', () => {
    expect([...documented.keys(), 'cli', 'library'].sort()).toEqual([...folders].sort());
  });

  test('says what biome.json enforces', () => {
    expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(enforced));
  });
});

describe('docs/command-line.md', () => {
  const program = createProgram(join(root, 'src/cli/main.ts'));
  const page = pageAt('docs/command-line.md');

  /** What `--help` lists, beside the help itself. */
  function optionsOf(command: Command): string[] {
    return command
      .createHelp()
      .visibleOptions(command)
      .map(({ flags }) => flags)
      .filter((flags) => command === program || flags !== '-h, --help')
      .sort();
  }

  const commands = program
    .createHelp()
    .visibleCommands(program)
    .filter((command) => command.name() !== 'help');
  const inHelp = new Map([program, ...commands].map((command) => [titleOf(command), optionsOf(command)]));

  function titleOf(command: Command): string {
    return command === program ? 'signalbox' : `signalbox ${command.name()}`;
  }

  const onPage = new Map(
    page.text
      .split(/^#{2,3} /m)
      .filter((section) => /^signalbox\b/.test(section))
      .map((section) => {
        const [title = ''] = section.split('\n');
        return [title, [...section.matchAll(/^- `(-[^`]+)`:/gm)].map(([, flags = '']) => flags).sort()] as const;
      }),
  );

  test('has the commands that --help lists, and no other', () => {
    expect([...onPage.keys()].sort()).toEqual([...inHelp.keys()].sort());
  });

  test.each([...inHelp])('has the options of %s, and no other', (title, options) => {
    expect(onPage.get(title)).toEqual(options);
  });

  test('has every environment variable that the command line reads', () => {
    const sources = (readdirSync(join(root, 'src'), { recursive: true }) as string[])
      .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts'))
      .map((path) => readFileSync(join(root, 'src', path), 'utf8'));
    const read = new Set(sources.flatMap((source) => source.match(/\bSIGNALBOX_[A-Z]+\b/g) ?? []));
    const listed = new Set([...page.text.matchAll(/^\| `(SIGNALBOX_[A-Z]+)` \|/gm)].map(([, name = '']) => name));
    expect([...listed].sort()).toEqual([...read].sort());
  });
});
