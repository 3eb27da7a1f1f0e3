// SPDX-License-Identifier: MIT
// The binding of an identity key to a registration (spec/chain §4.5): the contract stores the signature, everybody else
// judges it.
import { concat, utf8, wordOf } from '@allium/protocol/bytes';
import { ed25519PublicKeyToX25519, ed25519Sign, ed25519Verify } from '@allium/protocol/crypto';
import type { Hex } from './chain-view.ts';
import { bytesOf } from './packed.ts';

const DOMAIN = utf8('SN-REGISTER-v1'); // From the specification.

export interface RegistrationFacts {
  readonly chainId: number;
  readonly registry: Hex;
  readonly operator: Hex;
  readonly votingKey: Hex;
  readonly beaconAnchor: Hex;
}

/** The 138 bytes that the identity key signs. */
export function registrationMessage(facts: RegistrationFacts): Uint8Array {
  return concat(
    DOMAIN,
    wordOf(facts.chainId),
    bytesOf(facts.registry, 20),
    bytesOf(facts.operator, 20),
    bytesOf(facts.votingKey, 20),
    bytesOf(facts.beaconAnchor, 32),
  );
}

/** 64 bytes. `secretKey` is an Ed25519 one of 64. */
export function signRegistration(facts: RegistrationFacts, secretKey: Uint8Array): Uint8Array {
  return ed25519Sign(registrationMessage(facts), secretKey);
}

/**
 * The X25519 form of the identity key when the registration is bound to it; undefined for a key that is none, or a
 * signature that is not its own. Whether another node has the key already is not judged here.
 */
export function boundKey(
  facts: RegistrationFacts,
  ed25519Key: Uint8Array,
  signature: Uint8Array,
): Uint8Array | undefined {
  const x25519Key = ed25519PublicKeyToX25519(ed25519Key);
  if (x25519Key === undefined) return undefined;
  return ed25519Verify(signature, registrationMessage(facts), ed25519Key) ? x25519Key : undefined;
}
