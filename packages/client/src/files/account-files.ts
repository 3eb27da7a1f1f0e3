// SPDX-License-Identifier: MIT
// The parts that care for the files of one account, put together.
import type { Account } from '@allium/protocol/account';
import type { Env } from '@allium/protocol/env';
import { Tasks } from '../events.ts';
import type { Contacts } from '../messaging/contacts.ts';
import type { OwnProfile } from '../messaging/profile.ts';
import type { Settings } from '../messaging/settings.ts';
import type { Network } from '../network/network.ts';
import type { NetworkPreset } from '../network/presets.ts';
import type { Storage, StoredMessage } from '../storage/storage.ts';
import { AutoDownloads } from './auto-downloads.ts';
import type { Contents } from './contents.ts';
import { Downloads } from './downloads.ts';
import { Files } from './files.ts';
import { Pictures } from './pictures.ts';
import { Transfers } from './transfers.ts';
import { type FileProgress, Uploads } from './uploads.ts';

interface AccountFilesDeps {
  readonly account: Account;
  readonly network: Network;
  readonly contacts: Contacts;
  readonly settings: Settings;
  readonly profile: OwnProfile;
  readonly contents: Contents;
  readonly storage: Storage;
  readonly env: Env;
  readonly onUpload: (progress: FileProgress) => void;
  readonly onDownload: (progress: FileProgress) => void;
}

export class AccountFiles {
  readonly files: Files;
  readonly uploads: Uploads;
  readonly pictures: Pictures;
  readonly #contents: Contents;
  readonly #autoDownloads: AutoDownloads;
  readonly #forgetting: Tasks;

  constructor(servers: NetworkPreset['fileServers'], deps: AccountFilesDeps) {
    const { account, network, contacts, settings, profile, contents, storage, env } = deps;
    const transfers = new Transfers(servers, { account, network, env });
    const downloads = new Downloads({ transfers, contents });
    this.#contents = contents;
    this.#forgetting = new Tasks(env.log);
    this.uploads = new Uploads({ transfers, contents, storage, env, onProgress: deps.onUpload });
    const { uploads } = this;
    this.files = new Files({ transfers, contents, uploads, downloads, onProgress: deps.onDownload });
    const { files } = this;
    this.#autoDownloads = new AutoDownloads({ own: account.id, files, contacts, settings, storage, env });
    this.pictures = new Pictures({
      ...{ transfers, contents, profile, storage, env },
      now: () => network.clock.now(),
    });
    this.limitCache(settings.now.fileCacheBytes);
  }

  start(): void {
    this.#autoDownloads.start();
    this.pictures.start();
  }

  /** Waits until nothing runs, and closes the store of contents. */
  async stop(): Promise<void> {
    await this.#autoDownloads.stop();
    await this.pictures.stop();
    await this.#forgetting.idle();
    await this.#contents.close();
  }

  /** A message came: its files are fetched if the settings say so. */
  consider(message: StoredMessage): void {
    this.#autoDownloads.consider(message);
  }

  /** A message is gone, or deleted: so are its files here. */
  forget(message: StoredMessage): void {
    this.#forgetting.run('files', () => this.files.forget(message));
  }

  /** Plain bytes that may be kept though they could be fetched again. */
  limitCache(bytes: number): void {
    this.#contents.limitBytes = bytes;
  }
}
