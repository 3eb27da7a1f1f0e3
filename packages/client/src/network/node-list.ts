// SPDX-License-Identifier: MIT
// Keeping the node pool filled (spec/client §2.1, §2.2): from nodes that agree, else from seeds, else from the list that
// came with the program.

import { delay, type Env, type Transport } from '@allium/protocol/env';
import { type Json, stringifyJson } from '@allium/protocol/json';
import type { SimpleRequest } from '@allium/protocol/storage/requests';
import { CLIENT_LIST_FIELDS } from '@allium/protocol/storage/service-node-list';
import { ClientError, noWayOut } from '../errors.ts';
import type { Tasks } from '../events.ts';
import type { PoolNode, Storage } from '../storage/storage.ts';
import {
  type BundledList,
  fetchFromSeeds,
  membersBySeeds,
  readBundledList,
  readNodeList,
} from './bootstrap.ts';
import type { NodePool } from './pool.ts';
import type { NetworkPreset } from './presets.ts';
import { type AskEvidence, type Checked, explainTrust, NOT_CHECKED, type Trust } from './trust.ts';

// From the specification, §2.2.
const REFRESH_NODES = 3;
const REFRESH_TRIES = 4;
const REFRESH_PAUSE_MS = 1_000;
// Ours.
/** Pause between two lists that are fetched because nodes were dropped. */
const REFILL_PAUSE_MS = 10_000;
const SEEDS_TO_COMPARE = 3;

export interface NodeListOptions {
  readonly preset: NetworkPreset;
  /** A node list that came with the program, used when no seed answers. */
  readonly bundled?: BundledList;
}

interface NodeListDeps {
  readonly pool: NodePool;
  readonly trust: Trust;
  readonly tasks: Tasks;
  readonly storage: Storage;
  readonly transport: Transport;
  readonly env: Env;
  /** The parsed answer of one node, or undefined when it gave none that can be used. */
  askOne<T>(node: PoolNode, request: SimpleRequest, read: (json: Json) => T): Promise<T | undefined>;
}

export class NodeList {
  readonly #options: NodeListOptions;
  readonly #deps: NodeListDeps;
  #filling: Promise<void> | undefined;
  #nextRefillAt = Number.NEGATIVE_INFINITY;

