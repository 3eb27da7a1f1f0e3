// SPDX-License-Identifier: MIT
// Overwriting files. Disks that write elsewhere and file systems that copy may keep the old bytes all the same: what
// must be gone for certain is encrypted, and its key destroyed (docs/decisions/0025-encrypted-databases.md).
import { closeSync, fstatSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs';

const PIECE_BYTES = 1024 * 1024;

/** Zeros over all of an open file. */
export function overwrite(file: number): void {
  const zeros = new Uint8Array(PIECE_BYTES);
  const { size } = fstatSync(file);
  for (let at = 0; at < size; at += PIECE_BYTES) {
    writeSync(file, zeros, 0, Math.min(PIECE_BYTES, size - at), at);
  }
  fsyncSync(file);
}

/** Overwrites and removes a file; harmless when it does not exist. */
export function wipeFile(path: string): void {
  let file: number;
  try {
    file = openSync(path, 'r+');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    overwrite(file);
  } finally {
    closeSync(file);
  }
  rmSync(path, { force: true });
}
