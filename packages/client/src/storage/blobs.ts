// SPDX-License-Identifier: MIT
// The port for the content of files, beside the storage: encrypted segments by name. Implementations: this one in memory,
// `indexeddb-blobs.ts`, `../node/folder-blobs.ts`; all pass `test/storage/blobs-suite.ts`. What is in them is useless without
// the storage, which has the key (`../files/contents.ts`).

export interface BlobPort {
  /** What it keeps of files that could be fetched again should not be more. */
  readonly cacheBytes: number;
  /** All of it or nothing, durable when it resolves; replaces. Names are of a–z, 0–9, `-`. @throws StorageError `full`, `failed` */
  put(name: string, bytes: Uint8Array): Promise<void>;
  get(name: string): Promise<Uint8Array | undefined>;
  /** Those that are not there do not matter. */
  remove(names: readonly string[]): Promise<void>;
  /** Every name. */
  names(): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** Forgets with the process. */
export class MemoryBlobs implements BlobPort {
  readonly cacheBytes = 64 * 1024 * 1024;
  readonly #blobs = new Map<string, Uint8Array>();

  async put(name: string, bytes: Uint8Array): Promise<void> {
    this.#blobs.set(name, bytes.slice());
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    return this.#blobs.get(name);
  }

  async remove(names: readonly string[]): Promise<void> {
    for (const name of names) this.#blobs.delete(name);
  }

  async names(): Promise<readonly string[]> {
    return [...this.#blobs.keys()];
  }

  async close(): Promise<void> {}
}
