/*
 * Lets a user-mode Linux kernel older than its host's processor run: to be preloaded into it (LD_PRELOAD).
 *
 * Such a kernel keeps the floating-point state of its processes in a buffer as long as the state was when it was built.
 * Where the processor has more (the tile registers of AMX take another 8 KiB), ptrace(2) gives the beginning of the
 * state, but takes nothing back but the whole. So the rest is added here: zeros, with its bits in the header
 * (XSTATE_BV, at byte 512) cleared, which says "as after a reset". Programs in there never use those registers, as
 * Linux gives them only to a process that has asked for them.
 *
 * No header is included, so that a compiler is enough to build it.
 */
typedef unsigned long word;
struct iovec {
  void *base;
  word length;
};

long syscall(long number, ...);

enum { SYS_ptrace = 101, PTRACE_PEEKUSER = 3, PTRACE_GETREGSET = 0x4204, PTRACE_SETREGSET = 0x4205, NT_X86_XSTATE = 0x202 };
/* Components up to AVX-512 and protection keys: what lies within the buffer of such a kernel. */
static const word kept = 0x2ff;

static unsigned char whole[1 << 16] __attribute__((aligned(64)));
static word wholeLength;

static long setState(long process, const struct iovec *given) {
  struct iovec state = {whole, sizeof whole};
  if (wholeLength == 0) {
    if (syscall(SYS_ptrace, PTRACE_GETREGSET, process, NT_X86_XSTATE, &state) < 0) return -1;
    wholeLength = state.length;
  }
  for (word i = 0; i < wholeLength; i++) whole[i] = i < given->length ? ((unsigned char *)given->base)[i] : 0;
  if (given->length < wholeLength) *(word *)(whole + 512) &= kept;
  state.length = wholeLength;
  return syscall(SYS_ptrace, PTRACE_SETREGSET, process, NT_X86_XSTATE, &state);
}

/* As the C library's, which gives what a peek finds as its result, where the system call wants a place for it. */
long ptrace(long request, long process, void *address, void *data) {
  if (request == PTRACE_SETREGSET && (long)address == NT_X86_XSTATE) return setState(process, data);
  if (request < 1 || request > PTRACE_PEEKUSER) return syscall(SYS_ptrace, request, process, address, data);
  long found;
  return syscall(SYS_ptrace, request, process, address, &found) < 0 ? -1 : found;
}
