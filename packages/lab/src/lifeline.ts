// SPDX-License-Identifier: AGPL-3.0-or-later
// Keeps started processes from outliving whoever started them. The parent hands the child one end of a pipe as
// descriptor 3 and names it in ALLIUM_LIFELINE; the kernel closes the pipe when the parent is gone, even after SIGKILL.
import { Socket } from 'node:net';

/** Ours: time for a clean stop after the parent went, in ms; then the process ends at once. */
const STOP_TIMEOUT_MS = 5_000;

/** For the child: behaves as on SIGTERM once the parent is gone. Does nothing in a process without a lifeline. */
export function followParent(): void {
  const descriptor = Number(process.env.ALLIUM_LIFELINE);
  // Our own children get a lifeline of their own, or none.
  delete process.env.ALLIUM_LIFELINE;
  if (!Number.isInteger(descriptor) || descriptor < 3) return;
  let over = false;
  const end = () => {
    if (over) return;
    over = true;
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), STOP_TIMEOUT_MS).unref();
    process.kill(process.pid, 'SIGTERM');
  };
  const pipe = new Socket({ fd: descriptor, readable: true, writable: false });
  pipe.on('error', end);
  pipe.on('close', end);
  pipe.resume();
  pipe.unref();
}
