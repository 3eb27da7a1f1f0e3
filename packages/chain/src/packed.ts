// SPDX-License-Identifier: MIT
// Keccak-256 over packed bytes, as Solidity's `abi.encodePacked` lays them out (spec/chain §4.7: integers big-endian of
// the stated width, no padding).
import { fromHex, toHex } from '@allium/protocol/bytes';
import { keccak_256 } from '@noble/hashes/sha3.js';
import type { Hex } from './chain-view.ts';

export function keccak256(...parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return keccak_256(parts[0] as Uint8Array);
  const hash = keccak_256.create();
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/**
 * The bytes of 0x-text, either case.
 * @throws ParseError `hex`
 */
export function bytesOf(text: string, lengthBytes?: number): Uint8Array {
  return fromHex(text.startsWith('0x') ? text.slice(2) : text, lengthBytes);
}

export function hexOf(bytes: Uint8Array): Hex {
  return `0x${toHex(bytes)}`;
}
