// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium chat`: conversations in the terminal. The screen before it comes back however it ends.
import { render } from 'ink';
import { createElement } from 'react';
import { ChatController } from '../chat/controller.ts';
import { ChatStore } from '../chat/store.ts';
import { App } from '../chat/view/app.ts';
import { CliError } from '../cli-error.ts';
import { openSession, type Session, type SessionOptions } from '../session.ts';
import { onStopSignal } from '../stop-signal.ts';

/** Ours: what is still under way when the person has left is taken up at the next start. */
const CLOSE_MS = 2_000;
// A row that a terminal makes wider than it should be ends at the edge.
const NO_WRAP = '\x1b[?7l';
const WRAP = '\x1b[?7h';

export async function runChat(options: SessionOptions): Promise<number> {
  const { stdin, stdout } = process;
  if (!stdin.isTTY || !stdout.isTTY) {
    throw new CliError('chat needs a terminal; "allium send" and "allium listen" are for scripts', 2);
  }
  const stop = onStopSignal();
  const session = await openSession(options, 'receive', { isQuiet: true });
  const store = new ChatStore(session.client);
  let end: () => void = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const size = { columns: stdout.columns, rows: stdout.rows };
  const controller = new ChatController(store, size, end);
  stdout.write(NO_WRAP);
  // Also when something throws: the shell that follows needs it.
  const restore = () => stdout.write(WRAP);
  process.once('exit', restore);
  const screen = render(createElement(App, { controller }), {
    alternateScreen: true,
    exitOnCtrlC: false,
    incrementalRendering: true,
    // The terminal is one, whatever the environment says of continuous integration.
    interactive: true,
  });
  const loaded = store.attempt(() => store.start());
  try {
    await Promise.race([ended, stop.stopped, screen.waitUntilExit()]);
    await controller.stop();
  } finally {
    screen.unmount();
    await screen.waitUntilExit().catch(() => undefined);
    process.off('exit', restore);
    restore();
    store.stop();
    await loaded;
    await closed(session);
  }
  return 0;
}

/** Closes it; a network that does not answer keeps nobody waiting. */
async function closed(session: Session): Promise<void> {
  const closing = session[Symbol.asyncDispose]();
  const late = new Promise<'late'>((resolve) => setTimeout(() => resolve('late'), CLOSE_MS).unref());
  if ((await Promise.race([closing, late])) !== 'late') return;
  // What the program was about to say is said first.
  setImmediate(() => process.exit()).unref();
}
