import { describe, expect, it } from 'vitest';
import { builtInImages, containerArgv, imageName, unknownImageMessage } from './images.ts';

describe('imageName', () => {
  it.each([
    ['registry.k8s.io/pause:3.10', 'registry.k8s.io/pause'],
    ['registry.k8s.io/pause@sha256:abc', 'registry.k8s.io/pause'],
    ['localhost:5000/x/y:1@sha256:abc', 'localhost:5000/x/y'],
    ['localhost:5000/x', 'localhost:5000/x'],
    ['nginx', 'nginx'],
  ])('imageName(%j) is %j', (image, name) => {
    expect(imageName(image)).toBe(name);
  });
});

describe('containerArgv', () => {
  const agnhost = 'registry.k8s.io/e2e-test-images/agnhost:2.53';

  it('containerArgv runs the command and its args from the host, whatever the image', () => {
    expect(containerArgv({ image: 'nginx', command: ['sleep'], args: ['1'] }, '/i')).toEqual(['sleep', '1']);
  });

  it('containerArgv runs the program behind a built-in image', () => {
    const image = 'gcr.io/google-samples/node-hello:1.0';
    expect(containerArgv({ image }, '/i')).toEqual([process.execPath, '/i/node-hello.js']);
    const args = ['netexec', '--http-port=80'];
    expect(containerArgv({ image: agnhost, args }, '/i')).toEqual([process.execPath, '/i/agnhost.js', ...args]);
    expect(containerArgv({ image: agnhost, command: ['/agnhost', ...args] }, '/i')).toEqual([
      process.execPath,
      '/i/agnhost.js',
      ...args,
    ]);
  });

  it('containerArgv waits in a shell for pause', () => {
    const pause = containerArgv({ image: 'registry.k8s.io/pause' }, '/i');
    expect(pause?.[0]).toBe('/bin/sh');
    expect(containerArgv({ image: agnhost }, '/i')).toEqual(pause);
    expect(containerArgv({ image: agnhost, args: ['pause'] }, '/i')).toEqual(pause);
  });

  it('containerArgv has nothing for an unknown image', () => {
    expect(containerArgv({ image: 'nginx', args: ['-g'] }, '/i')).toBeUndefined();
    for (const image of builtInImages) expect(unknownImageMessage('nginx')).toContain(image);
  });
});
