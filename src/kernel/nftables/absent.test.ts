import { afterEach, describe, expect, test, vi } from 'vitest';
import { errnoNumber, KernelError } from '../ffi.ts';
import { type NetlinkSocket, openNetlink } from '../netlink/socket.ts';
import { openNftables } from './table.ts';

// No machine can be had that lacks the thing and runs the rest; so the kernel's answers are put in its mouth.
vi.mock('../netlink/socket.ts', () => ({ openNetlink: vi.fn() }));
afterEach(() => vi.mocked(openNetlink).mockReset());

function refusal(errno: number): KernelError {
  return new KernelError('ask', errno);
}

/** A socket to netfilter that knows no such subsystem. */
function deafSocket(errno: number): NetlinkSocket {
  return {
    maxMessageBytes: 0,
    request: () => {
      throw refusal(errno);
    },
    dump: () => [],
    dumpInSteps: vi.fn(),
    transact: () => [],
    close: vi.fn(),
  };
}

describe('openNftables', () => {
  test.each([errnoNumber.EINVAL, errnoNumber.EOPNOTSUPP])('says that there is no nf_tables, errno %i', (errno) => {
    const socket = deafSocket(errno);
    vi.mocked(openNetlink).mockReturnValue(socket);
    expect(() => openNftables('example')).toThrow(expect.objectContaining({ code: 'KERNEL_LACKS_NFTABLES' }));
    expect(socket.close).toHaveBeenCalledOnce();
  });

  test('says so too without any netfilter netlink', () => {
    vi.mocked(openNetlink).mockImplementation(() => {
      throw refusal(errnoNumber.EPROTONOSUPPORT);
    });
    expect(() => openNftables('example')).toThrow(/modprobe nf_tables/);
  });

  test('does not call another failure by that name', () => {
    const socket = deafSocket(errnoNumber.EPERM);
    vi.mocked(openNetlink).mockReturnValue(socket);
    expect(() => openNftables('example')).toThrow(expect.objectContaining({ code: 'EPERM' }));
    expect(socket.close).toHaveBeenCalledOnce();
  });
});
