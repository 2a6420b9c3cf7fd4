/** The Kubernetes release whose API is spoken, as `/version` says it. Clients compare the numbers. */
export const version = {
  major: '1',
  minor: '36',
  gitVersion: 'v1.36.0+signalbox',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: '',
  compiler: 'node',
  platform: `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`,
} as const;
