import { describe, expect, test } from 'vitest';
import { parseSets } from './parse.ts';
import { printSets } from './print.ts';

const text = `create KUBE-CLUSTER-IP hash:ip,port family inet maxelem 1048576
add KUBE-CLUSTER-IP 10.96.0.10,tcp:80
create KUBE-6-LOOP-BACK hash:ip,port,ip family inet6 maxelem 1048576
add KUBE-6-LOOP-BACK fd00::2,udp:53,fd00::2
create SOURCES hash:ip,port,net family inet maxelem 1048576
add SOURCES 192.0.2.1,sctp:80,198.51.100.0/24
create PORTS bitmap:port range 0-65535
add PORTS 30080
create MARKS hash:ip,port family inet maxelem 1048576 skbinfo
add MARKS 192.0.2.1,tcp:80 skbmark 0x50000001
`;

describe('parseSets', () => {
  test('reads what printSets writes', () => {
    expect(printSets(parseSets(text))).toBe(text);
  });

  test('leaves out what ipset tells of the inside of a set, and sets of types not used here', () => {
    const told = `create KUBE-IPVS-IPS hash:ip family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x1
add KUBE-IPVS-IPS 10.96.0.10
create NETS hash:net family inet hashsize 1024 maxelem 65536
add NETS 10.0.0.0/8
`;
    expect(printSets(parseSets(told))).toBe(`create KUBE-IPVS-IPS hash:ip family inet maxelem 1048576
add KUBE-IPVS-IPS 10.96.0.10
`);
  });

  test.each(['add A 10.96.0.10,tcp:99999', 'add A 10.96.0.10', 'del A 10.96.0.10,tcp:1'])('refuses %s', (line) => {
    expect(() => parseSets(`create A hash:ip,port family inet\n${line}\n`)).toThrow(`the line "${line}"`);
  });
});
