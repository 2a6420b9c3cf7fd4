import { accessSync, constants, readlinkSync } from 'node:fs';
import { namespaceFlag, unshare } from '../src/kernel/ffi.ts';
import { makePrivate } from '../src/kernel/mounts.ts';
import { netnsIdentity, unshareNetns } from '../src/kernel/netns.ts';

/**
 * Moves a test file's process into a network namespace of its own, loopback up, before the first test; and out of the
 * machine's mount namespace when it is in it. Throws when it cannot: a kernel test must not run on the machine itself.
 */
const before = netnsIdentity();
unshareNetns();
if (netnsIdentity() === before) throw new Error('kernel tests: still in the network namespace they started in');
if (sharesMountsWithInit()) {
  unshare(namespaceFlag.mount);
  makePrivate('/');
}

// Tests call iptables themselves, whose legacy variant wants to lock a file of root's; see `openIptables`.
try {
  accessSync('/run', constants.W_OK);
} catch {
  process.env.XTABLES_LOCKFILE = '/proc/self/ns/net';
}

function sharesMountsWithInit(): boolean {
  try {
    return readlinkSync('/proc/1/ns/mnt') === readlinkSync('/proc/thread-self/ns/mnt');
  } catch {
    // Init's is not for an ordinary user to see, who has made one of his own to come this far.
    return false;
  }
}
