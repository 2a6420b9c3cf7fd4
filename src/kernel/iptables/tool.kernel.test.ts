import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { rules } from '../../../test/golden/iptables-rules.ts';
import { runTypeScript } from '../../../test/run-typescript.ts';
import { type ChainChange, restores } from '../../rules/iptables/diff.ts';
import { printRule } from '../../rules/iptables/print.ts';
import { type Iptables, type IptablesVariant, Refusal } from './interface.ts';
import { openIptables } from './tool.ts';

const chain = 'KUBE-TEST';
const variants: readonly IptablesVariant[] = ['legacy', 'nft'];
const families = ['IPv4', 'IPv6'] as const;

function commands(family: (typeof families)[number], variant: IptablesVariant): (...args: string[]) => string {
  const file = `${family === 'IPv4' ? 'iptables' : 'ip6tables'}-${variant}`;
  return (...args) => execFileSync(file, ['-w', ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

describe.each(variants.flatMap((variant) => families.map((family) => ({ variant, family }))))(
  'openIptables, $variant $family',
  ({ variant, family }) => {
    const run = commands(family, variant);
    let iptables: Iptables;
    beforeEach(async () => {
      iptables = await openIptables({ variant });
    });
    afterEach(() => {
      run('-t', 'nat', '-F');
      run('-t', 'nat', '-X');
      iptables.close();
    });

    const write = async (...chains: readonly { chain: string; rules: readonly string[] }[]) => {
      const changes = chains.map((change): ChainChange => ({ kind: 'write', table: 'nat', ...change }));
      for (const input of restores(changes, changes.length)) await iptables.restore(family, input);
    };

    it('lists every rule letter for letter as it was given', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(rules(family), { minLength: 1, maxLength: 20 }), async (list) => {
          const texts = list.map((rule) => printRule(rule, family));
          await write({ chain: 'KUBE-MARK-MASQ', rules: [] }, { chain, rules: texts });
          expect((await iptables.list(family, 'nat')).get(chain)).toEqual(texts);
        }),
        { numRuns: 15 },
      );
    });

    it('knows which chains there are', async () => {
      await write({ chain, rules: [] });
      expect(await iptables.has(family, 'nat', chain)).toBe(true);
      expect(await iptables.has(family, 'nat', 'KUBE-OTHER')).toBe(false);
      expect(await iptables.has(family, 'filter', chain)).toBe(false);
    });

    it('carries out all of an input or nothing, and says what was refused', async () => {
      await write({ chain, rules: ['-j RETURN'] });
      const rule = '-m set --match-set KUBE-NO-SUCH-SET dst -j ACCEPT';
      const error = await write({ chain, rules: ['-j ACCEPT', rule] }).catch((thrown) => thrown);
      expect(error).toMatchObject({ code: 'IPTABLES_FAILED', cause: expect.any(Refusal) });
      expect(error.cause.at).toEqual({ table: 'nat', command: { verb: 'append', chain, rule } });
      expect((await iptables.list(family, 'nat')).get(chain)).toEqual(['-j RETURN']);
    });

    it('refuses a rule that leads nowhere', async () => {
      const refused = write({ chain, rules: ['-j KUBE-NOWHERE'] });
      await expect(refused).rejects.toMatchObject({ code: 'IPTABLES_FAILED', cause: expect.any(Refusal) });
    });
  },
);

