import { describe, expect, it } from 'vitest';
import { textLine } from './log.ts';

describe('textLine', () => {
  const entry = { level: 30, time: Date.UTC(2026, 10, 3, 4, 5, 6, 78), pid: 42, name: 'proxy', hostname: 'here' };

  it('writes a line as Kubernetes components do', () => {
    const line = textLine({ ...entry, level: 40, msg: 'a "port" was\nrefused', servicePort: 'a/b:c', ms: 1.5 });
    expect(line).toBe('W1103 04:05:06.078000      42 proxy] "a \\"port\\" was\\nrefused" servicePort="a/b:c" ms=1.5\n');
  });

  it('shows of an error its message alone', () => {
    const line = textLine({ ...entry, err: { type: 'Error', message: 'gone', stack: 'Error: gone\n at x' } });
    expect(line).toBe('I1103 04:05:06.078000      42 proxy] "" err="gone"\n');
  });
});
