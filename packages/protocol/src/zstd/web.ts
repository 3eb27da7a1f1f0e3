// SPDX-License-Identifier: MIT
// zstd for browsers, as WASM. Importing waits until it is ready.
import { compress, decompress, init } from '@bokuweb/zstd-wasm';
import { outputBound } from './frame.ts';

await init();

/** One frame, level 1 (spec/config-and-groups §1). */
export function zstdCompress(bytes: Uint8Array): Uint8Array {
  return compress(bytes, 1);
}

/** Undefined when `bytes` are not one sound frame of at most `maxBytes` of output. */
export function zstdDecompress(bytes: Uint8Array, maxBytes: number): Uint8Array | undefined {
  // Without this check the library would believe whatever size the frame announces.
  const bound = outputBound(bytes, maxBytes);
  if (bound === undefined) return undefined;
  try {
    return decompress(bytes, { defaultHeapSize: Math.max(bound, 1) });
  } catch {
    return undefined;
  }
}
