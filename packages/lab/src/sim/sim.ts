// SPDX-License-Identifier: AGPL-3.0-or-later
// A network in virtual time: the code of nodes and clients as it is, over simulated carriers. The second engine of
// scenarios. Cryptography is real, so runs of one seed tell the same story but not the same bytes.
import { DatabaseSync } from 'node:sqlite';
import { Client } from '@allium/client';
import { NETWORKS, type NetworkPreset } from '@allium/client/network/presets';
import { MemoryStorage } from '@allium/client/storage/memory';
import { silentLog } from '@allium/net/system-env';
import { type AccountId, x25519KeyOf } from '@allium/protocol/account-id';
import { toHex } from '@allium/protocol/bytes';
import { ed25519KeyPair } from '@allium/protocol/crypto';
import type { KeyPair } from '@allium/protocol/crypto/provider';
import type { Clock, Env, Logger, Transport } from '@allium/protocol/env';
import { type Membership, swarmFor } from '@allium/protocol/membership';
import {
  changeStaticList,
  createStaticList,
  encodeStaticList,
  membershipOf,
  type StaticList,
  type StaticNodeInput,
  signStaticList,
} from '@allium/protocol/membership/static-list';
import { ServiceNode } from '@allium/service-node';
import { type ServiceNodeOptions, serviceNodeOptions } from '@allium/service-node/config';
import { NodeKeys } from '@allium/service-node/node-keys';
import { handMadeSwarms } from '../layout.ts';
import {
  type ScenarioClientOptions,
  type ScenarioNetwork,
  type ScenarioNode,
  type ScenarioOptions,
  UNTIL_MS,
} from '../scenario.ts';
import { SimHttps, SimTransport } from './sim-https.ts';
import { SimOmq } from './sim-omq.ts';
import { SeededRandom, VirtualTime } from './virtual-time.ts';
import { type Host, Wire, type WireOptions } from './wire.ts';

export interface SimOptions extends ScenarioOptions, WireOptions {
  /** Default 1. */
  readonly seed?: number;
  readonly log?: Logger;
  readonly node?: Partial<ServiceNodeOptions>;
}

export interface SimClientOptions extends ScenarioClientOptions {
  /** How long members may hold their answers; 0: the client polls. */
  readonly waitMs?: number;
  /** What differs from the numbers of the network `local`. */
  readonly preset?: Partial<NetworkPreset>;
  /** How far the clock of its machine is wrong. */
  readonly skewMs?: number;
  /** Its machine; default: one of its own. */
  readonly host?: Host;
}

const HTTPS_PORT = 22021;
const OMQ_PORT = 22020;
const NETWORK_FILE = '/network.json';
const DEFAULT_NODES = 14;
const YEARS_10_SECONDS = 10 * 365 * 86_400;
/** Of a commit on a good disk. */
const COMMIT_MS = 1;
/** How many nodes clients may start from. */
const SEEDS = 5;
/** Nobody verifies certificates, and nothing here shows them. */
const NO_CERTIFICATE = { certificatePem: '', keyPem: '' };

/** Databases in memory are found by name in the whole process. */
let databases = 0;

/** Files of one node, in memory. */
class MemoryFiles {
  readonly #files = new Map<string, { bytes: Uint8Array; version: number }>();
  #version = 0;

  async mark(path: string): Promise<string | undefined> {
    return this.#files.get(path)?.version.toString();
  }

  async read(path: string): Promise<Uint8Array | undefined> {
    return this.#files.get(path)?.bytes;
  }

  async write(path: string, bytes: Uint8Array): Promise<void> {
    this.#files.set(path, { bytes, version: ++this.#version });
  }
}

export class SimNode implements ScenarioNode {
  readonly index: number;
  readonly name: string;
  readonly url: string;
  readonly keys: NodeKeys;
  readonly ed25519: string;
  readonly host: Host;
  /** Added to its clock: it is set wrong. */
  skewMs = 0;
  readonly files = new MemoryFiles();
  readonly #options: ServiceNodeOptions;
  readonly #env: Env;
  readonly #wire: Wire;
  readonly #databasePath: string;
  /** Keeps the database in memory while the node is down. */
  readonly #anchor: DatabaseSync;
  #service: ServiceNode | undefined;

