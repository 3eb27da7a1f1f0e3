// SPDX-License-Identifier: MIT
// Attachments and link previews as they are kept with a message, and their form in messages (spec/client §3.3). What a stranger
// wrote is cleaned here: names and types can be shown, and an address that could not be used is not kept.
import { fromHex, toHex } from '@allium/protocol/bytes';
import { cleanContentType, cleanFileName, cleanLine, UNKNOWN_TYPE } from '@allium/protocol/files/names';
import {
  MAX_PARTS_TEXT_BYTES,
  MAX_WHOLE_BYTES,
  PARTS_CONTENT_TYPE,
  PARTS_EXTENSION,
} from '@allium/protocol/files/parts';
import { parseFileUrl } from '@allium/protocol/files/url';
import type { AttachmentPointer, DataMessage, Preview } from '@allium/protocol/message/content';
import { FileTransferError } from './file-transfer-error.ts';
import { readPointer } from './transfers.ts';

// From the specification.
const VOICE_MESSAGE = 1; // §3.3
const MAX_PREVIEW_URL = 4_096; // §5.7
export const MAX_PREVIEW_IMAGE_BYTES = 1024 * 1024; // §5.7
// Ours.
const MAX_CAPTION = 2_000;
const MAX_TITLE = 300;
const MAX_URL = 512;
const MAX_PIXELS = 100_000;
const MAX_DURATION_MS = 24 * 3_600_000;

/** A file of a message. What a sender says of it is not checked until it is opened. */
export interface StoredAttachment {
  /** `type/subtype`; `application/octet-stream` when unknown. */
  readonly contentType: string;
  /** Fit for any folder; absent when the sender gave none. */
  readonly fileName?: string;
  /** Plain bytes; 0: the sender does not say. */
  readonly sizeBytes: number;
  /** Pixels. */
  readonly width?: number;
  readonly height?: number;
  readonly caption?: string;
  readonly isVoice?: boolean;
  /** Of a voice message; other clients than ours do not say it. */
  readonly durationMs?: number;
  /** Of the encrypted file. Absent: it is not uploaded yet, or there is a `problem`. */
  readonly url?: string;
  /** Hex. */
  readonly key?: string;
  /** Hex; of the legacy form. */
  readonly digest?: string;
  /** Of a file in parts: plain bytes of the description that is at `url`. */
  readonly partsTextBytes?: number;
  /** Of a file that this device sends: the name of its content. */
  readonly content?: string;
  /** Local time in ms at which the server had it, and until which it said that it keeps it. */
  readonly uploadedAt?: number;
  readonly expiresAt?: number;
  /** Why it can never be opened: what the message says of it is malformed, or larger than files may be. */
  readonly problem?: 'bad_pointer' | 'too_large';
}

/** What a link leads to, as the sender says. */
export interface StoredPreview {
  /** http or https; it stands in the text. */
  readonly url: string;
  readonly title?: string;
  readonly image?: StoredAttachment;
}

/** What a message says besides its text. */
export interface StoredFiles {
  /** At most 32. */
  readonly attachments?: readonly StoredAttachment[];
  readonly preview?: StoredPreview;
}

/** Attachments and preview of a message of somebody else. */
export function readFiles({ attachments = [], preview = [], body = '' }: DataMessage): StoredFiles {
  const link = preview[0] && readPreview(preview[0], body);
  return {
    ...(attachments.length > 0 && { attachments: attachments.map(fromPointer) }),
    ...(link !== undefined && { preview: link }),
  };
}

/** The same in a message of ours; everything is uploaded. */
export function writeFiles({
  attachments = [],
  preview,
}: StoredFiles): Pick<DataMessage, 'attachments' | 'preview'> {
  return {
    ...(attachments.length > 0 && { attachments: attachments.map(toPointer) }),
    ...(preview !== undefined && { preview: [writePreview(preview)] }),
  };
}

/** All files of a message in one list; the image of its preview is the last. */
export function filesOf({ attachments = [], preview }: StoredFiles): readonly StoredAttachment[] {
  return preview?.image === undefined ? attachments : [...attachments, preview.image];
}

/** The message with other files in the order of `filesOf`. */
export function withFiles<T extends StoredFiles>(message: T, files: readonly StoredAttachment[]): T {
  const count = message.attachments?.length ?? 0;
  const image = files[count];
  return {
    ...message,
    ...(count > 0 && { attachments: files.slice(0, count) }),
    ...(message.preview !== undefined && image !== undefined && { preview: { ...message.preview, image } }),
  };
}

/** §5.7: kept only when the link stands in the text and there is something to show. */
function readPreview({ url, title, image }: Preview, body: string): StoredPreview | undefined {
  if (!isLink(url) || !body.includes(url)) return undefined;
  const clean = cleanLine(title ?? '', MAX_TITLE);
  const picture = image && fromPointer(image);
  const isShown =
    picture?.url !== undefined &&
    picture.sizeBytes <= MAX_PREVIEW_IMAGE_BYTES &&
    picture.contentType.startsWith('image/');
  if (clean === '' && !isShown) return undefined;
  return { url, ...(clean !== '' && { title: clean }), ...(isShown && { image: picture }) };
}

