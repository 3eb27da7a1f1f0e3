// SPDX-License-Identifier: MIT
// One encrypted file to one file server (spec/client §5.5): in pieces after tus 1.0.0 where the server offers that (see
// docs/guides/files.md), else by `POST /file`.
import { fromUtf8 } from '@allium/protocol/bytes';
import { loadFastHash } from '@allium/protocol/crypto';
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
  /** Path of an upload in pieces that was begun with these bytes. */
  readonly resume?: string;
  /** The server takes pieces, at this path. */
  readonly onBegun?: (endpoint: string) => Promise<void>;
  /** False: after a failure somebody will go on with what was begun. Default true. */
  readonly forget?: boolean;
}

interface Stored {
  readonly id: string;
  /** Local time in ms, as the server wants it. */
  readonly expiresAt: number | undefined;
}

/** @throws FileTransferError `server_down`, `too_large`; what `ask` throws */
export async function uploadFile(body: Uint8Array, parts: UploadParts): Promise<Stored> {
  const { ask, onProgress } = parts;
  onProgress?.({ doneBytes: 0, totalBytes: body.length });
  // For the id.
  await loadFastHash();
  const stored = (body.length > PIECE_BYTES && (await inPieces(body, parts))) || (await atOnce(body, ask));
  if (!fits(stored.id, body)) throw new FileTransferError('server_down', 'the server stored something else');
  onProgress?.({ doneBytes: body.length, totalBytes: body.length });
  return stored;
}

async function atOnce(body: Uint8Array, ask: AskServer): Promise<Stored> {
  const headers = { 'Content-Type': 'application/octet-stream', 'Content-Disposition': 'attachment' };
  const answer = await ask({ method: 'POST', endpoint: '/file', headers, body }, TIMEOUT_MS);
  checkStatus(answer);
  const { id } = objectIn(answer.body);
  // §5.5: without `expires` the upload has failed.
  const expiresAt = expiryIn(answer.body);
  const name = typeof id === 'number' ? String(id) : id;
  if (typeof name !== 'string' || !isId(name) || expiresAt === undefined) {
    throw new FileTransferError('server_down', 'the server answered nonsense');
  }
  return { id: name, expiresAt };
}

/** `expires` of an answer, in ms. @throws FileTransferError `server_down` */
export function expiryIn(body: Uint8Array): number | undefined {
  const { expires } = objectIn(body);
  return typeof expires === 'number' && Number.isFinite(expires) ? expires * 1000 : undefined;
}

function objectIn(body: Uint8Array): { readonly id?: unknown; readonly expires?: unknown } {
  let json: Json;
  try {
    json = parseJson(fromUtf8(body));
  } catch (cause) {
    if (!(cause instanceof ParseError)) throw cause;
    throw new FileTransferError('server_down', 'the server answered nonsense', { cause });
  }
  return (json ?? {}) as object;
}

/** Undefined when the server takes no pieces. */
async function inPieces(body: Uint8Array, parts: UploadParts): Promise<Stored | undefined> {
  const { ask, onProgress, signal, forget = true } = parts;
  const before = parts.resume === undefined ? undefined : await begunBefore(parts.resume, body, ask);
  if (before?.stored !== undefined) return before.stored;
  const endpoint = before?.endpoint ?? (await begin(body, parts));
  if (endpoint === undefined) return undefined;
  let offset = before?.offset ?? 0;
  if (offset > 0) onProgress?.({ doneBytes: offset, totalBytes: body.length });
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
      const stored = storedIn(answer);
      if (stored !== undefined) return stored;
      const now = offsetIn(answer, body);
      if (now === undefined) {
        throw new FileTransferError('server_down', 'the server lost count of the file');
      }
      if (now > offset) lost = 0;
      else if (++lost > LOST_IN_A_ROW)
        throw new FileTransferError('server_down', 'the upload does not go on');
      offset = now;
      onProgress?.({ doneBytes: offset, totalBytes: body.length });
    }
  } catch (error) {
    // Whether that arrives does not matter: it is forgotten after a day.
    if (signal?.aborted !== true && forget) {
      ask({ method: 'DELETE', endpoint, headers: {} }, TIMEOUT_MS).catch(() => undefined);
    }
    throw error;
  }
}

/** Path of a new upload. */
async function begin(body: Uint8Array, { ask, onBegun }: UploadParts): Promise<string | undefined> {
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
  await onBegun?.(endpoint);
  return endpoint;
}

/** Undefined when it is no longer there, or is none of these bytes. */
async function begunBefore(endpoint: string, body: Uint8Array, ask: AskServer) {
  const answer = await head(endpoint, ask);
  if (answer.code >= 500) checkStatus(answer);
  const length = answer.headers['upload-length'];
  if (answer.code !== 200 || (length !== undefined && Number(length) !== body.length)) return undefined;
  const offset = offsetIn(answer, body);
  const stored = storedIn(answer);
  return stored === undefined && offset === undefined ? undefined : { endpoint, offset, stored };
}

function storedIn({ headers }: V4Response): Stored | undefined {
  const id = headers['x-fs-id'];
  if (id === undefined || !isId(id)) return undefined;
  const expires = headers['x-fs-expires'];
  const expiresAt = expires === undefined || expires === '' ? Number.NaN : Number(expires) * 1000;
  return { id, expiresAt: Number.isFinite(expiresAt) ? expiresAt : undefined };
}

function offsetIn({ headers }: V4Response, body: Uint8Array): number | undefined {
  const offset = Number(headers['upload-offset'] ?? Number.NaN);
  return Number.isInteger(offset) && offset >= 0 && offset < body.length ? offset : undefined;
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
