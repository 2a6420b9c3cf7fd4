import { expect, test } from 'vitest';
import { versionsIn } from './followers.ts';

test('versionsIn finds the versions of proxies and of DNS servers, and nothing else', () => {
  const metrics = (component: string) => `# HELP signalbox_${component}_resource_version All changes.
# TYPE signalbox_${component}_resource_version gauge
signalbox_${component}_resource_version{resource="services"} 412
signalbox_${component}_resource_version{resource="endpointslices"} 9
signalbox_${component}_other{resource="pods"} 3
`;
  for (const component of ['proxy', 'dns'])
    expect(versionsIn(metrics(component))).toEqual({ services: 412, endpointslices: 9 });
  expect(versionsIn('coredns_build_info{version="1.14"} 1\n')).toEqual({});
});
