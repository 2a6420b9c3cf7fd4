import type { EventRecorder } from '../client/events.ts';
import type { ContestChange } from '../model/service-model.ts';
import type { HealthCheck } from '../model/types.ts';
import type { Notice } from './backend.ts';

/** Who records events, and the objects they are about. */
export interface ProxyEventsOptions {
  readonly recorder: Pick<EventRecorder, 'record'>;
  readonly nodeName: string;
  /** The UID of a Service, by `namespace/name`, as far as it is known. */
  readonly serviceUid: (service: string) => string | undefined;
}

/** The events of a proxy, as `kubectl describe` shows them at its Node and at Services. */
export class ProxyEvents {
  readonly #options: ProxyEventsOptions;

  constructor(options: ProxyEventsOptions) {
    this.#options = options;
  }

  starting(): void {
    this.#aboutNode('Normal', 'Starting', '');
  }

  /** Of an address and port that several Services claim: those that wait are told. */
  contested({ frontend, owner, waiting }: ContestChange): void {
    if (owner === undefined) return;
    for (const servicePort of waiting) {
      this.#aboutService(
        serviceOf(servicePort),
        'AddressClaimed',
        `${frontend} is served for ${owner}, which had it first`,
      );
    }
  }

  refused(servicePort: string, error: Error): void {
    const message = `Node ${this.#options.nodeName} cannot serve ${servicePort}: ${error.message}`;
    this.#aboutService(serviceOf(servicePort), 'FailedToServe', message);
  }

  /** Reason and wording are those that kube-proxy has, which people search for. */
  healthPortTaken({ namespace, name, port }: HealthCheck, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    const service = `${namespace}/${name}`;
    const message = `node ${this.#options.nodeName} failed to start healthcheck "${service}" on port ${port}: ${reason}`;
    this.#aboutService(service, 'FailedToStartServiceHealthcheck', message);
  }

  noticed({ servicePort, reason, message }: Notice): void {
    if (servicePort === undefined) this.#aboutNode('Warning', reason, message);
    else this.#aboutService(serviceOf(servicePort), reason, message);
  }

  /** kubectl looks for a Node's events by its name in place of its UID, as kubelet and kube-proxy write them. */
  #aboutNode(type: 'Normal' | 'Warning', reason: string, message: string): void {
    const { recorder, nodeName: name } = this.#options;
    recorder.record({ apiVersion: 'v1', kind: 'Node', metadata: { name, uid: name } }, { type, reason, message });
  }

  #aboutService(service: string, reason: string, message: string): void {
    const [namespace = '', name = ''] = service.split('/');
    const uid = this.#options.serviceUid(service);
    const metadata = { namespace, name, ...(uid === undefined ? {} : { uid }) };
    this.#options.recorder.record(
      { apiVersion: 'v1', kind: 'Service', metadata },
      { type: 'Warning', reason, message },
    );
  }
}

/** `namespace/name` of `namespace/name:port`. */
function serviceOf(servicePort: string): string {
  const end = servicePort.indexOf(':');
  return end < 0 ? servicePort : servicePort.slice(0, end);
}
