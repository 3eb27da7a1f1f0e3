// SPDX-License-Identifier: MIT
// A reader of bt-encoded configs: more lenient than `codec/bencode.ts` where libsession is (zeros in front of numbers
// and lengths, bytes after the end), and with the place of each value, which signatures need (spec/config-and-groups
// §1, §2.2). Byte strings come as binary strings.
import { ParseError } from '../errors.ts';
import type { ConfigScalar } from './data.ts';

// Ours.
/** A value costs some hundred bytes of memory; 3,000 contacts with all fields are 60,000 values. */
const MAX_VALUES = 400_000;
const MAX_SKIP_DEPTH = 32;
const MAX_DIGITS = 19;
const SAFE_DIGITS = 15;

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

const COLON = 0x3a;
const MINUS = 0x2d;
const DIGIT_0 = 0x30;
const LETTER_D = 0x64;
const LETTER_E = 0x65;
const LETTER_I = 0x69;
const LETTER_L = 0x6c;

export class BtReader {
  readonly text: string;
  at = 0;
  #valuesLeft = MAX_VALUES;

  /** @param text a binary string */
  constructor(text: string) {
    this.text = text;
  }

  isDict(): boolean {
    return this.text.charCodeAt(this.at) === LETTER_D;
  }

  isList(): boolean {
    return this.text.charCodeAt(this.at) === LETTER_L;
  }

  isInteger(): boolean {
    return this.text.charCodeAt(this.at) === LETTER_I;
  }

  isEnd(): boolean {
    return this.text.charCodeAt(this.at) === LETTER_E;
  }

  /** Steps over `d` or `l`, or over `e`. */
  step(): void {
    this.#count();
    this.at++;
  }

  /** A dict with ascending keys. `read` reads the value of each. */
  dict(depth: number, read: (key: string) => void): void {
    if (!this.isDict()) throw this.error('no dict');
    if (depth <= 0) throw this.error('nested too deeply');
    this.step();
    let previous: string | undefined;
    while (!this.isEnd()) {
      const key = this.string();
      if (previous !== undefined && key <= previous) throw this.error('keys that do not ascend');
      previous = key;
      read(key);
    }
    this.at++;
  }

  /** A list; `read` reads each of its items. */
  list(read: () => void): void {
    if (!this.isList()) throw this.error('no list');
    this.step();
    while (!this.isEnd()) read();
    this.at++;
  }

  scalar(): ConfigScalar {
    return this.isInteger() ? this.integer() : this.string();
  }

  string(): string {
    this.#count();
    const { text } = this;
    let at = this.at;
    let length = 0;
    for (let digit = text.charCodeAt(at) - DIGIT_0; digit >= 0 && digit <= 9; ) {
      length = length * 10 + digit;
      if (length > text.length) throw this.error('a byte string longer than the input');
      digit = text.charCodeAt(++at) - DIGIT_0;
    }
    if (at === this.at || text.charCodeAt(at) !== COLON) throw this.error('no byte string');
    const start = at + 1;
    if (length > text.length - start) throw this.error('a byte string longer than the input');
    this.at = start + length;
    return text.slice(start, this.at);
  }

  integer(): number | bigint {
    this.#count();
    const { text } = this;
    if (!this.isInteger()) throw this.error('no integer');
    let at = this.at + 1;
    const isNegative = text.charCodeAt(at) === MINUS;
    if (isNegative) at++;
    const first = at;
    while (text.charCodeAt(at) === DIGIT_0) at++;
    const start = at;
    let value = 0;
    for (let digit = text.charCodeAt(at) - DIGIT_0; digit >= 0 && digit <= 9; ) {
      if (at - start === MAX_DIGITS) throw this.error('an integer beyond 64 bits');
      value = value * 10 + digit;
      digit = text.charCodeAt(++at) - DIGIT_0;
    }
    if (at === first || text.charCodeAt(at) !== LETTER_E) throw this.error('no integer');
    if (at - start <= SAFE_DIGITS) {
      this.at = at + 1;
      return isNegative && value !== 0 ? -value : value;
    }
    const exact = BigInt(`${isNegative ? '-' : ''}${text.slice(start, at)}`);
    if (exact < INT64_MIN || exact > INT64_MAX) throw this.error('an integer beyond 64 bits');
    this.at = at + 1;
    const inexact = Number(exact);
    return Number.isSafeInteger(inexact) ? inexact : exact;
  }

  /** Steps over one value of any kind. */
  skip(depth = MAX_SKIP_DEPTH): void {
    if (depth <= 0) throw this.error('nested too deeply');
    if (this.isDict()) this.dict(depth, () => this.skip(depth - 1));
    else if (this.isList()) this.list(() => this.skip(depth - 1));
    else this.scalar();
  }

  error(what: string): ParseError {
    return new ParseError('config', `${what} (at ${this.at} of ${this.text.length})`);
  }

  #count(): void {
    if (--this.#valuesLeft < 0) throw this.error('too many values');
  }
}

export function integerText(value: number | bigint): string {
  return `i${value}e`;
}
