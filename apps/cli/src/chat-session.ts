// SPDX-License-Identifier: AGPL-3.0-or-later
// The account of `allium chat`, which can be locked while the program goes on.
import type { Client } from '@allium/client';
import { openClient } from '@allium/client/node';
import { LockableAccount } from '@allium/client/node/app-lock';
import {
  type AccountEntry,
  accountFileOf,
  explained,
  keyTo,
  protectionOf,
  unlock,
  wipeLeftover,
} from './accounts.ts';
import { CliError } from './cli-error.ts';
import { prepareSession, type SessionOptions } from './session.ts';
import { askSecret, remark } from './terminal.ts';

export interface ChatSession extends AsyncDisposable {
  readonly entry: AccountEntry;
  /** Another one after each unlocking. */
  readonly client: Client;
  /** Undefined: nothing protects the account. */
  readonly lock: (() => Promise<void>) | undefined;
  /** Asks until what opens the account is given. @throws CliError 130 when nobody answers any more, or at the signal */
  unlock(signal: AbortSignal): Promise<void>;
}

const EXIT_INTERRUPTED = 130;

/** Opens it unlocked, to receive. @throws CliError */
export async function openChatSession(options: SessionOptions): Promise<ChatSession> {
  const prepared = await prepareSession(options, 'receive');
  const { entry, settings } = prepared;
  try {
    if (!entry.encrypted) {
      const client = await openClient({ ...settings, account: await unlock(entry, options) });
      return {
        entry,
        client,
        lock: undefined,
        unlock: async () => {},
        async [Symbol.asyncDispose]() {
          await client.close();
          await prepared[Symbol.asyncDispose]();
        },
      };
    }
    const account = new LockableAccount({ ...settings, accountFile: accountFileOf(entry) });
    await explained(account.unlock(await keyTo(entry, options)), entry.name);
    wipeLeftover(entry);
    return {
      entry,
      get client() {
        return account.client;
      },
      lock: () => account.lock(),
      unlock: (signal) => askUntilOpen(account, entry, options, signal),
      async [Symbol.asyncDispose]() {
        await account[Symbol.asyncDispose]();
        await prepared[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await prepared[Symbol.asyncDispose]();
    throw error;
  }
}

async function askUntilOpen(
  account: LockableAccount,
  entry: AccountEntry,
  options: SessionOptions,
  signal: AbortSignal,
): Promise<void> {
  const terminal = process.stdin;
  // Also between the questions: what is typed early is echoed nowhere.
  terminal.setRawMode(true);
  try {
    for (;;) {
      try {
        // Asked for, also where a descriptor or a file gave it at the start: that may be anybody who sits there now.
        const answer = await askSecret(
          (await protectionOf(entry)) === 'passphrase' ? 'Passphrase' : 'Enter opens it with the key file',
          '',
          { signal, terminal },
        );
        const key = (await protectionOf(entry)) === 'passphrase' ? answer : await keyTo(entry, options);
        await explained(account.unlock(key), entry.name);
        return;
      } catch (error) {
        if (!(error instanceof CliError) || error.exitCode === EXIT_INTERRUPTED) throw error;
        remark(error.message);
      }
    }
  } finally {
    terminal.setRawMode(false);
  }
}
