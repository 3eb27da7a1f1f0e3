// SPDX-License-Identifier: MIT
// Times for what this account sends. Sender and time are a message's identity (spec/client §2.7), and several processes may send from one
// storage, also after a restart with a clock that went back: a time is taken when the storage has taken it.
import type { AccountId } from '@allium/protocol/account-id';
import type { NetworkClock } from '../network/clock.ts';
import { type Storage, StorageError } from '../storage/storage.ts';

export class OwnTimes {
  readonly #own: AccountId;
  readonly #clock: NetworkClock;
  readonly #storage: Storage;

  constructor(own: AccountId, clock: NetworkClock, storage: Storage) {
    this.#own = own;
    this.#clock = clock;
    this.#storage = storage;
  }

  /** `around`, default now, or shortly after it: no message of ours in this storage has it. */
  async free(around?: number): Promise<number> {
    let time = this.#clock.unique(around);
    while ((await this.#storage.message(this.#own, time)) !== undefined) time = this.#clock.unique(time + 1);
    return time;
  }

  /** `write` is called with a free time, and with the next one when somebody else had taken it (`Changes.fresh`). */
  async take<T>(time: number, write: (time: number) => Promise<T>): Promise<T> {
    for (let tried = time; ; tried = await this.free(tried + 1)) {
      try {
        return await write(tried);
      } catch (error) {
        if (!(error instanceof StorageError && error.code === 'taken')) throw error;
      }
    }
  }
}
