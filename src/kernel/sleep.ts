const neverWoken = new Int32Array(new SharedArrayBuffer(4));

/** Keeps the thread from going on for some milliseconds: for what the kernel is about to do and tells nobody of. */
export function sleep(milliseconds: number): void {
  Atomics.wait(neverWoken, 0, 0, milliseconds);
}
