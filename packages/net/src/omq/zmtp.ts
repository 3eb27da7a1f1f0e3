// SPDX-License-Identifier: MIT
// ZMTP 3 on the wire (spec/storage-server §5.2): greeting, frames, metadata. Pure: bytes in, bytes out.
//
//   greeting  ff | 8 bytes | 7f | 03 01 | "CURVE" to 20 bytes | as-server | 31 zero bytes            64 bytes
//   frame     flags (1 MORE, 2 LONG, 4 COMMAND) | length, 1 byte or with LONG 8 big-endian | body
//   metadata  { length 1 | name | length 4 big-endian | value } …
import { AlliumError } from '@allium/protocol/errors';

/** A peer that breaks the protocol; the end of its connection and of nothing else. */
export class ZmtpError extends AlliumError<
  'greeting' | 'frame' | 'too_large' | 'handshake' | 'metadata' | 'message' | 'refused'
> {
  override readonly name = 'ZmtpError';
}

// From the specification.
const GREETING_BYTES = 64;
export const FrameFlag = { more: 1, long: 2, command: 4 } as const;
const SHORT_BODY_MAX = 255;
const SHORT_HEAD = 2;
const LONG_HEAD = 9;

// Ours.
/** Below this a partial frame is held in a buffer of just this size. */
const FIRST_CAPACITY = 65_536;
const MAX_METADATA = 32;

const MECHANISM = Buffer.from('CURVE', 'latin1');

/** @param identityLength as libzmq writes it into bytes 1…8, which receivers ignore */
export function encodeGreeting(options: { isServer: boolean; identityLength: number }): Buffer {
  const greeting = Buffer.alloc(GREETING_BYTES);
  greeting[0] = 0xff;
  greeting.writeUInt32BE(options.identityLength + 1, 5);
  greeting[9] = 0x7f;
  greeting[10] = 3;
  greeting[11] = 1;
  greeting.set(MECHANISM, 12);
  greeting[32] = options.isServer ? 1 : 0;
  return greeting;
}

/** @throws ZmtpError `greeting` unless the peer speaks ZMTP 3 with CURVE */
export function checkGreeting(greeting: Uint8Array): void {
  if (greeting.length !== GREETING_BYTES || greeting[0] !== 0xff || greeting[9] !== 0x7f) {
    throw new ZmtpError('greeting', 'the peer does not speak ZMTP');
  }
  if ((greeting[10] ?? 0) < 3) throw new ZmtpError('greeting', `ZMTP of version ${greeting[10]}`);
  for (let i = 0; i < 20; i++) {
    if (greeting[12 + i] !== (MECHANISM[i] ?? 0))
      throw new ZmtpError('greeting', 'a mechanism other than CURVE');
  }
}

/** Bytes in front of a body of this length. */
export function frameHeadSize(bodyLength: number): number {
  return bodyLength > SHORT_BODY_MAX ? LONG_HEAD : SHORT_HEAD;
}

/** Writes the head of a frame and returns the offset of its body. LONG is added where needed. */
export function writeFrameHead(out: Uint8Array, offset: number, flags: number, bodyLength: number): number {
  if (bodyLength <= SHORT_BODY_MAX) {
    out[offset] = flags;
    out[offset + 1] = bodyLength;
    return offset + SHORT_HEAD;
  }
  out[offset] = flags | FrameFlag.long;
  out[offset + 1] = out[offset + 2] = out[offset + 3] = out[offset + 4] = 0; // bodies stay below 4 GiB
  out[offset + 5] = bodyLength >>> 24;
  out[offset + 6] = bodyLength >>> 16;
  out[offset + 7] = bodyLength >>> 8;
  out[offset + 8] = bodyLength;
  return offset + LONG_HEAD;
}

export function encodeFrame(flags: number, body: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(frameHeadSize(body.length) + body.length);
  frame.set(body, writeFrameHead(frame, 0, flags, body.length));
  return frame;
}

/** Takes what a `FrameReader` finds. Bodies are its own memory, and now the sink's: it may write into them. */
export interface FrameSink {
  onGreeting(greeting: Uint8Array): void;
  onFrame(flags: number, body: Uint8Array): void;
}

/**
 * Cuts a byte stream into a greeting and frames. A frame inside one chunk is handed on without a copy; a frame over
 * several chunks is gathered in a buffer that doubles, so that the cost is linear however small the chunks are, and
 * a peer that announces a large frame gets memory only for what it really sends.
 */
export class FrameReader {
  /** Of one body. May be changed between frames. */
  maxBodyBytes: number;
  #hasGreeting = false;
  #isStopped = false;
  /** A greeting or frame of which `#held` bytes are here. */
  #partial: Uint8Array | undefined;
  #held = 0;

  constructor(maxBodyBytes: number) {
    this.maxBodyBytes = maxBodyBytes;
  }

  /** Bytes kept of an unfinished frame. */
  get heldBytes(): number {
    return this.#held;
  }

  /** Lets `read` return after the frame at hand. */
  stop(): void {
    this.#isStopped = true;
    this.#partial = undefined;
    this.#held = 0;
  }

