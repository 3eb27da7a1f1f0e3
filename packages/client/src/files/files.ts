// SPDX-License-Identifier: MIT
// Files of an account (spec/client §5): those of messages by message and place, and single ones by their pointer. Nothing is
// fetched unless somebody opens it, or a rule of the settings says so.
import type { AttachmentPointer } from '@allium/protocol/message/content';
import { ClientError } from '../errors.ts';
import type { StoredMessage } from '../storage/storage.ts';
import type { Contents } from './contents.ts';
import { type Downloads, OpenFile } from './downloads.ts';
import { FileTransferError } from './file-transfer-error.ts';
import { filesOf, type StoredAttachment } from './stored-attachment.ts';
import type { TransferOptions } from './transfer.ts';
import type { Transfers, UploadOptions } from './transfers.ts';
import type { FileProgress, Uploads } from './uploads.ts';

interface FilesDeps {
  readonly transfers: Transfers;
  readonly contents: Contents;
  readonly uploads: Uploads;
  readonly downloads: Downloads;
  readonly onProgress: (progress: FileProgress) => void;
}

export class Files {
  readonly #deps: FilesDeps;

  constructor(deps: FilesDeps) {
    this.#deps = deps;
  }

  /**
   * A file of a message, fetched through three hops if it is not on this device. `index`: its place in `attachments`, or the image
   * of the preview.
   * @throws FileTransferError `bad_pointer`, `too_large`, `gone`, `corrupt`, `server_down`; ClientError `not_found`: the message
   * has no such file; `no_path`, `no_nodes`, `no_network`; StorageError; the reason of the signal
   */
  async open(
    message: StoredMessage,
    index: number | 'preview' = 0,
    options: TransferOptions = {},
  ): Promise<OpenFile> {
    const file = fileAt(message, index);
    const { sender, timestamp, conversation } = message;
    const { onProgress } = options;
    const name = await this.#deps.downloads.fetch(
      file,
      { sender, timestamp },
      {
        ...options,
        onProgress: (progress) => {
          onProgress?.(progress);
          this.#deps.onProgress({ sender, timestamp, conversation, index, ...progress });
        },
      },
    );
    const content = await this.#deps.contents.find(name);
    if (content === undefined)
      throw new FileTransferError('gone', 'the content was removed from this device');
    return new OpenFile(file, name, content.sizeBytes, this.#deps.contents);
  }

  /** Whether `open` needs no network. */
  async isHere(message: StoredMessage, index: number | 'preview' = 0): Promise<boolean> {
    return await this.#deps.downloads.isHere(fileAt(message, index));
  }

  /** How far the files of a message are that is being sent. */
  progress(message: StoredMessage): Promise<readonly FileProgress[]> {
    return this.#deps.uploads.progress(message);
  }

  /** The message is gone, or deleted: so are its files here. */
  async forget(message: StoredMessage): Promise<void> {
    const { contents, downloads, uploads } = this.#deps;
    await uploads.drop(filesOf(message));
    for (const name of filesOf(message).flatMap((file) => downloads.namesOf(file)))
      await contents.remove(name);
    // A deleted one does not say any more which files it had.
    if (message.marks?.deletedAt !== undefined) await contents.removeOf(message);
  }

  /** Plain bytes of files that are kept here though they could be fetched again. */
  get cachedBytes(): number {
    return this.#deps.contents.cachedBytes;
  }

  /** Removes those. */
  async clearCache(): Promise<void> {
    await this.#deps.contents.clear();
  }

  /** One file without a message. @throws as `Transfers.upload` */
  upload(
    data: Uint8Array | AsyncIterable<Uint8Array>,
    options: UploadOptions = {},
  ): Promise<AttachmentPointer> {
    return this.#deps.transfers.upload(data, options);
  }

  /** @throws as `Transfers.download` */
  download(pointer: AttachmentPointer, options: TransferOptions = {}): Promise<Uint8Array> {
    return this.#deps.transfers.download(pointer, options);
  }
}

/** @throws ClientError `not_found` */
export function fileAt(message: StoredMessage, index: number | 'preview'): StoredAttachment {
  const place = index === 'preview' ? (message.attachments?.length ?? 0) : index;
  const isThere = index === 'preview' || index < (message.attachments?.length ?? 0);
  const file = isThere ? filesOf(message)[place] : undefined;
  if (file === undefined) throw new ClientError('not_found', 'the message has no such file');
  return file;
}
