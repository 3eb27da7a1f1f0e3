// SPDX-License-Identifier: AGPL-3.0-or-later
// Ours: uploads in pieces that go on after an interruption, as tus 1.0.0 (core, creation, termination, expiration) has
// it, so that its existing clients can use them. A piece is answered when it is on the disk.
//
//   POST /uploads           Upload-Length, X-FS-TTL           201 Location
//   HEAD /uploads/TOKEN                                       200 Upload-Offset, Upload-Length
//   PATCH /uploads/TOKEN    Upload-Offset, body               204 Upload-Offset
//   DELETE /uploads/TOKEN                                     204
//
// The answer to the last piece, and HEAD after it, carry `X-FS-Id` and `X-FS-Expires` (seconds), which `POST /file`
// would have answered.
import { randomBytes } from 'node:crypto';
import { createReadStream, readdirSync, rmSync } from 'node:fs';
import { open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ContentIdHasher } from '@allium/protocol/files/content-id';
import { type FileStore, FileStoreError, storageError, writeAll } from './file-store.ts';

// Ours.
export const TUS_VERSION = '1.0.0';
const UNFINISHED_SECONDS = 24 * 60 * 60;
const MAX_UNFINISHED = 10_000;

export interface Upload {
  readonly token: string;
  readonly sizeBytes: number;
  readonly offset: number;
  /** When the upload, finished or not, is forgotten; seconds. */
  readonly forgottenAt: number;
  readonly done?: { readonly id: string; readonly expires: number };
}

interface Row {
  readonly token: string;
  readonly size: number;
  readonly ttl: number;
  readonly touched: number;
  readonly id: string | null;
  readonly expires: number | null;
}

/** Why a piece is not taken. */
export type PieceRefusal = 'unknown' | 'in_work' | 'wrong_offset' | 'too_long';

export class Uploads {
  readonly #store: FileStore;
  readonly #folder: string;
  readonly #inWork = new Set<string>();
  readonly #reserved = new Map<string, Disposable>();

