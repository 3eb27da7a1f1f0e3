// SPDX-License-Identifier: MIT
// Files that are larger than file servers take (docs/decisions/0028): cut into parts of 8 MiB, each an encrypted file of its
// own under keys that follow from one key, and a description that is sent as the attachment. It is a text that tells
// people whose client does not know it what it is; its last line is JSON.
import { blake2b } from '#crypto';
import { concat, fromHex, fromUtf8, toHex, u32be, utf8 } from '../bytes.ts';
import { parseJson, stringifyJson } from '../codec/json.ts';
import { ParseError } from '../errors.ts';
import { ATTACHMENT_IV_BYTES, ATTACHMENT_KEY_BYTES, openAttachment, sealAttachment } from './legacy.ts';
import { cleanContentType } from './names.ts';
import { parseFileUrl } from './url.ts';

// Ours.
export const PARTS_CONTENT_TYPE = 'application/vnd.allium.parts';
/** At the end of the name of the description. */
export const PARTS_EXTENSION = '.parts.txt';
/** Plain bytes of every part but the last, which has less or the same. */
export const PART_BYTES = 8 * 1024 * 1024;
export const MAX_PARTS = 256;
export const MAX_WHOLE_BYTES = PART_BYTES * MAX_PARTS;
/** Of the description. */
export const MAX_PARTS_TEXT_BYTES = 512 * 1024;
const KEY = 32;
const DIGEST = 32;
const MAX_URL = 512;
const VERSION = 1;

export interface FilePart {
  /** As of any attachment, spec/client §5.2. */
  readonly url: string;
  /** SHA-256 of the encrypted part. */
  readonly digest: Uint8Array;
}

export interface FileParts {
  /** Of the whole file. */
  readonly sizeBytes: number;
  readonly contentType: string;
  /** BLAKE2b-256 of the whole file. */
  readonly digest: Uint8Array;
  /** 32 bytes; secret. */
  readonly key: Uint8Array;
  /** In order. */
  readonly parts: readonly FilePart[];
}

export const partCount = (sizeBytes: number): number => Math.ceil(sizeBytes / PART_BYTES);

/** Plain bytes of part `index`. */
export function partLength(sizeBytes: number, index: number): number {
  return Math.min(PART_BYTES, sizeBytes - index * PART_BYTES);
}

/** Equal for equal arguments: an attempt that is repeated gives the server the same bytes. */
export function sealPart(data: Uint8Array, key: Uint8Array, index: number) {
  const isWhole = data.length === PART_BYTES;
  return sealAttachment(data, { padded: !isWhole }, { key: partKey(key, index), iv: partIv(key, index) });
}

/** @throws FileError as `openAttachment` */
export function openPart(body: Uint8Array, { key, parts, sizeBytes }: FileParts, index: number): Uint8Array {
  const digest = parts[index]?.digest;
  return openAttachment(body, {
    key: partKey(key, index),
    digest,
    sizeBytes: partLength(sizeBytes, index),
  });
}

const derive = (key: Uint8Array, purpose: string, index: number, length: number) =>
  blake2b(concat(utf8(purpose), u32be(index)), length, { key });
const partKey = (key: Uint8Array, index: number) =>
  derive(key, 'allium part key', index, ATTACHMENT_KEY_BYTES);
const partIv = (key: Uint8Array, index: number) => derive(key, 'allium part iv', index, ATTACHMENT_IV_BYTES);

/** `name`: for people whose client cannot put it together. */
export function formatParts(
  { sizeBytes, contentType, digest, key, parts }: FileParts,
  name: string,
): Uint8Array {
  const megabytes = (sizeBytes / 1e6).toFixed(1);
  const json = stringifyJson({
    allium_parts: VERSION,
    size: sizeBytes,
    type: contentType,
    digest: toHex(digest),
    key: toHex(key),
    parts: parts.map((part) => [part.url, toHex(part.digest)]),
  });
  return utf8(
    `${name} (${megabytes} MB) was sent in ${parts.length} parts, because it is too large for one file.\n` +
      'Clients that know files in parts put it together by themselves; open the message with Allium.\n' +
      `Whoever has this text can read the file.\n\n${json}\n`,
  );
}

/** @throws ParseError `file_parts` */
export function parseParts(bytes: Uint8Array): FileParts {
  const fail = (why: string, cause?: unknown) =>
    new ParseError('file_parts', `the description of a file in parts: ${why}`, { cause });
  if (bytes.length > MAX_PARTS_TEXT_BYTES) throw fail(`${bytes.length} bytes`);
  try {
    const text = fromUtf8(bytes).trimEnd();
    const json = parseJson(text.slice(text.lastIndexOf('\n') + 1));
    if (json === null || typeof json !== 'object' || Array.isArray(json)) throw fail('no object');
    const { allium_parts, size, type, digest, key, parts } = json as Record<string, unknown>;
    if (allium_parts !== VERSION) throw fail('of a version that this program does not know');
    if (typeof size !== 'number' || !Number.isInteger(size) || size < 1 || size > MAX_WHOLE_BYTES) {
      throw fail('its size is not possible');
    }
    if (!Array.isArray(parts) || parts.length !== partCount(size)) throw fail('not all parts, or too many');
    if (typeof type !== 'string' || typeof digest !== 'string' || typeof key !== 'string')
      throw fail('incomplete');
    return {
      sizeBytes: size,
      contentType: cleanContentType(type),
      digest: fromHex(digest, DIGEST),
      key: fromHex(key, KEY),
      parts: parts.map((part: unknown) => {
        const [url, hash, ...more] = Array.isArray(part) ? part : [];
        if (typeof url !== 'string' || typeof hash !== 'string' || more.length > 0)
          throw fail('a part is malformed');
        if (url.length > MAX_URL || parseFileUrl(url).isDeterministic) throw fail('the address of a part');
        return { url, digest: fromHex(hash, DIGEST) };
      }),
    };
  } catch (error) {
    if (error instanceof ParseError && error.code === 'file_parts') throw error;
    if (error instanceof ParseError) throw fail(error.message, error);
    throw error;
  }
}
