// SPDX-License-Identifier: MIT
// Files of messages that are being sent. Their content is on this device and the message in the storage before anything is
// uploaded; a message is sent only when all its files are on a server. Every attempt, also after a restart, gives the server
// the same bytes under the same id, and goes on where pieces arrived. Larger files go in parts (docs/decisions/0028).
import type { AccountId } from '@allium/protocol/account-id';
import { toHex } from '@allium/protocol/bytes';
import { randomBytes } from '@allium/protocol/crypto';
import type { Env } from '@allium/protocol/env';
import {
  ATTACHMENT_IV_BYTES,
  ATTACHMENT_KEY_BYTES,
  MAX_ATTACHMENT_BYTES,
  paddedAttachmentLength,
} from '@allium/protocol/files/legacy';
import { cleanContentType, cleanFileName } from '@allium/protocol/files/names';
import { MAX_WHOLE_BYTES } from '@allium/protocol/files/parts';
import { ClientError } from '../errors.ts';
import { Semaphore } from '../network/semaphore.ts';
import type { MessageIdentity, Storage, StoredMessage, StoredRecord } from '../storage/storage.ts';
import type { Contents, FileSource } from './contents.ts';
import { FileTransferError } from './file-transfer-error.ts';
import { FileUpload, lost, UPLOAD, type UploadRecord } from './file-upload.ts';
import {
  filesOf,
  isLink,
  MAX_PREVIEW_IMAGE_BYTES,
  type StoredAttachment,
  type StoredFiles,
  withFiles,
} from './stored-attachment.ts';
import type { Transfers } from './transfers.ts';

const MAX_ATTACHMENTS = 32; // spec/client §3.3
const MAX_CAPTION = 2_000;
const MAX_TITLE = 300;
// Ours.
const AT_ONCE = 3;
const DAY_MS = 24 * 3_600_000;
/** So long the recipient's swarm keeps the message that leads to a file (spec/client §4.4). */
const NEEDED_MS = 14 * DAY_MS;
/** Padding, block, IV and MAC of a sealed file, about. */
const SEALED_BYTES = 64;

/** A file to send. */
export interface OutgoingAttachment {
  readonly data: FileSource;
  /** MIME type; default application/octet-stream. */
  readonly contentType?: string;
  readonly fileName?: string;
  /** Pixels. */
  readonly width?: number;
  readonly height?: number;
  readonly caption?: string;
  /** spec/client §5.7: shown as something to listen to. */
  readonly isVoice?: boolean;
  readonly durationMs?: number;
}

/** What a link in the text leads to. The caller has fetched it, if anybody: this package never does. */
export interface OutgoingPreview {
  /** http or https; as it stands in the text. */
  readonly url: string;
  readonly title?: string;
  /** At most 1 MiB. */
  readonly image?: Pick<OutgoingAttachment, 'data' | 'contentType' | 'width' | 'height'>;
}

export interface OutgoingFiles {
  readonly attachments?: readonly OutgoingAttachment[];
  readonly preview?: OutgoingPreview;
}

/** How far a file of a message is; bytes as they are on the network. */
export interface FileProgress extends MessageIdentity {
  readonly conversation: AccountId;
  /** Place in `attachments`; `preview`: the image of the preview. */
  readonly index: number | 'preview';
  readonly doneBytes: number;
  readonly totalBytes: number;
}

interface UploadsDeps {
  readonly transfers: Pick<Transfers, 'sendBody'>;
  readonly contents: Contents;
  readonly storage: Storage;
  readonly env: Env;
  readonly onProgress: (progress: FileProgress) => void;
}

export interface PreparedFiles {
  readonly files: StoredFiles;
  /** To be written with the message. */
  readonly records: readonly StoredRecord[];
}

export class Uploads {
  readonly #deps: UploadsDeps;
  readonly #places = new Semaphore(AT_ONCE);

  constructor(deps: UploadsDeps) {
    this.#deps = deps;
  }

