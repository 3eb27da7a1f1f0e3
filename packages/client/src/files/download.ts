// SPDX-License-Identifier: MIT
// One encrypted file from its file server (spec/client §5.6), in ranges where the server gives them. Nothing is taken
// beyond the length that the file may have.
import type { V4Response } from '@allium/protocol/onion/v4';
import { FileTransferError } from './file-transfer-error.ts';
import type { AskServer, TransferOptions } from './transfer.ts';

const TIMEOUT_MS = 30_000; // spec/client §2.6
// Ours.
const PIECE_BYTES = 1024 * 1024;
const PIECES_AT_ONCE = 3;

export interface DownloadParts extends TransferOptions {
  readonly ask: AskServer;
  /** What the encrypted file must measure. */
  readonly least: number;
  readonly most: number;
}

/** @throws FileTransferError `gone`, `corrupt`, `server_down`; what `ask` throws */
export async function downloadFile(endpoint: string, parts: DownloadParts): Promise<Uint8Array> {
  const { ask, least, most, onProgress, signal } = parts;
  const get = (start: number, end: number) =>
    ask({ method: 'GET', endpoint, headers: { Range: `bytes=${start}-${end - 1}` } }, TIMEOUT_MS);
  onProgress?.({ doneBytes: 0, totalBytes: most });
  const first = await get(0, PIECE_BYTES);
  checkStatus(first);
  const total = first.code === 206 ? totalOf(first, 0) : first.body.length;
  if (total < least || total > most) {
    throw new FileTransferError('corrupt', `the file has ${total} bytes instead of ${least} to ${most}`);
  }
  let doneBytes = first.body.length;
  onProgress?.({ doneBytes, totalBytes: total });
  if (first.code !== 206 || total === first.body.length) return first.body;
  if (first.body.length !== PIECE_BYTES) throw new FileTransferError('server_down', 'a piece is too short');
  const whole = new Uint8Array(total);
  whole.set(first.body);
  let next = PIECE_BYTES;
  const failed = new AbortController();
  const worker = async () => {
    while (next < total && !failed.signal.aborted) {
      const start = next;
      const end = Math.min(total, start + PIECE_BYTES);
      next = end;
      const piece = await get(start, end);
      signal?.throwIfAborted();
      checkStatus(piece);
      if (piece.code !== 206 || totalOf(piece, start) !== total || piece.body.length !== end - start) {
        throw new FileTransferError('server_down', 'the server gave another piece than it was asked for');
      }
      whole.set(piece.body, start);
      doneBytes += piece.body.length;
      onProgress?.({ doneBytes, totalBytes: total });
    }
  };
  const workers = Array.from({ length: PIECES_AT_ONCE }, () =>
    worker().catch((error: unknown) => {
      failed.abort();
      throw error;
    }),
  );
  const ends = await Promise.allSettled(workers);
  const failure = ends.find((end) => end.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
  return whole;
}

/** Length of the whole file as the answer to a range tells it. */
function totalOf({ headers, body }: V4Response, start: number): number {
  const range = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(headers['content-range'] ?? '');
  const [from, to, total] = (range ?? []).slice(1).map(Number);
  if (from !== start || to === undefined || total === undefined || to - start + 1 !== body.length) {
    throw new FileTransferError('server_down', 'the server does not say which piece it gave');
  }
  return total;
}

function checkStatus({ code }: V4Response): void {
  if (code === 200 || code === 206) return;
  if (code === 404) throw new FileTransferError('gone', 'the server no longer has the file');
  throw new FileTransferError('server_down', `the server answered ${code}`);
}
