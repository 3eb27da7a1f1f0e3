// SPDX-License-Identifier: MIT
// The data of a config (spec/config-and-groups §2.1): a tree of dicts whose leaves are integers, byte strings and sets
// of these. Byte strings, keys too, are "binary strings" (`toBinary` in bytes.ts), so that sets and maps compare them
// by value and `<` orders them by bytes. There are no empty sets and no empty dicts below the top.
import { type BtReader, integerText } from './bt-reader.ts';
import { ConfigError } from './config-error.ts';

/** An integer (a bigint beyond 2^53 only) or a byte string as a binary string. */
export type ConfigScalar = number | bigint | string;
export type ConfigSet = Set<ConfigScalar>;
export type ConfigDict = Map<string, ConfigValue>;
export type ConfigValue = ConfigScalar | ConfigSet | ConfigDict;

/** Ours: the types of spec §3 use four levels. Every recursion over data ends here. */
export const MAX_DEPTH = 24;

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/** One form for each integer: a number where it is exact. Undefined when it does not fit into 64 bits. */
function normalInteger(value: number | bigint): number | bigint | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value + 0 : undefined;
  if (value < INT64_MIN || value > INT64_MAX) return undefined;
  const inexact = Number(value);
  return Number.isSafeInteger(inexact) ? inexact : value;
}

/** Integers ascending, then strings ascending. */
export function compareScalars(a: ConfigScalar, b: ConfigScalar): number {
  const isText = typeof a === 'string';
  if (isText !== (typeof b === 'string')) return isText ? 1 : -1;
  return a < b ? -1 : a > b ? 1 : 0;
}

export function isEmpty(value: ConfigValue): boolean {
  return (value instanceof Map || value instanceof Set) && value.size === 0;
}

export function cloneDict(dict: ConfigDict): ConfigDict {
  const copy: ConfigDict = new Map();
  for (const [key, value] of dict) copy.set(key, cloneValue(value));
  return copy;
}

function cloneValue(value: ConfigValue): ConfigValue {
  if (value instanceof Map) return cloneDict(value);
  return value instanceof Set ? new Set(value) : value;
}

export function equalValues(a: ConfigValue, b: ConfigValue): boolean {
  if (a instanceof Map) {
    if (!(b instanceof Map) || a.size !== b.size) return false;
    for (const [key, value] of a) {
      const other = b.get(key);
      if (other === undefined || !equalValues(value, other)) return false;
    }
    return true;
  }
  if (a instanceof Set) return b instanceof Set && a.size === b.size && without(a, b).length === 0;
  return a === b;
}

/** The items of `a` that `b` lacks, ascending. */
export function without(a: ConfigSet, b: ConfigSet): ConfigScalar[] {
  return [...a].filter((item) => !b.has(item)).sort(compareScalars);
}

/** Removes empty sets and dicts below the top, children first. */
export function prune(dict: ConfigDict): void {
  for (const [key, value] of dict) {
    if (value instanceof Map) prune(value);
    if (isEmpty(value)) dict.delete(key);
  }
}

/** A path of keys; like all byte strings of a config, they are binary strings. */
export type ConfigPath = readonly string[];

export function getAt(dict: ConfigDict, path: ConfigPath): ConfigValue | undefined {
  let value: ConfigValue | undefined = dict;
  for (const key of path) {
    if (!(value instanceof Map)) return undefined;
    value = value.get(key);
  }
  return value;
}

/** Whatever is no dict on the way becomes one. `value` must not be empty, nor `path`. */
export function setAt(dict: ConfigDict, path: ConfigPath, value: ConfigValue): void {
  let parent = dict;
  for (const step of path.slice(0, -1)) {
    let next = parent.get(step);
    if (!(next instanceof Map)) {
      next = new Map();
      parent.set(step, next);
    }
    parent = next;
  }
  parent.set(path.at(-1) as string, value);
}

