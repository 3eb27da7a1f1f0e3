// SPDX-License-Identifier: MIT
// What voters and proposers send each other, as bencoded dictionaries (spec/chain §4.19). `sn.chain_vote`:
//
//   a action │ e epoch │ i index of the voter in the quorum │ n node id │ r reasons │ s signature, 64 bytes │ x state nonce
//
// `sn.chain_reveal` (ours, the specification names no form): e epoch │ p pre-image, 32 bytes.
import { type BtDict, btBytes, btInteger, decodeBtDict, encodeBt } from '@allium/protocol/bencode';
import { ParseError } from '@allium/protocol/errors';
import { type Hex, StateAction, type Vote } from './chain-view.ts';
import { bytesOf, hexOf } from './packed.ts';
import type { StateVote } from './votes.ts';

/** A vote and by whom it is: the registry calls them by their place in the quorum. */
export interface VoteMessage extends StateVote, Vote {}

export interface RevealMessage {
  readonly epoch: number;
  readonly preimage: Hex;
}

// From the specification: widths of the numbers in the registry.
const U32 = 2 ** 32 - 1;
const U16 = 2 ** 16 - 1;
/** The largest quorum that governance may set. */
const MAX_QUORUM = 32;
const SIGNATURE_BYTES = 64;
const PREIMAGE_BYTES = 32;

// Ours: the longest message has 135 bytes.
const MAX_BYTES = 200;

export function encodeVote(vote: VoteMessage): Uint8Array {
  return encodeBt({
    a: vote.action,
    e: vote.epoch,
    i: vote.index,
    n: vote.nodeId,
    r: vote.reasons,
    s: vote.signature,
    x: vote.stateNonce,
  });
}

/** Whether the signature is the voter's is not looked at. @throws ParseError `chain_vote` or `bencode` */
export function decodeVote(bytes: Uint8Array): VoteMessage {
  const dict = parse(bytes, 7);
  const action = integer(dict, 'a', StateAction.deregister);
  const nodeId = integer(dict, 'n', U32);
  if (action < StateAction.decommission || nodeId === 0) throw malformed('a');
  return {
    action: action as StateAction,
    epoch: integer(dict, 'e', U32),
    index: integer(dict, 'i', MAX_QUORUM - 1),
    nodeId,
    reasons: integer(dict, 'r', U16),
    signature: bytesAt(dict, 's', SIGNATURE_BYTES),
    stateNonce: integer(dict, 'x', U32),
  };
}

export function encodeReveal({ epoch, preimage }: RevealMessage): Uint8Array {
  return encodeBt({ e: epoch, p: bytesOf(preimage, PREIMAGE_BYTES) });
}

/** @throws ParseError `chain_vote` or `bencode` */
export function decodeReveal(bytes: Uint8Array): RevealMessage {
  const dict = parse(bytes, 2);
  return { epoch: integer(dict, 'e', U32), preimage: hexOf(bytesAt(dict, 'p', PREIMAGE_BYTES)) };
}

function parse(bytes: Uint8Array, members: number): BtDict {
  if (bytes.length > MAX_BYTES) throw new ParseError('chain_vote', `a message of ${bytes.length} bytes`);
  const dict = decodeBtDict(bytes);
  if (dict.size !== members) throw new ParseError('chain_vote', `${dict.size} members, not ${members}`);
  return dict;
}

function integer(dict: BtDict, key: string, most: number): number {
  const value = btInteger(dict, key);
  if (value === undefined || value < 0 || value > most) throw malformed(key);
  return value;
}

function bytesAt(dict: BtDict, key: string, length: number): Uint8Array {
  const value = btBytes(dict, key, length);
  if (value === undefined) throw malformed(key);
  return value.slice();
}

const malformed = (key: string) => new ParseError('chain_vote', `member ${key} is missing or out of range`);
