// SPDX-License-Identifier: MIT
// Requests to servers and their answers, version 4 (spec/storage-server §4.10, spec/client §7.3): what is inside the
// layer for a server. Both are bt lists of byte strings.
//
//   request   l JSON {"endpoint","method","headers"} [body] e
//   response  l JSON {"code","headers"} body e
import { fromUtf8, utf8 } from '../bytes.ts';
import { decodeBt, encodeBt } from '../codec/bencode.ts';
import { parseJson } from '../codec/json.ts';
import { ParseError } from '../errors.ts';

export interface V4Request {
  readonly method: string;
  /** Path with query; begins with `/`. */
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
  /** A request without body and one with an empty body are the same on the wire. */
  readonly body?: Uint8Array;
}

export interface V4Response {
  readonly code: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

// Ours: what HTTP servers take, roughly.
const MAX_HEAD_BYTES = 64 * 1024;
const MAX_HEADERS = 100;

/** What a server answers to a request that does not parse (spec/storage-server §4.10). */
export const INVALID_V4_RESPONSE: V4Response = {
  code: 400,
  headers: { 'content-type': 'text/plain; charset=utf-8' },
  body: utf8('Invalid v4 onion request'),
};

export function encodeV4Request(request: V4Request): Uint8Array {
  const { endpoint, method, headers, body } = request;
  const head = JSON.stringify({ endpoint, method, headers });
  // spec/storage-server §4.10: an empty body is not sent.
  return encodeBt(body === undefined || body.length === 0 ? [head] : [head, body]);
}

/** The body is a part of `bytes`. Content-Length is ignored. @throws ParseError: answer `INVALID_V4_RESPONSE` */
export function parseV4Request(bytes: Uint8Array): V4Request {
  const [head, body] = parseParts(bytes, 1);
  const { method, endpoint, headers } = parseHead(head as Uint8Array);
  if (typeof method !== 'string' || !/^[A-Z]{1,16}$/.test(method)) {
    throw new ParseError('onion', 'method is not an HTTP method');
  }
  if (typeof endpoint !== 'string' || !endpoint.startsWith('/')) {
    throw new ParseError('onion', 'endpoint does not begin with /');
  }
  return { method, endpoint, headers: parseHeaders(headers), ...(body !== undefined && { body }) };
}

export function encodeV4Response(response: V4Response): Uint8Array {
  const headers = Object.entries(response.headers)
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .filter(([name]) => name !== 'content-length');
  return encodeBt([JSON.stringify({ code: response.code, headers: record(headers) }), response.body]);
}

/** The body is a part of `bytes`. @throws ParseError */
export function parseV4Response(bytes: Uint8Array): V4Response {
  const [head, body] = parseParts(bytes, 2);
  const { code, headers } = parseHead(head as Uint8Array);
  if (typeof code !== 'number' || !Number.isInteger(code) || code < 100 || code > 999) {
    throw new ParseError('onion', 'code is not an HTTP status');
  }
  return { code, headers: parseHeaders(headers), body: body as Uint8Array };
}

/** One or two byte strings, at least `least`. */
function parseParts(bytes: Uint8Array, least: number): Uint8Array[] {
  const list = decodeBt(bytes, { maxDepth: 1, maxValues: 3 });
  if (!Array.isArray(list) || list.length < least || list.length > 2) {
    throw new ParseError('onion', 'not a list of the right length');
  }
  return list.map((part) => {
    if (part instanceof Uint8Array) return part;
    throw new ParseError('onion', 'a part is not a byte string');
  });
}

function parseHead(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  if (bytes.length > MAX_HEAD_BYTES) throw new ParseError('onion', `a head of ${bytes.length} bytes`);
  const head = parseJson(fromUtf8(bytes), { maxDepth: 4 });
  if (typeof head !== 'object' || head === null || Array.isArray(head)) {
    throw new ParseError('onion', 'the head is not an object');
  }
  return head as Readonly<Record<string, unknown>>;
}

/** Names are made lower case; of two that are equal then, the last counts. */
function parseHeaders(value: unknown): Readonly<Record<string, string>> {
  if (value === undefined) return {};
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ParseError('onion', 'headers is not an object');
  }
  const entries = Object.entries(value);
  if (entries.length > MAX_HEADERS) throw new ParseError('onion', `${entries.length} headers`);
  return record(
    entries.map(([name, text]) => {
      if (typeof text !== 'string') throw new ParseError('onion', 'a header is not text');
      return [name.toLowerCase(), text] as const;
    }),
  );
}

/** Unlike assignment, safe for the name `__proto__`. */
function record(entries: readonly (readonly [string, string])[]): Readonly<Record<string, string>> {
  return Object.fromEntries(entries);
}
