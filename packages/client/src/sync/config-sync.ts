// SPDX-License-Identifier: MIT
// The way of an account's configs to its other devices and back (spec/config-and-groups §2.10, spec/client §2.8): their
// namespaces are followed together with that of messages; what changed here is pushed after a short pause, all configs in
// one sequence with the deletion of what they replace; once a day their time on the swarm is extended.
import type { Account } from '@allium/protocol/account';
import { fromHex } from '@allium/protocol/bytes';
import type { ConfigPush } from '@allium/protocol/config';
import { ConfigError } from '@allium/protocol/config/error';
import { CONFIG_TTL_MS } from '@allium/protocol/config/user-config';
import { delay, type Env } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import { messageHashText } from '@allium/protocol/message-hash';
import {
  type DeleteRequest,
  type ExpireRequest,
  parseAccountPubkey,
  type SimpleRequest,
  type StoreRequest,
} from '@allium/protocol/storage/requests';
import { parseRecursiveResult, type Subresult } from '@allium/protocol/storage/responses';
import { signRequest, verifyNodeResult } from '@allium/protocol/storage/signatures';
import { ClientError } from '../errors.ts';
import { Signal, Tasks } from '../events.ts';
import type { Arrived, Follower, TakenIn } from '../messaging/followers.ts';
import { readSigned } from '../messaging/proofs.ts';
import type { OwnRoute } from '../messaging/storage-guards.ts';
import type { Network } from '../network/network.ts';
import type { Storage } from '../storage/storage.ts';
import type { ConfigName, KeptConfig } from './kept-config.ts';
import type { SyncedChanges } from './merged.ts';
import type { SyncedAccount } from './synced-account.ts';

// From the specification.
/** spec/config-and-groups §2.10. */
const LIMITS = { attempts: 3, pauseMs: 500, timeoutMs: 10_000 } as const;
// Ours.
/** Changes that come together are pushed together. */
const GATHER_MS = [500, 1_500] as const;
/** Between two pushes. */
const BETWEEN_MS = 3_000;
const FIRST_PAUSE_MS = 2_000;
const SETTLED_LOOK_MS = 200;
const LONGEST_PAUSE_MS = 5 * 60_000;
/** Time on the swarm is extended so often. */
const EXTEND_EVERY_MS = 24 * 3_600_000;
/** Of one request. */
const MAX_STORED_BYTES = 240_000;
const MAX_STORES = 12;
const MAX_DELETED = 200;
const SYNCED_AT = 'configs_synced_at';
const EXTENDED_AT = 'configs_extended_at';

/** How one config stands. */
export interface ConfigStatus {
  readonly name: ConfigName;
  readonly namespace: number;
  /** 0: nothing was ever shared. */
  readonly seqno: number;
  /** `stored`: our swarm has it as it is here. `pending`: it is to be pushed. `too_large`: it cannot be, or no number is left for it. */
  readonly state: 'empty' | 'stored' | 'pending' | 'too_large';
  /** As stored, all parts; undefined: not known. */
  readonly bytes: number | undefined;
  /** Messages of it on the swarm. */
  readonly messages: number;
  /** Messages in its namespace that could not be understood: of a newer client, or not from one at all. */
  readonly refused: number;
}

export interface SyncStatus {
  readonly configs: readonly ConfigStatus[];
  /** When our swarm was asked last for what other devices changed, local time in ms; undefined: never. */
  readonly syncedAt: number | undefined;
  /** Changes by processes that only sent, which wait for one that receives; when this one was started. */
  readonly noted: number;
  /** Why the last push failed. */
  readonly error: string | undefined;
}

interface ConfigSyncDeps {
  readonly account: Account;
  readonly synced: SyncedAccount;
  readonly network: Network;
  readonly storage: Storage;
  readonly env: Env;
  readonly ownRoute: () => Promise<OwnRoute>;
  /** Asks our swarm for all that is there now. */
  readonly poll: (signal: AbortSignal) => Promise<void>;
  readonly onSynced: (changes: SyncedChanges) => void;
}

interface Item {
  readonly kept: KeptConfig;
  readonly data: Uint8Array;
}

