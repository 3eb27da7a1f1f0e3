// SPDX-License-Identifier: AGPL-3.0-or-later
// The bare cryptography of an onion request, without any network: what the nodes of a path must compute at least.
import { randomBytes, x25519KeyPair } from '@allium/protocol/crypto';
import { openLayer, sealLayer, sealReply } from '@allium/protocol/onion/layer';

/** Ours: enough rounds for a steady figure, few enough to take well under a second. */
const ROUNDS = 3_000;

export interface HopCost {
  readonly openMs: number;
  readonly replyMs: number;
  /** `layers` layers opened and one reply sealed. */
  readonly totalMs: number;
}

/** CPU in ms of opening AES-GCM layers of a request with a body of `sizeBytes`, and of sealing its answer. */
export function hopCost(layers: number, sizeBytes: number): HopCost {
  const keyPair = x25519KeyPair();
  // A store carries its message as base64 in JSON; some 300 bytes of routing and parameters come on top.
  const plaintext = randomBytes(300 + Math.ceil((sizeBytes * 4) / 3));
  const sealed = sealLayer('aes-gcm', plaintext, keyPair.publicKey);
  const openMs = time(() => {
    openLayer('aes-gcm', sealed.ciphertext, sealed.ephemeralKey, keyPair);
  });
  const answer = randomBytes(600);
  const replyMs = time(() => {
    sealReply(sealed.replyKey, answer);
  });
  return { openMs, replyMs, totalMs: layers * openMs + replyMs };
}

function time(run: () => void): number {
  for (let i = 0; i < ROUNDS / 10; i += 1) run();
  const before = process.cpuUsage();
  for (let i = 0; i < ROUNDS; i += 1) run();
  const used = process.cpuUsage(before);
  return (used.user + used.system) / 1_000 / ROUNDS;
}
