// SPDX-License-Identifier: MIT
// bt-encoding, the project's dialect of bencode (spec/storage-server §1.1):
//
//   integer      i<decimal>e           −2^63 … 2^64−1
//   byte string  <length>:<bytes>
//   list         l<items>e
//   dict         d<key string><value>…e   keys unique, ascending by bytes
//
// Dict keys are "binary strings" here: one character per byte (latin1), whose order by `<` is that of the bytes.
// The decoder is as strict as §1.1 allows (no leading zeros, no unsorted keys), so that what it accepts has one
// encoding only. Both directions are on the path of every forwarded store.

import { toBinary, utf8 } from '../bytes.ts';
import { ParseError } from '../errors.ts';

/** What can be encoded. Strings as UTF-8, booleans as 1 and 0, members that are undefined are left out. */
export type BtInput =
  | number
  | bigint
  | boolean
  | string
  | Uint8Array
  | readonly BtInput[]
  | ReadonlyMap<string, BtInput>
  | { readonly [key: string]: BtInput | undefined };

/** A decoded value: an integer is a number when it is a safe integer, else a bigint. */
export type BtValue = number | bigint | Uint8Array | BtValue[] | BtDict;
export type BtDict = Map<string, BtValue>;

export interface DecodeBtOptions {
  /** Levels of lists and dicts. */
  readonly maxDepth?: number;
  /** Values in all: two bytes of input (`de`) cost hundreds of memory. */
  readonly maxValues?: number;
}

// From the specification, spec/storage-server §1.1.
const INT64_MIN = -(2n ** 63n);
const UINT64_MAX = 2n ** 64n - 1n;

// Ours.
const MAX_DEPTH = 32;
/** A peer's answer of 10 MiB lists at most 228 000 hashes of 46 bytes. */
const MAX_VALUES = 250_000;
/** Digits that a number surely holds exactly. */
const SAFE_DIGITS = 15;
const MAX_DIGITS = 20;

const COLON = 0x3a;
const MINUS = 0x2d;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const LETTER_D = 0x64;
const LETTER_E = 0x65;
const LETTER_I = 0x69;
const LETTER_L = 0x6c;

/**
 * In canonical form: keys are sorted here.
 * @throws ParseError for what has no bt-encoding: floats, null, integers out of range
 */
export function encodeBt(value: BtInput): Uint8Array {
  const out = new Uint8Array(sizeOf(value));
  write(value, out, 0);
  return out;
}

function sizeOf(value: BtInput): number {
  switch (typeof value) {
    case 'string':
      return prefixed(utf8Length(value));
    case 'number':
      return 2 + decimal(value).length;
    case 'boolean':
      return 3;
    case 'bigint':
      return 2 + bigDecimal(value).length;
    case 'object': {
      if (value instanceof Uint8Array) return prefixed(value.length);
      let size = 2;
      if (Array.isArray(value)) {
        for (const item of value as readonly BtInput[]) size += sizeOf(item);
      } else if (value instanceof Map) {
        for (const [key, member] of value as ReadonlyMap<string, BtInput>) {
          size += prefixed(key.length) + sizeOf(member);
        }
      } else if (value !== null) {
        const dict = value as { readonly [key: string]: BtInput | undefined };
        for (const key in dict) {
          const member = dict[key];
          if (member !== undefined) size += prefixed(key.length) + sizeOf(member);
        }
      } else throw unencodable();
      return size;
    }
    default:
      throw unencodable();
  }
}

