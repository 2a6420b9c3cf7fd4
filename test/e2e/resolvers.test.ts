import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, Signalbox } from './signalbox.ts';

const box = new Signalbox();

/** One Service of each kind, in two namespaces, with Pods of two names behind the headless one. */
const manifest = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: 10.96.7.1
  selector: {app: pets}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: stats, port: 8125, protocol: UDP}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: 10.96.7.2
  ports: [{name: http, port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: pets}
spec:
  clusterIP: None
  selector: {app: pets}
  ports: [{name: http, port: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: alias}
spec: {type: ExternalName, externalName: web.shop.svc.cluster.local}
---
apiVersion: v1
kind: Pod
metadata: {name: rex, labels: {app: pets}}
spec:
  hostname: rex
  subdomain: pets
  containers: [{name: hello, image: 'gcr.io/google-samples/node-hello:1.0', ports: [{containerPort: 8080}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: tom, labels: {app: pets}}
spec:
  containers: [{name: hello, image: 'gcr.io/google-samples/node-hello:1.0', ports: [{containerPort: 8080}]}]
`;

let rexIp = '';
let tomIp = '';
const dashed = (ip: string) => ip.replaceAll('.', '-');

const inPod = (...command: string[]) => box.run('exec', 'pod/tom', '--', ...command);

/** The different lines a command prints in a Pod, sorted; it must succeed. */
async function linesOf(...command: string[]): Promise<string[]> {
  const { status, stdout, stderr } = await inPod(...command);
  if (status !== 0) throw new Error(`${command.join(' ')} ended with ${status}: ${stderr}`);
  return [...new Set(stdout.split('\n').map((line) => line.trim().replace(/\s+/g, ' ')))].filter(Boolean).sort();
}

/** What Node's resolver says in a Pod to an expression over `dns`, its promises. */
async function byNode(expression: string): Promise<unknown> {
  const program = `const dns = require('node:dns').promises;
    (${expression}).then((found) => console.log(JSON.stringify(found)), ({ code }) => console.log(JSON.stringify(code)));`;
  const { stdout } = await inPod(process.execPath, '-e', program);
  return JSON.parse(stdout);
}

beforeAll(async () => {
  await box.must('up', '--nodes', '1', '-f', box.manifest('pets.yaml', manifest));
  const ipOf = (pod: string) => box.kubectlMust('get', 'pod', pod, '-o', 'jsonpath={.status.podIP}');
  [rexIp, tomIp] = await Promise.all([ipOf('rex'), ipOf('tom')]);
  // Ready Pods get into the endpoints a moment later.
  await eventually('both Pods behind pets', async () => {
    const found = await linesOf('dig', '+short', 'pets.default.svc.cluster.local');
    return found.length === 2 ? found : undefined;
  });
});
afterAll(() => box.close());

describe('names in a Pod', () => {
  test('are found by glibc along the search path', async () => {
    const first = async (name: string) => (await linesOf('getent', 'ahostsv4', name)).map((line) => line.split(' ')[0]);
    for (const name of ['web', 'web.default', 'web.default.svc', 'web.default.svc.cluster.local', 'WEB.Default'])
      expect(await first(name)).toContain('10.96.7.1');
    for (const name of ['web.shop', 'web.shop.svc', 'alias']) expect(await first(name)).toContain('10.96.7.2');
    expect([...new Set(await first('pets'))]).toEqual([rexIp, tomIp].sort());
    expect(await first('rex.pets')).toContain(rexIp);
    expect(await first(`${dashed(tomIp)}.default.pod.cluster.local`)).toContain(tomIp);
  });

  test('are not found by glibc where there are none', async () => {
    // 2: one of the names is not in the database.
    for (const name of ['nobody', 'web.nowhere', 'tom.pets'])
      expect((await inPod('getent', 'hosts', name)).status).toBe(2);
  });

  test('are found by glibc for addresses', async () => {
    expect(await linesOf('getent', 'hosts', '10.96.7.1')).toEqual(['10.96.7.1 web.default.svc.cluster.local']);
    // A Pod behind two Services has a name in each.
    const [line] = await linesOf('getent', 'hosts', rexIp);
    expect(line).toMatch(new RegExp(`^${rexIp} (rex\\.pets|${dashed(rexIp)}\\.web)\\.default\\.svc\\.cluster\\.local`));
  });

  test("are found by Node's resolver, and it says why others are not", async () => {
    expect(await byNode(`dns.lookup('web')`)).toEqual({ address: '10.96.7.1', family: 4 });
    expect(await byNode(`dns.resolve4('web.shop.svc.cluster.local')`)).toEqual(['10.96.7.2']);
    expect(await byNode(`dns.resolve4('pets.default.svc.cluster.local').then((ips) => ips.sort())`)).toEqual(
      [rexIp, tomIp].sort(),
    );
    expect(await byNode(`dns.resolveSrv('_http._tcp.web.default.svc.cluster.local')`)).toEqual([
      { name: 'web.default.svc.cluster.local', port: 80, priority: 0, weight: 100 },
    ]);
    const hosts = `dns.resolveSrv('_http._tcp.pets.default.svc.cluster.local').then((all) => all.map(({ name }) => name).sort())`;
    expect(await byNode(hosts)).toEqual(
      [`${dashed(tomIp)}.pets.default.svc.cluster.local`, 'rex.pets.default.svc.cluster.local'].sort(),
    );
    expect(await byNode(`dns.reverse('10.96.7.2')`)).toEqual(['web.shop.svc.cluster.local']);
    expect(await byNode(`dns.resolveCname('alias.default.svc.cluster.local')`)).toEqual(['web.shop.svc.cluster.local']);
    expect(await byNode(`dns.resolveTxt('dns-version.cluster.local')`)).toEqual([['1.1.0']]);
    expect(await byNode(`dns.resolve4('nobody.default.svc.cluster.local')`)).toBe('ENOTFOUND');
    expect(await byNode(`dns.resolve6('web.default.svc.cluster.local')`)).toBe('ENODATA');
  });

  test('are found by dig, of every type', async () => {
    const short = (...question: string[]) => linesOf('dig', '+short', ...question);
    const domain = 'default.svc.cluster.local';
    expect(await short(`web.${domain}`, 'A')).toEqual(['10.96.7.1']);
    expect(await short(`_stats._udp.web.${domain}`, 'SRV')).toEqual([`0 100 8125 web.${domain}.`]);
    expect(await short(`_http._tcp.pets.${domain}`, 'SRV')).toEqual(
      [`0 50 8080 ${dashed(tomIp)}.pets.${domain}.`, `0 50 8080 rex.pets.${domain}.`].sort(),
    );
    expect(await short(`alias.${domain}`, 'CNAME')).toEqual(['web.shop.svc.cluster.local.']);
    expect(await short('-x', '10.96.7.1')).toEqual([`web.${domain}.`]);
    expect(await short('dns-version.cluster.local', 'TXT')).toEqual(['"1.1.0"']);
    expect(await short('cluster.local', 'NS')).toEqual(['ns.dns.cluster.local.']);
    expect((await short('cluster.local', 'SOA')).join()).toMatch(
      /^ns\.dns\.cluster\.local\. hostmaster\.cluster\.local\. \d+ 7200 1800 86400 5$/,
    );
    expect(await short('+tcp', `web.${domain}`, 'ANY')).toEqual(['10.96.7.1']);
    const { stdout } = await inPod('dig', 'cluster.local', 'AXFR');
    expect(stdout).toContain('; Transfer failed.');
  });
});
