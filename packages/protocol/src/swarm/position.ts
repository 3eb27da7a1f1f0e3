// SPDX-License-Identifier: MIT
// Which swarm holds an account (spec/storage-server §6, spec/chain §3.8): keys and swarms stand on a ring of 2^64
// positions, and the nearer neighbour takes the key.
import { checkLength } from '../crypto/checks.ts';
import { ParseError } from '../errors.ts';

/** Where a key (32 bytes, without prefix) is on the ring. */
export function swarmPosition(key: Uint8Array): bigint {
  checkLength('account key', key, 32);
  const view = new DataView(key.buffer, key.byteOffset, 32);
  // Two halves: one bigint is made instead of seven.
  let high = 0;
  let low = 0;
  for (let offset = 0; offset < 32; offset += 8) {
    high ^= view.getUint32(offset);
    low ^= view.getUint32(offset + 4);
  }
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

/** Undefined when there is no swarm. `sortedIds` ascend. */
export function chooseSwarm(position: bigint, sortedIds: readonly bigint[]): bigint | undefined {
  const count = sortedIds.length;
  let from = 0;
  let to = count;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if ((sortedIds[middle] as bigint) < position) from = middle + 1;
    else to = middle;
  }
  // The first id that is not below the position, and the one before it, both around the ring.
  const right = sortedIds[from === count ? 0 : from];
  const left = sortedIds[from === 0 ? count - 1 : from - 1];
  if (right === undefined || left === undefined) return undefined;
  // spec/storage-server §6.2: a tie goes left.
  return BigInt.asUintN(64, right - position) < BigInt.asUintN(64, position - left) ? right : left;
}

/** As in replies: lower-case hex without padding (spec/storage-server §2.7). */
export function swarmIdHex(id: bigint): string {
  return id.toString(16);
}

/** @throws ParseError `node_list` unless the text is 1 to 16 hex digits */
export function parseSwarmId(text: string): bigint {
  if (!/^[0-9a-f]{1,16}$/i.test(text)) {
    throw new ParseError('node_list', 'a swarm id is 1 to 16 hex digits');
  }
  return BigInt(`0x${text}`);
}