export class ConfigSync {
  readonly #deps: ConfigSyncDeps;
  readonly #tasks: Tasks;
  readonly #changed = new Signal();
  /** Whether a round of polls has ever told what is there: nothing is pushed before (§2.10). */
  #syncedAt: number | undefined;
  #extendedAt = 0;
  #noted = 0;
  #error: string | undefined;
  /** They are missing on the swarm. */
  readonly #again = new Set<KeptConfig>();
  #isIdle = true;

  constructor(deps: ConfigSyncDeps) {
    this.#deps = deps;
    this.#tasks = new Tasks(deps.env.log);
    deps.synced.onWritten = () => {
      if (this.#hasWork) this.#changed.notify();
    };
  }

  /** In the order in which they are to be asked for. */
  followers(): readonly Follower[] {
    return this.#deps.synced.list().map((kept) => ({
      namespace: kept.config.namespace,
      take: async (arrived: Arrived) => this.#take(kept, arrived),
    }));
  }

  /** For `status`, also without `start`. */
  async load(): Promise<void> {
    const { storage } = this.#deps;
    const syncedAt = await storage.setting(SYNCED_AT);
    if (syncedAt !== undefined) this.#syncedAt = Number(syncedAt);
    this.#extendedAt = Number((await storage.setting(EXTENDED_AT)) ?? 0);
    this.#noted = await this.#deps.synced.countJournal();
  }

  /** Pushes what there is and will be, until `stop`. */
  async start(): Promise<void> {
    await this.#deps.synced.takeJournal();
    this.#noted = 0;
    this.#tasks.run('config pushes', () => this.#work());
    this.#tasks.run('config extensions', () => this.#extendRegularly());
  }

  async stop(): Promise<void> {
    await this.#tasks.stop(new ClientError('closed', 'the client was closed'));
  }

  /** A round of polls went well, configs included. */
  async onRound(): Promise<void> {
    const { storage, env } = this.#deps;
    const isFirst = this.#syncedAt === undefined;
    this.#syncedAt = env.clock.now();
    await this.#deps.synced.takeJournal();
    if (!isFirst) return;
    await storage.write({ settings: { [SYNCED_AT]: String(this.#syncedAt) } });
    this.#changed.notify();
  }

  /** Resolves when everything that was changed here is on the swarm. */
  async settled(signal: AbortSignal): Promise<void> {
    while (this.#syncedAt === undefined || this.#hasWork || !this.#isIdle) {
      await delay(this.#deps.env.clock, SETTLED_LOOK_MS, signal);
    }
  }

  status(): SyncStatus {
    const configs = this.#deps.synced.list().map((kept): ConfigStatus => {
      const { name, config, refused, storedBytes, isTooLarge } = kept;
      const { seqno, needsPush, namespace } = config;
      return {
        name,
        namespace,
        seqno,
        state: isTooLarge ? 'too_large' : needsPush ? 'pending' : seqno === 0 ? 'empty' : 'stored',
        bytes: storedBytes,
        messages: config.currentHashes.length,
        refused,
      };
    });
    return { configs, syncedAt: this.#syncedAt, noted: this.#noted, error: this.#error };
  }

  #take(kept: KeptConfig, { fresh }: Arrived): TakenIn {
    if (fresh.length === 0) return {};
    const changes = this.#deps.synced.merge(kept.name, fresh);
    kept.isTooLarge = false;
    return { changes: {}, onWritten: () => this.#deps.onSynced(changes) };
  }

  get #hasWork(): boolean {
    if (this.#again.size > 0) return true;
    return this.#deps.synced
      .list()
      .some(({ config, obsolete, isTooLarge }) => (config.needsPush && !isTooLarge) || obsolete.size > 0);
  }

  async #work(): Promise<void> {
    const { env } = this.#deps;
    const { signal } = this.#tasks;
    let failures = 0;
    for (;;) {
      signal.throwIfAborted();
      if (this.#syncedAt === undefined || !this.#hasWork) {
        await this.#changed.wait(signal);
        continue;
      }
      await delay(env.clock, GATHER_MS[0] + env.random.below(GATHER_MS[1] - GATHER_MS[0]), signal);
      try {
        this.#isIdle = false;
        await this.#pushAll(signal);
        this.#error = undefined;
        failures = 0;
        this.#isIdle = true;
        await delay(env.clock, BETWEEN_MS, signal);
      } catch (error) {
        signal.throwIfAborted();
        this.#error = error instanceof ClientError ? error.code : String(error);
        env.log.debug({ error: String(error) }, 'configs were not stored');
        const pause = Math.min(FIRST_PAUSE_MS * 2 ** Math.min(failures++, 10), LONGEST_PAUSE_MS);
        await delay(env.clock, pause / 2 + env.random.below(pause), signal);
      } finally {
        this.#isIdle = true;
      }
    }
  }

  /** Once. @throws ClientError */
  async #pushAll(signal: AbortSignal): Promise<void> {
    const { synced, network, storage, poll } = this.#deps;
    // What others stored meanwhile comes first: versions that are far behind are nobody's any more (§2.5).
    await poll(signal);
    await network.settleClock(signal);
    synced.confirmErasures();
    const now = network.clock.now();
    const pushes: { readonly kept: KeptConfig; readonly push: ConfigPush; readonly hashes: string[] }[] = [];
    for (const kept of synced.list()) {
      const { config } = kept;
      if (kept.isTooLarge || (!config.needsPush && !this.#again.has(kept))) continue;
      try {
        const push = config.push(now);
        kept.addObsolete(push.obsolete);
        pushes.push({ kept, push, hashes: [] });
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        kept.isTooLarge = true;
        this.#deps.env.log.warn({ config: kept.name, error: error.message }, 'a config cannot be shared');
      }
    }
    // Before anybody can see it: what is obsolete is known no more to the config itself.
    await storage.write({});
    const items = pushes.flatMap(({ kept, push }) => push.messages.map((data): Item => ({ kept, data })));
    const hashes = new Map<KeptConfig, string[]>();
    const chunks = chunksOf(items);
    for (const [i, chunk] of chunks.entries()) {
      const stored = await this.#send(chunk, i === chunks.length - 1, signal);
      for (const [j, { kept }] of chunk.entries()) {
        hashes.set(kept, [...(hashes.get(kept) ?? []), stored[j]!]);
      }
    }
    for (const { kept, push } of pushes) {
      const { config } = kept;
      config.confirm(push.seqno, hashes.get(kept) ?? []);
      kept.storedBytes = push.messages.reduce((sum, { length }) => sum + length, 0);
      kept.needsWrite = true;
      this.#again.delete(kept);
    }
    if (chunks.length === 0) await this.#send([], true, signal);
    await storage.write({});
  }

  /** Stores, and with the last of them deletes what is obsolete. The names of what was stored. */
  async #send(items: readonly Item[], isLast: boolean, signal: AbortSignal): Promise<readonly string[]> {
    const { account, network, synced } = this.#deps;
    const pubkey = parseAccountPubkey(account.id);
    const obsolete = isLast ? synced.list().flatMap((kept) => [...kept.obsolete]) : [];
    const deleted = obsolete.slice(0, MAX_DELETED);
    if (items.length === 0 && deleted.length === 0) return [];
    return network.askSwarm({
      ...(await this.#deps.ownRoute()),
      account: account.id,
      carrier: 'sequence',
      ...LIMITS,
      signal,
      make: () => {
        const timestamp = network.clock.now();
        const expiry = timestamp + CONFIG_TTL_MS;
        const requests: SimpleRequest[] = items.map(({ kept, data }) =>
          signRequest(
            {
              method: 'store',
              account: pubkey,
              namespace: kept.config.namespace,
              timestamp,
              signatureTimestamp: timestamp,
              expiry,
              data,
            },
            account,
          ),
        );
        if (deleted.length > 0) {
          requests.push(
            signRequest({ method: 'delete', account: pubkey, messages: deleted, required: false }, account),
          );
        }
        return requests;
      },
      accept: (results, _node, requests) => {
        // What they are called follows from what they are: of names that a member tells, one could be a message's, which
        // we would delete with the next push.
        const hashes = items.map(({ kept, data }, i) => {
          readSigned(network, account.id, requests[i] as StoreRequest, [results[i] as Subresult]);
          return messageHashText(pubkey.bytes, kept.config.namespace, data);
        });
        this.#forgetDeleted(
          deleted,
          requests[items.length] as DeleteRequest | undefined,
          results[items.length],
        );
        return hashes;
      },
    });
  }

  #forgetDeleted(
    deleted: readonly string[],
    request: DeleteRequest | undefined,
    result: Subresult | undefined,
  ): void {
    const { account, network, synced } = this.#deps;
    if (request === undefined || result === undefined) return;
    try {
      readSigned(network, account.id, request, [result]);
    } catch (error) {
      // The next push has them again.
      if (error instanceof ParseError) return;
      throw error;
    }
    for (const kept of synced.list()) {
      for (const hash of deleted) if (kept.obsolete.delete(hash)) kept.needsWrite = true;
    }
  }

  async #extendRegularly(): Promise<void> {
    const { env, network, storage } = this.#deps;
    const { signal } = this.#tasks;
    for (;;) {
      const age = network.clock.now() - this.#extendedAt;
      const isDue = age < 0 || age >= EXTEND_EVERY_MS;
      // Not at an exact time: that would tell devices of one account apart from others.
      const pause = isDue ? GATHER_MS[0] + env.random.below(60_000) : EXTEND_EVERY_MS - age;
      await delay(env.clock, pause + env.random.below(60_000), signal);
      if (!isDue || this.#syncedAt === undefined) continue;
      try {
        await this.#extend(signal);
        this.#extendedAt = network.clock.now();
        await storage.write({ settings: { [EXTENDED_AT]: String(this.#extendedAt) } });
      } catch (error) {
        signal.throwIfAborted();
        env.log.debug({ error: String(error) }, 'the time of configs was not extended');
        await delay(env.clock, LONGEST_PAUSE_MS + env.random.below(LONGEST_PAUSE_MS), signal);
      }
    }
  }

  /** §2.8. What is missing is pushed again. */
  async #extend(signal: AbortSignal): Promise<void> {
    const { account, network, synced } = this.#deps;
    const active = new Map(
      synced.list().map((kept) => [kept, kept.config.activeHashes(network.clock.now())]),
    );
    const messages = [...active.values()].flat();
    if (messages.length === 0) return;
    const pubkey = parseAccountPubkey(account.id);
    const found = await network.askSwarm({
      ...(await this.#deps.ownRoute()),
      account: account.id,
      carrier: 'sequence',
      ...LIMITS,
      signal,
      make: () => [
        signRequest(
          {
            method: 'expire',
            account: pubkey,
            messages,
            expiries: [network.clock.now() + CONFIG_TTL_MS],
            shorten: false,
            extend: true,
          },
          account,
        ),
      ],
      accept: (results, _node, [request]) => {
        const members = network.swarmMembers(account.id);
        const { swarm } = parseRecursiveResult('expire', results[0]?.body);
        const known = new Set<string>();
        let signers = 0;
        for (const [node, entry] of Object.entries(swarm)) {
          if ('failed' in entry || !members.has(node)) continue;
          if (!verifyNodeResult(request as ExpireRequest, fromHex(node, 32), entry)) continue;
          signers++;
          for (const hash of [...entry.updated, ...Object.keys(entry.unchanged ?? {})]) known.add(hash);
        }
        if (signers === 0) throw new ParseError('response', 'no member of the swarm proved that it did it');
        return known;
      },
    });
    for (const kept of synced.list()) {
      const isCurrent = !kept.config.needsPush && kept.config.seqno > 0;
      if (isCurrent && kept.config.currentHashes.some((hash) => !found.has(hash))) this.#again.add(kept);
    }
    if (this.#again.size > 0) this.#changed.notify();
  }
}

function chunksOf(items: readonly Item[]): Item[][] {
  const chunks: Item[][] = [];
  let bytes = 0;
  for (const item of items) {
    const last = chunks.at(-1);
    bytes += item.data.length;
    if (last === undefined || last.length >= MAX_STORES || bytes > MAX_STORED_BYTES) {
      chunks.push([item]);
      bytes = item.data.length;
    } else last.push(item);
  }
  return chunks;
}
