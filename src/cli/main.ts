import { fileURLToPath } from 'node:url';
import { createProgram } from './program.ts';
import { reportFailure } from './report.ts';

// Node would open its debugger, which asks nobody who he is. Who means something else by the signal listens, too.
process.on('SIGUSR1', () => {});

createProgram(fileURLToPath(import.meta.url))
  .parseAsync()
  .catch(reportFailure);
