// SPDX-License-Identifier: MIT
// What an account tells others (spec/client §6.3); kept in the storage.
import type { Storage, StoredRecord } from '../storage/storage.ts';
import { writeOrUndo } from './write-or-undo.ts';

export interface MessagingSettings {
  /** Tell approved contacts that their messages arrived (ours, docs/decisions/0023). Default true. */
  readonly deliveryReceipts: boolean;
  /** Tell approved contacts that their messages were read, and show what they tell. Default false. */
  readonly readReceipts: boolean;
  /** Tell approved contacts that we are typing, and show what they tell. Default false. */
  readonly typingIndicators: boolean;
  /**
   * Whose files are fetched as soon as their message comes, up to how many bytes; of this device. Never those of strangers. Default: of
   * nobody.
   */
  readonly autoDownload: { readonly from: 'nobody' | 'contacts'; readonly maxBytes: number };
  /** What is kept of files that could be fetched again, of this device; the least recently used goes first. Default 1 GiB. */
  readonly fileCacheBytes: number;
}

export const DEFAULT_SETTINGS: MessagingSettings = {
  deliveryReceipts: true,
  readReceipts: false,
  typingIndicators: false,
  autoDownload: { from: 'nobody', maxBytes: 5_000_000 },
  fileCacheBytes: 1024 * 1024 * 1024,
};
/** Of the record with `MessagingSettings`. */
export const SETTINGS = 'settings';
export const MESSAGING = 'messaging';

export class Settings {
  #now: MessagingSettings;
  readonly #storage: Storage;

  private constructor(storage: Storage, now: MessagingSettings) {
    this.#storage = storage;
    this.#now = now;
  }

  static async load(storage: Storage): Promise<Settings> {
    const kept = await storage.record(SETTINGS, MESSAGING);
    return new Settings(storage, {
      ...DEFAULT_SETTINGS,
      ...(kept?.value as Partial<MessagingSettings> | undefined),
    });
  }

  get now(): MessagingSettings {
    return this.#now;
  }

  async change(change: Partial<MessagingSettings>): Promise<void> {
    const before = this.#now;
    this.put({ ...before, ...change });
    await writeOrUndo(
      this.#storage,
      { records: [this.record()] },
      {
        before,
        changed: Object.keys(change) as (keyof MessagingSettings)[],
        now: () => this.#now,
        put: (undone) => {
          this.put({ ...this.#now, ...undone } as MessagingSettings);
          return this.record();
        },
      },
    );
  }

  /** As it is in the storage, or about to be. */
  put(settings: MessagingSettings): void {
    this.#now = settings;
  }

  record(): StoredRecord {
    return { kind: SETTINGS, key: MESSAGING, value: this.#now };
  }
}
