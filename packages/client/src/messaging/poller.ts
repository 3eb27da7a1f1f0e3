// SPDX-License-Identifier: MIT
// Following the namespaces of an account (spec/client §2.8), all in one request: one member of the swarm is asked and may
// hold its answer until there is something (spec/storage-server §2.9.2 `wait`); a second one is asked now and then, over
// another path, for what the first may hide. What was seen is left out, the rest goes to whoever follows the namespace.
import type { Account } from '@allium/protocol/account';
import { type Cancel, delay, type Env } from '@allium/protocol/env';
import { messageHashText } from '@allium/protocol/message-hash';
import { parseAccountPubkey, type SimpleRequest } from '@allium/protocol/storage/requests';
import {
  parseRetrieveResult,
  type RetrievedMessage,
  type RetrieveResult,
} from '@allium/protocol/storage/responses';
import { signRequest } from '@allium/protocol/storage/signatures';
import { ClientError, type ClientErrorCode } from '../errors.ts';
import { Tasks } from '../events.ts';
import type { Network } from '../network/network.ts';
import type { Path } from '../network/paths.ts';
import type { NetworkPreset } from '../network/presets.ts';
import type { Changes, PoolNode, Storage } from '../storage/storage.ts';
import { type GapCounts, Gaps } from './gaps.ts';
import { type OwnRoute, StorageGuards } from './storage-guards.ts';

// From the specification, §2.8.
/** Namespaces of messages: they get half of an answer, all others share the other half. */
const MAIN_NAMESPACES: ReadonlySet<number> = new Set([0, 11]);
const POLL_TIMEOUT_MS = 10_000;
/** So many messages in an answer mean that there may be more. */
const FULL_PAGE = 95;
// Ours.
const DAY_MS = 24 * 3_600_000;
/** Seen hashes are kept for at least and at most so long, whatever expiry a node tells. */
const KEEP_SEEN_MS = [DAY_MS, 30 * DAY_MS] as const;
/** Pages of one round: a node that always has more may not keep us for ever. */
const MAX_PAGES = 100;
/** Held answers in a row that may come early without anything new, before there is a pause. */
const MAX_EARLY_ANSWERS = 20;
/** After a start, for the path over which the first member was asked before. */
const PATH_PATIENCE_MS = 3_000;
const PATH_LOOK_MS = 50;
/** The next poll would do, but a second member answers sooner. */
const ATTEMPTS = 2;
const LONGEST_PAUSE_MS = 30_000;
/** Further members that are asked when one was found not to tell all; each learns that somebody asks for the account. */
const MAX_FILLERS = 3;
/** From a suspicion to the cross-check. */
const SUSPICION_MS = [10_000, 30_000] as const;
const PRUNE_EVERY_ROUNDS = 1_000;

export interface PollState {
  /** Local time of the last round that worked. */
  readonly lastAt: number | undefined;
  readonly error: ClientErrorCode | undefined;
}

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

interface PollerOptions {
  readonly account: Account;
  readonly preset: NetworkPreset;
  readonly pollEveryMs: number;
  /** Longest time for which a member may hold its answer; 0: it may not. */
  readonly waitMs: number;
}

interface PollerDeps {
  readonly network: Network;
  readonly storage: Storage;
  readonly env: Env;
  readonly onRound: (error: ClientError | undefined) => void;
  /** Before what a member told goes to whoever follows it. */
  readonly beforeTaking?: () => Promise<void>;
  /** Members kept messages that the one we ask did not tell; those are here now. */
  readonly onGap?: (counts: GapCounts) => void;
}

/** What one answer brought. */
interface Page {
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

/** What one member told, over all pages. */
interface Told {
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

export class Poller {
  readonly #options: PollerOptions;
  readonly #deps: PollerDeps;
  readonly #tasks: Tasks;
  readonly #guards: StorageGuards;
  readonly #gaps = new Gaps();
  /** When the first member was asked last, and answered; network time. */
  #firstAskedAt: number | undefined;
  /** By namespace. */
  readonly #followers = new Map<number, Follower>();
  /** Aborted when there is one more to follow: what is held was asked without it. */
  #restart = new AbortController();
  /** The member that has shown in its last answer that it knows `wait`. */
  #waiter: string | undefined;
  #rounds = 0;
  /** Round. */
  #pruneAt = 0;
  /** In a row. */
  #earlyAnswers = 0;
  /** By the monotonic clock. */
  readonly #startedAt: number;
  #nextCrossCheckAt: number;
  #state: PollState = { lastAt: undefined, error: undefined };
  /** One answer is taken in at a time. */
  #processing: Promise<unknown> = Promise.resolve();

