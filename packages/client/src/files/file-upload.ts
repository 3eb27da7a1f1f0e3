// SPDX-License-Identifier: MIT
// One file on its way to a server, whole or in parts (docs/decisions/0028). How far it has come is in the storage: whoever goes
// on with it, after a restart too, sends the same bytes, and none that arrived.
import { fromHex, toHex } from '@allium/protocol/bytes';
import type { Clock } from '@allium/protocol/env';
import { sealAttachment } from '@allium/protocol/files/legacy';
import { type FilePart, formatParts, partCount, partLength, sealPart } from '@allium/protocol/files/parts';
import { ClientError } from '../errors.ts';
import type { Storage } from '../storage/storage.ts';
import { type ContentRecord, type Contents, segmentCount } from './contents.ts';
import type { StoredAttachment } from './stored-attachment.ts';
import type { Transfers, Uploaded, UploadPlace } from './transfers.ts';

/** Of the records with an `UploadRecord`, by the name of the content. */
export const UPLOAD = 'upload';
// Ours.
/** Of one file; each takes the memory of a part twice. */
const PARTS_AT_ONCE = 2;
/** How often it is written down how far an upload is; the server knows better when it goes on. */
const SAVE_EVERY_MS = 2_000;
/** Of what goes up as one file. */
const WHOLE = 'whole';

/** Of one content, until the message that needs it is sent. */
export interface UploadRecord {
  /** Hex: with the same key and IV the same bytes go up again. */
  readonly key: string;
  readonly iv: string;
  readonly isPadded: boolean;
  /** Hex, of a file in parts. */
  readonly wholeKey?: string;
  /** By their number; those that a server has. Address and digest (hex). */
  readonly parts?: Readonly<Record<string, readonly [url: string, digest: string]>>;
  /** Where pieces went, by number of the part or `whole`. */
  readonly places?: Readonly<Record<string, UploadPlace>>;
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Local time in ms: when the first part was there, and until when the first of them goes. */
  readonly since?: number;
  readonly expiresAt?: number;
  /** A server has all of it. */
  readonly done?: UploadDone;
}

export type UploadDone = Pick<
  StoredAttachment,
  'url' | 'key' | 'digest' | 'partsTextBytes' | 'uploadedAt' | 'expiresAt'
>;

interface FileUploadDeps {
  readonly transfers: Pick<Transfers, 'sendBody'>;
  readonly contents: Contents;
  readonly storage: Storage;
  readonly clock: Clock;
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
}

export const lost = () => new ClientError('file_lost', 'the content of a file is no longer on this device');

export class FileUpload {
  readonly #name: string;
  readonly #content: ContentRecord;
  readonly #deps: FileUploadDeps;
  #record: UploadRecord;
  /** Bytes of what is under way, by number of the part or `whole`. */
  readonly #running = new Map<string, number>();
  #savedAt = Number.NEGATIVE_INFINITY;

  constructor(name: string, content: ContentRecord, record: UploadRecord, deps: FileUploadDeps) {
    this.#name = name;
    this.#content = content;
    this.#record = record;
    this.#deps = deps;
  }

