import { describe, expect, test } from 'vitest';
import { parseSpeakerConfig } from './config.ts';

describe('parseSpeakerConfig', () => {
  test('tells health in both families unless told, as the kubelet asks in that of its node', () => {
    expect(parseSpeakerConfig({})).toEqual({
      kubeconfig: undefined,
      nodeName: undefined,
      interfaces: undefined,
      proxyHealth: 'http://127.0.0.1:10256/healthz',
      healthzBindAddress: { host: undefined, port: 7473 },
      metricsBindAddress: { host: '127.0.0.1', port: 7472 },
    });
    const { healthzBindAddress } = parseSpeakerConfig({ healthzBindAddress: '[2001:db8::1]:80' });
    expect(healthzBindAddress).toEqual({ host: '2001:db8::1', port: 80 });
    expect(parseSpeakerConfig({ metricsBindAddress: ':80' }).metricsBindAddress).toEqual({ host: undefined, port: 80 });
  });

  test.each(['0.0.0.0', '0.0.0.0:70000', ':70000', 'localhost:7473', '[]:80', '::1:80'])(
    'refuses to listen at %j',
    (healthzBindAddress) => {
      expect(() => parseSpeakerConfig({ healthzBindAddress })).toThrow(/is not an address with a port/);
    },
  );
});
