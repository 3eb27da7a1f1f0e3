// SPDX-License-Identifier: MIT
// The browser entry (spec/storage-server §9.3.12, docs/formats/browser-entry.md): onion envelopes and their answers as binary
// frames of one WebSocket, many at once. A frame carries at most 64 KiB of an envelope or answer, so that a large one
// does not hold up the others. Numbers are little-endian.
//
//   request  01 ‖ id u32 ‖ size u32 ‖ Ed25519 key of the guard (32) ‖ first bytes      browser → entry
//   part     02 ‖ id u32 ‖ further bytes                                              both
//   cancel   03 ‖ id u32                                                              browser → entry
//   answer   04 ‖ id u32 ‖ status u16 ‖ size u32 ‖ first bytes                         entry → browser
//   failure  05 ‖ id u32 ‖ code u8                                                    entry → browser
import { fromHex, toHex } from '../bytes.ts';
import { ParseError } from '../errors.ts';
import { MAX_ONION_BYTES } from './request.ts';

// Ours.
/** `Sec-WebSocket-Protocol` of both sides. */
export const ENTRY_PROTOCOL = 'onion-entry-1';
/** Path of the WebSocket at a gateway. */
export const GATEWAY_SOCKET_PATH = '/v1/socket';
/** Path before the guard's key in hex, for one envelope by `POST`. */
export const GATEWAY_ONION_PATH = '/v1/onion/';
/** Path of the WebSocket at a service node that has the browser entry. */
export const NODE_SOCKET_PATH = '/onion_req/v2/socket';
/** Header of an answer by `POST` that the entry itself gives, not the guard: the name of a failure. */
export const ENTRY_FAILURE_HEADER = 'x-entry-failure';
/** Bytes of an envelope or answer in one frame. */
export const FRAME_BYTES = 64 * 1024;
const KEY_BYTES = 32;
const REQUEST_HEAD = 9 + KEY_BYTES;
const ANSWER_HEAD = 11;
/** No frame is longer. */
export const MAX_FRAME_BYTES = REQUEST_HEAD + FRAME_BYTES;
/** An answer of 7.8 MB, in base64 once or twice. */
export const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

/**
 * Why the entry has no answer of the guard.
 * - `unknown_node`: it is not in the node list of the entry. `unreachable`: it takes no connection.
 * - `timeout`, `too_large`, `bad_response`: as of a guard.
 * - `limited`: too much from this address. `busy`: too much from all. `no_list`: the entry has no node list yet.
 */
export const ENTRY_FAILURES = [
  'unknown_node',
  'unreachable',
  'timeout',
  'too_large',
  'bad_response',
  'limited',
  'busy',
  'no_list',
] as const;
export type EntryFailure = (typeof ENTRY_FAILURES)[number];

/** Bytes are parts of the frame that was read. */
export type EntryFrame =
  | {
      readonly kind: 'request';
      readonly id: number;
      readonly node: string;
      readonly size: number;
      readonly bytes: Uint8Array;
    }
  | { readonly kind: 'part'; readonly id: number; readonly bytes: Uint8Array }
  | { readonly kind: 'cancel'; readonly id: number }
  | {
      readonly kind: 'answer';
      readonly id: number;
      readonly status: number;
      readonly size: number;
      readonly bytes: Uint8Array;
    }
  | { readonly kind: 'failure'; readonly id: number; readonly code: EntryFailure };

const TYPES = { request: 1, part: 2, cancel: 3, answer: 4, failure: 5 } as const;

/** Reads one frame. @throws ParseError `entry` */
export function parseEntryFrame(frame: Uint8Array): EntryFrame {
  if (frame.length < 5 || frame.length > MAX_FRAME_BYTES) throw malformed(`a frame of ${frame.length} bytes`);
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const id = view.getUint32(1, true);
  switch (frame[0]) {
    case TYPES.request: {
      if (frame.length < REQUEST_HEAD) throw malformed('a request that ends in its head');
      const size = view.getUint32(5, true);
      if (size === 0 || size > MAX_ONION_BYTES) throw malformed(`an envelope of ${size} bytes`);
      const node = toHex(frame.subarray(9, REQUEST_HEAD));
      return { kind: 'request', id, node, size, bytes: contents(frame, REQUEST_HEAD, size) };
    }
    case TYPES.part:
      if (frame.length === 5) throw malformed('an empty part');
      return { kind: 'part', id, bytes: contents(frame, 5, Number.POSITIVE_INFINITY) };
    case TYPES.cancel:
      if (frame.length !== 5) throw malformed('a cancellation with contents');
      return { kind: 'cancel', id };
    case TYPES.answer: {
      if (frame.length < ANSWER_HEAD) throw malformed('an answer that ends in its head');
      const status = view.getUint16(5, true);
      const size = view.getUint32(7, true);
      if (status < 100 || status > 599) throw malformed(`status ${status}`);
      if (size > MAX_ANSWER_BYTES) throw malformed(`an answer of ${size} bytes`);
      return { kind: 'answer', id, status, size, bytes: contents(frame, ANSWER_HEAD, size) };
    }
    case TYPES.failure: {
      const code = frame.length === 6 ? ENTRY_FAILURES[(frame[5] ?? 0) - 1] : undefined;
      if (code === undefined) throw malformed('an unknown failure');
      return { kind: 'failure', id, code };
    }
    default:
      throw malformed(`a frame of type ${frame[0]}`);
  }
}

