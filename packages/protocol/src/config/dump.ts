// SPDX-License-Identifier: MIT
// What a config keeps on its device (spec/config-and-groups §2.9), in libsession's layout:
//
//   d 1:! state  1:$ plaintext  1:( current hashes  1:) old hashes  1:* parts  1:+ data of the type e
import { fromBinary, toBinary } from '../bytes.ts';
import { BtReader, integerText } from './bt-reader.ts';
import { type ConfigDict, readData, writeData, writeDict, writeString } from './data.ts';
import type { HeldPiece, PieceSet } from './multipart.ts';

export interface DumpedConfig {
  /** `ConfigState` of config.ts. */
  readonly state: 0 | 1 | 2;
  readonly plaintext: Uint8Array;
  readonly current: readonly string[];
  readonly old: readonly string[];
  readonly pieces: ReadonlyMap<string, PieceSet>;
  readonly extra: ConfigDict;
}

export function writeDump({ state, plaintext, current, old, pieces, extra }: DumpedConfig): Uint8Array {
  const members = new Map([
    ['!', integerText(state)],
    ['$', writeString(toBinary(plaintext))],
    ['(', writeStrings(current)],
    [')', writeStrings(old)],
    ['*', writeDict(pieces, writePieceSet)],
    ['+', writeData(extra)],
  ]);
  return fromBinary(writeDict(members, (text) => text));
}

function writeStrings(hashes: readonly string[]): string {
  return `l${hashes.map(writeString).join('')}e`;
}

function writePieceSet({ count, expiry, pieces }: PieceSet): string {
  const members = new Map([
    ['#', integerText(count)],
    ['T', integerText(expiry)],
  ]);
  if (count > 0) members.set('p', `l${pieces.map(writePiece).join('')}e`);
  return writeDict(members, (text) => text);
}

function writePiece({ index, storageHash, chunk }: HeldPiece): string {
  const members = new Map([
    ['#', integerText(index)],
    ['M', writeString(storageHash)],
    ['d', writeString(toBinary(chunk))],
  ]);
  return writeDict(members, (text) => text);
}

/** @throws ParseError `config` */
export function readDump(bytes: Uint8Array): DumpedConfig {
  const reader = new BtReader(toBinary(bytes));
  let state: number | bigint | undefined;
  let plaintext: Uint8Array | undefined;
  let current: string[] = [];
  let old: string[] = [];
  const pieces = new Map<string, PieceSet>();
  let extra: ConfigDict = new Map();
  reader.dict(1, (key) => {
    if (key === '!') state = reader.integer();
    else if (key === '$') plaintext = fromBinary(reader.string());
    else if (key === '(') current = reader.isList() ? readStrings(reader) : [reader.string()];
    else if (key === ')') old = readStrings(reader);
    else if (key === '*') reader.dict(1, (id) => pieces.set(id, readPieceSet(reader)));
    else if (key === '+') extra = readData(reader);
    else reader.skip();
  });
  if (plaintext === undefined || (state !== 0 && state !== 1 && state !== 2)) {
    throw reader.error('a dump without message or state');
  }
  return { state, plaintext, current, old, pieces, extra };
}

function readStrings(reader: BtReader): string[] {
  const strings: string[] = [];
  reader.list(() => strings.push(reader.string()));
  return strings;
}

function readPieceSet(reader: BtReader): PieceSet {
  let count = 0;
  let expiry = 0;
  const pieces: HeldPiece[] = [];
  reader.dict(1, (key) => {
    if (key === '#') count = Number(reader.integer());
    else if (key === 'T') expiry = Number(reader.integer());
    else if (key === 'p') reader.list(() => pieces.push(readPiece(reader)));
    else reader.skip();
  });
  return { count, expiry, pieces };
}

function readPiece(reader: BtReader): HeldPiece {
  let index = 0;
  let storageHash = '';
  let chunk = new Uint8Array(0);
  reader.dict(1, (key) => {
    if (key === '#') index = Number(reader.integer());
    else if (key === 'M') storageHash = reader.string();
    else if (key === 'd') chunk = Uint8Array.from(fromBinary(reader.string()));
    else reader.skip();
  });
  return { index, storageHash, chunk };
}
