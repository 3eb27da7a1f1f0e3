// SPDX-License-Identifier: MIT
// Files of messages that came: fetched when somebody opens them, or by themselves where a rule says so (spec/client §5.6). Files
// in parts are fetched part by part and go on where they ended.
import { toHex } from '@allium/protocol/bytes';
import { blake2bHasher, loadFastHash } from '@allium/protocol/crypto';
import { ParseError } from '@allium/protocol/errors';
import { paddedAttachmentLength } from '@allium/protocol/files/legacy';
import { type FileParts, openPart, parseParts, partLength } from '@allium/protocol/files/parts';
import { parseFileUrl } from '@allium/protocol/files/url';
import type { MessageIdentity } from '../storage/storage.ts';
import { type Contents, SEGMENT_BYTES, segmentCount } from './contents.ts';
import { FileTransferError } from './file-transfer-error.ts';
import { type StoredAttachment, toPointer } from './stored-attachment.ts';
import type { TransferOptions } from './transfer.ts';
import { opened, type Transfers } from './transfers.ts';

interface DownloadsDeps {
  readonly transfers: Pick<Transfers, 'download' | 'fetchBody'>;
  readonly contents: Contents;
}

interface Running {
  readonly done: Promise<void>;
  readonly abort: AbortController;
  readonly listeners: Set<NonNullable<TransferOptions['onProgress']>>;
  waiting: number;
}

export class Downloads {
  readonly #deps: DownloadsDeps;
  /** By name of the content: who wants the same file waits for the same download. */
  readonly #running = new Map<string, Running>();

  constructor(deps: DownloadsDeps) {
    this.#deps = deps;
  }

  /** Under which the content may be kept: what this device sent, and what was fetched. */
  namesOf({ content, url, key }: StoredAttachment): readonly string[] {
    const fetched = url === undefined || key === undefined ? [] : [this.#deps.contents.nameOf(url, key)];
    return content === undefined ? fetched : [content, ...fetched];
  }

  async isHere(file: StoredAttachment): Promise<boolean> {
    for (const name of this.namesOf(file)) {
      if ((await this.#deps.contents.find(name))?.isWhole === true) return true;
    }
    return false;
  }

  /**
   * Sees to it that the content is on this device; its name.
   * @throws FileTransferError `bad_pointer`, `too_large`, `gone`, `corrupt`, `server_down`; ClientError `no_path`, `no_nodes`,
   * `no_network`; StorageError; the reason of the signal
   */
  async fetch(
    attachment: StoredAttachment,
    owner: MessageIdentity | undefined,
    { signal, onProgress }: TransferOptions = {},
  ): Promise<string> {
    const { contents } = this.#deps;
    signal?.throwIfAborted();
    const own = attachment.content;
    if (own !== undefined && (await contents.use(own)) !== undefined) return own;
    const { url, key, problem } = attachment;
    if (url === undefined || key === undefined) throw noAddress(problem);
    const name = contents.nameOf(url, key);
    if ((await contents.use(name)) !== undefined) return name;
    await this.#wait(name, () => this.#begin(name, attachment, owner), signal, onProgress);
    return name;
  }

  async #wait(
    name: string,
    begin: () => Running,
    signal: AbortSignal | undefined,
    onProgress: TransferOptions['onProgress'],
  ): Promise<void> {
    signal?.throwIfAborted();
    const running = this.#running.get(name) ?? begin();
    running.waiting++;
    if (onProgress !== undefined) running.listeners.add(onProgress);
    let onAbort = () => {};
    try {
      const aborted = new Promise<never>((_, reject) => {
        onAbort = () => reject(signal?.reason);
        signal?.addEventListener('abort', onAbort, { once: true });
      });
      await Promise.race([running.done, aborted]);
    } finally {
      signal?.removeEventListener('abort', onAbort);
      if (onProgress !== undefined) running.listeners.delete(onProgress);
      if (--running.waiting === 0) {
        // Who asks from now on gets a download of their own.
        if (this.#running.get(name) === running) this.#running.delete(name);
        running.abort.abort(new Error('nobody waits for the file'));
      }
    }
  }

  #begin(name: string, attachment: StoredAttachment, owner: MessageIdentity | undefined): Running {
    const abort = new AbortController();
    const listeners: Running['listeners'] = new Set();
    const options: TransferOptions = {
      signal: abort.signal,
      onProgress: (progress) => {
        for (const listener of listeners) listener(progress);
      },
    };
    const isInParts = attachment.partsTextBytes !== undefined;
    const done = (
      isInParts
        ? this.#fetchParts(name, attachment, owner, options)
        : this.#fetchWhole(name, attachment, owner, options)
    ).finally(() => {
      if (this.#running.get(name) === running) this.#running.delete(name);
    });
    done.catch(() => undefined);
    const running: Running = { done, abort, listeners, waiting: 0 };
    this.#running.set(name, running);
    return running;
  }

  async #fetchWhole(
    name: string,
    attachment: StoredAttachment,
    owner: MessageIdentity | undefined,
    options: TransferOptions,
  ): Promise<void> {
    const bytes = await this.#deps.transfers.download(toPointer(attachment), options);
    await this.#deps.contents.keep(name, bytes, owner);
  }

  async #fetchParts(
    name: string,
    attachment: StoredAttachment,
    owner: MessageIdentity | undefined,
    { signal, onProgress }: TransferOptions,
  ): Promise<void> {
    const { contents, transfers } = this.#deps;
    const described = readParts(await transfers.download(toPointer(attachment), { signal }), attachment);
    const { sizeBytes, parts } = described;
    if ((await contents.find(name)) === undefined) await contents.begin(name, sizeBytes, owner);
    await loadFastHash();
    const hasher = blake2bHasher(32);
    for (let i = 0; i < parts.length; i++) {
      signal?.throwIfAborted();
      const length = partLength(sizeBytes, i);
      const before = i * SEGMENT_BYTES;
      let segment = await contents.segment(name, i);
      if (segment?.length !== length) {
        const body = await transfers.fetchBody(
          parseFileUrl(parts[i]?.url ?? ''),
          // Whole parts are not padded, the last one is; a block, IV and MAC.
          { least: length + 48, most: Math.max(length, paddedAttachmentLength(length)) + 64 },
          {
            signal,
            onProgress: ({ doneBytes }) =>
              onProgress?.({ doneBytes: before + Math.min(doneBytes, length), totalBytes: sizeBytes }),
          },
        );
        segment = opened(body, (sealed) => openPart(sealed, described, i));
        if (segment.length !== length) throw new FileTransferError('corrupt', 'a part is too short');
        await contents.putSegment(name, i, segment);
      }
      hasher.update(segment);
      onProgress?.({ doneBytes: before + length, totalBytes: sizeBytes });
    }
    if (toHex(hasher.digest()) !== toHex(described.digest)) {
      await contents.remove(name);
      throw new FileTransferError('corrupt', 'the parts are not the file that was sent');
    }
    await contents.finish(name);
  }
}

/** @throws FileTransferError `corrupt` */
function readParts(bytes: Uint8Array, attachment: StoredAttachment): FileParts {
  try {
    const described = parseParts(bytes);
    if (described.sizeBytes === attachment.sizeBytes) return described;
  } catch (cause) {
    if (!(cause instanceof ParseError)) throw cause;
    throw new FileTransferError('corrupt', cause.message, { cause });
  }
  throw new FileTransferError('corrupt', 'the file has another size than the message says');
}

function noAddress(problem: StoredAttachment['problem']): FileTransferError {
  if (problem === 'too_large')
    return new FileTransferError('too_large', 'the file is larger than files may be');
  return new FileTransferError('bad_pointer', 'the message does not say where the file is');
}

/** A file that is on this device. */
export class OpenFile {
  readonly contentType: string;
  /** Fit for any folder. */
  readonly fileName: string | undefined;
  readonly sizeBytes: number;
  readonly #name: string;
  readonly #contents: Contents;

