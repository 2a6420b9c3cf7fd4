import { readdirSync, readFileSync } from 'node:fs';
import type { MetricRegistry } from './metrics.ts';

/** Adds what Prometheus' own clients say of every process, asked for when it is written. */
export function addProcessMetrics(registry: MetricRegistry): void {
  // A component may be several processes.
  const gauge = (name: string, help: string, read: () => number) =>
    registry.readGauge({ name, help, isShared: true }, read);
  registry.readCounter(
    { name: 'process_cpu_seconds_total', help: 'Time of processors used, in user and system.' },
    () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
  );
  gauge('process_resident_memory_bytes', 'Resident memory.', () => process.memoryUsage.rss());
  gauge('process_virtual_memory_bytes', 'Virtual memory.', virtualMemory);
  const started = { name: 'process_start_time_seconds', help: 'When the process started.' };
  registry.readGauge(started, () => performance.timeOrigin / 1000);
  gauge('process_open_fds', 'Open file descriptors.', () => readdirSync('/proc/self/fd').length);
}

/** Field 23 of proc_pid_stat(5); the command, which may hold blanks, stands in parentheses before field 3. */
function virtualMemory(): number {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[20]);
}
