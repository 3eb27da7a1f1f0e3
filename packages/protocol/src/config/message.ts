// SPDX-License-Identifier: MIT
// One version of a config, in plaintext (spec/config-and-groups §2.2):
//
//   d 1:# seqno  1:& data  1:< [[seqno, hash, diff] …]  1:= diff  [1:~ signature] e
//
// Keys between these that we do not know are kept for the versions that we derive.
import { blake2b, ed25519Sign, ed25519Verify } from '#crypto';
import { concat, fromBinary, toBinary } from '../bytes.ts';
import { ParseError } from '../errors.ts';
import { BtReader, integerText } from './bt-reader.ts';
import { type ConfigDict, readData, writeData, writeString } from './data.ts';
import { type Diff, readDiff, writeDiff } from './diff.ts';

// From the specification (spec/config-and-groups §2.2, §2.6).
export const LAG = 5;
export const MAX_PLAINTEXT_BYTES = 10_000_000;
const HASH = 32;
const SIGNATURE = 64;

/**
 * Ours: greater sequence numbers are refused, so that there is always a next one that a number holds exactly. A device
 * would need 10^12 years of one change a second.
 */
export const MAX_SEQNO = 2 ** 52;

export interface HistoryRow {
  readonly seqno: number;
  /** Of the message, as a binary string of 32 bytes. */
  readonly hash: string;
  readonly diff: Diff;
}

/** A version as sent or received. Its parts must not be changed. */
export interface ConfigMessage extends HistoryRow {
  readonly data: ConfigDict;
  /** Of earlier versions, ascending by seqno and hash. */
  readonly history: readonly HistoryRow[];
  /** Top-level members that we do not know: bt-encoded values by key. */
  readonly unknown: ReadonlyMap<string, string>;
  /** The bytes that `hash` is of. */
  readonly plaintext: Uint8Array;
  readonly isSigned: boolean;
}

/** What a version holds before it has bytes. */
export type ConfigVersion = Pick<ConfigMessage, 'seqno' | 'data' | 'history' | 'unknown' | 'diff'>;

export const EMPTY_VERSION: ConfigVersion = {
  seqno: 0,
  data: new Map(),
  history: [],
  unknown: new Map(),
  diff: new Map(),
};

/** Rows of history in their order. Seqno first, then hash as bytes. */
export function compareRows(a: Omit<HistoryRow, 'diff'>, b: Omit<HistoryRow, 'diff'>): number {
  if (a.seqno !== b.seqno) return a.seqno - b.seqno;
  return a.hash < b.hash ? -1 : a.hash > b.hash ? 1 : 0;
}

/**
 * Gives a version its bytes.
 * @param secretKey Ed25519 (64 bytes), to sign it
 */
export function serializeVersion(given: ConfigVersion, secretKey?: Uint8Array): ConfigMessage {
  const { seqno } = given;
  // What others will not read must not count here either: it would undo what came after it.
  const history = given.history.filter((row) => row.seqno > seqno - LAG && row.seqno < seqno);
  const version = { ...given, history };
  const unsigned = writeVersion(version);
  const body = fromBinary(unsigned);
  const plaintext =
    secretKey === undefined
      ? concat(body, fromBinary('e'))
      : concat(body, fromBinary('1:~64:'), ed25519Sign(body, secretKey), fromBinary('e'));
  return { ...version, plaintext, hash: hashOf(plaintext), isSigned: secretKey !== undefined };
}

/** All but the signature and the last `e`. */
function writeVersion({ seqno, data, history, unknown, diff }: ConfigVersion): string {
  const members = new Map(unknown);
  let rows = 'l';
  for (const row of history) {
    rows += `l${integerText(row.seqno)}${writeString(row.hash)}${writeDiff(row.diff)}e`;
  }
  members.set('#', integerText(seqno));
  members.set('&', writeData(data));
  members.set('<', `${rows}e`);
  members.set('=', writeDiff(diff));
  let text = 'd';
  for (const key of [...members.keys()].sort()) text += writeString(key) + members.get(key);
  return text;
}

function hashOf(plaintext: Uint8Array): string {
  return toBinary(blake2b(plaintext, HASH));
}

/**
 * Reads a version.
 * @param verifyKey Ed25519: the message must be signed with it; without one a signature is not looked at
 * @throws ParseError `config`
 */
