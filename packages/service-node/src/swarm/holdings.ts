// SPDX-License-Identifier: AGPL-3.0-or-later
// What members of a swarm compare (spec/storage-server §5.13): the messages and acts that this node has of the accounts of
// one swarm, and how it takes what others show it.
import { toHex } from '@allium/protocol/bytes';
import { delay, type Env } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import { type Membership, swarmFor } from '@allium/protocol/membership';
import { decodeDataPush } from '@allium/protocol/storage/data-push';
import type { ActEntry, HeldEntry, ReconcileKind } from '@allium/protocol/storage/reconcile';
import { decodeForward } from '@allium/protocol/storage/request-reader';
import { encodeForward } from '@allium/protocol/storage/request-writer';
import { RequestError } from '@allium/protocol/storage/requests';
import type { Mailbox } from '../mailbox/mailbox.ts';
import { hashText, type NewMessage } from '../mailbox/messages.ts';
import type { Metrics } from '../metrics.ts';
import type { Executor } from '../rpc/executor.ts';
import { acceptPushed } from './data-push.ts';
import { after, type Digests, digestRanges, type Entry, type Read, rangeOf } from './digest.ts';
import type { Swarm } from './swarm.ts';

// Ours.
/** Messages about to expire are not worth the trouble. */
export const CUTOFF_MS = 10_000;
/** Ranges with no more entries than this are compared one by one. */
export const LIST_ENTRIES = 256;
/** Bytes of one transfer. */
export const STEP_BYTES = 250_000;
/** The times of changes may come from a clock that is ahead. */
const MAX_SKEW_MS = 70_000;
const MAX_LIFE_MS = 30 * 86_400_000;
/** Entries compared per round: some 0.15 s of work in small steps. A larger mailbox takes several rounds. */
const ROUND_ENTRIES = 20_000;
/** So many at most are listed: there may be more than when they were counted. */
const LISTED_ENTRIES = 512;
/** Signatures verified, or expiries settled, in one turn of the event loop. */
const STEP_ITEMS = 32;

/** Which entries are compared. */
export interface Compared {
  readonly kind: ReconcileKind;
  /** Messages that end before it are left out. */
  readonly cutoff: number;
  /** Whose accounts. */
  readonly swarm: bigint;
}

export interface HoldingsParts {
  readonly mailbox: Mailbox;
  readonly swarm: Swarm;
  readonly metrics: Metrics;
  readonly executor: Pick<Executor, 'executeAct'>;
}

export class Holdings {
  readonly #parts: HoldingsParts;
  readonly #env: Env;
  /** Of accounts, by hex or row number, under one membership. */
  #swarms = new Map<string | number, bigint | undefined>();
  #swarmsOf: Membership | undefined;

  constructor(parts: HoldingsParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
  }

  /** Digests of the ranges `prefix`‖`first` …; fewer than `count` when it is too much work for one round. */
  digests(
    compared: Compared,
    prefix: Uint8Array,
    first: number,
    count: number,
    signal: AbortSignal,
  ): Promise<Digests> {
    const pause = () => this.#pause(signal);
    return digestRanges(this.#read(compared), prefix, first, count, ROUND_ENTRIES, pause);
  }

  /** The entries of one range. */
  entries(compared: Compared, prefix: Uint8Array): Entry[] {
    const { from, to } = rangeOf(prefix);
    return this.#read(compared)(from, to, LISTED_ENTRIES).entries;
  }

  /** What a peer answered to `get`: how many of `wanted` that settles. */
  async takeMessages(
    blob: Uint8Array,
    wanted: readonly Uint8Array[],
    theirs: ReadonlyMap<string, HeldEntry>,
  ): Promise<number> {
    const { mailbox, swarm, metrics } = this.#parts;
    const pushed = decodeDataPush(blob);
    const accepted: NewMessage[] = [];
    const places = new Map(wanted.map((hash, place) => [hashText(hash), place]));
    let last = -1;
    for (const message of pushed) {
      const place = places.get(message.hash);
      last = Math.max(last, place ?? -1);
      const good = place === undefined ? undefined : acceptPushed(message, swarm, this.#env.clock);
      if (good === undefined) continue;
      const changed = theirs.get(toHex(good.hash))?.changed ?? 0;
      accepted.push({ ...good, changed: changed > this.#latest() ? 0 : changed });
    }
    for (let i = 0; i < accepted.length; i += 100) {
      const stored = await mailbox.storeMany(accepted.slice(i, i + 100));
      metrics.reconciledItems += stored;
      metrics.messagesReceived += stored;
    }
    return last + 1;
  }

  /** Only what could be true: nobody may keep a message for ever, or forbid all later changes. */
  async takeExpiries(held: readonly HeldEntry[]): Promise<number> {
    const latest = this.#latest();
    let count = 0;
    for (let i = 0; i < held.length; i += STEP_ITEMS) {
      const good = held
        .slice(i, i + STEP_ITEMS)
        .filter(({ expiry, changed }) => expiry <= latest + MAX_LIFE_MS && changed <= latest);
      count += await this.#parts.mailbox.adoptExpiries(good);
    }
    return count;
  }

  /** Signed requests that a member shows us, executed where they are good; how many were. */
  async takeActs(acts: readonly ActEntry[], signal: AbortSignal): Promise<number> {
    let count = 0;
    for (const [i, { method, time, body }] of acts.entries()) {
      if (i % STEP_ITEMS === STEP_ITEMS - 1) await this.#pause(signal);
      try {
        const request = decodeForward(method, body);
        // One request has one form, or a liar could fill the table with forms of one.
        if (request === undefined || !Buffer.from(encodeForward(request)).equals(body)) continue;
        if (await this.#parts.executor.executeAct(request, time)) count++;
      } catch (error) {
        if (!(error instanceof RequestError || error instanceof ParseError)) throw error;
      }
    }
    return count;
  }

  /** Entries of accounts of one swarm: after a change of swarms those of others are left until they expire. */
  #read({ kind, cutoff, swarm }: Compared): Read {
    const { mailbox } = this.#parts;
    if (kind === 'a') {
      return (from, to, limit) => {
        const rows = mailbox.acts.keys(from, to, limit);
        const entries = rows
          .filter(({ account }) => this.#swarmOf(toHex(account), () => account) === swarm)
          .map(({ key, time }) => ({ key, value: time }));
        return { entries, next: rows.length < limit ? undefined : after(rows[rows.length - 1]!.key) };
      };
    }
    return (from, to, limit) => {
      const rows = mailbox.held(from, to, cutoff, limit);
      const entries = rows
        .filter(({ account }) => this.#swarmOf(account, () => mailbox.accountOf(account)) === swarm)
        .map(({ hash, expiry }) => ({ key: hash, value: expiry }));
      return { entries, next: rows.length < limit ? undefined : after(rows[rows.length - 1]!.hash) };
    };
  }

  #swarmOf(id: string | number, account: () => Uint8Array | undefined): bigint | undefined {
    const { membership } = this.#parts.swarm;
    if (this.#swarmsOf !== membership || this.#swarms.size > 100_000) {
      this.#swarmsOf = membership;
      this.#swarms = new Map();
    }
    let found = this.#swarms.get(id);
    if (found === undefined) {
      const bytes = account();
      found = bytes && swarmFor(membership, bytes.subarray(1))?.id;
      this.#swarms.set(id, found);
    }
    return found;
  }

  /** Lets others have the event loop. */
  #pause(signal: AbortSignal): Promise<void> {
    return delay(this.#env.clock, 0, signal);
  }

  #latest(): number {
    return this.#env.clock.now() + MAX_SKEW_MS;
  }
}
