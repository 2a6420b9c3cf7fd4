// Writes docs/errors.md from the registry of errors (after a build).
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorRegistry } from '../dist/lib/errors/registry.js';
import { root } from './setup.mjs';

const rows = Object.entries(errorRegistry).map(
  ([code, { kind, summary }]) => `| <a id="${code.toLowerCase()}"></a>\`${code}\` | ${kind} | ${summary} |`,
);
writeFileSync(
  join(root, 'docs/errors.md'),
  `# Errors

Every error that Signalbox prints ends with a code in brackets. The line says which object it is about, what is wrong
and what to do; this table says what the code means in general. Kinds: \`input\` (what you gave), \`environment\` (this
machine), \`conflict\` (a state in the way), \`unavailable\` (something to wait for), \`internal\` (a mistake of ours: please
report it). Written by \`npm run generate\`.

| Code | Kind | Meaning |
|---|---|---|
${rows.join('\n')}
`,
);
