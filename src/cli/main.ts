import { program } from './program.ts';
import { reportFailure } from './report.ts';

try {
  await program.parseAsync();
} catch (error) {
  reportFailure(error);
}
