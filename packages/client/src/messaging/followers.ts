// SPDX-License-Identifier: MIT
// Who gets what arrives (spec/client §2.8): what a member told is checked, what was seen is left out, the rest goes to
// whoever follows its namespace; what that leads to, and that it was seen, is one write.
import type { AccountId } from '@allium/protocol/account-id';
import { messageHashText } from '@allium/protocol/message-hash';
import { parseAccountPubkey } from '@allium/protocol/storage/requests';
import type { RetrievedMessage, RetrieveResult } from '@allium/protocol/storage/responses';
import type { Changes, Storage } from '../storage/storage.ts';

// From the specification, §2.8.
/** Namespaces of messages: they get half of an answer, all others share the other half. */
export const MAIN_NAMESPACES: ReadonlySet<number> = new Set([0, 11]);
/** So many messages in an answer mean that there may be more. */
const FULL_PAGE = 95;
// Ours.
const DAY_MS = 24 * 3_600_000;
/** Seen hashes are kept for at least and at most so long, whatever expiry a node tells. */
const KEEP_SEEN_MS = [DAY_MS, 30 * DAY_MS] as const;

/** What a member told of a namespace. */
export interface Arrived {
  /** Not seen before, in the order of the member. Each has the hash of its bytes. */
  readonly fresh: readonly RetrievedMessage[];
  /** Seen before; only that there is something under this hash is certain. */
  readonly retold: readonly RetrievedMessage[];
}

/** What a follower makes of it. */
export interface TakenIn {
  /** Written together with the marks that the messages were seen and where the member's list ended: all or nothing. */
  readonly changes?: Omit<Changes, 'seen' | 'lastHashes'>;
  /** Called when that is written. */
  readonly onWritten?: () => void;
}

/** Gets all that arrives in one namespace of the account. */
export interface Follower {
  readonly namespace: number;
  /** One answer at a time. When it rejects nothing is marked as seen, and the messages come again. */
  take(arrived: Arrived): Promise<TakenIn>;
}

/** What one answer brought. */
export interface TakenPage {
  /** A message had not the hash it was under. */
  readonly lied: boolean;
  /** When messages not seen before were stored, network time in ms. */
  readonly fresh: readonly number[];
  /** There were messages after those that we had from the member. */
  readonly moved: boolean;
  /** It told messages again though we said where it had ended. */
  readonly hasForgotten: boolean;
  /** Those that there may be more for. */
  readonly unfinished: readonly Follower[];
}

interface FollowersDeps {
  readonly account: AccountId;
  readonly storage: Storage;
  /** Network time. */
  readonly now: () => number;
  /** Before what a member told is looked at. */
  readonly beforeTaking?: (() => Promise<void>) | undefined;
}

export class Followers {
  readonly #deps: FollowersDeps;
  /** By namespace. */
  readonly #followers = new Map<number, Follower>();
  /** One answer is taken in at a time. */
  #processing: Promise<unknown> = Promise.resolve();

  constructor(deps: FollowersDeps) {
    this.#deps = deps;
  }

  /** @throws Error when somebody follows the namespace already */
  add(follower: Follower): void {
    const { namespace } = follower;
    if (this.#followers.has(namespace)) throw new Error(`namespace ${namespace} is followed already`);
    this.#followers.set(namespace, follower);
  }

  remove(follower: Follower): void {
    if (this.#followers.get(follower.namespace) === follower) this.#followers.delete(follower.namespace);
  }

  /** Waits for what is being taken in. */
  async idle(): Promise<void> {
    await this.#processing.catch(() => undefined);
  }

  /** Messages last: what they mean may depend on the others. */
  inOrder(): readonly Follower[] {
    const all = [...this.#followers.values()];
    const isMain = ({ namespace }: Follower) => MAIN_NAMESPACES.has(namespace);
    return [...all.filter((follower) => !isMain(follower)), ...all.filter(isMain)];
  }

  /** Hands an answer to those who follow its namespaces. Rejects when one of them did, after all had theirs. */
  takeIn(
    node: string,
    asked: readonly Follower[],
    results: readonly RetrieveResult[],
    lastHashes: readonly (string | undefined)[],
  ): Promise<TakenPage> {
    const work = this.#processing
      .catch(() => undefined)
      .then(async (): Promise<TakenPage> => {
        const failures: unknown[] = [];
        const unfinished: Follower[] = [];
        let [lied, moved, hasForgotten] = [false, false, false];
        const fresh: number[] = [];
        for (const [i, follower] of asked.entries()) {
          const result = results[i]!;
          try {
            const taken = await this.#takeInOf(node, follower, result);
            fresh.push(...taken.fresh);
            if (taken.lied) lied = true;
            // Of configs the last one is often replaced, and deleted, by another device.
            const isMain = MAIN_NAMESPACES.has(follower.namespace);
            if (isMain && lastHashes[i] !== undefined && taken.isRetold) hasForgotten = true;
            if (taken.last === undefined || taken.last === lastHashes[i]) continue;
            moved = true;
            if (result.more || result.messages.length >= FULL_PAGE) unfinished.push(follower);
          } catch (error) {
            failures.push(error);
          }
        }
        if (failures.length > 0) throw failures[0];
        return { lied, fresh, moved, hasForgotten, unfinished };
      });
    this.#processing = work;
    return work;
  }

  async #takeInOf(
    node: string,
    follower: Follower,
    result: RetrieveResult,
  ): Promise<{ lied: boolean; fresh: readonly number[]; isRetold: boolean; last: string | undefined }> {
    const { account, storage, now: networkTime, beforeTaking } = this.#deps;
    const { namespace } = follower;
    // Nobody follows it any more.
    if (this.#followers.get(namespace) !== follower) {
      return { lied: false, fresh: [], isRetold: false, last: undefined };
    }
    if (result.messages.length > 0) await beforeTaking?.();
    const pubkey = parseAccountPubkey(account);
    const now = networkTime();
    const seen = new Set(await storage.seen(result.messages.map((message) => message.hash)));
    const fresh: RetrievedMessage[] = [];
    const retold: RetrievedMessage[] = [];
    const marks: { hash: string; expiry: number }[] = [];
    let lied = false;
    let last: { hash: string; expiry: number } | undefined;
    for (const message of result.messages) {
      const { hash, data, expiration } = message;
      const expiry = Math.min(Math.max(expiration, now + KEEP_SEEN_MS[0]), now + KEEP_SEEN_MS[1]);
      if (seen.has(hash)) retold.push(message);
      // Else a node could have us mark a message as seen that we never saw.
      else if (messageHashText(pubkey.bytes, namespace, data) !== hash) {
        lied = true;
        continue;
      } else {
        seen.add(hash);
        fresh.push(message);
        marks.push({ hash, expiry });
      }
      last = { hash, expiry };
    }
    const isRetold = retold.length > 0;
    if (last === undefined) return { lied, fresh: [], isRetold, last: undefined };
    const { changes, onWritten } = await follower.take({ fresh, retold });
    await storage.write({
      ...changes,
      seen: marks,
      ...(!lied && { lastHashes: [{ node, account, namespace, ...last }] }),
    });
    onWritten?.();
    return { lied, fresh: fresh.map(({ timestamp }) => timestamp), isRetold, last: last.hash };
  }
}
