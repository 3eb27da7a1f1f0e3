// SPDX-License-Identifier: AGPL-3.0-or-later
// What the explorer learns from a chain (spec/chain §4.15–§4.21): nodes, states and swarms from the follower, votes and
// payments from the history, rewards from the contracts; addresses and versions from a seed, when there is one.
import type { ChainNetwork, ChainView, NodeRecord } from '@allium/chain/chain-view';
import { epochAt } from '@allium/chain/chain-view';
import type { Deployment } from '@allium/chain/deployment';
import type { ChainHistory, HistoryEvent } from '@allium/chain/history';
import { StakeSession } from '@allium/chain/stake/session';
import { fromHex, toHex } from '@allium/protocol/bytes';
import { ed25519PublicKeyToX25519 } from '@allium/protocol/crypto';
import { type Clock, delay } from '@allium/protocol/env';
import { reasonCodes, reasonWords } from '@allium/protocol/membership/reasons';
import { swarmIdHex } from '@allium/protocol/swarm';
import type {
  ExplorerEvent,
  ExplorerNode,
  ExplorerRewards,
  ExplorerSnapshot,
  ExplorerSource,
} from './model.ts';
import type { SeedSource } from './seed-source.ts';

export interface ChainSourceOptions {
  readonly view: ChainView;
  readonly history: ChainHistory;
  /** Addresses and versions of nodes. */
  readonly seeds?: SeedSource;
  /** For what only the contracts tell. */
  readonly rpc: string;
  readonly deployment: Deployment;
  readonly clock: Clock;
}

// Ours.
const FRESH_MS = 1000;
const REWARDS_EVERY_MS = 15_000;
/** A chain that does not answer must not keep the page from saying so. */
const FIRST_READ_MS = 8000;
const DAYS_PER_YEAR = 365n;

