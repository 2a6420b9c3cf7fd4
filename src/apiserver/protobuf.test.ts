import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ProtobufError, readProtobuf } from './protobuf.ts';

/** A field that is bytes, text or a message. */
function field(number: number, ...content: (string | Buffer)[]): Buffer {
  const bytes = Buffer.concat(content.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
  return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes]);
}
function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) + 128);
  }
}
const number = (at: number, value: number) => Buffer.concat([varint(at << 3), varint(value)]);
const envelope = (kind: string, ...content: Buffer[]) =>
  Buffer.concat([Buffer.from('k8s\0'), field(1, field(1, 'v1'), field(2, kind)), field(2, ...content)]);

describe('readProtobuf', () => {
  test('reads texts, numbers, maps, lists, times and int-or-strings', () => {
    const port = field(
      1,
      field(1, 'http'),
      field(2, 'TCP'),
      number(3, 80),
      field(4, number(1, 1), field(3, 'web')),
      number(5, 0),
    );
    const metadata = field(
      1,
      field(1, 'web'),
      field(3, ''),
      field(8, number(1, 1_700_000_000)),
      field(11, field(1, 'a'), field(2, 'b')),
    );
    const spec = field(2, port, field(3, ''), field(2, field(1, 'app'), field(2, '')));
    expect(readProtobuf(envelope('Service', metadata, spec), 'Service')).toEqual({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web', creationTimestamp: '2023-11-14T22:13:20Z', labels: { a: 'b' } },
      spec: { ports: [{ name: 'http', protocol: 'TCP', port: 80, targetPort: 'web' }], selector: { app: '' } },
    });
  });

  test('reads bytes as base64, quantities as texts, and inlined structs in their place', () => {
    expect(
      readProtobuf(envelope('Secret', field(2, field(1, 'k'), field(2, Buffer.from([0, 255])))), 'Secret'),
    ).toMatchObject({ data: { k: 'AP8=' } });
    const limits = field(8, field(1, field(1, 'cpu'), field(2, field(1, '100m'))));
    const container = field(2, field(1, 'c'), limits);
    const volume = field(1, field(1, 'v'), field(2, field(19, field(1, field(1, 'cm')))));
    expect(readProtobuf(envelope('Pod', field(2, volume, container)), 'Pod')).toMatchObject({
      spec: {
        containers: [{ name: 'c', resources: { limits: { cpu: '100m' } } }],
        volumes: [{ name: 'v', configMap: { name: 'cm' } }],
      },
    });
  });

  test('keeps a zero only where it says something', () => {
    const deployment = envelope('Deployment', field(2, number(1, 0), number(5, 0)));
    expect(readProtobuf(deployment, 'Deployment').spec).toEqual({ replicas: 0 });
  });

  test('reads any bytes or says that it cannot', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.constantFrom('Pod', 'Service', 'Deployment', 'DeleteOptions'),
        (bytes, type) => {
          try {
            expect(readProtobuf(envelope(type, Buffer.from(bytes)), type).kind).toBe(type);
          } catch (error) {
            expect(error).toBeInstanceOf(ProtobufError);
          }
        },
      ),
    );
    expect(() => readProtobuf(Buffer.from('{}'), 'Pod')).toThrow(ProtobufError);
  });
});
