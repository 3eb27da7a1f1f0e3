// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium chat`: conversations in the terminal. The screen before it comes back however it ends; while the account is locked
// nothing of it stands on the screen, and its keys and messages are not in memory.
import { render } from 'ink';
import { createElement } from 'react';
import { AppLock } from '../chat/app-lock.ts';
import { ChatController } from '../chat/controller.ts';
import { ChatStore } from '../chat/store.ts';
import { App } from '../chat/view/app.ts';
import { type ChatSession, openChatSession } from '../chat-session.ts';
import { CliError, usage } from '../cli-error.ts';
import { keepLockMinutes, keptLockMinutes } from '../lock-settings.ts';
import type { SessionOptions } from '../session.ts';
import { onStopSignal, type StopSignal } from '../stop-signal.ts';
import { progress, remark } from '../terminal.ts';

/** Ours: what is still under way when the person has left is taken up at the next start. */
const CLOSE_MS = 2_000;
// A row that a terminal makes wider than it should be ends at the edge.
const NO_WRAP = '\x1b[?7l';
const WRAP = '\x1b[?7h';
// The screen of its own, cleared; and back to the one before.
const ALTERNATE_SCREEN = '\x1b[?1049h\x1b[2J\x1b[H';
const MAIN_SCREEN = '\x1b[2J\x1b[?1049l';

interface ChatOptions extends SessionOptions {
  /** Minutes; 0: only by hand. */
  readonly lockAfter?: number;
}

/** How a sitting ended, and at which conversation. */
interface Ended {
  readonly how: 'quit' | 'locked';
  readonly openId: string | undefined;
}

export async function runChat(options: ChatOptions): Promise<number> {
  if (!process.stdin.isTTY || !process.stdout.isTTY) {
    throw new CliError('chat needs a terminal; "allium send" and "allium listen" are for scripts', 2);
  }
  const stop = onStopSignal();
  const session = await openChatSession(options);
  try {
    if (session.lock === undefined && (options.lockAfter ?? 0) > 0) {
      throw usage(
        `--lock-after needs an account with a passphrase or a key file: "allium account passphrase --account ${session.entry.name}"`,
      );
    }
    let openId: string | undefined;
    for (;;) {
      const lock = lockOf(session, options);
      const ended = await sitting(session, lock, openId, stop);
      if (ended.how === 'quit') return 0;
      openId = ended.openId;
      if (!(await unlocked(session, stop))) return 0;
    }
  } finally {
    await closed(session);
  }
}

type LockChoice = Omit<ConstructorParameters<typeof AppLock>[0], 'lock'>;

function lockOf({ entry, lock }: ChatSession, { lockAfter }: ChatOptions): LockChoice | undefined {
  if (lock === undefined) return undefined;
  const kept = keptLockMinutes(entry);
  return {
    afterMinutes: lockAfter === undefined ? kept : lockAfter || undefined,
    keep: (minutes) => keepLockMinutes(entry, minutes),
  };
}

/** From an open account until its user leaves or it is locked. */
async function sitting(
  { client }: ChatSession,
  lock: LockChoice | undefined,
  openId: string | undefined,
  stop: StopSignal,
): Promise<Ended> {
  const { stdout } = process;
  const store = new ChatStore(client);
  const { promise: ended, resolve: end } = Promise.withResolvers<Ended['how']>();
  const appLock = lock && new AppLock({ ...lock, lock: () => end('locked') });
  const size = { columns: stdout.columns, rows: stdout.rows };
  const controller = new ChatController(store, size, {
    quit: () => end('quit'),
    ...(appLock !== undefined && { lock: appLock }),
  });
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
  appLock?.start();
  const loaded = store.attempt(async () => {
    await store.start();
    if (openId !== undefined) await controller.open(openId);
  });
  let how: Ended['how'] = 'quit';
  try {
    how =
      (await Promise.race([ended, stop.stopped, screen.waitUntilExit()])) === 'locked' ? 'locked' : 'quit';
    await controller.stop();
  } finally {
    appLock?.stop();
    screen.unmount();
    await screen.waitUntilExit().catch(() => undefined);
    process.off('exit', restore);
    restore();
    store.stop();
    await loaded;
  }
  return { how, openId: store.snapshot().open?.id };
}

/** Locks, and waits for who can open it. False: nobody did, and the program is to end. */
async function unlocked(session: ChatSession, stop: StopSignal): Promise<boolean> {
  const { stdout } = process;
  const leave = () => stdout.write(MAIN_SCREEN);
  stdout.write(ALTERNATE_SCREEN);
  process.once('exit', leave);
  try {
    const line = progress('Locking');
    await session.lock?.();
    line.done();
    remark(
      `Account ${session.entry.name} is locked. Nothing is received meanwhile. Ctrl-C ends the program.`,
    );
    remark('');
    await session.unlock(stop.signal);
    return true;
  } catch (error) {
    if (error instanceof CliError && error.exitCode === 130) return false;
    throw error;
  } finally {
    process.off('exit', leave);
    leave();
  }
}

/** Closes it; a network that does not answer keeps nobody waiting. */
async function closed(session: ChatSession): Promise<void> {
  const closing = session[Symbol.asyncDispose]();
  const late = new Promise<'late'>((resolve) => setTimeout(() => resolve('late'), CLOSE_MS).unref());
  if ((await Promise.race([closing, late])) !== 'late') return;
  // What the program was about to say is said first.
  setImmediate(() => process.exit());
}