export class ChainSource implements ExplorerSource {
  readonly #options: ChainSourceOptions;
  readonly #stopping = new AbortController();
  #session: StakeSession | undefined;
  #rewards: { readonly pool: bigint; readonly owed: bigint; readonly perDay: bigint } | undefined;
  #snapshot: ExplorerSnapshot | undefined;
  #madeAt = Number.NEGATIVE_INFINITY;
  #failure: string | undefined;
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: ChainSourceOptions) {
    this.#options = options;
  }

  snapshot(): ExplorerSnapshot | undefined {
    const now = this.#options.clock.monotonic();
    if (this.#snapshot === undefined || now - this.#madeAt >= FRESH_MS) {
      this.#madeAt = now;
      this.#snapshot = this.#make() ?? this.#snapshot;
    }
    return this.#snapshot;
  }

  trouble(): string | undefined {
    const { view, history, seeds } = this.#options;
    if (this.#failure !== undefined) return this.#failure;
    if (view.head() === undefined) return 'the chain has not been read yet';
    if (!view.isFresh())
      return 'the chain stands still, or its endpoints do not answer or contradict each other';
    const past = history.trouble();
    if (past !== undefined) return `votes and payments may be missing: ${past}`;
    const addresses = seeds?.trouble();
    return addresses === undefined ? undefined : `addresses may be missing: ${addresses}`;
  }

  /** Resolves when the chain is read, or soon after when it does not answer. */
  async start(): Promise<void> {
    const { view, history, seeds, clock } = this.#options;
    const reading = Promise.all([
      view.start().catch((error: Error) => {
        if (!this.#stopping.signal.aborted) this.#failure = error.message;
      }),
      history.start(),
      seeds?.start(),
      this.#readRewards(),
    ]);
    this.#running = reading.then(() => this.#follow());
    await Promise.race([reading, delay(clock, FIRST_READ_MS, this.#stopping.signal).catch(() => {})]);
  }

  async stop(): Promise<void> {
    const { view, history, seeds } = this.#options;
    this.#stopping.abort(new Error('stopped'));
    await Promise.all([view.stop(), history.stop(), seeds?.stop()]);
    await this.#running;
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await delay(this.#options.clock, REWARDS_EVERY_MS, signal).catch(() => {});
      if (!signal.aborted) await this.#readRewards();
    }
  }

  /** What it says stays as it was when the chain does not answer. */
  async #readRewards(): Promise<void> {
    const { rpc, deployment } = this.#options;
    try {
      const signer = { kind: 'nobody', address: deployment.registry } as const;
      this.#session ??= await StakeSession.open({ rpc, deployment, signer });
      const session = this.#session;
      const [pool, accounting, params] = await Promise.all([
        session.read<bigint>('token', 'balanceOf', deployment.pool),
        session.read<{ allocated: bigint }>('lens', 'accounting'),
        session.read<{ rateNum: number; rateDen: number }>('lens', 'params'),
      ]);
      const owed = accounting.allocated;
      const free = pool > owed ? pool - owed : 0n;
      const perDay = (free * BigInt(params.rateNum)) / (BigInt(params.rateDen) * DAYS_PER_YEAR);
      this.#rewards = { pool, owed, perDay };
    } catch {
      // The follower tells what is wrong with the chain.
    }
  }

  #rewardsOf(earning: number): ExplorerRewards | null {
    if (this.#rewards === undefined) return null;
    const { pool, owed, perDay } = this.#rewards;
    return {
      pool: String(pool),
      owed: String(owed),
      earning_nodes: earning,
      per_day: String(earning === 0 ? 0n : perDay),
      per_node_and_day: String(earning === 0 ? 0n : perDay / BigInt(earning)),
    };
  }

  #make(): ExplorerSnapshot | undefined {
    const { view, history, seeds, clock } = this.#options;
    const head = view.head();
    if (head === undefined) return undefined;
    const epoch = epochAt(view.network, head.timestamp);
    const records = view.nodes();
    const { payableDelay } = view.parameters();
    // The registry takes note of it with the next transaction.
    const isEarning = ({ payable, state, activeSince }: NodeRecord) =>
      state === 'active' && (payable || activeSince + payableDelay <= head.timestamp);
    const announced = seeds?.nodes();
    const swarmOf = new Map<string, string>();
    for (const [id, keys] of view.epochView()?.swarms ?? []) {
      for (const key of keys) swarmOf.set(key, swarmIdHex(id).padStart(16, '0'));
    }
    const nodes = [...records.values()].map((record): ExplorerNode => {
      const isPresent = record.state === 'active' || record.state === 'decommissioned';
      const node = announced?.get(record.ed25519Hex);
      const x25519 = node?.x25519Hex ?? x25519Of(record.ed25519Hex);
      return {
        pubkey_ed25519: record.ed25519Hex,
        pubkey_x25519: x25519,
        active: record.state === 'active',
        state: record.state,
        swarm: (record.state === 'active' && record.valid && swarmOf.get(record.ed25519Hex)) || null,
        public_ip: (isPresent && node?.host) || null,
        storage_port: (isPresent && node?.httpsPort) || null,
        version: (isPresent && node?.version?.join('.')) || null,
        chain: chainPart(record, isEarning(record)),
      };
    });
    return {
      network: {
        mode: 'chain',
        height: Number(head.number),
        block_hash: head.hash,
        chain: {
          chain_id: view.network.chainId,
          registry: view.network.registry,
          epoch,
          epoch_started_at: startOf(view.network, epoch),
          epoch_seconds: view.network.epochSeconds,
          staking_requirement: String(view.parameters().stakingRequirement),
          rewards: this.#rewardsOf(nodes.filter((node) => node.chain?.earning).length),
        },
      },
      nodes,
      events: history.events().map((event) => explorerEvent(event, records)),
      taken_at: Math.floor(clock.now() / 1000),
    };
  }
}

function chainPart(record: NodeRecord, earning: boolean): ExplorerNode['chain'] {
  return {
    node_id: record.nodeId,
    operator: record.operator,
    fee_percent: record.feeBps / 100,
    stake: String(record.stake),
    contributors: record.contributors.map(({ staker, amount }) => ({ staker, amount: String(amount) })),
    registered_at: record.registeredAt,
    active_since: record.activeSince,
    decommissioned_at: record.decommissionedAt || null,
    unlock_at: record.unlockAt || null,
    valid: record.valid,
    earning,
  };
}

function explorerEvent(event: HistoryEvent, records: ReadonlyMap<number, NodeRecord>): ExplorerEvent {
  const { type, time, block, transaction, nodeId, reasonsAll, reasonsAny, amount } = event;
  return {
    type,
    time,
    block,
    transaction: transaction ?? null,
    node_id: nodeId,
    pubkey_ed25519: records.get(nodeId)?.ed25519Hex ?? null,
    reasons_all: reasonCodes(reasonsAll),
    reasons_any: reasonCodes(reasonsAny),
    reason: reasonWords(reasonsAny) || null,
    amount: amount === undefined ? null : String(amount),
  };
}

/** Anybody can register what is no key. */
function x25519Of(ed25519Hex: string): string | null {
  const key = ed25519PublicKeyToX25519(fromHex(ed25519Hex, 32));
  return key === undefined ? null : toHex(key);
}

const startOf = ({ t0, epochSeconds }: ChainNetwork, epoch: number) => t0 + epoch * epochSeconds;