function contents(frame: Uint8Array, from: number, size: number): Uint8Array {
  const bytes = frame.subarray(from);
  if (bytes.length > FRAME_BYTES) throw malformed(`a frame with ${bytes.length} bytes of contents`);
  if (bytes.length > size) throw malformed(`${bytes.length} bytes where ${size} were announced`);
  // Else the sender could make the other side keep a place for nothing.
  if (bytes.length === 0 && size > 0) throw malformed('a beginning without contents');
  return bytes;
}

/** The frames of one envelope. @param node Ed25519 key of the guard in hex */
export function* requestFrames(id: number, node: string, envelope: Uint8Array): Generator<Uint8Array> {
  const head = new Uint8Array(REQUEST_HEAD);
  const view = start(head, TYPES.request, id);
  view.setUint32(5, envelope.length, true);
  head.set(fromHex(node, KEY_BYTES), 9);
  yield* framesOf(id, head, envelope);
}

/** The frames of one answer. */
export function* answerFrames(id: number, status: number, body: Uint8Array): Generator<Uint8Array> {
  const head = new Uint8Array(ANSWER_HEAD);
  const view = start(head, TYPES.answer, id);
  view.setUint16(5, status, true);
  view.setUint32(7, body.length, true);
  yield* framesOf(id, head, body);
}

export function cancelFrame(id: number): Uint8Array {
  const frame = new Uint8Array(5);
  start(frame, TYPES.cancel, id);
  return frame;
}

export function failureFrame(id: number, code: EntryFailure): Uint8Array {
  const frame = new Uint8Array(6);
  start(frame, TYPES.failure, id);
  frame[5] = ENTRY_FAILURES.indexOf(code) + 1;
  return frame;
}

function start(frame: Uint8Array, type: number, id: number): DataView {
  const view = new DataView(frame.buffer);
  frame[0] = type;
  view.setUint32(1, id, true);
  return view;
}

function* framesOf(id: number, head: Uint8Array, body: Uint8Array): Generator<Uint8Array> {
  for (let from = 0; from === 0 || from < body.length; from += FRAME_BYTES) {
    const bytes = body.subarray(from, from + FRAME_BYTES);
    const frame = new Uint8Array((from === 0 ? head.length : 5) + bytes.length);
    if (from === 0) frame.set(head);
    else start(frame, TYPES.part, id);
    frame.set(bytes, frame.length - bytes.length);
    yield frame;
  }
}

/**
 * An envelope or answer of known size that comes in parts. Takes memory as bytes come, not as they are announced, and at
 * most twice of that: the other side chooses how small its parts are, and what the buffers hold in which they come.
 */
export class Assembly {
  readonly size: number;
  #bytes = new Uint8Array(0);
  #length = 0;

  constructor(size: number) {
    this.size = size;
  }

  get isComplete(): boolean {
    return this.#length === this.size;
  }

  get length(): number {
    return this.#length;
  }

  /** Keeps a copy of its own unless the part is the whole. @throws ParseError `entry` for more than was announced */
  add(bytes: Uint8Array): void {
    if (bytes.length > this.size - this.#length) throw malformed('more bytes than were announced');
    if (bytes.length === this.size) {
      this.#bytes = new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length);
      this.#length = this.size;
      return;
    }
    const length = this.#length + bytes.length;
    if (length > this.#bytes.length) {
      const larger = new Uint8Array(Math.min(this.size, Math.max(length, 2 * this.#bytes.length)));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length = length;
  }

  /** Once it is complete; forgets the bytes. */
  take(): Uint8Array {
    const whole = this.#bytes;
    this.#bytes = new Uint8Array(0);
    return whole;
  }
}

function malformed(what: string): ParseError {
  return new ParseError('entry', `malformed frame of a browser entry: ${what}`);
}
