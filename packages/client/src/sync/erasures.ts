// SPDX-License-Identifier: MIT
// Conversations that were erased, and until when (docs/decisions/0027). Their messages go page by page;
// what was not finished when the program ended is taken up at the next start.
import type { AccountId } from '@allium/protocol/account-id';
import type { Prepared } from '../messaging/notices.ts';
import type { Storage, StoredMessage, StoredRecord } from '../storage/storage.ts';

const ERASED = 'erased';
// Ours.
const KEEP_MS = 45 * 86_400_000;
const PAGE = 200;

interface Erasure {
  /** Network time in ms; what stands there or before is gone. */
  readonly at: number;
  /** There may be messages left. */
  readonly isPending: boolean;
  /** This device also deletes them from our swarm. */
  readonly isOwn: boolean;
}

export class Erasures {
  readonly #erasures = new Map<AccountId, Erasure>();

  static async load(storage: Storage): Promise<Erasures> {
    const erasures = new Erasures();
    for (const { key, value } of await storage.records(ERASED)) {
      erasures.#erasures.set(key as AccountId, value as Erasure);
    }
    return erasures;
  }

  at(id: AccountId): number | undefined {
    return this.#erasures.get(id)?.at;
  }

  covers(id: AccountId, place: number): boolean {
    return place <= (this.at(id) ?? Number.NEGATIVE_INFINITY);
  }

  *all(): Generator<{ readonly id: AccountId; readonly at: number }> {
    for (const [id, { at }] of this.#erasures) yield { id, at };
  }

  pending(): readonly AccountId[] {
    return [...this.#erasures].filter(([, { isPending }]) => isPending).map(([id]) => id);
  }

  set(id: AccountId, at: number, isOwn: boolean): void {
    const latest = Math.max(at, this.at(id) ?? at);
    this.#erasures.set(id, { at: latest, isPending: true, isOwn });
  }

  record(id: AccountId): StoredRecord | undefined {
    const value = this.#erasures.get(id);
    return value && { kind: ERASED, key: id, value, expiry: value.at + KEEP_MS };
  }

  /** Removes what is left. `forget`: what else there is of these messages. */
  async finish(
    id: AccountId,
    storage: Storage,
    deletion: (hashes: readonly string[]) => Prepared,
    forget: (message: StoredMessage) => Promise<void>,
  ): Promise<void> {
    for (;;) {
      const erasure = this.#erasures.get(id);
      if (erasure?.isPending !== true) return;
      const before = { sender: id, timestamp: erasure.at + 1, hash: '' };
      const page = await storage.history(id, { limit: PAGE, before });
      for (const message of page) await forget(message);
      const hashes = erasure.isOwn ? page.flatMap(({ hash }) => hash ?? []) : [];
      const deleted = hashes.length > 0 ? deletion(hashes) : undefined;
      const isDone = page.length < PAGE && this.#erasures.get(id) === erasure;
      if (isDone) this.#erasures.set(id, { ...erasure, isPending: false });
      const record = isDone ? this.record(id) : undefined;
      try {
        await storage.write({
          removed: page.map(({ sender, timestamp }) => ({ sender, timestamp })),
          records: [
            ...(deleted === undefined ? [] : [deleted.record]),
            ...(record === undefined ? [] : [record]),
          ],
        });
      } catch (error) {
        if (isDone) this.#erasures.set(id, erasure);
        throw error;
      }
      deleted?.taken();
    }
  }
}
