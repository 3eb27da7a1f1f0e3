// SPDX-License-Identifier: MIT
// Votes on the state of a node: EIP-712 digests, signed in the compact form of EIP-2098 (spec/chain §4.10).
import { concat, utf8, wordOf } from '@allium/protocol/bytes';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import type { Hex, StateAction } from './chain-view.ts';
import { bytesOf, hexOf, keccak256 } from './packed.ts';

/** What is signed. `epoch` is the one in which the quorum was drawn. */
export interface StateVote {
  readonly nodeId: number;
  readonly action: StateAction;
  readonly epoch: number;
  readonly stateNonce: number;
  readonly reasons: number;
}

// From the specification.
const VOTE_TYPE = keccak256(
  utf8('StateVote(uint32 nodeId,uint8 action,uint32 epoch,uint32 stateNonce,uint16 reasons)'),
);
const DOMAIN_TYPE = keccak256(
  utf8('EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)'),
);
const NAME = keccak256(utf8('SessionServiceNodes'));
const VERSION = keccak256(utf8('1'));
const HALF_ORDER = secp256k1.Point.Fn.ORDER >> 1n;

/** 32 bytes. */
export function domainSeparator(chainId: number, registry: Hex): Uint8Array {
  return keccak256(DOMAIN_TYPE, NAME, VERSION, wordOf(chainId), new Uint8Array(12), bytesOf(registry, 20));
}

/** The 32 bytes that a voter signs. */
export function voteDigest(domain: Uint8Array, vote: StateVote): Uint8Array {
  const { nodeId, action, epoch, stateNonce, reasons } = vote;
  const words = [nodeId, action, epoch, stateNonce, reasons].map(wordOf);
  return keccak256(Uint8Array.of(0x19, 0x01), domain, keccak256(VOTE_TYPE, ...words));
}

/** r ‖ vs, 64 bytes. `secretKey` has 32. */
export function signDigest(digest: Uint8Array, secretKey: Uint8Array): Uint8Array {
  const [recovery, ...rest] = secp256k1.sign(digest, secretKey, { prehash: false, format: 'recovered' });
  const signature = Uint8Array.from(rest);
  if (recovery === 1) signature[32] = (signature[32] as number) | 0x80;
  return signature;
}

/** The address that made the signature; undefined for what is none, as the contract judges (s in the lower half). */
export function recoverSigner(digest: Uint8Array, signature: Uint8Array): Hex | undefined {
  if (signature.length !== 64) return undefined;
  const plain = Uint8Array.from(signature);
  const recovery = (plain[32] as number) >> 7;
  plain[32] = (plain[32] as number) & 0x7f;
  if (BigInt(hexOf(plain.subarray(32))) > HALF_ORDER) return undefined;
  try {
    const recovered = concat(Uint8Array.of(recovery), plain);
    const key = secp256k1.recoverPublicKey(recovered, digest, { prehash: false });
    return addressOf(secp256k1.Point.fromBytes(key).toBytes(false));
  } catch {
    return undefined;
  }
}

/** Of a voting key, 32 secret bytes. */
export function votingAddress(secretKey: Uint8Array): Hex {
  return addressOf(secp256k1.getPublicKey(secretKey, false));
}

function addressOf(publicKey: Uint8Array): Hex {
  return hexOf(keccak256(publicKey.subarray(1)).subarray(12));
}
