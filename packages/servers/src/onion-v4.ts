// SPDX-License-Identifier: AGPL-3.0-or-later
// `POST /oxen/v4/lsrpc` (spec/community-and-file-servers §1.2.2, §1.2.3): opens the layer for this server, hands the
// request inside to the same app as if it had come by HTTP, and encrypts the answer.
import { fromHex } from '@allium/protocol/bytes';
import type { KeyPair } from '@allium/protocol/crypto/provider';
import { ParseError } from '@allium/protocol/errors';
import { openLayer, parseEncType, sealReply } from '@allium/protocol/onion/layer';
import { splitEnvelope } from '@allium/protocol/onion/request';
import {
  encodeV4Response,
  INVALID_V4_RESPONSE,
  parseV4Request,
  type V4Request,
  type V4Response,
} from '@allium/protocol/onion/v4';
import { type Context, Hono } from 'hono';
import { readAll, TooLargeError } from './body.ts';
import type { ServerEnv } from './serve.ts';

// Ours.
const MAX_REQUEST_BYTES = 10 * 1024 * 1024;
/** What the last node of a path takes from us, less what encryption and encoding add. */
const MAX_ANSWER_BYTES = 10 * 1024 * 1024 - 1024 - 64 * 1024;
/** Onions are opened in memory: all that are in work together may hold this much; others get 503. */
const MAX_BYTES_IN_WORK = 192 * 1024 * 1024;

/** Adds the endpoint; requests inside go to `inner`, which must not have it. */
export function onionRequests(inner: Hono<ServerEnv>, keyPair: KeyPair): Hono<ServerEnv> {
  const app = new Hono<ServerEnv>();
  let inWork = 0;
  app.post('/oxen/v4/lsrpc', async (context) => {
    const declared = Number(context.req.header('content-length') ?? MAX_REQUEST_BYTES);
    if (!(declared <= MAX_REQUEST_BYTES)) return context.body(null, 413);
    if (inWork + declared > MAX_BYTES_IN_WORK) return context.text('Busy, try again later', 503);
    inWork += declared;
    try {
      return await answer(context, inner, keyPair);
    } catch (error) {
      if (error instanceof TooLargeError) return context.body(null, 413);
      // §1.2.2: what cannot be split, parsed or decrypted is answered without encryption.
      if (error instanceof ParseError) return context.body(null, 400);
      throw error;
    } finally {
      inWork -= declared;
    }
  });
  return app;
}

async function answer(
  context: Context<ServerEnv>,
  inner: Hono<ServerEnv>,
  keyPair: KeyPair,
): Promise<Response> {
  const { blob, control } = splitEnvelope(await readAll(context.req.raw.body, MAX_REQUEST_BYTES));
  const { ephemeralKey, encType } = parseControl(control);
  const opened = openLayer(encType, blob, ephemeralKey, keyPair);
  if (opened === undefined) return context.body(null, 400);
  const reply = await dispatch(context, inner, opened.plaintext);
  const sealed = sealReply(opened.replyKey, encodeV4Response(reply));
  return context.body(sealed as Uint8Array<ArrayBuffer>, 200, { 'content-type': 'application/octet-stream' });
}

function parseControl(text: string) {
  let members: { ephemeral_key?: unknown; enc_type?: unknown };
  try {
    members = JSON.parse(text) ?? {};
  } catch (cause) {
    throw new ParseError('onion', 'control JSON is malformed', { cause });
  }
  const { ephemeral_key: key, enc_type: type } = members;
  if (typeof key !== 'string' || (type != null && typeof type !== 'string')) {
    throw new ParseError('onion', 'ephemeral_key or enc_type is not text');
  }
  return { ephemeralKey: fromHex(key, 32), encType: parseEncType(type ?? undefined) };
}

async function dispatch(
  context: Context<ServerEnv>,
  inner: Hono<ServerEnv>,
  plaintext: Uint8Array,
): Promise<V4Response> {
  let request: V4Request;
  let asHttp: Request;
  try {
    request = parseV4Request(plaintext);
    asHttp = toHttp(request);
  } catch (error) {
    if (error instanceof ParseError || error instanceof TypeError) return INVALID_V4_RESPONSE;
    throw error;
  }
  // Only the connection is that of the outer request; no header of it counts for the inner one (§1.2.3).
  const response = await inner.fetch(asHttp, context.env);
  const headers: Record<string, string> = {};
  for (const [name, value] of response.headers) headers[name] = value;
  try {
    const body = await readAll(response.body, MAX_ANSWER_BYTES);
    return { code: response.status, headers, body };
  } catch (error) {
    if (!(error instanceof TooLargeError)) throw error;
    return { code: 413, headers: {}, body: new Uint8Array(0) };
  }
}

/** @throws TypeError for a URL, method or header that HTTP does not know */
function toHttp({ method, endpoint, headers, body }: V4Request): Request {
  const fields = new Headers();
  for (const [name, value] of Object.entries(headers)) if (name !== 'content-length') fields.set(name, value);
  // Also for endpoints such as `//host/x`, which would be a URL of their own.
  const url = new URL('http://server.invalid');
  const query = endpoint.indexOf('?');
  url.pathname = query < 0 ? endpoint : endpoint.slice(0, query);
  url.search = query < 0 ? '' : endpoint.slice(query);
  const carries = method !== 'GET' && method !== 'HEAD' && body !== undefined;
  return new Request(url, {
    method,
    headers: fields,
    ...(carries && { body: body as Uint8Array<ArrayBuffer> }),
  });
}