  /**
   * Takes the files of a message over, so that it can be sent whatever happens to their source.
   * @throws ClientError `bad_attachment`; FileTransferError `empty`, `too_large`; StorageError; what a source throws
   */
  async prepare(
    { attachments = [], preview }: OutgoingFiles,
    text: string,
    owner: MessageIdentity,
    signal: AbortSignal | undefined,
  ): Promise<PreparedFiles> {
    check(attachments, preview, text);
    const taken: Taken[] = [];
    try {
      for (const attachment of attachments) {
        taken.push(await this.#take(attachment, { owner, signal, limit: MAX_WHOLE_BYTES, isPadded: true }));
      }
      const image =
        preview?.image &&
        (await this.#take(preview.image, { owner, signal, limit: MAX_PREVIEW_IMAGE_BYTES, isPadded: false }));
      if (image !== undefined) taken.push(image);
      const files: StoredFiles = {
        ...(attachments.length > 0 && {
          attachments: taken.slice(0, attachments.length).map(({ attachment }) => attachment),
        }),
        ...(preview !== undefined && {
          preview: {
            url: preview.url,
            ...(preview.title !== undefined && { title: preview.title }),
            ...(image !== undefined && { image: image.attachment }),
          },
        }),
      };
      return { files, records: taken.flatMap(({ records }) => records) };
    } catch (error) {
      await this.drop(taken.map(({ attachment }) => attachment));
      throw error;
    }
  }

  async #take(
    given: OutgoingAttachment,
    options: {
      readonly owner: MessageIdentity;
      readonly signal: AbortSignal | undefined;
      readonly limit: number;
      readonly isPadded: boolean;
    },
  ): Promise<Taken> {
    const { contents } = this.#deps;
    const name = contents.newName();
    const { content, record } = await contents.put(name, given.data, options);
    const { sizeBytes } = content;
    const fileName = given.fileName === undefined ? undefined : cleanFileName(given.fileName);
    const inParts = sizeBytes > MAX_ATTACHMENT_BYTES;
    const upload: UploadRecord = {
      key: toHex(randomBytes(ATTACHMENT_KEY_BYTES)),
      iv: toHex(randomBytes(ATTACHMENT_IV_BYTES)),
      isPadded: options.isPadded,
      ...(inParts && { wholeKey: toHex(randomBytes(32)), parts: {} }),
      doneBytes: 0,
      totalBytes: inParts
        ? sizeBytes
        : (options.isPadded ? paddedAttachmentLength(sizeBytes) : sizeBytes) + SEALED_BYTES,
    };
    const { width, height, caption, isVoice, durationMs } = given;
    return {
      attachment: {
        contentType: cleanContentType(given.contentType),
        sizeBytes,
        ...(fileName !== undefined && { fileName }),
        ...(width !== undefined && { width }),
        ...(height !== undefined && { height }),
        ...(caption !== undefined && caption !== '' && { caption }),
        ...(isVoice === true && { isVoice }),
        ...(durationMs !== undefined && { durationMs: Math.round(durationMs) }),
        content: name,
      },
      records: [record, { kind: UPLOAD, key: name, value: upload }],
    };
  }

  /**
   * Uploads what is not on a server yet, or will not stay there long enough; the message with all addresses, not written yet.
   * @throws ClientError `not_uploaded`: passing; `no_file_server`, `file_lost`, `file_refused`; what the network throws; the reason
   * of the signal
   */
  async run(message: StoredMessage, signal: AbortSignal): Promise<StoredMessage> {
    const files = filesOf(message);
    if (!files.some((file) => this.#isDue(file))) return message;
    const failed = new AbortController();
    const end = AbortSignal.any([signal, failed.signal]);
    const ends = await Promise.allSettled(
      files.map(async (file, index) => {
        if (!this.#isDue(file)) return file;
        const isImage = index === (message.attachments?.length ?? 0);
        try {
          // Each takes the memory of its file twice.
          using _place = await this.#places.acquire(end);
          return await this.#upload(file, message, isImage ? 'preview' : index, end);
        } catch (error) {
          failed.abort(error);
          throw error;
        }
      }),
    );
    const failure = ends.find((one) => one.status === 'rejected');
    if (failure !== undefined)
      throw asClientError(failed.signal.aborted ? failed.signal.reason : failure.reason, signal);
    return withFiles(
      message,
      ends.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])),
    );
  }

  /** The message is sent: its files can be fetched from now on. */
  async sent(message: StoredMessage): Promise<readonly StoredRecord[]> {
    const records: StoredRecord[] = [];
    for (const name of namesOf(filesOf(message))) {
      const content = await this.#deps.contents.find(name);
      if (content !== undefined) records.push(this.#deps.contents.unpinned(name, content));
      records.push({ kind: UPLOAD, key: name, value: undefined });
    }
    return records;
  }

  /** The same content under another identity. */
  async moved(
    message: StoredMessage,
    { sender, timestamp }: MessageIdentity,
  ): Promise<readonly StoredRecord[]> {
    const { contents } = this.#deps;
    const records: StoredRecord[] = [];
    for (const name of namesOf(filesOf(message))) {
      const content = await contents.find(name);
      if (content !== undefined)
        records.push(contents.record(name, { ...content, owner: { sender, timestamp } }));
    }
    return records;
  }

  /** What `prepare` gave, for a message of another time. */
  owned(records: readonly StoredRecord[], { sender, timestamp }: MessageIdentity): readonly StoredRecord[] {
    const owner = { sender, timestamp };
    return records.map((record) =>
      record.value !== undefined && 'owner' in record.value
        ? { ...record, value: { ...record.value, owner } }
        : record,
    );
  }

  /** They are not wanted any more. */
  async drop(files: readonly StoredAttachment[]): Promise<void> {
    for (const name of namesOf(files)) {
      await this.#deps.contents.remove(name);
      await this.#deps.storage.write({ records: [{ kind: UPLOAD, key: name, value: undefined }] });
    }
  }

  /** How far the files of a message are that is being sent. */
  async progress(message: StoredMessage): Promise<readonly FileProgress[]> {
    const told: FileProgress[] = [];
    const count = message.attachments?.length ?? 0;
    for (const [index, file] of filesOf(message).entries()) {
      const upload = file.content === undefined ? undefined : await this.#record(file.content);
      if (upload === undefined) continue;
      const { doneBytes, totalBytes } = upload;
      const place = index === count ? 'preview' : index;
      told.push({
        ...whose(message),
        index: place,
        doneBytes: file.url === undefined ? doneBytes : totalBytes,
        totalBytes,
      });
    }
    return told;
  }

  /** Nobody has it, or it would be gone before the message is. */
  #isDue({
    content,
    url,
    uploadedAt = 0,
    expiresAt = uploadedAt + NEEDED_MS,
    problem,
  }: StoredAttachment): boolean {
    if (problem !== undefined) return false;
    if (url === undefined) return true;
    const now = this.#deps.env.clock.now();
    return content !== undefined && now - uploadedAt > DAY_MS && expiresAt - now < NEEDED_MS;
  }

