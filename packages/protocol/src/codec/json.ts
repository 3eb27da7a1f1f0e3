// SPDX-License-Identifier: MIT
// JSON with exact integers: numbers beyond 2^53 are read as bigint and written as digits (spec/storage-server §1.3:
// swarm ids do not fit in a double). Not for the hot path of a node, which reads bodies without such numbers.

import { ParseError } from '../errors.ts';

export type Json = null | boolean | number | bigint | string | readonly Json[] | JsonObject;
export type JsonObject = { readonly [key: string]: Json };

/** What `stringifyJson` takes: like Json, and members that are undefined are left out. */
export type JsonInput =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly JsonInput[]
  | { readonly [key: string]: JsonInput | undefined };

// Ours.
/** No document of the protocol nests deeper than about ten. */
const MAX_DEPTH = 64;
/** 8 MB of brackets or braces cost a parser seconds. Twenty requests of a batch have some hundred values with names. */
const MAX_OPENINGS = 10_000;
/** Twenty requests with 10 000 hashes each. */
const MAX_COMMAS = 250_000;

/**
 * Whether text of a stranger costs a parser milliseconds at most: it has few brackets, braces, colons and commas, wherever
 * they stand. Requests of the protocol have, answers may not.
 */
export function isLightJson(text: string): boolean {
  return (
    hasAtMost(text, '[', MAX_OPENINGS) &&
    hasAtMost(text, '{', MAX_OPENINGS) &&
    hasAtMost(text, ':', MAX_OPENINGS) &&
    hasAtMost(text, ',', MAX_COMMAS)
  );
}

/** A search by the machine's own means: a tenth of a millisecond for a megabyte of data. */
function hasAtMost(text: string, character: string, most: number): boolean {
  if (text.length <= most) return true;
  let count = 0;
  for (let at = text.indexOf(character); at >= 0; at = text.indexOf(character, at + 1)) {
    if (++count > most) return false;
  }
  return true;
}

/**
 * Reads one JSON document. Integers that a double cannot hold become bigint; duplicate names: the last one counts.
 * @throws ParseError for bad syntax, numbers too large for any type, and nesting deeper than `maxDepth`
 */
export function parseJson(text: string, { maxDepth = MAX_DEPTH }: { maxDepth?: number } = {}): Json {
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch (cause) {
    throw new ParseError('json', 'not a JSON document', { cause });
  }
  // Before the second pass: V8 parses any depth in a loop, but calls the reviver recursively.
  checkJson(value, maxDepth);
  return LONG_NUMBER.test(text) ? (JSON.parse(text, exactIntegers as Reviver) as Json) : value;
}

/** Sixteen digits in a row: only then can an integer have lost precision. */
const LONG_NUMBER = /[0-9]{16}/;
const INTEGER = /^-?[0-9]+$/;
/** Longest digits made into a bigint (u64 has 20): conversion costs more than linear time. */
const MAX_DIGITS = 40;

// The third argument is newer than the library types: ECMAScript "JSON.parse source text access".
type Reviver = (key: string, value: unknown) => unknown;

function exactIntegers(_key: string, value: unknown, context: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
  const source = context.source;
  if (source === undefined || !INTEGER.test(source)) return value;
  if (source.length > MAX_DIGITS) throw new ParseError('json', 'integer of too many digits');
  return BigInt(source);
}

/** Walks without recursion, so that depth costs no stack. */
export function checkJson(root: Json, maxDepth: number = MAX_DEPTH): void {
  let level: Json[] = [root];
  for (let depth = 0; level.length > 0; depth++) {
    const next: Json[] = [];
    for (const value of level) {
      if (typeof value === 'number') {
        if (!Number.isFinite(value)) throw new ParseError('json', 'number out of range');
      } else if (typeof value === 'object' && value !== null) {
        if (depth >= maxDepth) throw new ParseError('json', 'nested too deeply');
        if (Array.isArray(value)) for (const item of value) next.push(item);
        else for (const name in value) next.push((value as JsonObject)[name] as Json);
      }
    }
    level = next;
  }
}

/** Writes JSON without blanks; a bigint as its digits. Numbers must be finite. */
export function stringifyJson(value: JsonInput): string {
  return JSON.stringify(value, digitsOfBigints);
}

// `JSON.rawJSON` (same proposal) puts text into the output as it is.
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };

function digitsOfBigints(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? rawJSON(value.toString()) : value;
}