describe('openIptables', () => {
  afterEach(() => {
    for (const variant of variants) commands('IPv4', variant)('-t', 'mangle', '-X');
  });

  it.each(variants)('takes the %s variant where the rules of Kubernetes are', async (variant) => {
    for (const name of ['KUBE-KUBELET-CANARY', 'KUBE-IPTABLES-HINT']) {
      commands('IPv4', variant)('-t', 'mangle', '-N', name);
      const iptables = await openIptables();
      expect(iptables.variant).toBe(variant);
      iptables.close();
      commands('IPv4', variant)('-t', 'mangle', '-X', name);
    }
  });

  it('takes what the machine means by iptables where there are none', async () => {
    const version = execFileSync('iptables', ['--version'], { encoding: 'utf8' });
    const iptables = await openIptables();
    expect(iptables.variant).toBe(version.includes('nf_tables') ? 'nft' : 'legacy');
    iptables.close();
  });

  it('says that others have made of a table what iptables cannot list', async () => {
    const nft = (...args: string[]) => execFileSync('nft', args, { stdio: 'pipe' });
    const iptables = await openIptables({ variant: 'nft' });
    await iptables.restore('IPv4', [{ table: 'mangle', commands: [{ verb: 'declare', chain }] }]);
    nft('add', 'chain', 'ip', 'mangle', 'others');
    nft(
      'add',
      'rule',
      'ip',
      'mangle',
      'others',
      'ip',
      'daddr',
      '1.2.3.4',
      'meta',
      'mark',
      'set',
      'numgen',
      'random',
      'mod',
      '2',
    );
    await expect(iptables.list('IPv4', 'mangle')).rejects.toMatchObject({
      code: 'IPTABLES_FAILED',
      message: expect.stringContaining('made by nft'),
    });
    nft('delete', 'table', 'ip', 'mangle');
    iptables.close();
  });

  it('names the capability that root lacks for tables of the legacy variant', async () => {
    const iptables = await openIptables({ variant: 'legacy' });
    await iptables.restore('IPv4', [{ table: 'nat', commands: [{ verb: 'declare', chain }] }]);
    iptables.close();
    const source = `
      import { openIptables } from './src/kernel/iptables/tool.ts';
      openIptables({ variant: 'legacy' })
        .then((iptables) => iptables.list('IPv4', 'nat'))
        .catch((error) => console.log(error.message));`;
    const only = ['--bounding-set=-all,+net_admin', '--inh-caps=-all,+net_admin'];
    expect(runTypeScript(source, ['setpriv', ...only]).stdout).toContain(
      'CAP_NET_RAW where iptables is the legacy one',
    );
  });

  it('names the package where there is no iptables', async () => {
    await expect(openIptables({ folders: ['/nowhere'] })).rejects.toMatchObject({
      code: 'IPTABLES_ABSENT',
      message: expect.stringContaining('apt-get install iptables'),
    });
  });
});

describe('the lock of xtables', () => {
  let folder: string;
  let holder: ChildProcess | undefined;
  const { XTABLES_LOCKFILE: usual } = process.env;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'signalbox-lock-'));
    process.env.XTABLES_LOCKFILE = join(folder, 'lock');
  });
  afterEach(() => {
    if (holder?.exitCode === null && holder.signalCode === null) process.kill(-(holder.pid ?? 0), 'SIGKILL');
    if (usual === undefined) delete process.env.XTABLES_LOCKFILE;
    else process.env.XTABLES_LOCKFILE = usual;
    rmSync(folder, { recursive: true });
  });

  /** Somebody else who has the lock for so many seconds. */
  async function hold(seconds: number): Promise<ChildProcess> {
    const child = spawn('flock', [join(folder, 'lock'), 'sh', '-c', `echo held; exec sleep ${seconds}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    holder = child;
    if (child.stdout !== null) await once(child.stdout, 'data');
    return child;
  }

  const write = (iptables: Iptables) =>
    iptables.restore('IPv4', [{ table: 'nat', commands: [{ verb: 'declare', chain }] }]);

  it('is waited for while another has it', async () => {
    const child = await hold(1);
    const released = once(child, 'exit');
    const iptables = await openIptables({ variant: 'legacy', lockWait: 20 });
    await write(iptables);
    await released;
    expect(await iptables.has('IPv4', 'nat', chain)).toBe(true);
    commands('IPv4', 'legacy')('-t', 'nat', '-X', chain);
    iptables.close();
  });

  it('is given up after the wait, and had by the next try', async () => {
    const child = await hold(60);
    const iptables = await openIptables({ variant: 'legacy', lockWait: 1 });
    await expect(write(iptables)).rejects.toMatchObject({
      code: 'IPTABLES_LOCKED',
      message: expect.stringContaining('another program holds'),
    });
    process.kill(-(child.pid ?? 0), 'SIGKILL');
    await once(child, 'exit');
    await write(iptables);
    expect(await iptables.has('IPv4', 'nat', chain)).toBe(true);
    commands('IPv4', 'legacy')('-t', 'nat', '-X', chain);
    iptables.close();
  });
});
