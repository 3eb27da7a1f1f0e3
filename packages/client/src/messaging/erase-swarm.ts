// SPDX-License-Identifier: MIT
// Removing all that our own swarm keeps for us (`delete_all`, spec/storage-server §2.9): before an account is wiped.
import type { Account } from '@allium/protocol/account';
import { parseAccountPubkey } from '@allium/protocol/storage/requests';
import { signRequest } from '@allium/protocol/storage/signatures';
import type { Network } from '../network/network.ts';
import { readSigned, STORE_LIMITS, type StoredBy } from './proofs.ts';
import type { OwnRoute } from './storage-guards.ts';

interface EraseDeps {
  readonly network: Network;
  readonly ownRoute: () => Promise<OwnRoute>;
}

/** Messages and configs in all namespaces; who of the swarm proved it. @throws ClientError */
export async function eraseSwarm(
  account: Account,
  { network, ownRoute }: EraseDeps,
  signal: AbortSignal,
): Promise<StoredBy> {
  const pubkey = parseAccountPubkey(account.id);
  return network.askSwarm({
    ...(await ownRoute()),
    account: account.id,
    carrier: 'sequence',
    ...STORE_LIMITS,
    signal,
    // Made at the moment of sending: it must be of now.
    make: () => [
      signRequest(
        { method: 'delete_all', account: pubkey, namespace: 'all', timestamp: network.clock.now() },
        account,
      ),
    ],
    accept: (results, _node, [request]) => {
      if (request?.method !== 'delete_all') throw new RangeError('another request');
      return readSigned(network, account.id, request, results);
    },
  });
}
