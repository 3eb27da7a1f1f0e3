// SPDX-License-Identifier: MIT
// One encrypted file to one file server (spec/client §5.5): in pieces after tus 1.0.0 where the server offers that (see
// docs/guides/files.md), else by `POST /file`.
import { fromUtf8 } from '@allium/protocol/bytes';
import { ParseError } from '@allium/protocol/errors';
import { CONTENT_ID_LENGTH, contentId } from '@allium/protocol/files/content-id';
import { type Json, parseJson } from '@allium/protocol/json';
import type { V4Response } from '@allium/protocol/onion/v4';
import { FileTransferError } from './file-transfer-error.ts';
import type { AskServer, TransferOptions } from './transfer.ts';

const TIMEOUT_MS = 30_000; // spec/client §2.6
// Ours.
/** Every piece costs a trip through three hops; every hop waits for the whole of it before it passes it on. */
const PIECE_BYTES = 1024 * 1024;
/** Pieces that may be lost one after the other. */
const LOST_IN_A_ROW = 2;

export interface UploadParts extends TransferOptions {
  readonly ask: AskServer;
}

/** The id of the stored file. @throws FileTransferError `server_down`, `too_large`; what `ask` throws */
export async function uploadFile(body: Uint8Array, parts: UploadParts): Promise<string> {
  const { ask, onProgress } = parts;
  onProgress?.({ doneBytes: 0, totalBytes: body.length });
  const id = (body.length > PIECE_BYTES && (await inPieces(body, parts))) || (await atOnce(body, ask));
  if (!fits(id, body)) throw new FileTransferError('server_down', 'the server stored something else');
  onProgress?.({ doneBytes: body.length, totalBytes: body.length });
  return id;
}

async function atOnce(body: Uint8Array, ask: AskServer): Promise<string> {
  const headers = { 'Content-Type': 'application/octet-stream', 'Content-Disposition': 'attachment' };
  const answer = await ask({ method: 'POST', endpoint: '/file', headers, body }, TIMEOUT_MS);
  checkStatus(answer);
  let json: Json;
  try {
    json = parseJson(fromUtf8(answer.body));
  } catch (cause) {
    if (!(cause instanceof ParseError)) throw cause;
    throw new FileTransferError('server_down', 'the server answered nonsense', { cause });
  }
  const { id, expires } = (json ?? {}) as { readonly id?: unknown; readonly expires?: unknown };
  // §5.5: without `expires` the upload has failed.
  const name = typeof id === 'number' ? String(id) : id;
  if (typeof name !== 'string' || !isId(name) || !Number.isFinite(expires)) {
    throw new FileTransferError('server_down', 'the server answered nonsense');
  }
  return name;
}

/** Undefined when the server takes no pieces. */
async function inPieces(body: Uint8Array, parts: UploadParts): Promise<string | undefined> {
  const { ask, onProgress, signal } = parts;
  const begun = await ask(
    {
      method: 'POST',
      endpoint: '/uploads',
      headers: { 'Tus-Resumable': '1.0.0', 'Upload-Length': String(body.length) },
    },
    TIMEOUT_MS,
  );
  const endpoint = /^\/uploads\/[A-Za-z0-9_-]{1,64}$/.exec(begun.headers.location ?? '')?.[0];
  if (begun.code !== 201 || endpoint === undefined) {
    if (begun.code === 413 || begun.code === 429 || begun.code === 507) checkStatus(begun);
    return undefined;
  }
  let offset = 0;
  let lost = 0;
  try {
    for (;;) {
      let answer: V4Response;
      try {
        answer = await ask(
          {
            method: 'PATCH',
            endpoint,
            headers: {
              'Tus-Resumable': '1.0.0',
              'Content-Type': 'application/offset+octet-stream',
              'Upload-Offset': String(offset),
            },
            body: body.subarray(offset, offset + PIECE_BYTES),
          },
          TIMEOUT_MS,
        );
        // 409: an attempt whose answer was lost has arrived; 423: it is arriving.
        if (answer.code === 409 || answer.code === 423) answer = await head(endpoint, ask);
        checkStatus(answer);
      } catch (error) {
        signal?.throwIfAborted();
        if (++lost > LOST_IN_A_ROW) throw error;
        answer = await head(endpoint, ask);
        checkStatus(answer);
      }
      const id = answer.headers['x-fs-id'];
      if (id !== undefined && isId(id)) return id;
      const now = Number(answer.headers['upload-offset']);
      if (!Number.isInteger(now) || now < 0 || now >= body.length) {
        throw new FileTransferError('server_down', 'the server lost count of the file');
      }
      if (now > offset) lost = 0;
      else if (++lost > LOST_IN_A_ROW)
        throw new FileTransferError('server_down', 'the upload does not go on');
      offset = now;
      onProgress?.({ doneBytes: offset, totalBytes: body.length });
    }
  } catch (error) {
    // Nobody will go on with it. Whether that arrives does not matter: it is forgotten after a day.
    if (signal?.aborted !== true) {
      ask({ method: 'DELETE', endpoint, headers: {} }, TIMEOUT_MS).catch(() => undefined);
    }
    throw error;
  }
}

const head = (endpoint: string, ask: AskServer) =>
  ask({ method: 'HEAD', endpoint, headers: { 'Tus-Resumable': '1.0.0' } }, TIMEOUT_MS);

const isId = (text: string) => /^[A-Za-z0-9_-]{1,64}$/.test(text);

function checkStatus({ code }: V4Response): void {
  if (code >= 200 && code <= 299) return;
  if (code === 413) throw new FileTransferError('too_large', 'the file is too large for the server');
  throw new FileTransferError('server_down', `the server answered ${code}`);
}

/** Whether an id tells that the server has these bytes; numbers tell nothing. */
function fits(id: string, body: Uint8Array): boolean {
  return id.length !== CONTENT_ID_LENGTH || contentId(body) === id;
}
