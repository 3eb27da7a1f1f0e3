// SPDX-License-Identifier: MIT
// The swarm cache (spec/client §2.3): which nodes keep the mailbox of an account, as nodes told it.
import type { AccountId } from '@allium/protocol/account-id';
import type { Env } from '@allium/protocol/env';
import { ClientError } from '../errors.ts';
import type { PoolNode, Storage, StoredSwarm } from '../storage/storage.ts';
import type { NodePool } from './pool.ts';
import type { NetworkPreset } from './presets.ts';

// Ours.
/** A swarm of which few members are usable is not asked for again before this time. */
const REFETCH_PAUSE_MS = 10_000;

interface SwarmsDeps {
  readonly pool: NodePool;
  readonly storage: Storage;
  readonly env: Env;
  /** Asks the network, if possible not those of `avoid`; members as Ed25519 keys in hex, at least one. */
  fetch(account: AccountId, signal: AbortSignal, avoid: ReadonlySet<string>): Promise<readonly string[]>;
}

/** What one member alone told of another swarm. */
interface Claim {
  readonly members: readonly string[];
  /** Resolves in any case, when the network was asked. */
  readonly checked: Promise<void>;
}

export class Swarms {
  readonly #cache = new Map<AccountId, StoredSwarm>();
  readonly #claims = new Map<AccountId, Claim>();
  readonly #fetches = new Map<AccountId, Promise<void>>();
  readonly #preset: NetworkPreset;
  readonly #deps: SwarmsDeps;

  constructor(preset: NetworkPreset, deps: SwarmsDeps) {
    this.#preset = preset;
    this.#deps = deps;
    deps.pool.events.on('replaced', () => this.#onReplaced());
  }

  /** All members that were told, also those that are out of the pool: who may sign for this swarm. */
  known(account: AccountId): ReadonlySet<string> {
    return new Set(this.#cache.get(account)?.members);
  }

  /**
   * The members that can be asked: at least one.
   * @throws ClientError `no_swarm` and what asking the network throws
   */
  async members(account: AccountId, signal: AbortSignal): Promise<readonly PoolNode[]> {
    await this.#load(account);
    const cached = this.#cache.get(account);
    const good = this.#good(account);
    const wanted = Math.min(this.#preset.minimumSwarm, cached?.members.length ?? this.#preset.minimumSwarm);
    const age = this.#deps.env.clock.now() - (cached?.fetchedAt ?? Number.NEGATIVE_INFINITY);
    if (good.length === 0 || (good.length < wanted && (age > REFETCH_PAUSE_MS || age < 0))) {
      try {
        await this.refetch(account, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (good.length === 0) throw error;
      }
    }
    const now = this.#good(account);
    if (now.length === 0) throw new ClientError('no_swarm', 'no member of the swarm is in the node list');
    return now;
  }

  /** Asks the network, once for all who want the same at the same time. */
  async refetch(
    account: AccountId,
    signal: AbortSignal,
    avoid: ReadonlySet<string> = new Set(),
  ): Promise<void> {
    let running = this.#fetches.get(account);
    if (running === undefined) {
      running = this.#deps
        .fetch(account, signal, avoid)
        .then((members) => this.#replace(account, members))
        .finally(() => this.#fetches.delete(account));
      this.#fetches.set(account, running);
    }
    await running;
  }

  /** Ms since the swarm was told; infinite when it never was. */
  age(account: AccountId): number {
    return this.#deps.env.clock.now() - (this.#cache.get(account)?.fetchedAt ?? Number.NEGATIVE_INFINITY);
  }

  /**
   * A member told with status 421 who the members are. Ours: one that is malicious could name accomplices, whose signatures
   * would say that they stored a message. So those it names are asked at once, but are the swarm only when another
   * node has told the same: `settled` waits for that, which takes as long as the request that follows a 421.
   */
  claim(account: AccountId, members: readonly string[], by: string, signal: AbortSignal): void {
    const checked = this.refetch(account, signal, new Set([...members, by]))
      .catch(() => undefined)
      .then(() => {
        if (this.#claims.get(account) === claim) this.#claims.delete(account);
      });
    const claim: Claim = { members, checked };
    this.#claims.set(account, claim);
  }

  /** Waits until no member of the account is known by the word of one node. */
  async settled(account: AccountId): Promise<void> {
    for (let claim = this.#claims.get(account); claim !== undefined; claim = this.#claims.get(account)) {
      await claim.checked;
    }
  }

  async #replace(account: AccountId, members: readonly string[]): Promise<void> {
    const swarm = { account, members: [...new Set(members)], fetchedAt: this.#deps.env.clock.now() };
    this.#claims.delete(account);
    this.#cache.set(account, swarm);
    await this.#deps.storage.write({ swarms: [swarm] });
  }

  /** This node says that it is no member. */
  async removeMember(account: AccountId, ed25519Hex: string): Promise<void> {
    const swarm = this.#cache.get(account);
    if (swarm === undefined) return;
    const changed = { ...swarm, members: swarm.members.filter((member) => member !== ed25519Hex) };
    this.#cache.set(account, changed);
    await this.#deps.storage.write({ swarms: [changed] });
  }

  #good(account: AccountId): readonly PoolNode[] {
    const members = (this.#claims.get(account) ?? this.#cache.get(account))?.members ?? [];
    return members.flatMap((member) => this.#deps.pool.get(member) ?? []);
  }

  async #load(account: AccountId): Promise<void> {
    if (this.#cache.has(account)) return;
    const stored = await this.#deps.storage.swarm(account);
    if (stored !== undefined && !this.#cache.has(account)) this.#cache.set(account, stored);
  }

  /** §2.2: members that left the network leave the swarms too. Stored ones follow when they are used. */
  #onReplaced(): void {
    for (const [account, swarm] of this.#cache) {
      const members = swarm.members.filter((member) => this.#deps.pool.get(member) !== undefined);
      this.#cache.set(account, { ...swarm, members });
    }
  }
}
