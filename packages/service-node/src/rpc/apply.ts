// SPDX-License-Identifier: AGPL-3.0-or-later
// Executes a checked recursive request on this node and signs the entry that the client gets of it
// (spec/storage-server §2.7 "Node signatures", §2.9).
import { utf8 } from '@allium/protocol/bytes';
import type { Clock } from '@allium/protocol/env';
import { messageHash } from '@allium/protocol/message-hash';
import { isPublicOutbox } from '@allium/protocol/namespaces';
import { encodeForward } from '@allium/protocol/storage/request-writer';
import type {
  ExpireRequest,
  RecursiveMethod,
  RecursiveRequest,
  StoreRequest,
} from '@allium/protocol/storage/requests';
import type {
  ExpireNodeResult,
  HashesByNamespace,
  NodeFailure,
  NodeResultOf,
  StoreNodeResult,
} from '@allium/protocol/storage/responses';
import { expireMode, nodeSignedText } from '@allium/protocol/storage/signatures';
import type { Act } from '../mailbox/acts.ts';
import type { Mailbox } from '../mailbox/mailbox.ts';
import { type Affected, hashText } from '../mailbox/messages.ts';
import type { NodeKeys } from '../node-keys.ts';
import { TTL_MAX_MS } from './checks.ts';

export type NodeEntry = NodeResultOf<RecursiveMethod> | NodeFailure;

export const isFailure = (entry: NodeEntry): entry is NodeFailure => 'failed' in entry;

export interface StoreApplied {
  readonly entry: StoreNodeResult;
  /** Row number of the message. */
  readonly id: number;
}

export class Apply {
  readonly #mailbox: Mailbox;
  readonly #keys: NodeKeys;
  readonly #clock: Clock;

  constructor(mailbox: Mailbox, keys: NodeKeys, clock: Clock) {
    this.#mailbox = mailbox;
    this.#keys = keys;
    this.#clock = clock;
  }

  async store(request: StoreRequest): Promise<StoreApplied> {
    const { account, namespace, timestamp, expiry, data } = request;
    const hash = messageHash(account.bytes, namespace, data);
    const stored = await this.#mailbox.store(
      { account, namespace, timestamp, expiry, hash, data },
      isPublicOutbox(namespace),
    );
    const text = hashText(hash);
    const signature = this.#keys.sign(utf8(text));
    const entry = stored.already
      ? { already: true, expiry: stored.expiry, hash: text, signature }
      : { expiry: stored.expiry, hash: text, signature };
    return { entry, id: stored.id };
  }

  /**
   * All but `store`. `late`: the request comes long after it was signed, and must not undo what was done since; a number
   * is the time at which another member executed it.
   * @throws DatabaseError
   */
  async other(request: Exclude<RecursiveRequest, StoreRequest>, late?: number): Promise<NodeEntry> {
    const mailbox = this.#mailbox;
    const { account } = request;
    const isLate = late !== undefined;
    const signed = 'timestamp' in request ? request.timestamp : undefined;
    const time = request.method === 'delete_before' ? request.before : (signed ?? late ?? this.#clock.now());
    const act: Act = { method: request.method, body: encodeForward(request), time };
    switch (request.method) {
      case 'delete':
        return this.#signed(request, {
          deleted: await mailbox.delete(account, request.messages, act, isLate),
        });
      case 'delete_all': {
        const before = isLate ? request.timestamp : Number.MAX_SAFE_INTEGER;
        return this.#signed(request, {
          deleted: lists(
            await mailbox.deleteBefore(account, request.namespace, before, act, request.timestamp),
          ),
        });
      }
      case 'delete_before':
        return this.#signed(request, {
          deleted: lists(await mailbox.deleteBefore(account, request.namespace, request.before, act)),
        });
      case 'expire':
        return this.#expire(request, act, isLate);
      case 'expire_all':
        return this.#signed(request, {
          updated: lists(await mailbox.expireAll(account, request.namespace, request.expiry, act, isLate)),
        });
      case 'revoke_subaccount':
        await mailbox.revocations.revoke(account, request.tokens, request.timestamp, act);
        return this.#signed(request, {});
      case 'unrevoke_subaccount':
        return this.#signed(request, {
          count: await mailbox.revocations.unrevoke(account, request.tokens, request.timestamp, act),
        });
    }
  }

  async #expire(request: ExpireRequest, act: Act, late: boolean): Promise<NodeEntry> {
    // The client signed the values as given; each node caps by its own clock (§2.9.7).
    const latest = this.#clock.now() + TTL_MAX_MS;
    const applied = request.expiries.map((expiry) => Math.min(expiry, latest));
    const mode = expireMode(request) ?? 'extend';
    const { updated, unchanged } = await this.#mailbox.expire(
      request.account,
      request.messages,
      applied,
      mode,
      act,
      late,
    );
    const hashes = [...updated.keys()].sort();
    const result: Omit<ExpireNodeResult, 'signature'> = {
      expiry: applied.length === 1 ? applied[0]! : hashes.map((hash) => updated.get(hash)!),
      updated: hashes,
      ...((request.shorten || request.extend) && { unchanged: Object.fromEntries(unchanged) }),
    };
    return this.#signed(request, result);
  }

  #signed<R extends RecursiveRequest>(
    request: R,
    result: Omit<NodeResultOf<R['method']>, 'signature'>,
  ): NodeEntry {
    const signature = this.#keys.sign(nodeSignedText(request, result));
    return { ...result, signature } as NodeEntry;
  }
}

function lists(affected: Affected): readonly string[] | HashesByNamespace {
  return 'one' in affected ? affected.one : Object.fromEntries(affected.all);
}