function write(value: BtInput, out: Uint8Array, start: number): number {
  let offset = start;
  switch (typeof value) {
    case 'string': {
      const length = utf8Length(value);
      offset = writePrefix(length, out, offset);
      if (length === value.length) return writeBinary(value, out, offset);
      out.set(utf8(value), offset);
      return offset + length;
    }
    case 'number':
    case 'boolean':
    case 'bigint': {
      out[offset++] = LETTER_I;
      offset = writeBinary(typeof value === 'boolean' ? (value ? '1' : '0') : value.toString(), out, offset);
      out[offset++] = LETTER_E;
      return offset;
    }
    default: {
      if (value instanceof Uint8Array) {
        offset = writePrefix(value.length, out, offset);
        out.set(value, offset);
        return offset + value.length;
      }
      if (Array.isArray(value)) {
        out[offset++] = LETTER_L;
        for (const item of value as readonly BtInput[]) offset = write(item, out, offset);
      } else if (value instanceof Map) {
        out[offset++] = LETTER_D;
        for (const key of sorted([...(value as ReadonlyMap<string, BtInput>).keys()])) {
          offset = writeBinary(key, out, writePrefix(key.length, out, offset));
          offset = write(value.get(key) as BtInput, out, offset);
        }
      } else {
        const dict = value as { readonly [key: string]: BtInput | undefined };
        out[offset++] = LETTER_D;
        for (const key of sorted(Object.keys(dict))) {
          const member = dict[key];
          if (member === undefined) continue;
          offset = writeBinary(key, out, writePrefix(key.length, out, offset));
          offset = write(member, out, offset);
        }
      }
      out[offset++] = LETTER_E;
      return offset;
    }
  }
}

/** Callers mostly write their keys in order. Code units sort like the bytes that they stand for. */
function sorted(keys: string[]): string[] {
  for (let i = 1; i < keys.length; i++) if (keys[i - 1]! > keys[i]!) return keys.sort();
  return keys;
}

function prefixed(length: number): number {
  return (length < 10 ? 2 : length < 100 ? 3 : 1 + length.toString().length) + length;
}

function writePrefix(length: number, out: Uint8Array, start: number): number {
  let offset = start;
  if (length < 10) out[offset++] = DIGIT_0 + length;
  else offset = writeBinary(length.toString(), out, offset);
  out[offset++] = COLON;
  return offset;
}

function writeBinary(text: string, out: Uint8Array, start: number): number {
  for (let i = 0; i < text.length; i++) out[start + i] = text.charCodeAt(i);
  return start + text.length;
}

function utf8Length(text: string): number {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return utf8(text).length;
  return text.length;
}

function decimal(value: number): string {
  if (!Number.isSafeInteger(value)) throw unencodable();
  return value.toString();
}

function bigDecimal(value: bigint): string {
  if (value < INT64_MIN || value > UINT64_MAX) throw unencodable();
  return value.toString();
}

function unencodable(): ParseError {
  return new ParseError('bencode', 'a value that bt-encoding does not have (float, null, beyond 64 bits)');
}

/**
 * Reads one value.
 * @throws ParseError unless the whole input is one value
 */
export function decodeBt(bytes: Uint8Array, options?: DecodeBtOptions): BtValue {
  const reader = new Reader(bytes, options?.maxValues ?? MAX_VALUES);
  const value = reader.value(options?.maxDepth ?? MAX_DEPTH);
  if (reader.offset !== reader.bytes.length) throw reader.error('bytes after the value');
  return value;
}

/**
 * Reads one dict.
 * @throws ParseError unless the whole input is one dict
 */
export function decodeBtDict(bytes: Uint8Array, options?: DecodeBtOptions): BtDict {
  const value = decodeBt(bytes, options);
  if (!(value instanceof Map)) throw new ParseError('bencode', 'not a dict');
  return value;
}

class Reader {
  readonly bytes: Uint8Array;
  offset = 0;
  valuesLeft: number;

  constructor(bytes: Uint8Array, maxValues: number) {
    // A Buffer would hand its type on to the byte strings, and its `slice` does not copy.
    this.bytes =
      bytes.constructor === Uint8Array
        ? bytes
        : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.valuesLeft = maxValues;
  }

  value(depth: number): BtValue {
    if (--this.valuesLeft < 0) throw this.error('too many values');
    switch (this.bytes[this.offset]) {
      case LETTER_I:
        this.offset++;
        return this.integer();
      case LETTER_L:
        if (depth === 0) throw this.error('nested too deeply');
        this.offset++;
        return this.list(depth);
      case LETTER_D:
        if (depth === 0) throw this.error('nested too deeply');
        this.offset++;
        return this.dict(depth);
      default: {
        const start = this.string();
        return this.bytes.subarray(start, this.offset);
      }
    }
  }

  list(depth: number): BtValue[] {
    const items: BtValue[] = [];
    while (this.bytes[this.offset] !== LETTER_E) items.push(this.value(depth - 1));
    this.offset++;
    return items;
  }

