// SPDX-License-Identifier: AGPL-3.0-or-later
// A network on loopback in one process: real TLS, OMQ and SQLite files. What the integration tests run on.
import { Client } from '@allium/client';
import { type FileServerAddress, NETWORKS } from '@allium/client/network/presets';
import { MemoryStorage } from '@allium/client/storage/memory';
import { HttpsTransport } from '@allium/net/https-transport';
import { systemClock, systemEnv } from '@allium/net/system-env';
import { type AccountId, parseAccountId, x25519KeyOf } from '@allium/protocol/account-id';
import { delay, type Logger } from '@allium/protocol/env';
import { chooseSwarm, parseSwarmId, swarmIdHex, swarmPosition } from '@allium/protocol/swarm';
import { ServiceNode } from '@allium/service-node';
import { type ServiceNodeOptions, serviceNodeOptions } from '@allium/service-node/config';
import type { DevChain } from './chain/dev-chain.ts';
import { chainOf, untilAcquainted } from './chain/start.ts';
import { DevnetError, type Layout, type LayoutOptions, NodeLayout, openLayout } from './layout.ts';
import { NetworkCut } from './network-cut.ts';
import { type ScenarioClientOptions, type ScenarioNetwork, type ScenarioNode, UNTIL_MS } from './scenario.ts';

export interface DevnetOptions extends LayoutOptions {
  /** False: any number of requests from one address. */
  readonly rateLimit?: boolean;
  /** What nodes log, each line with the name of its node; default: nothing. */
  readonly log?: Logger;
  /** More options for every node. */
  readonly node?: Partial<ServiceNodeOptions>;
  /** Told the number of nodes that are up, each time it grows. */
  readonly onProgress?: (up: number) => void;
  /** Told what is done to bring up the chain of a network that has one. */
  readonly onChainStep?: (step: string) => void;
  /** Told that the chain is up, before the nodes are started. */
  readonly onChain?: (chain: DevChain) => void;
}

/** How often `until` looks. */
const POLL_MS = 50;

/** One service node and the switches to disturb it. */
export class DevnetNode extends NodeLayout implements ScenarioNode {
  readonly index: number;
  readonly #options: ServiceNodeOptions;
  readonly #log: Logger | undefined;
  #cut = new NetworkCut();
  #service: ServiceNode | undefined;

  constructor(index: number, layout: NodeLayout, options: ServiceNodeOptions, log: Logger | undefined) {
    super(layout);
    this.index = index;
    this.#options = options;
    this.#log = log?.child({ node: layout.name });
  }

  get running(): boolean {
    return this.#service !== undefined;
  }

