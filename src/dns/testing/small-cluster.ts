import { connect } from '../../client/client.ts';
import type { ApiClient } from '../../client/types.ts';
import { SmallApi } from './api.ts';
import { service } from './objects.ts';

/** For tests: an API with a Service `default/hello` and a headless one, `default/pets`, and a client of it. */
export interface SmallCluster {
  readonly api: SmallApi;
  readonly client: ApiClient;
  readonly stop: () => Promise<void>;
}

export async function startSmallCluster(): Promise<SmallCluster> {
  const api = new SmallApi();
  await api.start();
  api.put('namespaces', 'default', {});
  api.put('services', 'default/hello', service(['10.96.0.20'], 'http:80'));
  api.put('services', 'default/pets', service(['None'], 'http:80'));
  const client = connect({ server: api.url });
  const stop = async () => {
    client.close();
    await api.stop();
  };
  return { api, client, stop };
}
