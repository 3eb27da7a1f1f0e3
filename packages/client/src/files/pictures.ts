// SPDX-License-Identifier: MIT
// Pictures of profiles (spec/client §5.4): our own, which is on a file server as long as we have it, and those of others, which are
// fetched when somebody wants to see them. Nothing is decoded here: what is shown is up to the app, its type is told from
// its first bytes.
import { fromHex, toHex } from '@allium/protocol/bytes';
import { randomBytes } from '@allium/protocol/crypto';
import { delay, type Env } from '@allium/protocol/env';
import { deterministicLength, openDeterministic } from '@allium/protocol/files/deterministic';
import { openAvatar, sealAvatar } from '@allium/protocol/files/legacy';
import { ClientError } from '../errors.ts';
import { Tasks } from '../events.ts';
import type { OwnProfile } from '../messaging/profile.ts';
import type { Storage } from '../storage/storage.ts';
import type { Contents } from './contents.ts';
import { OpenFile } from './downloads.ts';
import { FileTransferError } from './file-transfer-error.ts';
import type { TransferOptions } from './transfer.ts';
import { opened, readFileUrl, type Transfers } from './transfers.ts';

const KIND = 'picture';
const OWN = 'own';
// From the specification, §5.4.
const CHECK_EVERY_MS = 2 * 3_600_000;
const RENEW_AFTER_MS = 12 * 24 * 3_600_000;
const KEY = 32;
const IV = 12;
const TAG = 16;
// Ours.
/** 600 pixels of any picture fit. */
export const MAX_PICTURE_BYTES = 1_000_000;
/** Others may think otherwise. */
const MAX_FOREIGN_PICTURE_BYTES = 5_000_000;
/** Also when a server promises less than it is asked for. */
const LEAST_LEFT_MS = 3 * 24 * 3_600_000;

/** Of the own picture, where this device knows how to put it back. */
interface OwnPicture {
  readonly url: string;
  readonly content?: string;
  /** Hex. */
  readonly iv?: string;
  /** Local time in ms at which the server last said that it has it, and until when it keeps it. */
  readonly checkedAt: number;
  readonly expiresAt?: number;
}

interface PicturesDeps {
  readonly transfers: Pick<Transfers, 'sendBody' | 'fetchBody' | 'extend'>;
  readonly contents: Contents;
  readonly profile: OwnProfile;
  readonly storage: Storage;
  readonly env: Env;
  /** Network time. */
  readonly now: () => number;
}

export class Pictures {
  readonly #deps: PicturesDeps;
  readonly #tasks: Tasks;

  constructor(deps: PicturesDeps) {
    this.#deps = deps;
    this.#tasks = new Tasks(deps.env.log);
  }