export function parseMessage(plaintext: Uint8Array, verifyKey?: Uint8Array): ConfigMessage {
  if (plaintext.length > MAX_PLAINTEXT_BYTES) {
    throw new ParseError('config', `a config of ${plaintext.length} bytes`);
  }
  const reader = new BtReader(toBinary(plaintext));
  if (!reader.isDict()) throw reader.error('no dict');
  reader.step();
  if (reader.string() !== '#') throw reader.error('a config that does not begin with its seqno');
  const seqno = readSeqno(reader);
  const members = new Members(reader);

  members.skipTo('&');
  if (!members.take('&')) throw reader.error('a config without data');
  const data = readData(reader);
  members.skipTo('<');
  if (members.isOver) throw reader.error('a config that ends after its data');
  const history = members.take('<') ? readHistory(reader, seqno) : [];
  members.skipTo('=');
  if (members.isOver) throw reader.error('a config that ends after its history');
  const diff: Diff = members.take('=') ? readDiff(reader) : new Map();
  members.skipTo('~');
  const signedEnd = members.keyStart;
  const signature = members.take('~') ? reader.string() : undefined;
  if (!members.isAtEnd()) throw reader.error('a member after the signature');

  if (signature !== undefined && signature.length !== SIGNATURE) {
    throw reader.error(`a signature of ${signature.length} bytes`);
  }
  if (verifyKey !== undefined) {
    const isGood =
      signature !== undefined &&
      ed25519Verify(fromBinary(signature), plaintext.subarray(0, signedEnd), verifyKey);
    if (!isGood) throw new ParseError('config', 'a config without a good signature');
  }
  const { unknown } = members;
  const isSigned = signature !== undefined;
  return { seqno, data, history, unknown, diff, plaintext, hash: hashOf(plaintext), isSigned };
}

/** The members of the top level, one after the other. */
class Members {
  readonly unknown = new Map<string, string>();
  /** Where the key begins that was read last. */
  keyStart = 0;
  readonly #reader: BtReader;
  #key: string | undefined = '#';
  #isTaken = false;

  constructor(reader: BtReader) {
    this.#reader = reader;
    this.#next();
  }

  get isOver(): boolean {
    return this.#key === undefined;
  }

  /** Keeps all members whose key is below `key`. */
  skipTo(key: string): void {
    if (this.#isTaken) this.#next();
    while (this.#key !== undefined && this.#key < key) {
      const start = this.#reader.at;
      this.#reader.skip();
      this.unknown.set(this.#key, this.#reader.text.slice(start, this.#reader.at));
      this.#next();
    }
  }

  /** Whether the member at hand has this key; then its value is to be read. */
  take(key: string): boolean {
    this.#isTaken = this.#key === key;
    return this.#isTaken;
  }

  isAtEnd(): boolean {
    if (this.#isTaken) this.#next();
    return this.isOver;
  }

  #next(): void {
    const reader = this.#reader;
    this.keyStart = reader.at;
    this.#isTaken = false;
    if (reader.isEnd()) {
      this.#key = undefined;
      return;
    }
    const key = reader.string();
    if (this.#key !== undefined && key <= this.#key) throw reader.error('keys that do not ascend');
    this.#key = key;
  }
}

function readSeqno(reader: BtReader): number {
  const seqno = reader.integer();
  // Our own dumps go beyond the limit: what stands at it must be read again after an edit.
  if (typeof seqno === 'bigint' || !Number.isSafeInteger(seqno + 1)) throw reader.error('an absurd seqno');
  return seqno;
}

function readHistory(reader: BtReader, seqno: number): HistoryRow[] {
  const rows: HistoryRow[] = [];
  reader.list(() => {
    if (!reader.isList()) throw reader.error('a history row that is no list');
    const start = reader.at;
    reader.step();
    const rowSeqno = reader.integer();
    if (rowSeqno >= seqno) throw reader.error('a history row of a later version');
    if (rowSeqno <= seqno - LAG) {
      reader.at = start;
      reader.skip();
      return;
    }
    const row = { seqno: Number(rowSeqno), hash: reader.string(), diff: readDiff(reader) };
    if (row.hash.length !== HASH) throw reader.error('a history row without a hash of 32 bytes');
    if (!reader.isEnd()) throw reader.error('a history row of more than three members');
    reader.step();
    const previous = rows.at(-1);
    if (previous !== undefined && compareRows(previous, row) >= 0) {
      throw reader.error('history rows that do not ascend');
    }
    rows.push(row);
  });
  return rows;
}
