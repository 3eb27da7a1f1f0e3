// SPDX-License-Identifier: MIT
// Why a file did not go up or come down.
import { AlliumError } from '@allium/protocol/errors';

/**
 * - `empty`, `too_large`: the caller's file, or the one that a message points to.
 * - `bad_pointer`: the message lacks address, key or digest, or they are malformed. Nothing was asked for.
 * - `no_server`: this network has no file server in its preset.
 * - `servers_down`: none of the file servers took the file. Try again later; `retryAfterMs` says when.
 * - `server_down`: the only server that has the file gives no answer, or not a sensible one. Try again later.
 * - `gone`: the server no longer has the file. Final.
 * - `corrupt`: what the server gave is not what was sent: its length, digest or encryption is wrong. Final.
 */
export type FileTransferCode =
  | 'empty'
  | 'too_large'
  | 'bad_pointer'
  | 'no_server'
  | 'servers_down'
  | 'server_down'
  | 'gone'
  | 'corrupt';

export class FileTransferError extends AlliumError<FileTransferCode> {
  override readonly name = 'FileTransferError';
  /** Of `server_down` and `servers_down`: not before. */
  readonly retryAfterMs: number | undefined;

  constructor(code: FileTransferCode, message: string, options?: ErrorOptions & { retryAfterMs?: number }) {
    super(code, message, options);
    this.retryAfterMs = options?.retryAfterMs;
  }
}
