import { join } from 'node:path';

/** What an image without a `command` runs. */
interface ImageProgram {
  readonly command: readonly string[];
  /** Used when the container gives no `args`. */
  readonly args: readonly string[];
}

// As process 1 a shell must be told to end, and must wait in pieces to be able to hear it.
const pauseScript = 'trap "exit 0" TERM INT; while :; do sleep 86400 & wait $!; done';
const pause: ImageProgram = { command: ['/bin/sh', '-c', pauseScript], args: [] };

/** The built-in images, by name without registry tag or digest. */
const builtIn: Readonly<Record<string, (imageDir: string, args: readonly string[]) => ImageProgram>> = {
  'gcr.io/google-samples/node-hello': (imageDir) => nodeProgram(imageDir, 'node-hello', []),
  'registry.k8s.io/e2e-test-images/agnhost': (imageDir, args) =>
    // A shell of one megabyte does for waiting; a JavaScript engine would take forty.
    (args[0] ?? 'pause') === 'pause' ? pause : nodeProgram(imageDir, 'agnhost', []),
  'registry.k8s.io/pause': () => pause,
};

/** Names of the built-in images. */
export const builtInImages: readonly string[] = Object.keys(builtIn);

function nodeProgram(imageDir: string, program: string, args: readonly string[]): ImageProgram {
  return { command: [process.execPath, join(imageDir, `${program}.js`)], args };
}

/** The image's name without tag and digest: `registry.k8s.io/pause:3.10@sha256:…` is `registry.k8s.io/pause`. */
export function imageName(image: string): string {
  const withoutDigest = image.split('@', 1)[0] ?? '';
  // A colon before the last slash belongs to the registry's port.
  return withoutDigest.replace(/:[^/:]*$/, '');
}

/**
 * The words to run for a container: its `command` and `args`, from the host's file system; without a command what the
 * built-in image runs, with the container's `args` or the image's own.
 * @param imageDir where the programs of the built-in images lie
 * @returns `undefined` when there is neither a command nor such an image
 */
export function containerArgv(
  container: { readonly image?: string; readonly command?: readonly string[]; readonly args?: readonly string[] },
  imageDir: string,
): readonly string[] | undefined {
  const { image = '', command = [], args = [] } = container;
  // The one program of the real agnhost image, by the path it has there.
  const agnhost = imageName(image).endsWith('/agnhost') && command[0] === '/agnhost';
  if (agnhost) return containerArgv({ image, args: [...command.slice(1), ...args] }, imageDir);
  if (command.length > 0) return [...command, ...args];
  const program = builtIn[imageName(image)]?.(imageDir, args);
  if (program === undefined) return undefined;
  if (program === pause) return pause.command;
  return [...program.command, ...(args.length > 0 ? args : program.args)];
}

/** What is told about an image that nothing can be run for. */
export function unknownImageMessage(image: string): string {
  return (
    `no image can be pulled here, and "${image}" is not built in: give the container a "command" that runs a program ` +
    `of the host, or use one of the built-in images: ${builtInImages.join(', ')}`
  );
}
