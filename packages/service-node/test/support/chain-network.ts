// SPDX-License-Identifier: AGPL-3.0-or-later
// Real nodes with real sockets that follow one chain set by hand, on the local preset.
import { writeFileSync } from 'node:fs';
import { FakeChainView } from '@allium/chain/testing';
import { freePorts } from '@allium/net/free-ports';
import { Omq } from '@allium/net/omq';
import type { OmqPart } from '@allium/net/omq/endpoint';
import { systemEnv } from '@allium/net/system-env';
import { until } from '@allium/net/testing/until';
import { toHex } from '@allium/protocol/bytes';
import { randomBytes } from '@allium/protocol/crypto';
import type { Env, Logger } from '@allium/protocol/env';
import { type ServiceNodeOptions, serviceNodeOptions } from '../../src/config.ts';
import { NodeKeys } from '../../src/node-keys.ts';
import { ServiceNode } from '../../src/service-node.ts';
import { TempFolder } from './temp-folder.ts';
import { type Answer, http } from './test-network.ts';

/** Two swarms' ids, half the ring apart. */
export const SWARM_A = 0x1234n;
export const SWARM_B = 0x8000000000001234n;

export class ChainTestNode {
  readonly folder = new TempFolder();
  readonly keys: NodeKeys;
  readonly nodeId: number;
  readonly httpsPort: number;
  readonly omqPort: number;
  readonly view: FakeChainView;
  readonly #env: Env;
  options: ServiceNodeOptions;
  service: ServiceNode;

  constructor(facts: {
    nodeId: number;
    ports: readonly [number, number];
    view: FakeChainView;
    peers: readonly string[];
    seed?: Uint8Array;
    env?: Env;
    options?: Partial<ServiceNodeOptions>;
  }) {
    const seed = facts.seed ?? randomBytes(32);
    this.keys = new NodeKeys(seed);
    this.nodeId = facts.nodeId;
    [this.httpsPort, this.omqPort] = facts.ports;
    this.view = facts.view;
    this.#env = facts.env ?? systemEnv();
    writeFileSync(this.folder.file('node.key'), toHex(seed), { mode: 0o600 });
    this.options = serviceNodeOptions({
      dataDir: this.folder.path,
      bindHost: '127.0.0.1',
      httpsPort: this.httpsPort,
      omqPort: this.omqPort,
      peers: facts.peers,
      peerTests: 'off',
      rpcBurst: 1e9,
      rpcPerSecond: 1e9,
      ...facts.options,
    });
    this.service = this.make();
  }

  /** A service on the same folder, not started. */
  make(options: Partial<ServiceNodeOptions> = {}): ServiceNode {
    this.options = serviceNodeOptions({ ...this.options, ...options });
    this.service = new ServiceNode(this.options, this.#env, { chain: async () => ({ view: this.view }) });
    return this.service;
  }

  get hex(): string {
    return this.keys.ed25519Hex;
  }

  get peer(): string {
    return `127.0.0.1:${this.omqPort}:${this.hex}`;
  }

  rpc(method: string, params: object): Promise<Answer> {
    return this.post('/storage_rpc/v1', JSON.stringify({ method, params }));
  }

  post(path: string, body: string): Promise<Answer> {
    return http(this.options.httpsPort, 'POST', path, body, {}, this.options.bindHost);
  }

  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  async list(params: object = {}): Promise<any> {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'get_service_nodes', params });
    return (await this.post('/json_rpc', body)).json.result;
  }

  /** The addresses that it knows, by key. */
  async addresses(): Promise<Map<string, string>> {
    const { service_node_states } = await this.list();
    return new Map(
      service_node_states.flatMap(
        (state: { pubkey_ed25519: string; public_ip?: string; storage_lmq_port?: number }) =>
          state.public_ip === undefined
            ? []
            : [[state.pubkey_ed25519, `${state.public_ip}:${state.storage_lmq_port}`]],
      ),
    );
  }
}

export interface ChainTestOptions {
  /** Sizes of the swarms, at most two; nodes beyond them are registered and in no swarm. */
  readonly swarms: readonly number[];
  readonly extra?: number;
  readonly log?: Logger;
  readonly view?: FakeChainView;
}

export class ChainTestNetwork implements AsyncDisposable {
  readonly view: FakeChainView;
  readonly nodes: ChainTestNode[] = [];

  private constructor(view: FakeChainView) {
    this.view = view;
  }

  /** Makes nodes and chain; starts nothing. */
  static async prepare({ swarms, extra = 0, log, view }: ChainTestOptions): Promise<ChainTestNetwork> {
    const net = new ChainTestNetwork(view ?? new FakeChainView({ t0: Math.floor(Date.now() / 1000) - 1000 }));
    const count = swarms.reduce((sum, size) => sum + size, extra);
    const ports = await freePorts(2 * count);
    for (let i = 0; i < count; i++) {
      const peers = net.nodes.slice(0, 1).map((node) => node.peer);
      net.nodes.push(
        new ChainTestNode({
          nodeId: i + 1,
          ports: [ports[2 * i]!, ports[2 * i + 1]!],
          view: net.view,
          peers,
          env: systemEnv(log),
        }),
      );
    }
    for (const { nodeId, hex } of net.nodes) net.view.setNode({ nodeId, ed25519Hex: hex });
    net.view.setHead({ number: 7n, hash: `0x${'ab'.repeat(32)}`, timestamp: Math.floor(Date.now() / 1000) });
    net.setSwarms(2, swarms);
    return net;
  }

  static async start(options: ChainTestOptions): Promise<ChainTestNetwork> {
    const net = await ChainTestNetwork.prepare(options);
    await Promise.all(net.nodes.map((node) => node.service.start()));
    await net.met();
    return net;
  }

  /** Brings an epoch into force in which the first nodes are in one swarm, the next in the other. */
  setSwarms(epoch: number, sizes: readonly number[], order: readonly ChainTestNode[] = this.nodes): void {
    let taken = 0;
    const swarms = new Map(
      sizes.map((size, i) => {
        const keys = order.slice(taken, taken + size).map((node) => node.hex);
        taken += size;
        return [[SWARM_A, SWARM_B][i]!, keys] as const;
      }),
    );
    this.view.setEpoch(epoch, { swarms });
  }

  /** Waits until every node knows the address of every other. */
  async met(nodes: readonly ChainTestNode[] = this.nodes): Promise<void> {
    for (const node of nodes) {
      await until(async () => (await node.addresses()).size === this.nodes.length, 'all addresses');
    }
  }

  node(index: number): ChainTestNode {
    return this.nodes[index]!;
  }

  /** An OMQ request with the key of `from`, which should not run, or of a stranger. */
  async omq(
    to: ChainTestNode,
    command: string,
    parts: readonly OmqPart[],
    from: NodeKeys = new NodeKeys(randomBytes(32)),
  ): Promise<Uint8Array[]> {
    const omq = new Omq({ keyPair: from.x25519, isServiceNode: true }, systemEnv());
    await omq.start();
    try {
      const peer = { host: '127.0.0.1', port: to.omqPort, publicKey: to.keys.x25519.publicKey };
      return await omq.request(peer, command, parts, { timeoutMs: 60_000 });
    } finally {
      await omq.stop();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.service.stop()));
    for (const node of this.nodes) node.folder[Symbol.dispose]();
  }
}