  /** Keeps our own picture on its server. */
  start(): void {
    const { clock, random, log } = this.#deps.env;
    const { signal } = this.#tasks;
    this.#tasks.run('picture', async () => {
      for (;;) {
        await this.renew(signal).catch((error: unknown) => {
          signal.throwIfAborted();
          log.debug({ error: String(error) }, 'the picture was not renewed');
        });
        await delay(clock, CHECK_EVERY_MS / 2 + random.below(CHECK_EVERY_MS), signal);
      }
    });
  }

  async stop(): Promise<void> {
    await this.#tasks.stop(new ClientError('closed', 'the client was closed'));
  }

  /**
   * Ours from now on; undefined takes it away. Others get it with our next message to them.
   * @throws ClientError `bad_attachment`: no JPEG, PNG, WebP or GIF; FileTransferError `empty`, `too_large`, `no_server`,
   * `servers_down`; ClientError `no_path`, `no_nodes`, `no_network`; the reason of the signal. Nothing has changed then.
   */
  async set(picture: Uint8Array | undefined, options: TransferOptions = {}): Promise<void> {
    const { contents, profile, storage, transfers, env, now } = this.#deps;
    const { name } = profile.now;
    const before = await this.#own();
    if (picture === undefined) {
      await profile.set({ ...(name !== undefined && { name }) }, now());
    } else {
      if (picture.length === 0) throw new FileTransferError('empty', 'the picture is empty');
      if (picture.length > MAX_PICTURE_BYTES) {
        throw new FileTransferError(
          'too_large',
          `a picture has at most ${MAX_PICTURE_BYTES} bytes: make it smaller`,
        );
      }
      if (pictureType(picture) === undefined) {
        throw new ClientError('bad_attachment', 'a picture is a JPEG, PNG, WebP or GIF file');
      }
      const key = randomBytes(KEY);
      const iv = randomBytes(IV);
      const { url, expiresAt } = await transfers.sendBody(sealAvatar(picture, key, iv), options);
      const content = contents.newName();
      const kept = await contents.put(content, picture, { limit: MAX_PICTURE_BYTES });
      const own: OwnPicture = {
        ...{ url, content, iv: toHex(iv), checkedAt: env.clock.now() },
        ...(expiresAt !== undefined && { expiresAt }),
      };
      await storage.write({ records: [kept.record, { kind: KIND, key: OWN, value: own }] });
      await profile.set({ ...(name !== undefined && { name }), picture: { url, key: toHex(key) } }, now());
    }
    if (before?.content !== undefined) await contents.remove(before.content);
    if (picture === undefined) await storage.write({ records: [{ kind: KIND, key: OWN, value: undefined }] });
  }

  /** Our own; undefined when there is none. @throws as `of` */
  async own(options: TransferOptions = {}): Promise<OpenFile | undefined> {
    const { picture } = this.#deps.profile.now;
    if (picture === undefined) return undefined;
    const own = await this.#own();
    const content = own?.url === picture.url ? own.content : undefined;
    return this.of({ pictureUrl: picture.url, pictureKey: picture.key }, options, content);
  }

  /**
   * That of somebody else, fetched through three hops unless it is here; undefined when they have none.
   * @throws FileTransferError `bad_pointer`, `gone`, `corrupt`, `server_down`; ClientError `no_path`, `no_nodes`, `no_network`;
   * StorageError; the reason of the signal
   */
  async of(
    { pictureUrl, pictureKey }: { readonly pictureUrl?: string; readonly pictureKey?: string },
    options: TransferOptions = {},
    content?: string,
  ): Promise<OpenFile | undefined> {
    if (pictureUrl === undefined || pictureKey === undefined) return undefined;
    const { contents, transfers } = this.#deps;
    for (const name of [content, contents.nameOf(pictureUrl, pictureKey)]) {
      const kept = name === undefined ? undefined : await contents.bytes(name);
      if (name !== undefined && kept !== undefined) return this.#file(name, kept);
    }
    const url = readFileUrl(pictureUrl);
    const key = fromHex(pictureKey, KEY);
    const most = url.isDeterministic
      ? deterministicLength(MAX_FOREIGN_PICTURE_BYTES)
      : MAX_FOREIGN_PICTURE_BYTES + IV + TAG;
    const body = await transfers.fetchBody(url, { least: IV + TAG + 1, most }, options);
    const picture = opened(body, (sealed) =>
      url.isDeterministic ? openDeterministic(sealed, key) : openAvatar(sealed, key),
    );
    if (pictureType(picture) === undefined) throw new FileTransferError('corrupt', 'it is no picture');
    const name = contents.nameOf(pictureUrl, pictureKey);
    await contents.keep(name, picture, undefined);
    return this.#file(name, picture);
  }

  #file(name: string, picture: Uint8Array): OpenFile {
    const contentType = pictureType(picture) ?? 'application/octet-stream';
    return new OpenFile(
      { contentType, sizeBytes: picture.length },
      name,
      picture.length,
      this.#deps.contents,
    );
  }

  /** Sees to it that the server keeps our picture; does nothing when that is long enough. @throws as `Transfers.extend` */
  async renew(signal: AbortSignal): Promise<void> {
    const { contents, profile, storage, transfers, env, now } = this.#deps;
    const { picture, name } = profile.now;
    if (picture === undefined) return;
    const known = await this.#own();
    const own: OwnPicture = known?.url === picture.url ? known : { url: picture.url, checkedAt: 0 };
    const { checkedAt, expiresAt = checkedAt + RENEW_AFTER_MS + LEAST_LEFT_MS } = own;
    const time = env.clock.now();
    if (time - checkedAt < RENEW_AFTER_MS && expiresAt - time > LEAST_LEFT_MS) return;
    const save = async (change: Partial<OwnPicture>) => {
      const value = { ...own, checkedAt: env.clock.now(), ...change };
      await storage.write({ records: [{ kind: KIND, key: OWN, value }] });
    };
    const until = await transfers.extend(readFileUrl(picture.url), { signal });
    if (until !== undefined) return await save({ expiresAt: until });
    const plain = own.content === undefined ? undefined : await contents.bytes(own.content);
    if (plain === undefined || own.iv === undefined) {
      env.log.info(
        {},
        'the picture of this account is gone from its server, and this device does not have it',
      );
      return await save({});
    }
    // The same bytes: the same address, where it is the same server.
    const again = await transfers.sendBody(
      sealAvatar(plain, fromHex(picture.key, KEY), fromHex(own.iv, IV)),
      {
        signal,
      },
    );
    if (again.url !== picture.url) {
      await profile.set(
        { ...(name !== undefined && { name }), picture: { url: again.url, key: picture.key } },
        now(),
      );
    }
    await save({ url: again.url, ...(again.expiresAt !== undefined && { expiresAt: again.expiresAt }) });
  }

  async #own(): Promise<OwnPicture | undefined> {
    return (await this.#deps.storage.record(KIND, OWN))?.value as OwnPicture | undefined;
  }
}

/** By the first bytes. */
export function pictureType(bytes: Uint8Array): string | undefined {
  const starts = (at: number, ...wanted: number[]) => wanted.every((byte, i) => bytes[at + i] === byte);
  if (starts(0, 0xff, 0xd8, 0xff)) return 'image/jpeg';
  if (starts(0, 0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return 'image/png';
  if (starts(0, 0x47, 0x49, 0x46, 0x38)) return 'image/gif';
  if (starts(0, 0x52, 0x49, 0x46, 0x46) && starts(8, 0x57, 0x45, 0x42, 0x50)) return 'image/webp';
  return undefined;
}