  constructor(
    index: number,
    parts: { host: Host; wire: Wire; random: SeededRandom; log: Logger; more: Partial<ServiceNodeOptions> },
  ) {
    const { host, wire, random, log } = parts;
    this.index = index;
    this.name = String(index).padStart(2, '0');
    this.keys = new NodeKeys(random.bytes(32));
    this.ed25519 = this.keys.ed25519Hex;
    this.host = host;
    this.url = `https://${host.address}:${HTTPS_PORT}`;
    this.#wire = wire;
    this.#databasePath = `file:/allium-sim-${databases++}?vfs=memdb`;
    this.#anchor = new DatabaseSync(this.#databasePath);
    this.#options = serviceNodeOptions({
      dataDir: `/node-${this.name}`,
      networkFile: NETWORK_FILE,
      publicIp: host.address,
      httpsPort: HTTPS_PORT,
      omqPort: OMQ_PORT,
      // Scenarios that are about tests of peers turn them on: they make most of the events of a quiet network.
      peerTests: 'off',
      ...parts.more,
    });
    this.#env = {
      clock: wire.time.clock(() => this.skewMs),
      random: random.fork(),
      log: log.child({ node: this.name }),
    };
  }

  get running(): boolean {
    return this.#service !== undefined;
  }

  /** Version of its node list. */
  get listVersion(): number | undefined {
    return this.#service?.listVersion;
  }

  async start(): Promise<void> {
    if (this.#service !== undefined) return;
    const { time } = this.#wire;
    this.host.isCut = false;
    const service = new ServiceNode(this.#options, this.#env, {
      omq: (options, env) => new SimOmq(this.#wire, this.host, options, env),
      https: (options) => new SimHttps(this.host, options),
      transport: new SimTransport(this.#wire, this.host),
      state: {
        keys: this.keys,
        database: { path: this.#databasePath, defer: (commit) => time.after(COMMIT_MS, commit) },
        files: this.files,
        certificate: NO_CERTIFICATE,
      },
    });
    this.#service = service;
    await service.start();
  }

  async stop(): Promise<void> {
    const service = this.#service;
    this.#service = undefined;
    await service?.stop();
  }

  async kill(): Promise<void> {
    this.host.reset();
    this.host.isCut = true;
    await this.stop();
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  partition(on: boolean): void {
    this.host.isCut = on;
  }

  /** Whether its database has the message with this hash (as text, §2.9). */
  keeps(hash: string): boolean {
    const bytes = Buffer.from(hash, 'base64');
    return this.#anchor.prepare('SELECT 1 FROM messages WHERE hash = ?').get(bytes) !== undefined;
  }

  /** From now on it loses, without noticing, the messages whose hash begins with a byte below `below`. */
  forgetMessages(below: number): void {
    this.#anchor.exec(
      `CREATE TRIGGER forget AFTER INSERT ON messages WHEN hex(substr(NEW.hash, 1, 1)) < '${toHex(Uint8Array.of(below)).toUpperCase()}' ` +
        'BEGIN DELETE FROM messages WHERE id = NEW.id; END',
    );
  }

  /** Forgets its database. */
  dispose(): void {
    this.#anchor.close();
  }

  listed(): StaticNodeInput {
    return { ed25519Hex: this.ed25519, host: this.host.address, httpsPort: HTTPS_PORT, omqPort: OMQ_PORT };
  }
}

export class Sim implements ScenarioNetwork<SimNode> {
  readonly nodes: SimNode[] = [];
  readonly time: VirtualTime;
  readonly wire: Wire;
  /** For the scenario's own choices. */
  readonly random: SeededRandom;
  readonly clock: Clock;
  readonly transport: Transport;
  readonly #options: SimOptions;
  readonly #log: Logger;
  readonly #admin: KeyPair;
  #list: StaticList | undefined;
  #membership: Membership | undefined;
  #clients = 0;

  private constructor(options: SimOptions) {
    this.#options = options;
    this.#log = options.log ?? silentLog;
    this.random = new SeededRandom(options.seed ?? 1);
    this.time = new VirtualTime();
    this.clock = this.time.clock();
    this.wire = new Wire(options, this.time, this.random.fork());
    this.#admin = ed25519KeyPair(this.random.bytes(32));
    this.transport = new SimTransport(this.wire, this.wire.host('10.255.0.1'));
  }

  static async start(options: SimOptions = {}): Promise<Sim> {
    const sim = new Sim(options);
    const count = options.swarms?.reduce((a, b) => a + b, 0) ?? options.nodes ?? DEFAULT_NODES;
    const ids = options.swarms === undefined ? undefined : handMadeSwarms(options.swarms);
    for (let i = 0; i < count; i++) sim.addNode();
    const list = createStaticList({
      network: toHex(sim.random.bytes(16)),
      ...sim.#validity(),
      admins: [toHex(sim.#admin.publicKey)],
      threshold: 1,
      nodes: sim.nodes.map((node, i) => {
        const swarmId = ids?.[i];
        return { ...node.listed(), ...(swarmId !== undefined && { swarmId }) };
      }),
    });
    sim.#setList(list);
    sim.time.start();
    await Promise.all(
      sim.nodes.map(async (node) => {
        await node.files.write(NETWORK_FILE, sim.listBytes);
        await node.start();
      }),
    );
    return sim;
  }

  get membership(): Membership {
    return this.#membership!;
  }

  get listVersion(): number {
    return this.#list!.version;
  }

  /** The newest signed list. */
  get listBytes(): Uint8Array {
    return encodeStaticList(this.#list!);
  }

  /** One more machine; it is in no list yet and does not run. */
  addNode(): SimNode {
    const index = this.nodes.length;
    const host = this.wire.host(`10.${index >> 8}.${index & 255}.1`);
    const parts = {
      host,
      wire: this.wire,
      random: this.random.fork(),
      log: this.#log,
      more: this.#options.node ?? {},
    };
    const node = new SimNode(index, parts);
    this.nodes.push(node);
    return node;
  }

  /** Signs the next list and gives it to some nodes, who spread it. Those that join still have to be started. */
  async changeList(
    change: { readonly add?: readonly SimNode[]; readonly remove?: readonly SimNode[] },
    given: readonly SimNode[],
  ): Promise<void> {
    this.#setList(
      changeStaticList(this.#list!, {
        ...this.#validity(),
        add: (change.add ?? []).map((node) => node.listed()),
        remove: (change.remove ?? []).map((node) => node.ed25519),
      }),
    );
    const bytes = this.listBytes;
    await Promise.all([...given, ...(change.add ?? [])].map((node) => node.files.write(NETWORK_FILE, bytes)));
  }

  swarmOf(account: AccountId): SimNode[] {
    const members = swarmFor(this.membership, x25519KeyOf(account))?.members ?? [];
    const keys = new Set(members.map((member) => member.ed25519Hex));
    return this.nodes.filter((node) => keys.has(node.ed25519));
  }

  /** A machine for a client. */
  clientHost(): Host {
    const index = this.#clients++;
    return this.wire.host(`10.${128 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`);
  }

  client(options: SimClientOptions): Promise<Client> {
    const { account, receive, pollEveryMs, waitMs, storage, skewMs = 0, host = this.clientHost() } = options;
    return Client.open({
      account,
      network: {
        preset: {
          ...NETWORKS.local,
          seeds: this.nodes.slice(0, SEEDS).map((node) => ({ url: node.url })),
          distinctSubnets: true,
          distinctOperators: true,
          ...options.preset,
        },
      },
      ...(receive !== undefined && { receive }),
      ...(pollEveryMs !== undefined && { pollEveryMs }),
      ...(waitMs !== undefined && { waitMs }),
      storage: storage ?? new MemoryStorage(),
      transport: new SimTransport(this.wire, host),
      env: { clock: this.time.clock(() => skewMs), random: this.random.fork(), log: this.#log },
    });
  }

  pass(ms: number): Promise<void> {
    return this.time.pass(ms);
  }

  until(condition: () => boolean | Promise<boolean>, limitMs = UNTIL_MS): Promise<void> {
    return this.time.until(condition, limitMs);
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
    await this.time.stop();
    for (const node of this.nodes) node.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #setList(list: StaticList): void {
    this.#list = signStaticList(list, this.#admin);
    this.#membership = membershipOf(this.#list);
  }

  #validity() {
    const issued = Math.floor(this.clock.now() / 1000);
    return { issued, expires: issued + YEARS_10_SECONDS };
  }
}
