// SPDX-License-Identifier: MIT
// Files that are fetched without anybody asking, where the settings allow it: of people whom we accept and of our other devices, up
// to a size, never of strangers (spec/client §5.6). What is to be fetched is in the storage until it is here or is given up.
import type { AccountId } from '@allium/protocol/account-id';
import { delay, type Env } from '@allium/protocol/env';
import { AlliumError } from '@allium/protocol/errors';
import { ClientError } from '../errors.ts';
import { Tasks } from '../events.ts';
import type { Contacts } from '../messaging/contacts.ts';
import type { Settings } from '../messaging/settings.ts';
import { Semaphore } from '../network/semaphore.ts';
import type { MessageIdentity, Storage, StoredMessage } from '../storage/storage.ts';
import type { Files } from './files.ts';
import { filesOf } from './stored-attachment.ts';

const KIND = 'download';
/** spec/client §5.6: pauses after failures; then it is given up. */
const PAUSES_MS = [30_000, 30 * 60_000, 6 * 3_600_000];
// Ours.
/** Others come first. */
const AT_ONCE = 2;
const FINAL = new Set(['gone', 'corrupt', 'bad_pointer', 'too_large', 'not_found']);

interface Wanted extends MessageIdentity {
  readonly index: number | 'preview';
  readonly failures: number;
}

interface AutoDownloadsDeps {
  readonly own: AccountId;
  readonly files: Pick<Files, 'open' | 'isHere'>;
  readonly contacts: Contacts;
  readonly settings: Settings;
  readonly storage: Storage;
  readonly env: Env;
}

export class AutoDownloads {
  readonly #deps: AutoDownloadsDeps;
  readonly #tasks: Tasks;
  readonly #places = new Semaphore(AT_ONCE);
  readonly #running = new Set<string>();

  constructor(deps: AutoDownloadsDeps) {
    this.#deps = deps;
    this.#tasks = new Tasks(deps.env.log);
  }

  /** Takes up what an earlier run left. */
  start(): void {
    this.#tasks.run('downloads', async () => {
      for (const { key, value } of await this.#deps.storage.records(KIND)) this.#run(key, value as Wanted);
    });
  }

  async stop(): Promise<void> {
    await this.#tasks.stop(new ClientError('closed', 'the client was closed'));
  }

  /** Of a message that came. */
  consider(message: StoredMessage): void {
    const { own, contacts, settings, storage } = this.#deps;
    const { from, maxBytes } = settings.now.autoDownload;
    const { sender, timestamp } = message;
    if (from === 'nobody' || !(sender === own || contacts.isTrusted(sender))) return;
    const count = message.attachments?.length ?? 0;
    filesOf(message).forEach(({ url, sizeBytes }, place) => {
      // A size that is not told may be any.
      if (url === undefined || sizeBytes === 0 || sizeBytes > maxBytes) return;
      const wanted: Wanted = { sender, timestamp, index: place === count ? 'preview' : place, failures: 0 };
      const key = `${sender} ${timestamp} ${wanted.index}`;
      this.#tasks.run('download', async () => {
        await storage.write({ records: [{ kind: KIND, key, value: wanted }] });
        this.#run(key, wanted);
      });
    });
  }

  #run(key: string, wanted: Wanted): void {
    if (this.#running.has(key)) return;
    this.#running.add(key);
    this.#tasks.run('download', async () => {
      try {
        await this.#fetch(key, wanted);
      } finally {
        this.#running.delete(key);
      }
    });
  }

  async #fetch(key: string, wanted: Wanted): Promise<void> {
    const { files, storage, env } = this.#deps;
    const { signal } = this.#tasks;
    for (let { failures } = wanted; ; ) {
      try {
        using _place = await this.#places.acquire(signal);
        const message = await storage.message(wanted.sender, wanted.timestamp);
        if (message !== undefined && message.marks?.deletedAt === undefined) {
          await files.open(message, wanted.index, { signal });
        }
        break;
      } catch (error) {
        signal.throwIfAborted();
        env.log.debug({ error: String(error) }, 'a file was not fetched');
        const pause = PAUSES_MS[failures++];
        if (pause === undefined || (error instanceof AlliumError && FINAL.has(error.code))) break;
        await storage.write({ records: [{ kind: KIND, key, value: { ...wanted, failures } }] });
        await delay(env.clock, pause, signal);
      }
    }
    await storage.write({ records: [{ kind: KIND, key, value: undefined }] });
  }
}