  /**
   * @param chunk given away: frames become views of it
   * @throws ZmtpError `frame`, `too_large`, and whatever the sink throws
   */
  read(chunk: Uint8Array, sink: FrameSink): void {
    let offset = 0;
    while (this.#partial !== undefined) {
      const partial = this.#partial;
      const wanted = this.#sizeAt(partial, 0, this.#held);
      const taken = Math.min(Math.abs(wanted) - this.#held, chunk.length - offset);
      this.#gather(chunk, offset, taken, Math.abs(wanted));
      offset += taken;
      if (this.#held < Math.abs(wanted)) return;
      if (wanted < 0) continue; // only the head is complete: now the size is known
      const whole = this.#partial;
      this.#partial = undefined;
      this.#held = 0;
      this.#emit(whole, 0, wanted, sink);
      if (this.#isStopped) return;
    }
    while (offset < chunk.length && !this.#isStopped) {
      const size = this.#sizeAt(chunk, offset, chunk.length - offset);
      if (size < 0 || size > chunk.length - offset) {
        this.#partial = new Uint8Array(Math.min(Math.abs(size), FIRST_CAPACITY));
        this.#gather(chunk, offset, chunk.length - offset, Math.abs(size));
        return;
      }
      this.#emit(chunk, offset, size, sink);
      offset += size;
    }
  }

  /** Size of the unit at `offset`; negative: of what must be here to tell its size. */
  #sizeAt(bytes: Uint8Array, offset: number, available: number): number {
    if (!this.#hasGreeting) return GREETING_BYTES;
    if (available < SHORT_HEAD) return -SHORT_HEAD;
    const flags = bytes[offset]!;
    if ((flags & ~7) !== 0) throw new ZmtpError('frame', 'reserved flags of a frame are set');
    if ((flags & FrameFlag.long) === 0) return SHORT_HEAD + bytes[offset + 1]!;
    if (available < LONG_HEAD) return -LONG_HEAD;
    const high = bytes[offset + 1]! | bytes[offset + 2]! | bytes[offset + 3]! | bytes[offset + 4]!;
    const length =
      bytes[offset + 5]! * 0x1000000 +
      ((bytes[offset + 6]! << 16) | (bytes[offset + 7]! << 8) | bytes[offset + 8]!);
    if (high !== 0 || length > this.maxBodyBytes) {
      throw new ZmtpError('too_large', `a frame beyond ${this.maxBodyBytes} bytes`);
    }
    return LONG_HEAD + length;
  }

  #gather(chunk: Uint8Array, offset: number, length: number, wanted: number): void {
    let partial = this.#partial!;
    const needed = this.#held + length;
    if (needed > partial.length) {
      const grown = new Uint8Array(Math.min(wanted, Math.max(needed, 2 * partial.length, FIRST_CAPACITY)));
      grown.set(partial.subarray(0, this.#held));
      this.#partial = partial = grown;
    }
    partial.set(
      offset === 0 && length === chunk.length ? chunk : chunk.subarray(offset, offset + length),
      this.#held,
    );
    this.#held = needed;
  }

  #emit(bytes: Uint8Array, offset: number, size: number, sink: FrameSink): void {
    if (!this.#hasGreeting) {
      this.#hasGreeting = true;
      sink.onGreeting(bytes.subarray(offset, offset + size));
      return;
    }
    const flags = bytes[offset]!;
    const head = (flags & FrameFlag.long) === 0 ? SHORT_HEAD : LONG_HEAD;
    sink.onFrame(flags, new Uint8Array(bytes.buffer, bytes.byteOffset + offset + head, size - head));
  }
}

/** What a peer says of its socket. Nothing in it is proven. */
export interface Metadata {
  readonly socketType: string;
  readonly identity: Uint8Array;
}

export function encodeMetadata(metadata: Metadata): Uint8Array {
  return Buffer.concat([
    property('Socket-Type', Buffer.from(metadata.socketType, 'latin1')),
    property('Identity', metadata.identity),
  ]);
}

function property(name: string, value: Uint8Array): Buffer {
  const head = Buffer.alloc(1 + name.length + 4);
  head[0] = name.length;
  head.write(name, 1, 'latin1');
  head.writeUInt32BE(value.length, 1 + name.length);
  return Buffer.concat([head, value]);
}

/** Names match in any case; unknown ones are ignored. @throws ZmtpError `metadata` */
export function decodeMetadata(bytes: Uint8Array): Metadata {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  let socketType = '';
  let identity = new Uint8Array(0);
  let offset = 0;
  for (let count = 0; offset < view.length; count++) {
    const nameEnd = offset + 1 + view[offset]!;
    if (count === MAX_METADATA || nameEnd === offset + 1 || nameEnd + 4 > view.length)
      throw malformedMetadata();
    const name = view.toString('latin1', offset + 1, nameEnd).toLowerCase();
    const end = nameEnd + 4 + view.readUInt32BE(nameEnd);
    if (end > view.length) throw malformedMetadata();
    if (name === 'socket-type') socketType = view.toString('latin1', nameEnd + 4, end);
    else if (name === 'identity') identity = new Uint8Array(view.subarray(nameEnd + 4, end));
    offset = end;
  }
  return { socketType, identity };
}

function malformedMetadata(): ZmtpError {
  return new ZmtpError('metadata', 'malformed metadata');
}