  get #signal(): AbortSignal {
    return this.#deps.tasks.signal;
  }

  constructor(options: NodeListOptions, deps: NodeListDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** A new list, unless the last one was asked for just now; whether there is one. */
  async refill(): Promise<boolean> {
    const { clock } = this.#deps.env;
    if (clock.monotonic() < this.#nextRefillAt) return false;
    this.#nextRefillAt = clock.monotonic() + REFILL_PAUSE_MS;
    await this.fill(true);
    return true;
  }

  /** Fetches the node list from nodes, else from seeds (§2.2). @throws ClientError */
  async refresh(): Promise<void> {
    const { preset } = this.#options;
    if (this.#deps.pool.size >= preset.refreshPool) {
      for (let attempt = 0; attempt < REFRESH_TRIES; attempt++) {
        if (attempt > 0) await delay(this.#deps.env.clock, REFRESH_PAUSE_MS, this.#signal);
        const agreed = await this.#agreedList();
        // Ours: a network smaller than the agreement needs two thirds of itself.
        const needed = Math.min(preset.refreshAgreement, Math.ceil((this.#deps.pool.size * 2) / 3));
        if (agreed.length < needed) continue;
        const { trust } = this.#deps;
        const list = await trust.check(agreed, this.#askNode(), { proven: true, signal: this.#signal });
        // Members whom the seeds agreed on agree on this one.
        const isHeir = trust.state.reason === 'seeds_agree' && list.state.reason === 'no_anchor';
        if (isHeir) return this.#take({ ...list, state: trust.state });
        if (list.state.state === 'verified' || !trust.isGiven) return this.#take(list);
        break;
      }
    }
    await this.fill(true);
  }

  /** What all of the nodes asked agree on, to key and address. */
  async #agreedList(): Promise<readonly PoolNode[]> {
    const nodes = this.#deps.pool.random(REFRESH_NODES, new Set(), this.#options.preset);
    const lists = await Promise.all(
      nodes.map(async (node) => {
        const list = await this.#deps.askOne(
          node,
          {
            method: 'oxend_request',
            endpoint: 'get_service_nodes',
            params: { active_only: true, fields: CLIENT_LIST_FIELDS },
          },
          (json) => readNodeList(((json ?? {}) as { result?: Json }).result ?? null),
        );
        return list ?? [];
      }),
    );
    const [first = [], ...others] = lists;
    if (lists.length < REFRESH_NODES) return [];
    const texts = others.map((list) => new Set(list.map(textOf)));
    return first.filter((node) => texts.every((set) => set.has(textOf(node))));
  }

  /** Sees to it that there are nodes: the stored list if it is long enough, else seeds, else the bundled list. */
  async fill(anew: boolean): Promise<void> {
    if (!anew && this.#deps.pool.size >= this.#options.preset.minimumPool) return;
    this.#filling ??= this.#fillFromOutside().finally(() => {
      this.#filling = undefined;
    });
    await this.#filling;
  }

  async #fillFromOutside(): Promise<void> {
    const { preset, bundled } = this.#options;
    const { env, transport } = this.#deps;
    const { trust, pool, storage } = this.#deps;
    try {
      const list = await fetchFromSeeds(
        preset.seeds,
        this.#signal,
        { transport, env, proofs: trust.wantsProofs },
        (entries, ask, signal) => trust.check(entries, ask, { proven: false, signal }),
      );
      await this.#take(list);
      if (list.state.reason === 'no_anchor' && preset.seeds.length >= SEEDS_TO_COMPARE) this.#compareSeeds();
    } catch (error) {
      this.#signal.throwIfAborted();
      if (error instanceof ClientError && noWayOut(error.code) !== undefined) throw error;
      const nodes = bundled === undefined ? [] : readBundledList(bundled, env.clock.now());
      if (nodes.length > 0) {
        const list = await trust.check(nodes, nobody, { proven: true, signal: this.#signal });
        return this.#take(list);
      }
      // Ours: the stored list still has those that were dropped; they deserve another chance before we give up.
      const stored = await storage.nodes();
      const mayUse = !trust.isRequired || trust.state.state === 'verified';
      if (stored.length <= pool.size || !mayUse) throw error;
      await pool.replace(stored);
    }
  }

  /** Takes a checked list into use. @throws ClientError `unverified` when that is required */
  async #take({ nodes, state }: Checked<PoolNode>): Promise<void> {
    const { trust, pool, storage, env } = this.#deps;
    if (state.state !== 'verified') {
      if (trust.isRequired) throw new ClientError('unverified', explainTrust(state));
      const stored = trust.state.state === 'verified' ? await storage.nodes() : [];
      if (stored.length >= this.#options.preset.minimumPool) {
        // What was verified is not given up for what is not.
        env.log.warn({ reason: state.reason }, 'a node list could not be verified: the verified one is kept');
        if (pool.size < stored.length) await pool.replace(stored);
        return;
      }
      if (trust.isGiven) env.log.warn({ reason: state.reason }, 'the node list could not be verified');
    }
    if (state.refused > 0) {
      env.log.warn({ refused: state.refused }, 'a node list names nodes that nobody vouches for: left out');
    }
    trust.state = state;
    await pool.replace(nodes);
    await trust.remember();
  }

  /** First contact (spec/chain §4.22.3): what enough seeds say is more than what one says. */
  #compareSeeds(): void {
    const { tasks, transport, trust, pool } = this.#deps;
    tasks.run('compare seeds', async () => {
      const members = await membersBySeeds(this.#options.preset.seeds, this.#signal, transport);
      if (members === undefined || trust.state.reason !== 'no_anchor') return;
      const nodes = pool.all();
      const kept = nodes.filter((node) => members.has(node.ed25519Hex));
      if (2 * kept.length < members.size) return;
      trust.state = { ...NOT_CHECKED, reason: 'seeds_agree', refused: nodes.length - kept.length };
      for (const node of nodes) if (!members.has(node.ed25519Hex)) pool.drop(node.ed25519Hex);
    });
  }

  /** One node of the pool, over a path; the same one for all questions about one list. */
  #askNode(): AskEvidence {
    const { pool, askOne } = this.#deps;
    const [node] = pool.random(1, new Set(), this.#options.preset);
    return async (method, params) => {
      if (node === undefined) throw new ClientError('no_nodes', 'there is no node to ask');
      const request = { method: 'oxend_request', endpoint: method, params } as SimpleRequest;
      const result = await askOne(
        node,
        request,
        (json) => ((json ?? {}) as { result?: Json }).result ?? null,
      );
      if (result === undefined || result === null)
        throw new ClientError('unreachable', 'a node gave no evidence');
      return result;
    };
  }
}

const nobody: AskEvidence = () => Promise.reject(new ClientError('no_nodes', 'nobody to ask'));

function textOf(node: PoolNode): string {
  return stringifyJson([node.ed25519Hex, node.x25519Hex, node.host, node.httpsPort, node.operator ?? null]);
}
