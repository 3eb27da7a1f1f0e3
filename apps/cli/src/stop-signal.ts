// SPDX-License-Identifier: AGPL-3.0-or-later
// Ctrl-C and its relatives, for commands that run until they are told to end.

/** Ours: the terminal and the launcher both pass a Ctrl-C on, so a second one counts only after this time, in ms. */
const SAME_SIGNAL_MS = 1_000;

export interface StopSignal {
  /** Aborts at the first SIGINT, SIGTERM or SIGHUP. */
  readonly signal: AbortSignal;
  /** Resolves at the same moment. */
  readonly stopped: Promise<void>;
}

/** From now on signals ask for a clean end; a second Ctrl-C ends the process at once. */
export function onStopSignal(): StopSignal {
  const controller = new AbortController();
  let first = 0;
  const handle = () => {
    if (first === 0) {
      first = Date.now();
      controller.abort(new Error('stopped'));
    } else if (Date.now() - first > SAME_SIGNAL_MS) {
      process.exit(130);
    }
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, handle);
  const stopped = new Promise<void>((resolve) => {
    controller.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  return { signal: controller.signal, stopped };
}
