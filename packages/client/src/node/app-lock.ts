// SPDX-License-Identifier: MIT
// An account that a long-running program can lock: while it is locked, neither its keys nor its messages are in memory, and
// opening it takes the passphrase or the key file again. When to lock is the program's matter.
import type { Account } from '@allium/protocol/account';
import { AlliumError } from '@allium/protocol/errors';
import type { Client } from '../client.ts';
import { readAccountFile } from './account-file.ts';
import { type OpenOptions, openClient } from './node.ts';
import type { Unlock } from './seed-file.ts';

/** `locked`: unlock it first. */
export class LockError extends AlliumError<'locked'> {
  override readonly name = 'LockError';
}

export interface LockableOptions extends Omit<OpenOptions, 'account'> {
  /** Path of the account file. */
  readonly accountFile: string;
}

interface Open {
  readonly account: Account;
  readonly client: Client;
}

export class LockableAccount implements AsyncDisposable {
  readonly #options: LockableOptions;
  #open: Open | undefined;
  /** The change that runs. */
  #turn: Promise<unknown> = Promise.resolve();

  /** Locked at first. */
  constructor(options: LockableOptions) {
    this.#options = options;
  }

  get isLocked(): boolean {
    return this.#open === undefined;
  }

  /** Another object after each unlocking. @throws LockError */
  get client(): Client {
    if (this.#open === undefined) throw new LockError('locked', 'the account is locked');
    return this.#open.client;
  }

  /**
   * Opens the account and its client. Of an account that is open it only checks what was given.
   * @throws AccountFileError `wrong_passphrase` and others; what `openClient` throws
   */
  unlock(unlock: Unlock): Promise<Client> {
    return this.#inTurn(async () => {
      const { accountFile, ...options } = this.#options;
      const account = await readAccountFile(accountFile, unlock);
      if (this.#open !== undefined) {
        account.dispose();
        return this.#open.client;
      }
      try {
        const client = await openClient({ ...options, account });
        this.#open = { account, client };
        return client;
      } catch (error) {
        account.dispose();
        throw error;
      }
    });
  }

  /**
   * Ends the client, closes its storage and wipes the keys. Texts that the program has shown, and strings that the runtime
   * has not cleaned up yet, are beyond it. Harmless when it is locked.
   */
  lock(): Promise<void> {
    return this.#inTurn(async () => {
      const open = this.#open;
      this.#open = undefined;
      if (open === undefined) return;
      try {
        await open.client.close();
      } finally {
        open.account.dispose();
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lock();
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }
}