  /** Version of the node list in force. Only while it runs. */
  get listVersion(): number {
    if (this.#service === undefined) throw new Error('the node is not running');
    return this.#service.listVersion;
  }

  async start(): Promise<void> {
    if (this.#service !== undefined) return;
    this.#cut = new NetworkCut();
    const env = this.#log === undefined ? systemEnv() : systemEnv(this.#log);
    const service = this.#cut.run(() => new ServiceNode(this.#options, env));
    this.#service = service;
    try {
      await this.#cut.run(() => service.start());
    } catch (error) {
      this.#service = undefined;
      throw error;
    }
  }

  /** Clean stop: answers what it has begun, closes its database. */
  async stop(): Promise<void> {
    const service = this.#service;
    this.#service = undefined;
    await service?.stop();
  }

  /**
   * Goes down without a word: connections break off first, so that nobody hears of its stopping. What a real
   * `kill -9` does to the database only a process devnet can show.
   */
  async kill(): Promise<void> {
    this.#cut.set(true);
    await this.stop();
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** On: nobody reaches the node and it reaches nobody, while it goes on running. */
  partition(on: boolean): void {
    this.#cut.set(on);
  }
}

/** A whole network in this process. Start it with `await using net = await Devnet.start()`. */
export class Devnet implements ScenarioNetwork<DevnetNode> {
  readonly nodes: readonly DevnetNode[];
  /** Where all its state is. */
  readonly folder: string;
  readonly networkFile: string;
  readonly clock = systemClock;
  readonly transport = new HttpsTransport();
  /** Undefined: a signed list says who is in the network. */
  readonly chain: DevChain | undefined;
  readonly #layout: Layout;

  private constructor(layout: Layout, chain: DevChain | undefined, options: DevnetOptions) {
    this.#layout = layout;
    this.chain = chain;
    this.folder = layout.folder;
    this.networkFile = layout.networkFile;
    const unlimited = {
      ...{ rpcBurst: 1e9, rpcPerSecond: 1e9, onionBurst: 1e9, onionPerSecond: 1e9 },
      ...{ connectionBurst: 1e9, connectionsPerSecond: 1e9, allConnectionsPerSecond: 1e9 },
    };
    this.nodes = layout.nodes.map((node, index) => {
      const serviceOptions = serviceNodeOptions({
        dataDir: node.folder,
        ...(chain?.nodeOptions(node) ?? { networkFile: layout.networkFile }),
        bindHost: node.host,
        publicIp: node.host,
        httpsPort: node.port,
        omqPort: node.omqPort,
        ...(options.rateLimit === false ? unlimited : {}),
        ...options.node,
      });
      return new DevnetNode(index, node, serviceOptions, options.log);
    });
  }

  /** Starts all nodes. @throws DevnetError, and AnvilError where the chain does not start */
  static async start(options: DevnetOptions = {}): Promise<Devnet> {
    const layout = await openLayout(options);
    const chain = await chainOf(layout, options);
    const net = new Devnet(layout, chain, options);
    let up = 0;
    const starts = await Promise.allSettled(
      net.nodes.map(async (node) => {
        await node.start();
        up += 1;
        options.onProgress?.(up);
      }),
    );
    const failure = starts.find((start) => start.status === 'rejected');
    if (failure !== undefined) {
      await net.stop();
      throw new DevnetError('start_failed', `a node did not start: ${(failure.reason as Error).message}`, {
        cause: failure.reason,
      });
    }
    try {
      if (chain !== undefined) await untilAcquainted(chain, layout.nodes);
    } catch (error) {
      await net.stop();
      throw error;
    }
    return net;
  }

  /** URL that new clients can start from: the first node that runs. */
  get seed(): string {
    const node = this.nodes.find((each) => each.running) ?? this.nodes[0];
    return node?.url ?? '';
  }

  /** Id, in hex without padding, of the swarm that serves an account. */
  swarmIdOf(account: AccountId): string {
    const ids = [...new Set(this.nodes.map((node) => parseSwarmId(node.swarm)))].sort((a, b) =>
      a < b ? -1 : 1,
    );
    const id = chooseSwarm(swarmPosition(x25519KeyOf(parseAccountId(account))), ids) ?? 0n;
    return swarmIdHex(id);
  }

  /** The nodes that keep an account's messages. */
  swarmOf(account: AccountId): DevnetNode[] {
    const id = this.swarmIdOf(account);
    return this.nodes.filter((node) => node.swarm === id);
  }

  /** Some node of another swarm. */
  nodeOutside(account: AccountId): DevnetNode {
    const id = this.swarmIdOf(account);
    const node = this.nodes.find((each) => each.swarm !== id && each.running);
    if (node === undefined) throw new DevnetError('bad_options', 'the devnet has only one swarm');
    return node;
  }

  /** A client with everything in memory, unless it brings a storage. */
  client(options: ScenarioClientOptions & { fileServers?: readonly FileServerAddress[] }): Promise<Client> {
    const { account, receive, pollEveryMs, storage, fileServers = [] } = options;
    const transport = new HttpsTransport();
    return Client.open({
      account,
      network: { preset: { ...NETWORKS.local, seeds: [{ url: this.seed }], fileServers } },
      ...(receive !== undefined && { receive }),
      ...(pollEveryMs !== undefined && { pollEveryMs }),
      storage: storage ?? new MemoryStorage(),
      transport,
      env: systemEnv(),
      onClose: () => transport.close(),
    });
  }

  pass(ms: number): Promise<void> {
    return delay(this.clock, ms);
  }

  async until(condition: () => boolean | Promise<boolean>, limitMs = UNTIL_MS): Promise<void> {
    const end = this.clock.now() + limitMs;
    while (!(await condition())) {
      if (this.clock.now() > end) throw new Error(`condition not met within ${limitMs} ms`);
      await this.pass(POLL_MS);
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
    await this.chain?.stop();
    this.transport.close();
    this.#layout.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