  constructor(options: PollerOptions, deps: PollerDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#tasks = new Tasks(deps.env.log);
    this.#guards = new StorageGuards(options.preset.secondMemberMs, {
      storage: deps.storage,
      env: deps.env,
      isGone: (member) => {
        const known = deps.network.swarmMembers(options.account.id);
        return (known.size > 0 && !known.has(member)) || deps.network.pool.get(member) === undefined;
      },
      isPathGuard: (node) => deps.network.isGuard(node),
    });
    this.#startedAt = deps.env.clock.monotonic();
    this.#nextCrossCheckAt = this.#drawCrossCheck();
  }

  get gaps(): GapCounts {
    return this.#gaps.counts;
  }

  get state(): PollState {
    return this.#state;
  }

  /**
   * From now on the namespace is in every request, also in the one that is held just now. The result ends it.
   * @throws Error when somebody follows it already
   */
  follow(follower: Follower): Cancel {
    const { namespace } = follower;
    if (this.#followers.has(namespace)) throw new Error(`namespace ${namespace} is followed already`);
    this.#followers.set(namespace, follower);
    this.#restart.abort(new Error('one more namespace is followed'));
    this.#restart = new AbortController();
    return () => {
      if (this.#followers.get(namespace) === follower) this.#followers.delete(namespace);
    };
  }

  /** Asks at once, where the last time nobody could be asked. */
  again(): void {
    if (this.#state.error === undefined) return;
    this.#restart.abort(new Error('asked again'));
    this.#restart = new AbortController();
  }

  /** For other requests to our own swarm. */
  ownRoute(): Promise<OwnRoute> {
    return this.#guards.route();
  }

  /** Asks until `stop`. */
  start(): void {
    const { clock, random } = this.#deps.env;
    const { signal } = this.#tasks;
    this.#tasks.run('polling', async () => {
      let failures = 0;
      for (;;) {
        const restart = this.#restart.signal;
        const either = AbortSignal.any([signal, restart]);
        try {
          const goesOn = await this.#round(this.#options.waitMs, either);
          failures = 0;
          if (goesOn) continue;
        } catch {
          // Kept in the state by `#round`; anything that is not a failure of the network is logged there too.
          signal.throwIfAborted();
          if (restart.aborted) {
            failures = 0;
            continue;
          }
          failures++;
        }
        const pause = this.#options.pollEveryMs * 2 ** Math.min(failures, 10);
        const longest = Math.max(LONGEST_PAUSE_MS, this.#options.pollEveryMs);
        // Accounts that lost the network together must not come back together.
        const share = failures === 0 ? 1 : 0.5 + random.unit() / 2;
        await delay(clock, Math.round(share * Math.min(pause, longest)), either).catch(() => {
          signal.throwIfAborted();
          // Asked for: what failed before says nothing about the next rounds.
          failures = 0;
        });
      }
    });
    this.#tasks.run('cross-checks', async () => {
      for (;;) {
        await delay(clock, Math.max(0, this.#nextCrossCheckAt - clock.monotonic()), signal);
        await this.#crossCheck(signal);
      }
    });
  }

  async stop(): Promise<void> {
    await this.#tasks.stop(new ClientError('closed', 'the client was closed'));
    await this.#processing.catch(() => undefined);
  }

  /** All that is there now. @throws ClientError when no node answered */
  async poll(signal?: AbortSignal): Promise<void> {
    await this.#round(0, signal);
    if (this.#deps.env.clock.monotonic() >= this.#nextCrossCheckAt) await this.#crossCheck(signal);
  }

  /**
   * All that one member has now in the namespaces that `only` takes; false when it did not answer. `onPage` is told
   * how many messages were new.
   */
  async askMember(
    ed25519Hex: string,
    options: {
      readonly only: (namespace: number) => boolean;
      readonly onPage: (fresh: number) => void;
      readonly signal: AbortSignal;
    },
  ): Promise<boolean> {
    try {
      const { only, onPage, signal } = options;
      const asked = { prefer: [ed25519Hex], waitMs: 0, attempts: 1, only, onPage };
      const told = await this.#ask(asked, signal);
      return told.node === ed25519Hex;
    } catch (error) {
      options.signal.throwIfAborted();
      if (!(error instanceof ClientError)) throw error;
      this.#deps.env.log.debug({ error: error.code }, 'a member did not answer');
      return false;
    }
  }

  /** Asks the first member; whether the next round may follow at once. @throws ClientError when no node answered */
  async #round(waitMs: number, signal: AbortSignal | undefined): Promise<boolean> {
    const { preset, account } = this.#options;
    const { env, network, storage } = this.#deps;
    try {
      // By a clock that is ahead what must be remembered would be forgotten.
      if (this.#rounds++ >= this.#pruneAt && network.clock.isSettled) {
        this.#pruneAt = this.#rounds + PRUNE_EVERY_ROUNDS;
        await storage.prune(network.clock.now());
      }
      const first = await this.#guards.first();
      const second = await this.#guards.second();
      await this.#awaitPath(signal);
      // The first answer of a member tells whether it knows `wait`; others never see it.
      const wait = first !== undefined && first === this.#waiter ? waitMs : 0;
      const began = env.clock.monotonic();
      const askedAt = network.clock.now();
      let sentTo: string | undefined;
      const told = await this.#ask(
        {
          prefer: [first, second].filter((member) => member !== undefined),
          waiter: first,
          waitMs: wait,
          preferGuard: await this.#guards.pathGuard(),
          onSent: (path) => {
            sentTo = path.hops[0]?.ed25519Hex;
          },
        },
        signal,
      );
      this.#waiter = told.canWait ? told.node : undefined;
      if (told.hasForgotten && this.#gaps.isToBeChecked(env.clock.monotonic())) {
        // Not at once: after a start there may be one path only, which the second one must not be asked over.
        const pause = SUSPICION_MS[0] + env.random.below(SUSPICION_MS[1] - SUSPICION_MS[0]);
        this.#tasks.run('cross-check', async () => {
          await delay(env.clock, pause, this.#tasks.signal);
          await this.#crossCheck(this.#tasks.signal);
        });
      }
      if (told.node !== undefined) {
        if (told.node === first) this.#firstAskedAt = askedAt;
        await this.#guards.answered(told.node);
        if (sentTo !== undefined) await this.#guards.answeredOver(sentTo);
      }
      this.#state = { lastAt: env.clock.now(), error: undefined };
      this.#deps.onRound(undefined);
      await network.freshenSwarm(account.id, preset.ownSwarmEveryMs).catch(() => undefined);
      if (waitMs === 0 || !told.canWait) return false;
      if (wait === 0) return told.node === (await this.#guards.first());
      if (told.fresh.length > 0 || env.clock.monotonic() - began >= wait / 2) {
        this.#earlyAnswers = 0;
        return true;
      }
      // It came early and brought nothing new. Messages of our own are a good reason, now and then; else the member
      // holds too much already, or stops.
      return told.moved && ++this.#earlyAnswers <= MAX_EARLY_ANSWERS;
    } catch (error) {
      if (this.#tasks.signal.aborted || signal?.aborted) throw error;
      this.#waiter = undefined;
      if (!(error instanceof ClientError)) env.log.error({ error: String(error) }, 'polling failed');
      else {
        this.#state = { ...this.#state, error: error.code };
        this.#deps.onRound(error);
      }
      throw error;
    }
  }

  /**
   * After a start: whichever path is there first must not be the one that counts. For the first member the one over its
   * guard; `isSecond`: another one.
   */
  async #awaitPath(signal: AbortSignal | undefined, isSecond = false): Promise<void> {
    const { network, env } = this.#deps;
    const end = this.#startedAt + PATH_PATIENCE_MS;
    for (;;) {
      const guard = await this.#guards.pathGuard();
      if (guard === undefined || env.clock.monotonic() >= end) return;
      await network.ready(signal);
      const isThere = network
        .paths()
        .some(({ hops, state }) => state === 'usable' && (hops[0]?.ed25519Hex === guard) !== isSecond);
      if (isThere) return;
      await delay(env.clock, PATH_LOOK_MS, signal);
    }
  }

  /** A second member, over another path, for what the first may hide. */
  async #crossCheck(signal: AbortSignal | undefined): Promise<void> {
    this.#nextCrossCheckAt = this.#drawCrossCheck();
    await this.#awaitPath(signal, true).catch(() => this.#tasks.signal.throwIfAborted());
    const first = await this.#guards.first();
    const second = await this.#guards.second();
    try {
      const told = await this.#ask(
        {
          prefer: second === undefined ? [] : [second],
          ...(first !== undefined && { avoid: new Set([first]) }),
          waitMs: 0,
          avoidGuard: await this.#guards.pathGuard(),
        },
        signal,
      );
      if (told.node !== undefined) await this.#guards.answeredSecond(told.node);
      const missing = this.#gaps.missing(told.fresh, this.#firstAskedAt);
      if (missing > 0) await this.#fill(first, told.node, missing, signal);
    } catch (error) {
      this.#tasks.signal.throwIfAborted();
      this.#deps.env.log.debug({ error: String(error) }, 'no cross-check');
    }
  }

  /** The first did not tell all: what the second one may lack too is asked of others, until one has nothing new. */
  async #fill(
    first: string | undefined,
    second: string | undefined,
    missing: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { env, onGap } = this.#deps;
    env.log.info({ messages: missing }, 'a member of our swarm did not tell all; others did');
    if (this.#gaps.found(first, missing) && first !== undefined) await this.#guards.drop(first);
    const asked = new Set([first, second].filter((member) => member !== undefined));
    try {
      for (let i = 0; i < MAX_FILLERS; i++) {
        const told = await this.#ask(
          { prefer: [], avoid: asked, waitMs: 0, avoidGuard: await this.#guards.pathGuard() },
          signal,
        );
        if (told.node === undefined || told.fresh.length === 0) break;
        asked.add(told.node);
        this.#gaps.filled(this.#gaps.missing(told.fresh, this.#firstAskedAt));
      }
    } finally {
      onGap?.(this.#gaps.counts);
    }
  }

  /** Exponential: the past tells nothing about the next one. */
  #drawCrossCheck(): number {
    const { clock, random } = this.#deps.env;
    const pause = -Math.log(1 - random.unit()) * this.#options.preset.crossCheckEveryMs;
    return clock.monotonic() + Math.ceil(pause);
  }

  /** All pages of one member. */
  async #ask(
    options: {
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
    },
    signal: AbortSignal | undefined,
  ): Promise<Told> {
    const { network } = this.#deps;
    const { account } = this.#options;
    const pubkey = parseAccountPubkey(account.id);
    let { prefer, waitMs } = options;
    const { only = () => true, attempts = ATTEMPTS } = options;
    let asked: readonly Follower[] = this.#inOrder().filter(({ namespace }) => only(namespace));
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
              const last = await this.#deps.storage.lastHash(polled.ed25519Hex, account.id, namespace);
              return signRequest(
                {
                  method: 'retrieve',
                  account: pubkey,
                  namespace,
                  lastHash: last?.hash,
                  maxSize: share(namespace, asked),
                  // Zero only asks whether it knows the word.
                  wait:
                    this.#options.waitMs === 0
                      ? undefined
                      : polled.ed25519Hex === options.waiter
                        ? waitMs
                        : 0,
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
      const taken = await this.#takeIn(node, asked, results, lastHashes);
      if (taken.lied) {
        network.pool.strike(node.ed25519Hex);
        await this.#guards.drop(node.ed25519Hex);
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

  /** Messages last: what they mean may depend on the others. */
  #inOrder(): readonly Follower[] {
    const all = [...this.#followers.values()];
    const isMain = ({ namespace }: Follower) => MAIN_NAMESPACES.has(namespace);
    return [...all.filter((follower) => !isMain(follower)), ...all.filter(isMain)];
  }

  /** Hands an answer to those who follow its namespaces. Rejects when one of them did, after all had theirs. */
  #takeIn(
    node: PoolNode,
    asked: readonly Follower[],
    results: readonly RetrieveResult[],
    lastHashes: readonly (string | undefined)[],
  ): Promise<Page> {
    const work = this.#processing
      .catch(() => undefined)
      .then(async (): Promise<Page> => {
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
    node: PoolNode,
    follower: Follower,
    result: RetrieveResult,
  ): Promise<{ lied: boolean; fresh: readonly number[]; isRetold: boolean; last: string | undefined }> {
    const { storage, network, beforeTaking } = this.#deps;
    const { account } = this.#options;
    const { namespace } = follower;
    // Nobody follows it any more.
    if (this.#followers.get(namespace) !== follower) {
      return { lied: false, fresh: [], isRetold: false, last: undefined };
    }
    const pubkey = parseAccountPubkey(account.id);
    const now = network.clock.now();
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
    await beforeTaking?.();
    const { changes, onWritten } = await follower.take({ fresh, retold });
    await storage.write({
      ...changes,
      seen: marks,
      ...(!lied && { lastHashes: [{ node: node.ed25519Hex, account: account.id, namespace, ...last }] }),
    });
    onWritten?.();
    return { lied, fresh: fresh.map(({ timestamp }) => timestamp), isRetold, last: last.hash };
  }
}

/** §2.8: −k is the k-th part of an answer. */
function share(namespace: number, asked: readonly Follower[]): number {
  if (MAIN_NAMESPACES.has(namespace)) return -2;
  return -2 * asked.filter((other) => !MAIN_NAMESPACES.has(other.namespace)).length;
}
