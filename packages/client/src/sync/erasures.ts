// SPDX-License-Identifier: MIT
// Conversations that were erased, and until when (docs/decisions/0027). Their messages go page by page;
// what was not finished when the program ended is taken up at the next start.
import type { AccountId } from '@allium/protocol/account-id';
import type { Prepared } from '../messaging/notices.ts';
import { placeTime, type Storage, type StoredMessage, type StoredRecord } from '../storage/storage.ts';

const ERASED = 'erased';
// Ours.
const KEEP_MS = 45 * 86_400_000;
const PAGE = 200;

interface Erasure {
  /** Network time in ms; what stands there or before is gone. */
  readonly at: number;
  /** Erased once more at a time that is not confirmed, by a clock that was believed to be ahead by `offset` ms. */
  readonly believed?: { readonly at: number; readonly offset: number };
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
    const erasure = this.#erasures.get(id);
    return erasure && Math.max(erasure.at, erasure.believed?.at ?? 0);
  }

  covers(id: AccountId, place: number): boolean {
    return place <= (this.at(id) ?? Number.NEGATIVE_INFINITY);
  }

  /** The same of what this device says, by a clock that may have to be confirmed. */
  coversOwn(id: AccountId, place: number): boolean {
    const believed = this.#erasures.get(id)?.believed;
    return believed === undefined ? this.covers(id, place) : place <= believed.at;
  }

  *all(): Generator<{ readonly id: AccountId; readonly at: number }> {
    for (const id of this.#erasures.keys()) yield { id, at: this.at(id)! };
  }

  pending(): readonly AccountId[] {
    return [...this.#erasures].filter(([, { isPending }]) => isPending).map(([id]) => id);
  }

  /** Times that wait for `confirm`. */
  get areBelieved(): boolean {
    return [...this.#erasures.values()].some(({ believed }) => believed !== undefined);
  }

  /** `offset`: of the clock that tells `at`, while nobody has confirmed it; local minus network time. */
  set(id: AccountId, at: number, isOwn: boolean, offset?: number): void {
    const { at: before = 0, believed } = this.#erasures.get(id) ?? {};
    this.#erasures.set(id, {
      ...(offset === undefined ? { at: Math.max(at, before) } : { at: before }),
      ...(offset === undefined ? believed && { believed } : { believed: { at, offset } }),
      isPending: true,
      isOwn,
    });
  }

  /**
   * Network time is known: local time is ahead of it by `offset` ms. What a wrong clock told is corrected, and no erasure
   * lies in the future. Those that have another time now.
   */
  confirm(offset: number, now: number): readonly { readonly id: AccountId; readonly believedAt: number }[] {
    const changed: { readonly id: AccountId; readonly believedAt: number }[] = [];
    for (const [id, { believed, ...erasure }] of this.#erasures) {
      if (believed === undefined) continue;
      const corrected = Math.min(believed.at + believed.offset - offset, now);
      this.#erasures.set(id, { ...erasure, at: Math.max(erasure.at, corrected) });
      changed.push({ id, believedAt: believed.at });
    }
    return changed;
  }

  record(id: AccountId): StoredRecord | undefined {
    const value = this.#erasures.get(id);
    return value && { kind: ERASED, key: id, value, expiry: this.at(id)! + KEEP_MS };
  }

  /** Removes what is left. `forget`: what else there is of these messages. */
  async finish(
    id: AccountId,
    storage: Storage,
    deletion: (hashes: readonly string[]) => Prepared,
    forget: (message: StoredMessage) => Promise<void>,
  ): Promise<void> {
    await this.#coverAll(id, storage);
    for (;;) {
      const erasure = this.#erasures.get(id);
      if (erasure?.isPending !== true) return;
      const before = { sender: id, timestamp: this.at(id)! + 1, hash: '' };
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

  /** By a clock that is behind: what is there was there before, whatever it says. Nothing arrives before it is confirmed. */
  async #coverAll(id: AccountId, storage: Storage): Promise<void> {
    if (this.#erasures.get(id)?.believed === undefined) return;
    const [newest] = await storage.history(id, { limit: 1 });
    const erasure = this.#erasures.get(id);
    if (newest === undefined || erasure?.isPending !== true || erasure.believed === undefined) return;
    this.#erasures.set(id, { ...erasure, at: Math.max(erasure.at, placeTime(newest)) });
  }
}
