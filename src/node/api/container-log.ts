import type { ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { logFolder } from '../container-log.ts';
import { type LogOptions, readLogs } from '../log-reader.ts';
import type { NodeApiRequest } from './request.ts';
import { NodeApiError, type NodeApiHost, type ServedPod, servedPod } from './target.ts';

/**
 * Answers with a container's log.
 * @throws NodeApiError
 */
export async function sendContainerLog(asked: NodeApiRequest, to: ServerResponse, host: NodeApiHost): Promise<void> {
  const { namespace, pod, container, query } = asked;
  const served = servedPod(host, namespace, pod);
  const run = loggedRun(served, container, query.get('previous') === 'true');
  const gone = new AbortController();
  to.once('close', () => gone.abort());
  const options: LogOptions = { run, ...readOptions(query), ...following(served, asked, gone.signal) };
  to.writeHead(200, { 'content-type': 'text/plain' });
  to.flushHeaders();
  try {
    await pipeline(readLogs(logFolder(host.stateDir, served.pod, container), options), to);
  } catch (error) {
    // The reader went away.
    if (!gone.signal.aborted) throw error;
  }
}

function following(
  { runs }: ServedPod,
  { container, query }: NodeApiRequest,
  signal: AbortSignal,
): Partial<LogOptions> {
  const log = runs.get(container)?.log;
  if (query.get('follow') !== 'true' || query.get('previous') === 'true' || log === undefined) return {};
  return { follow: { ended: () => log.closed, signal } };
}

/** The restart count of the run whose log is meant, or kubelet's words for why there is none. */
function loggedRun({ pod, state, waitingReason }: ServedPod, container: string, previous: boolean): number {
  const found = state.containers.get(container);
  const podName = pod.metadata?.name ?? '';
  if (found === undefined) throw new NodeApiError(400, `container "${container}" in pod "${podName}" is not available`);
  const { phase, restartCount, last } = found;
  if (previous) {
    if (last !== undefined && restartCount > 0) return restartCount - 1;
    throw new NodeApiError(400, `previous terminated container "${container}" in pod "${podName}" not found`);
  }
  if (phase.kind === 'running' || phase.kind === 'terminated') return restartCount;
  if (last !== undefined && restartCount > 0) return restartCount - 1;
  const reason = waitingReason(container) ?? 'ContainerCreating';
  const why =
    { ErrImagePull: "image can't be pulled", ImagePullBackOff: 'trying and failing to pull image' }[reason] ?? reason;
  throw new NodeApiError(400, `container "${container}" in pod "${podName}" is waiting to start: ${why}`);
}

function readOptions(query: URLSearchParams): Omit<LogOptions, 'run'> {
  const number = (name: string) => {
    const text = query.get(name);
    return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  };
  const tailLines = number('tailLines');
  const limitBytes = number('limitBytes');
  const sinceSeconds = number('sinceSeconds');
  const sinceTime =
    sinceSeconds === undefined ? Date.parse(query.get('sinceTime') ?? '') : Date.now() - sinceSeconds * 1000;
  return {
    timestamps: query.get('timestamps') === 'true',
    ...(tailLines === undefined ? {} : { tailLines }),
    ...(limitBytes === undefined ? {} : { limitBytes }),
    ...(Number.isNaN(sinceTime) ? {} : { sinceTime }),
  };
}
