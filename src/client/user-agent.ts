/** The Kubernetes release whose API is spoken. */
const release = 'v1.36';

/**
 * How a component calls itself to the API server, in the form of Kubernetes' own components. The name before the slash
 * is the manager that its fields are under.
 */
export function userAgentOf(component: string): string {
  return `${component}/${release} (linux/${process.arch === 'x64' ? 'amd64' : process.arch})`;
}
