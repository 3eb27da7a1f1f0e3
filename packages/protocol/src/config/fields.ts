// SPDX-License-Identifier: MIT
// How the types of configs write their fields (spec/config-and-groups §3): what is neutral (0, '', false) is absent, and a
// value of the wrong type reads as absent.
import { fromBinary, fromHex, fromUtf8, toBinary, toHex, utf8 } from '../bytes.ts';
import { ParseError } from '../errors.ts';
import type { AccountId } from '../identity/account-id.ts';
import type { GroupId } from '../identity/group-id.ts';
import type { Config } from './config.ts';
import { ConfigError } from './config-error.ts';
import type { ConfigDict, ConfigPath, ConfigValue } from './data.ts';

// From the specification, spec/config-and-groups §3. In bytes.
export const MAX_NAME_BYTES = 100;
const MAX_PICTURE_URL_BYTES = 223;
const KEY = 32;
const ID = 33;

/** An encrypted file on a file server. */
export interface Picture {
  readonly url: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
}

export const NotificationMode = { default: 0, all: 1, disabled: 2, mentions: 3 } as const;
export type NotificationMode = (typeof NotificationMode)[keyof typeof NotificationMode];

/** When messages disappear. */
export const ExpiryMode = { none: 0, afterSend: 1, afterRead: 2 } as const;
export type ExpiryMode = (typeof ExpiryMode)[keyof typeof ExpiryMode];

/** The fields of one dict of a config, for reading and writing. */
export class Fields {
  readonly #config: Config;
  readonly #path: ConfigPath;

  constructor(config: Config, path: ConfigPath) {
    this.#config = config;
    this.#path = path;
  }

  get(key: string): ConfigValue | undefined {
    return this.#config.get(...this.#path, key);
  }

  /** As text; bytes that are not UTF-8 become U+FFFD. */
  text(key: string): string {
    const value = this.get(key);
    return typeof value === 'string' ? textOf(value) : '';
  }

  bytes(key: string, length?: number): Uint8Array | undefined {
    const value = this.get(key);
    if (typeof value !== 'string' || (length !== undefined && value.length !== length)) return undefined;
    return fromBinary(value);
  }

  integer(key: string): number {
    const value = this.get(key);
    return typeof value === 'number' ? value : 0;
  }

  positive(key: string): number {
    return Math.max(0, this.integer(key));
  }

  flag(key: string): boolean {
    const value = this.get(key);
    return (typeof value === 'number' || typeof value === 'bigint') && value !== 0;
  }

  /** In seconds, whatever older clients wrote. */
  time(key: string): number {
    return toSeconds(this.positive(key));
  }

  numbers(key: string): number[] {
    const value = this.get(key);
    if (!(value instanceof Set)) return [];
    return [...value].filter((item) => typeof item === 'number').sort((a, b) => a - b);
  }

  picture(urlKey = 'p', keyKey = 'q'): Picture | undefined {
    const url = this.text(urlKey);
    const key = this.bytes(keyKey, KEY);
    return url === '' || key === undefined ? undefined : { url, key };
  }

  /** Also when it is empty: where an entry lives by its name. */
  setAlways(key: string, text: string): void {
    this.#config.set([...this.#path, key], toBinary(utf8(text)));
  }

  setText(key: string, text: string): void {
    if (text === '') this.erase(key);
    else this.setAlways(key, text);
  }

  setBytes(key: string, bytes: Uint8Array | undefined): void {
    if (bytes === undefined) this.erase(key);
    else this.#config.set([...this.#path, key], toBinary(bytes));
  }

  /** 0 is absent. @throws ConfigError `bad_value` for what is no integer */
  setInteger(key: string, value: number): void {
    if (value === 0) this.erase(key);
    else this.#config.set([...this.#path, key], value);
  }

  /** 0 and less are absent. @throws ConfigError `bad_value` for what is no integer */
  setPositive(key: string, value: number): void {
    this.setInteger(key, Math.max(0, value));
  }

  setFlag(key: string, value: boolean): void {
    this.setInteger(key, value ? 1 : 0);
  }

  setTime(key: string, value: number): void {
    this.setPositive(key, toSeconds(value));
  }

  setNumbers(key: string, values: readonly number[]): void {
    this.#config.set([...this.#path, key], new Set(values));
  }

  /** @throws ConfigError `bad_value` for a URL that is too long or a key that has not 32 bytes */
  setPicture(picture: Picture | undefined, urlKey = 'p', keyKey = 'q'): void {
    if (picture !== undefined) checkPicture(picture);
    const isSet = picture !== undefined && picture.url !== '';
    this.setText(urlKey, isSet ? picture.url : '');
    this.setBytes(keyKey, isSet ? picture.key : undefined);
  }

  erase(key: string): void {
    this.#config.erase([...this.#path, key]);
  }
}

function checkPicture({ url, key }: Picture): void {
  if (url === '') return;
  if (utf8(url).length > MAX_PICTURE_URL_BYTES) {
    throw new ConfigError('bad_value', `a picture's URL has ${MAX_PICTURE_URL_BYTES} bytes at most`);
  }
  if (key.length !== KEY)
    throw new ConfigError('bad_value', `a picture's key has ${key.length} bytes, not 32`);
}

const lenientUtf8 = new TextDecoder('utf-8', { ignoreBOM: true });

export function textOf(binary: string): string {
  const bytes = fromBinary(binary);
  try {
    return fromUtf8(bytes);
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    return lenientUtf8.decode(bytes);
  }
}

/** Seconds of a time in seconds, ms or µs (§3, the fields marked †). */
export function toSeconds(time: number): number {
  if (time > 9_000_000_000_000) return Math.floor(time / 1_000_000);
  return time > 9_000_000_000 ? Math.floor(time / 1000) : time;
}

/** At most `limit` bytes, without splitting a character. */
export function truncateUtf8(bytes: Uint8Array, limit: number): Uint8Array {
  if (bytes.length <= limit) return bytes;
  let end = limit;
  while (end > 0 && ((bytes[end] as number) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}

export function truncateText(text: string, limit: number): string {
  const bytes = utf8(text);
  return bytes.length <= limit ? text : textOf(toBinary(truncateUtf8(bytes, limit)));
}

/** @throws ConfigError `bad_value` */
export function checkText(what: string, text: string, limit: number): void {
  const { length } = utf8(text);
  if (length > limit) throw new ConfigError('bad_value', `${what} has ${length} bytes, of ${limit} at most`);
}

/** The key of an entry that belongs to an id: its 33 bytes. */
export function idKey(id: AccountId | GroupId): string {
  return toBinary(fromHex(id, ID));
}

/** The id of an entry's key, or undefined when it is not one with this prefix. */
export function idOfKey<Id extends AccountId | GroupId>(key: string, prefix: '03' | '05'): Id | undefined {
  if (key.length !== ID || key.charCodeAt(0) !== Number(prefix)) return undefined;
  return toHex(fromBinary(key)) as Id;
}

/** The keys of a dict in their order. */
export function sortedKeys(dict: ConfigValue | undefined): string[] {
  return dict instanceof Map ? [...dict.keys()].sort() : [];
}

/** The entries of a dict that are dicts, in the order of their keys. */
export function dictEntries(dict: ConfigValue | undefined): [string, ConfigDict][] {
  return sortedKeys(dict).flatMap((key): [string, ConfigDict][] => {
    const value = (dict as ConfigDict).get(key);
    return value instanceof Map ? [[key, value]] : [];
  });
}
