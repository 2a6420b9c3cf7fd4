import { fileURLToPath } from 'node:url';
import { createProgram } from './program.ts';
import { reportFailure } from './report.ts';

try {
  await createProgram(fileURLToPath(import.meta.url)).parseAsync();
} catch (error) {
  reportFailure(error);
}
