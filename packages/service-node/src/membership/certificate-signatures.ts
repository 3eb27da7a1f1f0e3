// SPDX-License-Identifier: AGPL-3.0-or-later
// What members tell each other while they sign the list of an epoch (spec/chain §4.22): `sn.chain_cert`, a bt dict both as
// question and as answer:
//
//   d what is signed 32 │ e epoch │ g signatures, 64 bytes each │ h bit map of those held │ p bit map of those in g
//
// Positions and bit maps are those of the certificate.
import { type BtDict, btBytes, btInteger, decodeBtDict, encodeBt } from '@allium/protocol/bencode';
import { concat } from '@allium/protocol/bytes';
import { ParseError } from '@allium/protocol/errors';

// Ours.
/** So many nodes at most, as a certificate has. */
const MAX_NODES = 20_000;
const SIGNATURE_BYTES = 64;
const MAX_BYTES = MAX_NODES * SIGNATURE_BYTES + MAX_NODES / 4 + 256;

export interface SignatureNews {
  readonly epoch: number;
  /** 32 bytes. */
  readonly digest: Uint8Array;
  /** Positions of the signatures that the sender holds, these included. */
  readonly held: ReadonlySet<number>;
  /** 64 bytes by position. */
  readonly signatures: ReadonlyMap<number, Uint8Array>;
}

/** @param nodes how many the map of the epoch has */
export function encodeSignatureNews(news: SignatureNews, nodes: number): Uint8Array {
  const positions = [...news.signatures.keys()].sort((a, b) => a - b);
  return encodeBt({
    d: news.digest,
    e: news.epoch,
    g: concat(...positions.map((position) => news.signatures.get(position)!)),
    h: bitMap(news.held, nodes),
    p: bitMap(positions, nodes),
  });
}

/** Signatures are not checked. @throws ParseError `certificate` or `bencode` */
export function parseSignatureNews(bytes: Uint8Array): SignatureNews {
  if (bytes.length > MAX_BYTES) throw malformed(`${bytes.length} bytes`);
  const dict = decodeBtDict(bytes, { maxDepth: 1, maxValues: 16 });
  const epoch = btInteger(dict, 'e') ?? -1;
  if (epoch < 0 || epoch > 0xffffffff) throw malformed('epoch');
  const held = positionsIn(dict, 'h');
  const given = positionsIn(dict, 'p');
  const joined = needed(dict, 'g');
  if (joined.length !== given.length * SIGNATURE_BYTES) throw malformed('signatures');
  return {
    epoch,
    digest: needed(dict, 'd', 32).slice(),
    held: new Set(held),
    signatures: new Map(
      given.map((position, i) => [
        position,
        joined.slice(SIGNATURE_BYTES * i, SIGNATURE_BYTES * i + SIGNATURE_BYTES),
      ]),
    ),
  };
}

function bitMap(positions: Iterable<number>, nodes: number): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(nodes / 8));
  for (const position of positions) bytes[position >> 3]! |= 0x80 >> (position & 7);
  return bytes;
}

function positionsIn(dict: BtDict, key: string): number[] {
  const bytes = needed(dict, key);
  if (bytes.length > MAX_NODES / 8) throw malformed('bit map');
  const positions: number[] = [];
  for (let position = 0; position < bytes.length * 8; position++) {
    if ((bytes[position >> 3]! & (0x80 >> (position & 7))) !== 0) positions.push(position);
  }
  return positions;
}

function needed(dict: BtDict, key: string, length?: number): Uint8Array {
  const bytes = btBytes(dict, key, length);
  if (bytes === undefined) throw malformed(`no ${key}`);
  return bytes;
}

const malformed = (what: string) => new ParseError('certificate', `malformed signatures of a list: ${what}`);
