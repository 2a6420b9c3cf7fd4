import { describe } from 'vitest';
import { requireMode } from '../../src/proxy/mode-needs.ts';
import { type ProxyMode, proxyModes } from '../../src/proxy/proxy-mode.ts';

/**
 * Tests in every mode; those that this machine cannot do are shown as skipped, with what is missing. The environment
 * variable PROXY_MODE asks for a single mode, which then has to work.
 */
export function describeModes(title: string, tests: (mode: ProxyMode) => void): void {
  const asked = process.env.PROXY_MODE;
  for (const mode of proxyModes.filter((name) => asked === undefined || name === asked)) {
    const lack = asked === undefined ? lackOf(mode) : undefined;
    if (lack === undefined) describe(`${title}, the ${mode} mode:`, () => tests(mode));
    else describe.skip(`${title}, the ${mode} mode (${lack})`, () => tests(mode));
  }
}

function lackOf(mode: ProxyMode): string | undefined {
  try {
    requireMode(mode);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
