// SPDX-License-Identifier: AGPL-3.0-or-later
// Real nodes with real sockets and SQLite files in one process, in swarms fixed by hand.
import { writeFileSync } from 'node:fs';
import { Agent, request as httpsRequest } from 'node:https';
import { freePorts } from '@allium/net/free-ports';
import { Omq } from '@allium/net/omq';
import type { OmqPart } from '@allium/net/omq/endpoint';
import { systemEnv } from '@allium/net/system-env';
import { until } from '@allium/net/testing/until';
import { toHex } from '@allium/protocol/bytes';
import { ed25519KeyPair, randomBytes, x25519KeyPair } from '@allium/protocol/crypto';
import type { KeyPair } from '@allium/protocol/crypto/provider';
import type { Env, Logger } from '@allium/protocol/env';
import { type Member, type Membership, swarmFor } from '@allium/protocol/membership';
import {
  changeStaticList,
  createStaticList,
  encodeStaticList,
  membershipOf,
  type StaticList,
  type StaticNodeInput,
  signStaticList,
} from '@allium/protocol/membership/static-list';
import { buildOnion } from '@allium/protocol/onion/request';
import { type ServiceNodeOptions, serviceNodeOptions } from '../../src/config.ts';
import { NodeKeys } from '../../src/node-keys.ts';
import { ServiceNode, type ServiceNodeDeps } from '../../src/service-node.ts';
import { TempFolder } from './temp-folder.ts';
import { TestAccount } from './test-account.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly bytes: Buffer;
  readonly text: string;
  /** The parsed body, when it is JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly json: any;
}

const agent = new Agent({ keepAlive: true, rejectUnauthorized: false, maxSockets: 64 });

/** One HTTPS request to this machine. */
export function http(
  port: number,
  method: string,
  path: string,
  body: Uint8Array | string = '',
  headers: Record<string, string> = {},
  host = '127.0.0.1',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = httpsRequest({ agent, host, port, method, path, headers }, (incoming) => {
      const parts: Buffer[] = [];
      incoming.on('data', (part: Buffer) => parts.push(part));
      incoming.on('error', reject);
      incoming.on('end', () => {
        const bytes = Buffer.concat(parts);
        const text = bytes.toString();
        const isJson = incoming.headers['content-type'] === 'application/json';
        resolve({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          bytes,
          text,
          json: isJson ? JSON.parse(text) : undefined,
        });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

export class TestNode {
  readonly folder = new TempFolder();
  readonly keys: NodeKeys;
  readonly httpsPort: number;
  readonly omqPort: number;
  readonly swarmId: bigint;
  options!: ServiceNodeOptions;
  service!: ServiceNode;
  readonly #seed = randomBytes(32);

  constructor(httpsPort: number, omqPort: number, swarmId: bigint) {
    this.keys = new NodeKeys(this.#seed);
    this.httpsPort = httpsPort;
    this.omqPort = omqPort;
    this.swarmId = swarmId;
    writeFileSync(this.folder.file('node.key'), toHex(this.#seed), { mode: 0o600 });
  }

  get hex(): string {
    return this.keys.ed25519Hex;
  }

  configure(options: Partial<ServiceNodeOptions>, env: Env, deps: ServiceNodeDeps): void {
    this.options = serviceNodeOptions({
      dataDir: this.folder.path,
      bindHost: '127.0.0.1',
      httpsPort: this.httpsPort,
      omqPort: this.omqPort,
      rpcBurst: 1e9,
      rpcPerSecond: 1e9,
      connectionBurst: 1e9,
      allConnectionsPerSecond: 1e9,
      ...options,
    });
    this.service = new ServiceNode(this.options, env, deps);
  }

  /** The number that its metrics show now. */
  async metric(name: string): Promise<number> {
    const answer = await fetch(`http://127.0.0.1:${this.options.metricsPort}/metrics`);
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(await answer.text())?.[1]);
  }

  /** A storage RPC over HTTPS. */
  rpc(method: string, params: object): Promise<Answer> {
    return this.post('/storage_rpc/v1', JSON.stringify({ method, params }));
  }

  post(path: string, body: Uint8Array | string, headers: Record<string, string> = {}): Promise<Answer> {
    return http(this.httpsPort, 'POST', path, body, headers);
  }
}

export interface TestNetworkOptions {
  /** Sizes of the swarms. */
  readonly swarms: readonly number[];
  readonly options?: Partial<ServiceNodeOptions>;
  /** The first node serves its metrics, see `TestNode.metric`. */
  readonly metrics?: boolean;
  readonly deps?: ServiceNodeDeps;
  readonly log?: Logger;
}

export class TestNetwork implements AsyncDisposable {
  readonly nodes: TestNode[];
  readonly admin: KeyPair = ed25519KeyPair(randomBytes(32));
  readonly folder = new TempFolder();
  readonly networkFile = this.folder.file('list.json');
  list: StaticList;
  #client: Promise<Omq> | undefined;

  private constructor(nodes: TestNode[]) {
    this.nodes = nodes;
    const now = Math.floor(Date.now() / 1000);
    const list = createStaticList({
      admins: [toHex(this.admin.publicKey)],
      threshold: 1,
      issued: now,
      expires: now + 86_400,
      nodes: nodes.map(entryOf),
    });
    this.list = signStaticList(list, this.admin);
    writeFileSync(this.networkFile, encodeStaticList(this.list));
  }

  /** Makes the files; starts nothing. */
  static async prepare(all: TestNetworkOptions): Promise<TestNetwork> {
    const { swarms, options = {}, metrics = false, deps = {}, log } = all;
    const sizes = swarms.flatMap((size, index) => Array<bigint>(size).fill(swarmIdOf(index, swarms.length)));
    const ports = await freePorts(sizes.length * 2);
    const net = new TestNetwork(sizes.map((id, i) => new TestNode(ports[2 * i]!, ports[2 * i + 1]!, id)));
    const [metricsPort] = metrics ? await freePorts(1) : [options.metricsPort];
    for (const [i, node] of net.nodes.entries()) {
      const own = {
        networkFile: net.networkFile,
        ...options,
        ...(i === 0 && metricsPort !== undefined && { metricsPort }),
      };
      node.configure(own, systemEnv(log), deps);
    }
    return net;
  }

  static async start(options: TestNetworkOptions): Promise<TestNetwork> {
    const net = await TestNetwork.prepare(options);
    await Promise.all(net.nodes.map((node) => node.service.start()));
    await net.#settle();
    return net;
  }

  /**
   * Waits until every node reaches every other. One that tried before the other listened waits a moment before it
   * tries again, and would call it unreachable until then.
   */
  async #settle(): Promise<void> {
    const pathNode = ({ keys }: TestNode) => ({
      ed25519Key: keys.ed25519Key,
      x25519Key: keys.x25519.publicKey,
    });
    const payload = Buffer.from('{"method":"info","params":{}}');
    const reaches = async (from: TestNode, to: TestNode) => {
      const { body } = buildOnion({
        path: [pathNode(from)],
        destination: { kind: 'node', ...pathNode(to) },
        payload,
      });
      return (await from.post('/onion_req/v2', body)).status === 200;
    };
    const pairs = this.nodes.flatMap((from) =>
      this.nodes.filter((to) => to !== from).map((to) => [from, to] as const),
    );
    await Promise.all(pairs.map(([from, to]) => until(() => reaches(from, to), 'the network to settle')));
  }

  /** A new list, without some nodes or with them again, which those that run get at once. */
  async change(change: {
    readonly remove?: readonly TestNode[];
    readonly add?: readonly TestNode[];
  }): Promise<void> {
    const issued = Math.floor(Date.now() / 1000);
    const list = changeStaticList(this.list, {
      issued,
      expires: issued + 86_400,
      byHand: true,
      remove: (change.remove ?? []).map(({ hex }) => hex),
      add: (change.add ?? []).map(entryOf),
    });
    this.list = signStaticList(list, this.admin);
    const bytes = encodeStaticList(this.list);
    writeFileSync(this.networkFile, bytes);
    await Promise.allSettled(this.nodes.map((node) => this.omq(node, 'sn.chain_static', [bytes])));
  }

  get membership(): Membership {
    return membershipOf(this.list);
  }

  node(index: number): TestNode {
    return this.nodes[index]!;
  }

  member(node: TestNode): Member {
    return this.membership.byEd25519.get(node.hex)!;
  }

  swarmOf(account: TestAccount): TestNode[] {
    const id = swarmFor(this.membership, account.key)?.id;
    return this.nodes.filter((node) => node.swarmId === id);
  }

  outsideOf(account: TestAccount): TestNode {
    const inside = this.swarmOf(account);
    return this.nodes.find((node) => !inside.includes(node))!;
  }

  /** An account that maps to the swarm of the node. */
  accountOf(node: TestNode, make: () => TestAccount = () => TestAccount.session()): TestAccount {
    for (;;) {
      const account = make();
      if (this.swarmOf(account).includes(node)) return account;
    }
  }

  /** An OMQ request by an ordinary client, or by `caller`. */
  async omq(node: TestNode, command: string, parts: readonly OmqPart[], caller?: Omq): Promise<Uint8Array[]> {
    const omq = caller ?? (await this.#omqClient());
    return omq.request(
      { host: '127.0.0.1', port: node.omqPort, publicKey: node.keys.x25519.publicKey },
      command,
      parts,
      { timeoutMs: 60_000 },
    );
  }

  #omqClient(): Promise<Omq> {
    this.#client ??= (async () => {
      const omq = new Omq({ keyPair: x25519KeyPair(), isServiceNode: false }, systemEnv());
      await omq.start();
      return omq;
    })();
    return this.#client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#client)?.stop();
    await Promise.all(this.nodes.map((node) => node.service.stop()));
    for (const node of this.nodes) node.folder[Symbol.dispose]();
    this.folder[Symbol.dispose]();
  }
}

const entryOf = ({ hex, httpsPort, omqPort, swarmId }: TestNode): StaticNodeInput => {
  return { ed25519Hex: hex, host: '127.0.0.1', httpsPort, omqPort, swarmId };
};

/** Evenly over the ring. */
function swarmIdOf(index: number, count: number): bigint {
  return (2n ** 64n / BigInt(count)) * BigInt(index) + 0x1234n;
}
