// SPDX-License-Identifier: MIT
// Reads values that strangers wrote as JSON: answers of endpoints, and files. Each reader throws the error of its owner
// with the name of the field, never the value.
import { ChainError } from './chain-error.ts';
import type { Hex } from './chain-view.ts';

export class FieldReader {
  readonly #code: 'bad_answer' | 'bad_snapshot';
  readonly #source: string;

  /** `source` begins the message of each error, as in "the answer to eth_getLogs". */
  constructor(code: 'bad_answer' | 'bad_snapshot', source: string) {
    this.#code = code;
    this.#source = source;
  }

  fail(what: string): never {
    throw new ChainError(this.#code, `${this.#source} is malformed: ${what}`);
  }

  object(value: unknown, name: string): Record<string, unknown> {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return this.fail(`${name} is no object`);
    }
    return value as Record<string, unknown>;
  }

  array(value: unknown, name: string, max: number): unknown[] {
    if (!Array.isArray(value)) return this.fail(`${name} is no list`);
    if (value.length > max) return this.fail(`${name} has ${value.length} entries`);
    return value;
  }

  /** A whole number in 0 … `max`. */
  integer(value: unknown, name: string, max: number = Number.MAX_SAFE_INTEGER): number {
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > max) {
      return this.fail(`${name} is no number in 0…${max}`);
    }
    return value;
  }

  boolean(value: unknown, name: string): boolean {
    return typeof value === 'boolean' ? value : this.fail(`${name} is neither true nor false`);
  }

  oneOf<T extends string>(value: unknown, name: string, values: readonly T[]): T {
    const found = values.find((one) => one === value);
    return found ?? this.fail(`${name} is none of ${values.join(', ')}`);
  }

  /** 0x and exactly so many bytes; lower case in the result. */
  bytes(value: unknown, name: string, length: number): Hex {
    if (typeof value !== 'string' || value.length !== 2 + 2 * length || !/^0x[0-9a-f]*$/i.test(value)) {
      return this.fail(`${name} is not ${length} bytes in hex`);
    }
    return value.toLowerCase() as Hex;
  }

  /** 0x and whole bytes, at most so many. */
  data(value: unknown, name: string, maxLength: number): Hex {
    if (typeof value !== 'string' || value.length > 2 + 2 * maxLength || !/^0x([0-9a-f]{2})*$/i.test(value)) {
      return this.fail(`${name} is not at most ${maxLength} bytes in hex`);
    }
    return value.toLowerCase() as Hex;
  }

  /** Hex digits without 0x, lower case. */
  digits(value: unknown, name: string, length: number): string {
    if (typeof value !== 'string' || value.length !== length || !/^[0-9a-f]*$/.test(value)) {
      return this.fail(`${name} is not ${length} hex digits`);
    }
    return value;
  }

  /** A number below 2^53 as JSON-RPC writes it, 0x and hex digits. */
  quantity(value: unknown, name: string): number {
    if (typeof value !== 'string' || !/^0x[0-9a-f]{1,14}$/i.test(value)) {
      return this.fail(`${name} is no number in hex`);
    }
    const number = Number.parseInt(value.slice(2), 16);
    return Number.isSafeInteger(number) ? number : this.fail(`${name} is too large`);
  }

  /** A decimal number of at most 78 digits, as a string. */
  decimal(value: unknown, name: string): bigint {
    if (typeof value !== 'string' || !/^[0-9]{1,78}$/.test(value)) {
      return this.fail(`${name} is no decimal number`);
    }
    return BigInt(value);
  }
}
