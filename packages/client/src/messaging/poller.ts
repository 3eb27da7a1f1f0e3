// SPDX-License-Identifier: MIT
// When which member of our swarm is asked (spec/client §2.8): one may hold its answer until there is something
// (spec/storage-server §2.9.2 `wait`); a second one is asked now and then, over another path, for what the first may hide.
// One question: `retrieval.ts`; who gets the answer: `followers.ts`.
import type { Account } from '@allium/protocol/account';
import { type Cancel, delay, type Env } from '@allium/protocol/env';
import { ClientError, type ClientErrorCode } from '../errors.ts';
import { Tasks } from '../events.ts';
import type { Network } from '../network/network.ts';
import type { NetworkPreset } from '../network/presets.ts';
import type { Storage } from '../storage/storage.ts';
import { type Follower, Followers } from './followers.ts';
import { type GapCounts, Gaps } from './gaps.ts';
import { type RetrievalOptions, retrieve, type Told } from './retrieval.ts';
import { type OwnRoute, StorageGuards } from './storage-guards.ts';

// Ours.
/** Held answers in a row that may come early without anything new, before there is a pause. */
const MAX_EARLY_ANSWERS = 20;
/** After a start, for the path over which the first member was asked before. */
const PATH_PATIENCE_MS = 3_000;
const PATH_LOOK_MS = 50;
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
  /** Before what a member told is looked at. */
  readonly beforeTaking?: () => Promise<void>;
  /** Members kept messages that the one we ask did not tell; those are here now. */
  readonly onGap?: (counts: GapCounts) => void;
}

export class Poller {
  readonly #options: PollerOptions;
  readonly #deps: PollerDeps;
  readonly #tasks: Tasks;
  readonly #guards: StorageGuards;
  readonly #gaps = new Gaps();
  /** When the first member was asked last, and answered; network time. */
  #firstAskedAt: number | undefined;
  readonly #followers: Followers;
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
    this.#followers = new Followers({
      account: options.account.id,
      storage: deps.storage,
      now: () => deps.network.clock.now(),
      beforeTaking: deps.beforeTaking,
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
    this.#followers.add(follower);
    this.#restart.abort(new Error('one more namespace is followed'));
    this.#restart = new AbortController();
    return () => this.#followers.remove(follower);
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
    await this.#followers.idle();
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

  #ask(options: RetrievalOptions, signal: AbortSignal | undefined): Promise<Told> {
    const { network, storage } = this.#deps;
    return retrieve(options, signal, {
      account: this.#options.account,
      network,
      storage,
      followers: this.#followers,
      asksForWait: this.#options.waitMs > 0,
      onLie: (member) => this.#guards.drop(member),
    });
  }
}