  async #upload(
    file: StoredAttachment,
    message: StoredMessage,
    index: FileProgress['index'],
    signal: AbortSignal,
  ): Promise<StoredAttachment> {
    const { contents, transfers, storage, env } = this.#deps;
    const { content: name } = file;
    const content = name === undefined ? undefined : await contents.use(name);
    const record = name === undefined ? undefined : await this.#record(name);
    if (name === undefined || content === undefined || record === undefined) {
      if (file.url !== undefined) return file;
      throw lost();
    }
    if (record.done !== undefined && file.url === undefined) {
      const uploaded = { ...file, ...record.done };
      if (!this.#isDue(uploaded)) return uploaded;
    }
    const upload = new FileUpload(name, content, record, {
      ...{ transfers, contents, storage, clock: env.clock },
      onProgress: (doneBytes, totalBytes) =>
        this.#deps.onProgress({ ...whose(message), index, doneBytes, totalBytes }),
    });
    if (record.done !== undefined) await upload.again();
    const uploaded = { ...file, ...(await upload.run(file, signal)) };
    if (!this.#isDue(uploaded)) return uploaded;
    // Its first parts are too old.
    await upload.again();
    return { ...file, ...(await upload.run(file, signal)) };
  }

  async #record(name: string): Promise<UploadRecord | undefined> {
    return (await this.#deps.storage.record(UPLOAD, name))?.value as UploadRecord | undefined;
  }
}

interface Taken {
  readonly attachment: StoredAttachment;
  readonly records: readonly StoredRecord[];
}

const whose = ({ sender, timestamp, conversation }: StoredMessage) => ({ sender, timestamp, conversation });

const namesOf = (files: readonly StoredAttachment[]): readonly string[] =>
  files.flatMap(({ content }) => content ?? []);

/** @throws ClientError `bad_attachment` */
function check(
  attachments: readonly OutgoingAttachment[],
  preview: OutgoingPreview | undefined,
  text: string,
): void {
  const refuse = (why: string) => new ClientError('bad_attachment', why);
  if (attachments.length > MAX_ATTACHMENTS)
    throw refuse(`a message has at most ${MAX_ATTACHMENTS} attachments`);
  for (const { caption = '', width, height, durationMs } of attachments) {
    if (caption.length > MAX_CAPTION) throw refuse(`a caption has at most ${MAX_CAPTION} characters`);
    for (const size of [width, height]) {
      if (size !== undefined && !(Number.isInteger(size) && size > 0 && size < 2 ** 31)) {
        throw refuse('width and height are whole numbers of pixels');
      }
    }
    if (durationMs !== undefined && !(durationMs > 0 && durationMs < 2 ** 31)) {
      throw refuse('a duration is in ms, above 0');
    }
  }
  if (preview === undefined) return;
  if (!isLink(preview.url)) throw refuse('a preview needs a link that begins with http:// or https://');
  if (!text.includes(preview.url)) throw refuse('the link of the preview has to stand in the text');
  if ((preview.title ?? '') === '' && preview.image === undefined)
    throw refuse('a preview has a title or an image');
  if ((preview.title?.length ?? 0) > MAX_TITLE) throw refuse(`a title has at most ${MAX_TITLE} characters`);
}

function asClientError(error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted || !(error instanceof FileTransferError)) return error;
  switch (error.code) {
    case 'no_server':
      return new ClientError('no_file_server', error.message, { cause: error });
    case 'too_large':
    case 'empty':
      return new ClientError('file_refused', `no file server takes the file: ${error.message}`, {
        cause: error,
      });
    default:
      return new ClientError('not_uploaded', error.message, { cause: error });
  }
}