  constructor(store: FileStore) {
    this.#store = store;
    this.#folder = join(store.options.folder, 'uploads');
    const known = new Set<string>();
    for (const row of this.#all()) {
      known.add(row.token);
      if (row.id === null) this.#reserveAgain(row);
    }
    // Of uploads whose row was not written, or went before the file did.
    for (const name of readdirSync(this.#folder)) if (!known.has(name)) rmSync(join(this.#folder, name));
  }

  /** @throws FileStoreError `size`, `full` */
  async create(sizeBytes: number, ttlSeconds: number): Promise<Upload> {
    if (sizeBytes < 1 || sizeBytes > this.#store.options.maxFileBytes) {
      throw new FileStoreError('size', 'empty or too large');
    }
    if (this.#reserved.size >= MAX_UNFINISHED)
      throw new FileStoreError('full', 'too many unfinished uploads');
    const token = randomBytes(24).toString('base64url');
    const row: Row = {
      ...{ token, size: sizeBytes, ttl: ttlSeconds, touched: this.#store.now(), id: null, expires: null },
    };
    this.#reserved.set(token, this.#store.reserve(sizeBytes));
    try {
      await (await open(this.#pathOf(token), 'wx', 0o600)).close();
      this.#store.db
        .prepare('INSERT INTO uploads VALUES (?, ?, ?, ?, NULL, NULL)')
        .run(token, row.size, row.ttl, row.touched);
    } catch (error) {
      this.#release(token);
      await rm(this.#pathOf(token), { force: true });
      throw storageError(error);
    }
    return { token, sizeBytes, offset: 0, forgottenAt: row.touched + UNFINISHED_SECONDS };
  }

  async find(token: string): Promise<Upload | undefined> {
    const row = this.#row(token);
    if (row === undefined) return undefined;
    const known = { token, sizeBytes: row.size, forgottenAt: row.touched + UNFINISHED_SECONDS };
    if (row.id !== null) {
      return { ...known, offset: row.size, done: { id: row.id, expires: row.expires ?? 0 } };
    }
    return { ...known, offset: await this.#offset(token) };
  }

  /**
   * Appends a piece; what arrived of one that broke off is kept.
   * @throws FileStoreError `full`, `broken`; whatever the body throws
   */
  async append(
    token: string,
    offset: number,
    body: AsyncIterable<Uint8Array>,
  ): Promise<Upload | PieceRefusal> {
    const row = this.#row(token);
    if (row === undefined) return 'unknown';
    if (this.#inWork.has(token)) return 'in_work';
    this.#inWork.add(token);
    try {
      if (row.id !== null || offset !== (await this.#offset(token))) return 'wrong_offset';
      const refusal = await this.#write(token, offset, row.size, body);
      if (refusal !== undefined) return refusal;
      const touched = this.#store.now();
      this.#store.db.prepare('UPDATE uploads SET touched = ? WHERE token = ?').run(touched, token);
      if ((await this.#offset(token)) === row.size) await this.#finish(row);
      return (await this.find(token)) ?? 'unknown';
    } catch (error) {
      throw storageError(error);
    } finally {
      this.#inWork.delete(token);
    }
  }

  /** False when there is no such upload, or it is in work. */
  async drop(token: string): Promise<boolean> {
    if (this.#row(token) === undefined || this.#inWork.has(token)) return false;
    this.#store.db.prepare('DELETE FROM uploads WHERE token = ?').run(token);
    this.#release(token);
    await rm(this.#pathOf(token), { force: true });
    return true;
  }

  /** Drops what nobody went on with. */
  async clean(): Promise<void> {
    const before = this.#store.now() - UNFINISHED_SECONDS;
    for (const row of this.#all()) if (row.touched < before) await this.drop(row.token);
  }

  async #write(
    token: string,
    offset: number,
    size: number,
    body: AsyncIterable<Uint8Array>,
  ): Promise<PieceRefusal | undefined> {
    const file = await open(this.#pathOf(token), 'a');
    let at = offset;
    try {
      for await (const part of body) {
        if (at + part.length > size) {
          await file.truncate(offset);
          return 'too_long';
        }
        await writeAll(file, part);
        at += part.length;
      }
      return undefined;
    } finally {
      await file.datasync();
      await file.close();
    }
  }

  async #finish(row: Row): Promise<void> {
    const path = this.#pathOf(row.token);
    const hasher = new ContentIdHasher();
    for await (const part of createReadStream(path)) hasher.update(part as Buffer);
    const { id, expires } = await this.#store.adopt(path, row.size, hasher.digest(), row.ttl);
    this.#store.db
      .prepare('UPDATE uploads SET id = ?, expires = ? WHERE token = ?')
      .run(id, expires, row.token);
    this.#release(row.token);
  }

  async #offset(token: string): Promise<number> {
    return (await stat(this.#pathOf(token)).catch(() => undefined))?.size ?? 0;
  }

  #row(token: string): Row | undefined {
    return this.#store.db.prepare('SELECT * FROM uploads WHERE token = ?').get(token) as Row | undefined;
  }

  #all(): Row[] {
    return this.#store.db.prepare('SELECT * FROM uploads').all() as unknown as Row[];
  }

  /** At a start: with a limit that is smaller now, what was begun may still end. */
  #reserveAgain(row: Row): void {
    try {
      this.#reserved.set(row.token, this.#store.reserve(row.size));
    } catch (error) {
      if (!(error instanceof FileStoreError)) throw error;
      this.#reserved.set(row.token, { [Symbol.dispose]: () => undefined });
    }
  }

  #release(token: string): void {
    this.#reserved.get(token)?.[Symbol.dispose]();
    this.#reserved.delete(token);
  }

  #pathOf(token: string): string {
    return join(this.#folder, token);
  }
}