  constructor(
    { contentType, fileName }: StoredAttachment,
    name: string,
    sizeBytes: number,
    contents: Contents,
  ) {
    this.contentType = contentType;
    this.fileName = fileName;
    this.sizeBytes = sizeBytes;
    this.#name = name;
    this.#contents = contents;
  }

  /** Pieces of at most 8 MiB. It errors with FileTransferError `gone` when the content is removed meanwhile. */
  stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    let index = 0;
    const count = segmentCount(this.sizeBytes);
    return new ReadableStream(
      {
        pull: async (controller) => {
          if (index < count) controller.enqueue(await this.#segment(index++));
          if (index >= count) controller.close();
        },
      },
      { highWaterMark: 0 },
    );
  }

  /** The whole. @throws FileTransferError `gone` */
  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    const whole = new Uint8Array(this.sizeBytes);
    for (let i = 0; i < segmentCount(this.sizeBytes); i++)
      whole.set(await this.#segment(i), i * SEGMENT_BYTES);
    return whole;
  }

  /**
   * For `URL.createObjectURL`: of its own type only when that is a picture, sound or film that browsers show without running
   * anything; else it is bytes. @throws FileTransferError `gone`
   */
  async blob(): Promise<Blob> {
    const parts: Uint8Array<ArrayBuffer>[] = [];
    for (let i = 0; i < segmentCount(this.sizeBytes); i++) parts.push(await this.#segment(i));
    const isHarmless = /^(?:image\/(?:png|jpeg|gif|webp|avif|bmp)|(?:audio|video)\/[a-z0-9.+-]+)$/.test(
      this.contentType,
    );
    return new Blob(parts, { type: isHarmless ? this.contentType : 'application/octet-stream' });
  }

  async #segment(index: number): Promise<Uint8Array<ArrayBuffer>> {
    const segment = await this.#contents.segment(this.#name, index);
    if (segment === undefined) {
      throw new FileTransferError(
        'gone',
        'the content was removed from this device to make room: open it again',
      );
    }
    return segment as Uint8Array<ArrayBuffer>;
  }
}