/** Dicts below the top that this leaves empty go too. */
export function eraseAt(dict: ConfigDict, path: ConfigPath): void {
  const [key, ...rest] = path;
  if (key === undefined) return;
  const value = dict.get(key);
  if (rest.length === 0) dict.delete(key);
  else if (value instanceof Map) {
    eraseAt(value, rest);
    if (value.size === 0) dict.delete(key);
  }
}

/** @throws ParseError `config` for what the reader rules of spec §2.2 forbid */
export function readData(reader: BtReader, depth = MAX_DEPTH): ConfigDict {
  const dict: ConfigDict = new Map();
  reader.dict(depth, (key) => dict.set(key, readValue(reader, depth - 1)));
  return dict;
}

function readValue(reader: BtReader, depth: number): ConfigValue {
  if (reader.isDict()) {
    const dict = readData(reader, depth);
    if (dict.size === 0) throw reader.error('an empty dict in the data');
    return dict;
  }
  if (!reader.isList()) return reader.scalar();
  const set = new Set(readSorted(reader));
  if (set.size === 0) throw reader.error('an empty set in the data');
  return set;
}

/** A list of scalars, strictly ascending: a set, or a half of a set's diff. */
export function readSorted(reader: BtReader): ConfigScalar[] {
  const items: ConfigScalar[] = [];
  reader.list(() => {
    const item = reader.scalar();
    const previous = items.at(-1);
    if (previous !== undefined && compareScalars(previous, item) >= 0) {
      throw reader.error('a set that does not ascend');
    }
    items.push(item);
  });
  return items;
}

/** bt-encoded, as a binary string. */
export function writeData(dict: ConfigDict): string {
  return writeDict(dict, writeValue);
}

function writeValue(value: ConfigValue): string {
  if (value instanceof Map) return writeData(value);
  return value instanceof Set ? writeList([...value].sort(compareScalars)) : writeScalar(value);
}

export function writeDict<T>(dict: ReadonlyMap<string, T>, write: (value: T) => string): string {
  let text = 'd';
  for (const key of [...dict.keys()].sort()) text += writeString(key) + write(dict.get(key) as T);
  return `${text}e`;
}

export function writeList(scalars: readonly ConfigScalar[]): string {
  let text = 'l';
  for (const scalar of scalars) text += writeScalar(scalar);
  return `${text}e`;
}

function writeScalar(value: ConfigScalar): string {
  return typeof value === 'string' ? writeString(value) : integerText(value);
}

export function writeString(text: string): string {
  return `${text.length}:${text}`;
}

/**
 * A copy of a value of our own making that every reader accepts: without empty sets and dicts inside.
 * @throws ConfigError `bad_value` for a number that is no 64-bit integer and for text that is no binary string
 */
export function checkedValue(value: ConfigValue): ConfigValue {
  if (value instanceof Set) return new Set([...value].map(checkedScalar));
  if (!(value instanceof Map)) return checkedScalar(value);
  const copy: ConfigDict = new Map();
  for (const [key, member] of value) {
    const checked = checkedValue(member);
    if (!isEmpty(checked)) copy.set(checkedText(key), checked);
  }
  return copy;
}

/** @throws ConfigError `bad_value` for a path of nothing, of other than binary strings, or too deep */
export function checkPath(path: ConfigPath): void {
  if (path.length === 0 || path.length > MAX_DEPTH) throw new ConfigError('bad_value', 'no such path');
  path.forEach(checkedText);
}

/** @throws ConfigError `bad_value` as `checkedValue` */
export function checkedScalar(value: ConfigScalar): ConfigScalar {
  if (typeof value === 'string') return checkedText(value);
  const integer = normalInteger(value);
  if (integer === undefined) throw new ConfigError('bad_value', 'a number that is no integer of 64 bits');
  return integer;
}

function checkedText(text: string): string {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 0xff) throw new ConfigError('bad_value', 'text where a binary string belongs');
  }
  return text;
}
