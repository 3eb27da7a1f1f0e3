// SPDX-License-Identifier: MIT
// What a swarm says when it stores or deletes messages: only members that prove it with their signature count
// (spec/storage-server §2.9.1).
import type { AccountId } from '@allium/protocol/account-id';
import { fromHex } from '@allium/protocol/bytes';
import { ParseError } from '@allium/protocol/errors';
import type {
  DeleteAllRequest,
  DeleteRequest,
  ExpireRequest,
  StoreRequest,
} from '@allium/protocol/storage/requests';
import { type NodeResultOf, parseRecursiveResult, type Subresult } from '@allium/protocol/storage/responses';
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
  request: StoreRequest | DeleteRequest | DeleteAllRequest,
  results: readonly Subresult[],
): StoredBy {
  const { of, proven } = provenEntries(network, recipient, request, results);
  return { of, signers: [...proven.keys()] };
}

/**
 * Of a shortening: until when messages are kept that were shortened before, by hash; the earliest that two members prove,
 * as one alone could have us remove what it likes. Where only one proves anything, what that says.
 * @throws ParseError when nobody's signature is good
 */
export function readExpiries(
  network: Network,
  account: AccountId,
  request: ExpireRequest,
  results: readonly Subresult[],
): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  const { proven } = provenEntries(network, account, request, results);
  for (const hash of request.messages) {
    const expiries = [...proven.values()]
      .flatMap(({ unchanged = {} }) => (Object.hasOwn(unchanged, hash) ? (unchanged[hash] ?? []) : []))
      .sort((a, b) => a - b);
    const expiry = proven.size === 1 ? expiries[0] : expiries[1];
    if (expiry !== undefined) found.set(hash, expiry);
  }
  return found;
}

function provenEntries<R extends StoreRequest | DeleteRequest | DeleteAllRequest | ExpireRequest>(
  network: Network,
  account: AccountId,
  request: R,
  results: readonly Subresult[],
): { readonly of: number; readonly proven: ReadonlyMap<string, NodeResultOf<R['method']>> } {
  const members = network.swarmMembers(account);
  const { swarm } = parseRecursiveResult(request.method as R['method'], results[0]?.body);
  const proven = new Map<string, NodeResultOf<R['method']>>();
  for (const [ed25519Hex, entry] of Object.entries(swarm)) {
    // The answering node may name whom it likes: only members that others told us of count. That what they signed
    // is this message's hash is part of `verifyNodeResult`.
    if ('failed' in entry || !members.has(ed25519Hex)) continue;
    const result = entry as NodeResultOf<R['method']>;
    if (verifyNodeResult(request, fromHex(ed25519Hex, 32), result)) proven.set(ed25519Hex, result);
  }
  if (proven.size === 0) {
    throw new ParseError('response', 'no member of the swarm proved that it did it');
  }
  return { of: members.size, proven };
}
