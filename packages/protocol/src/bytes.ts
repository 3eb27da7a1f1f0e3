// SPDX-License-Identifier: MIT
// Byte strings and their text forms (spec/storage-server §1.2). Decoders throw `ParseError` and nothing else;
// every result is a plain Uint8Array that nothing else changes, though it may be a part of a larger `buffer`.
import {
  decodeBase64,
  decodeLatin1,
  decodeUtf8,
  encodeBase64,
  encodeHex,
  encodeLatin1,
  encodeUtf8,
} from '#text-encoding';
import { ParseError, quote } from './errors.ts';

const BASE32Z = 'ybndrfg8ejkmcpqxot1uwisza345h769'; // spec/storage-server §1.2
const BASE32Z_VALUES = new Map(Array.from(BASE32Z, (letter, value) => [letter, value] as const));

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** Not constant-time: for public bytes. Secrets are compared by `equalConstantTime` of the crypto module. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Lower case. */
export function toHex(bytes: Uint8Array): string {
  return encodeHex(bytes);
}

/**
 * Either case.
 * @param lengthBytes when given, the exact number of bytes that the text must stand for
 * @throws ParseError `hex`; its message does not hold the text, which may be a key
 */
export function fromHex(text: string, lengthBytes?: number): Uint8Array {
  if (lengthBytes !== undefined && text.length !== 2 * lengthBytes) {
    throw new ParseError('hex', `${text.length} characters where ${2 * lengthBytes} hex digits belong`);
  }
  if (text.length % 2 !== 0) throw new ParseError('hex', `an odd number of hex digits (${text.length})`);
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) {
    const byte = (hexDigit(text.charCodeAt(2 * i)) << 4) | hexDigit(text.charCodeAt(2 * i + 1));
    if (byte < 0) throw new ParseError('hex', 'a character that is no hex digit');
    bytes[i] = byte;
  }
  return bytes;
}

/** −1 for what is none. */
function hexDigit(unit: number): number {
  if (unit >= 0x30 && unit <= 0x39) return unit - 0x30;
  const lower = unit | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** With padding. */
export function toBase64(bytes: Uint8Array): string {
  return encodeBase64(bytes);
}

export function toBase64Unpadded(bytes: Uint8Array): string {
  const text = encodeBase64(bytes);
  const padding = (3 - (bytes.length % 3)) % 3;
  return padding === 0 ? text : text.slice(0, -padding);
}

/**
 * With or without padding; unused bits of the last character are ignored (spec/storage-server §1.2).
 * @throws ParseError `base64`
 */
export function fromBase64(text: string): Uint8Array {
  let end = text.length;
  if (text.endsWith('=')) {
    if (end % 4 !== 0) throw new ParseError('base64', `padded base64 of ${end} characters`);
    end -= text.endsWith('==') ? 2 : 1;
  }
  if (end % 4 === 1) throw new ParseError('base64', `base64 of ${end} characters`);
  const letters = end === text.length ? text : text.slice(0, end);
  const bytes = decodeBase64(letters, Math.floor((end * 3) / 4));
  if (bytes === undefined) throw new ParseError('base64', 'a character that is not of base64');
  return bytes;
}

/** z-base-32, most significant bits first, without padding. */
export function toBase32z(bytes: Uint8Array): string {
  let text = '';
  let held = 0;
  let bits = 0;
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xfff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += BASE32Z[(held >> bits) & 31];
    }
  }
  if (bits > 0) text += BASE32Z[(held << (5 - bits)) & 31];
  return text;
}

/**
 * Lower case only; the unused bits of the last character must be zero, as the encoder leaves them.
 * @throws ParseError `base32z`
 */
export function fromBase32z(text: string): Uint8Array {
  const unused = (text.length * 5) % 8;
  if (unused >= 5) throw new ParseError('base32z', `base32z of ${text.length} characters`);
  const bytes = new Uint8Array((text.length * 5) >> 3);
  let held = 0;
  let bits = 0;
  let offset = 0;
  for (let i = 0; i < text.length; i++) {
    const value = BASE32Z_VALUES.get(text.charAt(i));
    if (value === undefined) throw new ParseError('base32z', `${quote(text.charAt(i))} is not of base32z`);
    held = ((held << 5) | value) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[offset++] = held >> bits;
    }
  }
  if ((held & ((1 << bits) - 1)) !== 0) throw new ParseError('base32z', 'base32z with bits left over');
  return bytes;
}

/** Lone surrogates become U+FFFD. */
export function utf8(text: string): Uint8Array {
  return encodeUtf8(text);
}

/** @throws ParseError `utf8` when the bytes are not UTF-8; a byte order mark is kept */
export function fromUtf8(bytes: Uint8Array): string {
  const text = decodeUtf8(bytes);
  if (text === undefined) throw new ParseError('utf8', 'bytes that are not UTF-8');
  return text;
}

/** A "binary string": one character U+0000…U+00FF per byte. Its order by `<` is the order of the bytes. */
export function toBinary(bytes: Uint8Array): string {
  return encodeLatin1(bytes);
}

/** The inverse of `toBinary`. Of characters above U+00FF the low eight bits remain: check foreign text first. */
export function fromBinary(text: string): Uint8Array {
  return decodeLatin1(text);
}

/** Four bytes, little-endian; `value` is taken modulo 2^32. */
export function u32le(value: number): Uint8Array {
  return Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);
}

/** Four bytes, big-endian; `value` is taken modulo 2^32. */
export function u32be(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

/** Eight bytes, big-endian; `value` is taken modulo 2^64. */
export function u64be(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return bytes;
}

/** A whole number below 2^53 as 32 bytes, big-endian: a word of the EVM. */
export function wordOf(value: number): Uint8Array {
  const bytes = new Uint8Array(32);
  new DataView(bytes.buffer).setBigUint64(24, BigInt(value));
  return bytes;
}

/** @throws ParseError `envelope` when fewer than four bytes stand at `offset` */
export function readU32le(bytes: Uint8Array, offset: number): number {
  if (!(offset >= 0 && offset + 4 <= bytes.length)) {
    throw new ParseError('envelope', `${bytes.length} bytes end inside a number at ${offset}`);
  }
  return (
    (bytes[offset]! | (bytes[offset + 1]! << 8) | (bytes[offset + 2]! << 16) | (bytes[offset + 3]! << 24)) >>>
    0
  );
}
