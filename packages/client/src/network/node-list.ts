// SPDX-License-Identifier: MIT
// Keeping the node pool filled (spec/client §2.1, §2.2): from nodes that agree, else from seeds, else from the list that
// came with the program.
import { delay, type Env, type Transport } from '@allium/protocol/env';
import { type Json, stringifyJson } from '@allium/protocol/json';
import type { SimpleRequest } from '@allium/protocol/storage/requests';
import { ClientError } from '../errors.ts';
import type { PoolNode, Storage } from '../storage/storage.ts';
import { type BundledList, fetchFromSeeds, readBundledList, readNodeList } from './bootstrap.ts';
import type { NodePool } from './pool.ts';
import type { NetworkPreset } from './presets.ts';

// From the specification, §2.2.
const REFRESH_NODES = 3;
const REFRESH_TRIES = 4;
const REFRESH_PAUSE_MS = 1_000;
const LIST_FIELDS = {
  public_ip: true,
  storage_port: true,
  pubkey_x25519: true,
  pubkey_ed25519: true,
  requested_unlock_height: true,
  height: true,
  operator_address: true,
};
// Ours.
/** Pause between two lists that are fetched because nodes were dropped. */
const REFILL_PAUSE_MS = 10_000;

export interface NodeListOptions {
  readonly preset: NetworkPreset;
  /** A node list that came with the program, used when no seed answers. */
  readonly bundled?: BundledList;
}

interface NodeListDeps {
  readonly pool: NodePool;
  readonly storage: Storage;
  readonly transport: Transport;
  readonly env: Env;
  readonly signal: AbortSignal;
  /** The parsed answer of one node, or undefined when it gave none that can be used. */
  askOne<T>(node: PoolNode, request: SimpleRequest, read: (json: Json) => T): Promise<T | undefined>;
}

export class NodeList {
  readonly #options: NodeListOptions;
  readonly #deps: NodeListDeps;
  #filling: Promise<void> | undefined;
  #nextRefillAt = Number.NEGATIVE_INFINITY;

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
        if (attempt > 0) await delay(this.#deps.env.clock, REFRESH_PAUSE_MS, this.#deps.signal);
        const agreed = await this.#agreedList();
        // Ours: a network smaller than the agreement needs two thirds of itself.
        const needed = Math.min(preset.refreshAgreement, Math.ceil((this.#deps.pool.size * 2) / 3));
        if (agreed.length >= needed) return this.#deps.pool.replace(agreed);
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
            params: { active_only: true, fields: LIST_FIELDS },
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
    try {
      await this.#deps.pool.replace(
        await fetchFromSeeds(preset.seeds, this.#deps.signal, { transport, env }),
      );
    } catch (error) {
      this.#deps.signal.throwIfAborted();
      if (error instanceof ClientError && error.code === 'no_network') throw error;
      const nodes = bundled === undefined ? [] : readBundledList(bundled, env.clock.now());
      if (nodes.length > 0) return this.#deps.pool.replace(nodes);
      // Ours: the stored list still has those that were dropped; they deserve another chance before we give up.
      const stored = await this.#deps.storage.nodes();
      if (stored.length <= this.#deps.pool.size) throw error;
      await this.#deps.pool.replace(stored);
    }
  }
}

function textOf(node: PoolNode): string {
  return stringifyJson([node.ed25519Hex, node.x25519Hex, node.host, node.httpsPort, node.operator ?? null]);
}
