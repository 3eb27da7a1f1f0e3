// SPDX-License-Identifier: MIT
// What a swarm says when it stores or deletes messages: only members that prove it with their signature count
// (spec/storage-server §2.9.1).
import type { AccountId } from '@allium/protocol/account-id';
import { fromHex } from '@allium/protocol/bytes';
import { ParseError } from '@allium/protocol/errors';
import type { DeleteRequest, StoreRequest } from '@allium/protocol/storage/requests';
import { parseRecursiveResult, type Subresult } from '@allium/protocol/storage/responses';
import { verifyNodeResult } from '@allium/protocol/storage/signatures';
import type { Network } from '../network/network.ts';

// From the specification.
/** spec/client §4.4. */
export const MESSAGE_TTL_MS = 14 * 24 * 3_600_000;
/** §2.6. */
export const STORE_LIMITS = { attempts: 3, pauseMs: 100, timeoutMs: 10_000 } as const;

export interface StoredBy {
  /** Members of the swarm. */
  readonly of: number;
  /** Ed25519 keys of those whose signature is good, hex. */
  readonly signers: readonly string[];
}

/** @throws ParseError when nobody's signature is good */
export function readSigned(
  network: Network,
  recipient: AccountId,
  request: StoreRequest | DeleteRequest,
  results: readonly Subresult[],
): StoredBy {
  const members = network.swarmMembers(recipient);
  const { swarm } = parseRecursiveResult(request.method, results[0]?.body);
  const signers: string[] = [];
  for (const [ed25519Hex, entry] of Object.entries(swarm)) {
    // The answering node may name whom it likes: only members that others told us of count. That what they signed
    // is this message's hash is part of `verifyNodeResult`.
    if ('failed' in entry || !members.has(ed25519Hex)) continue;
    if (verifyNodeResult(request, fromHex(ed25519Hex, 32), entry)) signers.push(ed25519Hex);
  }
  if (signers.length === 0) {
    throw new ParseError('response', 'no member of the swarm proved that it did it');
  }
  return { of: members.size, signers };
}