  /** Everything from the beginning, with the same bytes. */
  async again(): Promise<void> {
    const { key, iv, isPadded, wholeKey, totalBytes } = this.#record;
    await this.#save(
      { key, iv, isPadded, doneBytes: 0, totalBytes, ...(wholeKey !== undefined && { wholeKey, parts: {} }) },
      true,
    );
  }

  /** @throws ClientError `file_lost`; what `Transfers.sendBody` throws; StorageError */
  async run({ contentType, fileName = 'file' }: StoredAttachment, signal: AbortSignal): Promise<UploadDone> {
    const { key, iv, isPadded, wholeKey } = this.#record;
    const { sizeBytes, digest = '' } = this.#content;
    let body: Uint8Array;
    if (wholeKey === undefined) body = await this.#whole();
    else {
      const parts = await this.#sendParts(fromHex(wholeKey), signal);
      const whole = { sizeBytes, contentType, key: fromHex(wholeKey), digest: fromHex(digest), parts };
      body = formatParts(whole, fileName);
    }
    const sealed = sealAttachment(body, { padded: isPadded }, { key: fromHex(key), iv: fromHex(iv) });
    const sent = await this.#send(WHOLE, sealed.body, signal);
    const { since = this.#deps.clock.now(), totalBytes } = this.#record;
    const expiresAt = this.#earlier(sent.expiresAt);
    const done: UploadDone = {
      ...{ url: sent.url, key, digest: toHex(sealed.digest) },
      ...(wholeKey !== undefined && { partsTextBytes: body.length }),
      uploadedAt: since,
      ...(expiresAt !== undefined && { expiresAt }),
    };
    await this.#save({ places: {}, doneBytes: totalBytes, done });
    this.#deps.onProgress(totalBytes, totalBytes);
    return done;
  }

  async #sendParts(wholeKey: Uint8Array, signal: AbortSignal): Promise<readonly FilePart[]> {
    const { sizeBytes } = this.#content;
    const count = partCount(sizeBytes);
    const failed = new AbortController();
    const end = AbortSignal.any([signal, failed.signal]);
    let next = 0;
    const worker = async () => {
      while (next < count && !end.aborted) {
        const index = next++;
        if (this.#record.parts?.[index] !== undefined) continue;
        await this.#sendPart(index, wholeKey, end);
      }
    };
    const workers = Array.from({ length: PARTS_AT_ONCE }, () =>
      worker().catch((error: unknown) => {
        failed.abort(error);
        throw error;
      }),
    );
    await Promise.allSettled(workers);
    end.throwIfAborted();
    return Array.from({ length: count }, (_, index) => {
      const [url = '', digest = ''] = this.#record.parts?.[index] ?? [];
      return { url, digest: fromHex(digest) };
    });
  }

  async #sendPart(index: number, wholeKey: Uint8Array, signal: AbortSignal): Promise<void> {
    const part = await this.#deps.contents.segment(this.#name, index);
    if (part?.length !== partLength(this.#content.sizeBytes, index)) throw lost();
    const sealed = sealPart(part, wholeKey, index);
    const { url, expiresAt } = await this.#send(String(index), sealed.body, signal);
    const { [index]: _place, ...places } = this.#record.places ?? {};
    const earliest = this.#earlier(expiresAt);
    this.#running.delete(String(index));
    await this.#save({
      parts: { ...this.#record.parts, [index]: [url, toHex(sealed.digest)] },
      places,
      since: this.#record.since ?? this.#deps.clock.now(),
      ...(earliest !== undefined && { expiresAt: earliest }),
    });
  }

  async #send(name: string, body: Uint8Array, signal: AbortSignal): Promise<Uploaded> {
    return this.#deps.transfers.sendBody(body, {
      ...{ signal, forget: false, resume: this.#record.places?.[name] },
      onBegun: (place) => this.#save({ places: { ...this.#record.places, [name]: place } }),
      onProgress: ({ doneBytes, totalBytes }) => {
        // What describes the parts is nothing beside them.
        if (name === WHOLE && this.#record.parts !== undefined) return;
        if (name === WHOLE) this.#record = { ...this.#record, totalBytes };
        this.#running.set(name, doneBytes);
        this.#tell();
      },
    });
  }

  #tell(): void {
    const { totalBytes, places = {} } = this.#record;
    const doneBytes = this.#doneBytes();
    this.#deps.onProgress(doneBytes, totalBytes);
    const now = this.#deps.clock.monotonic();
    // Without pieces on a server nothing is left after a failure.
    if (Object.keys(places).length === 0 || now < this.#savedAt + SAVE_EVERY_MS || doneBytes === 0) return;
    this.#savedAt = now;
    this.#save({}).catch(() => undefined);
  }

  /** Padding makes the last part longer than it is. */
  #doneBytes(): number {
    const { parts = {}, totalBytes, doneBytes, done } = this.#record;
    if (done !== undefined) return doneBytes;
    const { sizeBytes } = this.#content;
    let sum = 0;
    for (const index of Object.keys(parts)) sum += partLength(sizeBytes, Number(index));
    for (const [name, bytes] of this.#running) {
      sum += name === WHOLE ? bytes : Math.min(bytes, partLength(sizeBytes, Number(name)));
    }
    return Math.min(sum, totalBytes);
  }

  async #save(change: Partial<UploadRecord>, isNew = false): Promise<void> {
    const all = { ...(isNew ? {} : this.#record), ...change } as UploadRecord;
    this.#record = all;
    if (change.doneBytes === undefined && this.#doneBytes() > 0) {
      this.#record = { ...all, doneBytes: this.#doneBytes() };
    }
    const records = [{ kind: UPLOAD, key: this.#name, value: this.#record }];
    await this.#deps.storage.write({ records });
  }

  #earlier(expiresAt: number | undefined): number | undefined {
    const { expiresAt: before } = this.#record;
    return before === undefined || expiresAt === undefined
      ? (before ?? expiresAt)
      : Math.min(before, expiresAt);
  }

  async #whole(): Promise<Uint8Array> {
    const { sizeBytes } = this.#content;
    const whole = new Uint8Array(sizeBytes);
    let at = 0;
    for (let i = 0; i < segmentCount(sizeBytes); i++) {
      const part = await this.#deps.contents.segment(this.#name, i);
      if (part === undefined || at + part.length > sizeBytes) throw lost();
      whole.set(part, at);
      at += part.length;
    }
    if (at !== sizeBytes) throw lost();
    return whole;
  }
}
