// SPDX-License-Identifier: AGPL-3.0-or-later
// What the explorer learns from any node of a network: the list that clients get, asked for again and again. All that a
// network without a chain has to show; of one with a chain, the nodes' addresses and versions.
import { HttpsTransport } from '@allium/net/https-transport';
import { utf8 } from '@allium/protocol/bytes';
import { type Clock, delay, type Transport } from '@allium/protocol/env';
import { stringifyJson } from '@allium/protocol/json';
import {
  decodeJsonRpcAnswer,
  parseServiceNodeList,
  type ServiceNodeList,
  type ServiceNodeState,
} from '@allium/protocol/storage/service-node-list';
import { swarmIdHex } from '@allium/protocol/swarm';
import { UNASSIGNED_SWARM } from '@allium/protocol/swarm/assignment';
import type { ExplorerNode, ExplorerSnapshot, ExplorerSource } from './model.ts';

// Ours.
const ASK_EVERY_MS = 10_000;
const TIMEOUT_MS = 10_000;

const REQUEST = utf8(
  stringifyJson({ jsonrpc: '2.0', id: '0', method: 'get_service_nodes', params: { active_only: false } }),
);

export interface SeedSourceOptions {
  /** URLs of nodes, asked in this order until one answers. */
  readonly seeds: readonly string[];
  readonly clock: Clock;
  /** Default: HTTPS, certificates unchecked, as nodes sign their own. */
  readonly transport?: Transport;
  readonly everyMs?: number;
}

export class SeedSource implements ExplorerSource {
  readonly #options: SeedSourceOptions;
  readonly #transport: Transport;
  readonly #ownTransport: HttpsTransport | undefined;
  readonly #stopping = new AbortController();
  #list: ServiceNodeList | undefined;
  #snapshot: ExplorerSnapshot | undefined;
  #trouble: string | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: SeedSourceOptions) {
    this.#options = options;
    this.#ownTransport = options.transport === undefined ? new HttpsTransport() : undefined;
    this.#transport = options.transport ?? this.#ownTransport!;
  }

  snapshot(): ExplorerSnapshot | undefined {
    return this.#snapshot;
  }

  trouble(): string | undefined {
    return this.#trouble;
  }

  /** Nodes of the newest list that have an address, by key. */
  nodes(): ReadonlyMap<string, ServiceNodeState> {
    return new Map(this.#list?.nodes.map((node) => [node.ed25519Hex, node]));
  }

  /** Asks once; resolves whether or not anybody answered. */
  async start(): Promise<void> {
    await this.#ask();
    this.#running = this.#follow();
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('stopped'));
    await this.#running;
    this.#ownTransport?.close();
  }

  async #follow(): Promise<void> {
    const { clock, everyMs = ASK_EVERY_MS } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await delay(clock, everyMs, signal).catch(() => undefined);
      if (!signal.aborted) await this.#ask();
    }
  }

  async #ask(): Promise<void> {
    const reasons: string[] = [];
    for (const seed of this.#options.seeds) {
      try {
        const answer = await this.#transport.request({
          url: `${seed.replace(/\/+$/, '')}/json_rpc`,
          body: REQUEST,
          headers: { 'content-type': 'application/json' },
          timeoutMs: TIMEOUT_MS,
          signal: this.#stopping.signal,
        });
        if (answer.status !== 200) throw new Error(`it answered with status ${answer.status}`);
        this.#take(parseServiceNodeList(decodeJsonRpcAnswer(answer.body)));
        return;
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        reasons.push(`${seed}: ${(error as Error).message}`);
      }
    }
    this.#trouble = `no node answers. ${reasons.join('; ')}`;
  }

  #take(list: ServiceNodeList): void {
    this.#list = list;
    this.#trouble = undefined;
    this.#snapshot = {
      network: { mode: 'static', height: list.height ?? 0, block_hash: list.blockHash ?? null, chain: null },
      nodes: list.nodes.map(explorerNode),
      events: [],
      taken_at: Math.floor(this.#options.clock.now() / 1000),
    };
  }
}

function explorerNode(node: ServiceNodeState): ExplorerNode {
  const active = node.active ?? true;
  const serves = node.swarmId !== undefined && node.swarmId !== UNASSIGNED_SWARM;
  return {
    pubkey_ed25519: node.ed25519Hex,
    pubkey_x25519: node.x25519Hex,
    active,
    state: active ? 'active' : 'decommissioned',
    swarm: serves ? swarmIdHex(node.swarmId!).padStart(16, '0') : null,
    public_ip: node.host,
    storage_port: node.httpsPort,
    version: node.version?.join('.') ?? null,
    chain: null,
  };
}
