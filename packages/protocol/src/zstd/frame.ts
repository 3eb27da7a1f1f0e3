// SPDX-License-Identifier: MIT
// The outline of a zstd frame (RFC 8878 §3.1), read before any memory is given for it. Both implementations behind
// `#zstd` ask it first, so that Node and browsers accept the same input and a bomb costs neither of them anything.
//
//   magic 28 b5 2f fd, header, blocks of { last:1 bit, type:2, size:21 } and content, checksum of 4 bytes if announced

// From RFC 8878.
const MAX_BLOCK_BYTES = 128 * 1024;
const RLE_BLOCK = 1;
const RESERVED_BLOCK = 3;

// Ours: the least power of two above our greatest output; libsession's level 1 uses 512 kB.
const MAX_WINDOW_BYTES = 1 << 24;
export const MAX_WINDOW_LOG = 24;

/**
 * The most bytes that a decoder of `bytes` puts out, or undefined when they are not one whole frame (several frames in a
 * row, dictionaries and bytes after the frame are not accepted), or when the output would pass `maxBytes` surely.
 */
export function outputBound(bytes: Uint8Array, maxBytes: number): number | undefined {
  if (bytes.length < 6 || littleEndian(bytes, 0, 4) !== 0xfd2fb528) return undefined;
  const descriptor = bytes[4]!;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  // A reserved bit, or a dictionary, of which there are none in this protocol.
  if ((descriptor & 0x0b) !== 0) return undefined;
  let at = 5;
  if (!isSingleSegment) {
    const window = bytes[at++]!;
    const base = 2 ** (10 + (window >> 3));
    if (base + (base / 8) * (window & 7) > MAX_WINDOW_BYTES) return undefined;
  }
  const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
  if (at + sizeBytes > bytes.length) return undefined;
  const announced = littleEndian(bytes, at, sizeBytes) + (sizeBytes === 2 ? 256 : 0);
  at += sizeBytes;
  let bound = 0;
  let isLast = false;
  while (!isLast) {
    if (at + 3 > bytes.length) return undefined;
    const header = littleEndian(bytes, at, 3);
    const type = (header >> 1) & 3;
    const size = header >> 3;
    isLast = (header & 1) === 1;
    if (type === RESERVED_BLOCK || size > MAX_BLOCK_BYTES) return undefined;
    at += 3 + (type === RLE_BLOCK ? 1 : size);
    bound += type === 2 ? MAX_BLOCK_BYTES : size;
  }
  if (at + ((descriptor & 0x04) === 0 ? 0 : 4) !== bytes.length) return undefined;
  if (sizeBytes === 0) return Math.min(bound, maxBytes);
  return announced > maxBytes || announced > bound ? undefined : announced;
}

/** Of up to eight bytes; inexact above 2^53, where every limit is passed anyway. */
function littleEndian(bytes: Uint8Array, offset: number, length: number): number {
  let value = 0;
  for (let i = length - 1; i >= 0; i--) value = value * 256 + bytes[offset + i]!;
  return value;
}
