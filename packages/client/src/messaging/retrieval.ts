// SPDX-License-Identifier: MIT
// Asking one member of our swarm for all that it has in the namespaces that are followed, page by page (spec/client §2.8).
import type { Account } from '@allium/protocol/account';
import { parseAccountPubkey, type SimpleRequest } from '@allium/protocol/storage/requests';
import { parseRetrieveResult } from '@allium/protocol/storage/responses';
import { signRequest } from '@allium/protocol/storage/signatures';
import type { Network } from '../network/network.ts';
import type { Path } from '../network/paths.ts';
import type { Storage } from '../storage/storage.ts';
import { type Follower, type Followers, MAIN_NAMESPACES } from './followers.ts';

// From the specification, §2.8.
const POLL_TIMEOUT_MS = 10_000;
// Ours.
/** Pages of one round: a node that always has more may not keep us for ever. */
const MAX_PAGES = 100;
/** The next poll would do, but a second member answers sooner. */
const ATTEMPTS = 2;

export interface RetrievalOptions {
  readonly prefer: readonly string[];
  readonly avoid?: ReadonlySet<string>;
  /** The only one that is to hold its answer; absent and asked to wait: nobody. */
  readonly waiter?: string | undefined;
  readonly waitMs: number;
  readonly preferGuard?: string | undefined;
  readonly avoidGuard?: string | undefined;
  readonly onSent?: (path: Path) => void;
  /** Of the first page; default 2. */
  readonly attempts?: number;
  readonly only?: (namespace: number) => boolean;
  readonly onPage?: (fresh: number) => void;
}

/** What one member told, over all pages. */
export interface Told {
  /** Undefined: it lied. */
  readonly node: string | undefined;
  /** When messages that were new to us were stored, network time in ms. */
  readonly fresh: readonly number[];
  readonly hasForgotten: boolean;
  /** There were messages after those that we had from it. */
  readonly moved: boolean;
  /** It knows `wait`. */
  readonly canWait: boolean;
}

interface RetrievalDeps {
  readonly account: Account;
  readonly network: Network;
  readonly storage: Storage;
  readonly followers: Followers;
  /** Whether members are asked for whether they can hold an answer. */
  readonly asksForWait: boolean;
  /** The member told what is not so. */
  readonly onLie: (ed25519Hex: string) => Promise<void>;
}

/** All pages of one member. @throws ClientError when none answered */
export async function retrieve(
  options: RetrievalOptions,
  signal: AbortSignal | undefined,
  deps: RetrievalDeps,
): Promise<Told> {
  const { account, network, storage, followers } = deps;
  const pubkey = parseAccountPubkey(account.id);
  let { prefer, waitMs } = options;
  const { only = () => true, attempts = ATTEMPTS } = options;
  let asked: readonly Follower[] = followers.inOrder().filter(({ namespace }) => only(namespace));
  const fresh: number[] = [];
  let moved = false;
  let hasForgotten = false;
  let canWait = false;
  let member: string | undefined;
  for (let page = 0; page < MAX_PAGES && asked.length > 0; page++) {
    const { node, results, requests } = await network.askSwarm({
      account: account.id,
      carrier: 'batch',
      attempts: page === 0 ? attempts : ATTEMPTS,
      pauseMs: 0,
      timeoutMs: POLL_TIMEOUT_MS + waitMs,
      prefer,
      ...(options.avoid !== undefined && { avoid: options.avoid }),
      preferGuard: options.preferGuard,
      avoidGuard: options.avoidGuard,
      ...(options.onSent !== undefined && { onSent: options.onSent }),
      endsWithPath: waitMs > 0,
      ...(signal !== undefined && { signal }),
      make: (polled): Promise<SimpleRequest[]> =>
        Promise.all(
          asked.map(async ({ namespace }) => {
            const last = await storage.lastHash(polled.ed25519Hex, account.id, namespace);
            return signRequest(
              {
                method: 'retrieve',
                account: pubkey,
                namespace,
                lastHash: last?.hash,
                maxSize: share(namespace, asked),
                // Zero only asks whether it knows the word.
                wait: !deps.asksForWait ? undefined : polled.ed25519Hex === options.waiter ? waitMs : 0,
                timestamp: network.clock.now(),
              },
              account,
            );
          }),
        ),
      accept: (bodies, answering, sent) => ({
        node: answering,
        results: bodies.map(({ body }) => parseRetrieveResult(body)),
        requests: sent,
      }),
    });
    const lastHashes = requests.map((request) =>
      request.method === 'retrieve' ? request.lastHash : undefined,
    );
    const taken = await followers.takeIn(node.ed25519Hex, asked, results, lastHashes);
    if (taken.lied) {
      network.pool.strike(node.ed25519Hex);
      await deps.onLie(node.ed25519Hex);
      return { node: undefined, fresh, moved, hasForgotten, canWait: false };
    }
    fresh.push(...taken.fresh);
    options.onPage?.(taken.fresh.length);
    if (taken.moved) moved = true;
    if (taken.hasForgotten && page === 0) hasForgotten = true;
    canWait = results.every(({ waited }) => waited !== undefined);
    member = node.ed25519Hex;
    asked = taken.unfinished;
    prefer = [member];
    waitMs = 0;
  }
  return { node: member, fresh, moved, hasForgotten, canWait };
}

/** §2.8: −k is the k-th part of an answer. */
function share(namespace: number, asked: readonly Follower[]): number {
  if (MAIN_NAMESPACES.has(namespace)) return -2;
  return -2 * asked.filter((other) => !MAIN_NAMESPACES.has(other.namespace)).length;
}
