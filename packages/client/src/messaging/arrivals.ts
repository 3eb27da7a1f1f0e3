// SPDX-License-Identifier: MIT
// Messages that came, handed out to the program one by one; the storage remembers which it had.
import { Signal } from '../events.ts';
import type { Storage, StoredMessage } from '../storage/storage.ts';

/** Ours: fetched from the storage at once. */
const AT_ONCE = 100;

export class Arrivals {
  readonly #storage: Storage;
  readonly #closing: AbortSignal;
  readonly #arrived = new Signal();
  #count = 0;

  constructor(storage: Storage, closing: AbortSignal) {
    this.#storage = storage;
    this.#closing = closing;
  }

  /** Since the start. */
  get count(): number {
    return this.#count;
  }

  /** One more is in the storage. */
  notify(): void {
    this.#count++;
    this.#arrived.notify();
  }

  /** Until `signal` or the client's end. One that was deleted before it was had is left out. One loop at a time. */
  async *handOut(signal?: AbortSignal): AsyncGenerator<StoredMessage, void, void> {
    const end = signal === undefined ? this.#closing : AbortSignal.any([signal, this.#closing]);
    while (!end.aborted) {
      const before = this.#count;
      const batch = await this.#storage.unhandled(AT_ONCE);
      for (const message of batch) {
        if (end.aborted) return;
        try {
          if (message.marks?.deletedAt === undefined) yield message;
        } finally {
          // Closed meanwhile: the message comes again at the next start.
          if (!this.#closing.aborted) await this.#storage.write({ handled: [message] });
        }
      }
      if (batch.length === 0 && before === this.#count) {
        await this.#arrived.wait(end).catch(() => undefined);
      }
    }
  }
}
