// SPDX-License-Identifier: MIT
// zstd by node:zlib. Same names and, at level 1, the same bytes as `web.ts`; `#zstd` chooses.
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { MAX_WINDOW_LOG, outputBound } from './frame.ts';

const COMPRESS = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

/** One frame, level 1 (spec/config-and-groups §1). */
export function zstdCompress(bytes: Uint8Array): Uint8Array {
  const frame = zstdCompressSync(bytes, { ...COMPRESS, pledgedSrcSize: bytes.length });
  return new Uint8Array(frame.buffer, frame.byteOffset, frame.byteLength);
}

/** Undefined when `bytes` are not one sound frame of at most `maxBytes` of output. */
export function zstdDecompress(bytes: Uint8Array, maxBytes: number): Uint8Array | undefined {
  const bound = outputBound(bytes, maxBytes);
  if (bound === undefined) return undefined;
  try {
    const content = zstdDecompressSync(bytes, {
      maxOutputLength: Math.max(bound, 1),
      params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG },
    });
    return new Uint8Array(content.buffer, content.byteOffset, content.byteLength);
  } catch {
    return undefined;
  }
}