  dict(depth: number): BtDict {
    const members: BtDict = new Map();
    let previous: string | undefined;
    while (this.bytes[this.offset] !== LETTER_E) {
      const start = this.string();
      const key = binary(this.bytes, start, this.offset);
      if (previous !== undefined && key <= previous) throw this.error('dict keys that do not ascend');
      previous = key;
      members.set(key, this.value(depth - 1));
    }
    this.offset++;
    return members;
  }

  /** Steps over a byte string and returns where its bytes start; they end at the new offset. */
  string(): number {
    const { bytes } = this;
    let offset = this.offset;
    let length = 0;
    let byte = bytes[offset];
    const first = offset;
    while (byte !== undefined && byte >= DIGIT_0 && byte <= DIGIT_9) {
      length = length * 10 + (byte - DIGIT_0);
      if (length > bytes.length) throw this.error('a byte string longer than the input');
      byte = bytes[++offset];
    }
    const digits = offset - first;
    if (byte !== COLON || digits === 0) throw this.error('neither integer, byte string, list nor dict');
    if (digits > 1 && bytes[first] === DIGIT_0) throw this.error('a length with leading zeros');
    const start = offset + 1;
    if (length > bytes.length - start) throw this.error('a byte string longer than the input');
    this.offset = start + length;
    return start;
  }

  integer(): number | bigint {
    const { bytes } = this;
    let offset = this.offset;
    const start = offset;
    const isNegative = bytes[offset] === MINUS;
    if (isNegative) offset++;
    const first = offset;
    let value = 0;
    let byte = bytes[offset];
    while (byte !== undefined && byte >= DIGIT_0 && byte <= DIGIT_9) {
      if (offset - first === MAX_DIGITS) throw this.error('an integer beyond 64 bits');
      value = value * 10 + (byte - DIGIT_0);
      byte = bytes[++offset];
    }
    const digits = offset - first;
    if (byte !== LETTER_E || digits === 0) throw this.error('an integer that is not decimal');
    if (bytes[first] === DIGIT_0 && (digits > 1 || isNegative))
      throw this.error('an integer with leading zeros');
    this.offset = offset + 1;
    if (digits <= SAFE_DIGITS) return isNegative ? -value : value;
    const exact = BigInt(binary(bytes, start, offset));
    if (exact < INT64_MIN || exact > UINT64_MAX) throw this.error('an integer beyond 64 bits');
    const inexact = Number(exact);
    return Number.isSafeInteger(inexact) ? inexact : exact;
  }

  error(what: string): ParseError {
    return new ParseError('bencode', `${what} (at ${this.offset} of ${this.bytes.length})`);
  }
}

/** Keys are short: faster than a decoder, which wants a view first. */
function binary(bytes: Uint8Array, start: number, end: number): string {
  if (end - start > 20) return toBinary(bytes.subarray(start, end));
  let text = '';
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i]!);
  return text;
}

function wrongType(key: string, wanted: string): ParseError {
  return new ParseError('bencode', `member ${key} is not ${wanted}`);
}

/**
 * A member that is a safe integer.
 * @throws ParseError for another type or a greater integer
 */
export function btInteger(dict: BtDict, key: string): number | undefined {
  const value = dict.get(key);
  if (value === undefined || typeof value === 'number') return value;
  throw wrongType(key, 'a safe integer');
}

/** A byte string, of `length` bytes when given. @throws ParseError for another type or length */
export function btBytes(dict: BtDict, key: string, length?: number): Uint8Array | undefined {
  const value = dict.get(key);
  if (value === undefined) return undefined;
  if (!(value instanceof Uint8Array)) throw wrongType(key, 'a byte string');
  if (length !== undefined && value.length !== length) throw wrongType(key, `a string of ${length} bytes`);
  return value;
}

/** @throws ParseError for another type */
export function btList(dict: BtDict, key: string): BtValue[] | undefined {
  const value = dict.get(key);
  if (value === undefined || Array.isArray(value)) return value;
  throw wrongType(key, 'a list');
}

/** @throws ParseError for another type */
export function btDict(dict: BtDict, key: string): BtDict | undefined {
  const value = dict.get(key);
  if (value === undefined || value instanceof Map) return value;
  throw wrongType(key, 'a dict');
}