/** A link that can be shown and opened: what is seen is where it leads. */
export function isLink(text: string): boolean {
  if (text.length > MAX_PREVIEW_URL || /[\p{Cc}\p{Cf}\s]/u.test(text)) return false;
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return false;
  }
  const isWeb = url.protocol === 'https:' || url.protocol === 'http:';
  return isWeb && url.username === '' && url.password === '' && url.hostname !== '';
}

function writePreview({ url, title, image }: StoredPreview): Preview {
  return {
    url,
    ...(title !== undefined && { title }),
    ...(image !== undefined && { image: toPointer(image) }),
  };
}

export function fromPointer(pointer: AttachmentPointer): StoredAttachment {
  const { size = 0, flags = 0, durationMs, wholeSize, caption } = pointer;
  const inParts = cleanContentType(pointer.contentType) === PARTS_CONTENT_TYPE && wholeSize !== undefined;
  const fileName = cleanFileName(
    inParts ? withoutSuffix(pointer.fileName ?? '', PARTS_EXTENSION) : (pointer.fileName ?? ''),
  );
  const text = cleanLine(caption ?? '', MAX_CAPTION);
  const told: StoredAttachment = {
    contentType: cleanContentType(inParts ? pointer.wholeContentType : pointer.contentType),
    sizeBytes: inParts ? wholeSize : size,
    ...(fileName !== undefined && { fileName }),
    ...(isPossible(pointer.width, MAX_PIXELS) && { width: pointer.width }),
    ...(isPossible(pointer.height, MAX_PIXELS) && { height: pointer.height }),
    ...(text !== '' && { caption: text }),
    ...((flags & VOICE_MESSAGE) !== 0 && { isVoice: true }),
    ...(isPossible(durationMs, MAX_DURATION_MS) && { durationMs }),
  };
  try {
    if (inParts && (wholeSize > MAX_WHOLE_BYTES || size > MAX_PARTS_TEXT_BYTES)) {
      throw new FileTransferError('too_large', 'a file in parts that is too large');
    }
    if (inParts && wholeSize === 0)
      throw new FileTransferError('bad_pointer', 'a file in parts without size');
    readPointer(pointer);
    const { url = '', key, digest } = pointer;
    if (url.length > MAX_URL) throw new FileTransferError('bad_pointer', 'the address is too long');
    return {
      ...told,
      url,
      ...(key !== undefined && { key: toHex(key) }),
      ...(digest !== undefined && digest.length === 32 && { digest: toHex(digest) }),
      ...(inParts && { partsTextBytes: size }),
    };
  } catch (error) {
    if (!(error instanceof FileTransferError)) throw error;
    return { ...told, problem: error.code === 'too_large' ? 'too_large' : 'bad_pointer' };
  }
}

/** @throws RangeError when it has not been uploaded */
export function toPointer(attachment: StoredAttachment): AttachmentPointer {
  const { url, key, digest, partsTextBytes, fileName, width, height, caption, durationMs } = attachment;
  if (url === undefined || key === undefined) throw new RangeError('a file that was not uploaded');
  const { id } = parseFileUrl(url);
  return {
    // §3.3: old clients look for a number here.
    id: /^\d{1,19}$/.test(id) ? BigInt.asUintN(64, BigInt(id)) : 0n,
    contentType: partsTextBytes === undefined ? attachment.contentType : PARTS_CONTENT_TYPE,
    key: fromHex(key),
    size: partsTextBytes ?? attachment.sizeBytes,
    ...(digest !== undefined && { digest: fromHex(digest) }),
    ...(partsTextBytes === undefined
      ? fileName !== undefined && { fileName }
      : { fileName: `${fileName ?? 'file'}${PARTS_EXTENSION}` }),
    ...(attachment.isVoice === true && { flags: VOICE_MESSAGE }),
    ...(width !== undefined && { width }),
    ...(height !== undefined && { height }),
    ...(caption !== undefined && { caption }),
    url,
    ...(durationMs !== undefined && { durationMs }),
    ...(partsTextBytes !== undefined && {
      wholeSize: attachment.sizeBytes,
      ...(attachment.contentType !== UNKNOWN_TYPE && { wholeContentType: attachment.contentType }),
    }),
  };
}

const withoutSuffix = (text: string, suffix: string) =>
  text.endsWith(suffix) ? text.slice(0, -suffix.length) : text;

const isPossible = (value: number | undefined, most: number): value is number =>
  value !== undefined && Number.isInteger(value) && value > 0 && value <= most;

/** Whether two messages show the same files, at the same addresses. */
export function sameFiles(a: StoredFiles, b: StoredFiles): boolean {
  const [x, y] = [a.attachments ?? [], b.attachments ?? []];
  return sameKeys(a, b) && x.every(({ url }, i) => url === y[i]?.url);
}

/** The same wherever they lie: a file that is uploaded once more, as its message is sent once more, keeps its key. */
export function sameKeys(a: StoredFiles, b: StoredFiles): boolean {
  const [x, y] = [a.attachments ?? [], b.attachments ?? []];
  const isSame = ({ url, key }: StoredAttachment, i: number) =>
    key === y[i]?.key && (key !== undefined || url === y[i]?.url);
  return x.length === y.length && x.every(isSame);
}
