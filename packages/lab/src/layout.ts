// SPDX-License-Identifier: AGPL-3.0-or-later
// The folder of a devnet: keys and ports of its nodes, its admin, its signed list. A second start finds the same network.
//
//   devnet.json     nodes, swarms by hand, ports          admin.key   seed of the list's only admin, hex
//   network.json    the signed list                       lock        process that uses the folder now
//   nodes/00 …      data folder of each node
//   chain/          instead of list and admin: the chain that says who is in the network (chain/dev-chain.ts)
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { freePorts, isFree } from '@allium/net/free-ports';
import { fromHex, toHex } from '@allium/protocol/bytes';
import { ed25519KeyPair, randomBytes } from '@allium/protocol/crypto';
import { AlliumError } from '@allium/protocol/errors';
import {
  createStaticList,
  encodeStaticList,
  parseStaticList,
  type StaticNodeInput,
  signStaticList,
} from '@allium/protocol/membership/static-list';
import { swarmIdHex } from '@allium/protocol/swarm';
import { loadOrCreateNodeKeys } from '@allium/service-node/node-keys';
import { takePidLock } from './pid-lock.ts';

export class DevnetError extends AlliumError<
  'bad_options' | 'folder_in_use' | 'other_network' | 'port_taken' | 'start_failed'
> {
  override readonly name = 'DevnetError';
}

export interface LayoutOptions {
  /** Default 14, the fewest that make two swarms. */
  readonly nodes?: number;
  /** Sizes of swarms fixed by hand, e.g. [5, 5]; default: the algorithm composes them (spec/chain §3.6). */
  readonly swarms?: readonly number[];
  /** A chain of its own says who is in the network, instead of a signed list. Default false. */
  readonly chain?: boolean;
  /** Where the state is kept; default: a temporary folder that goes when the devnet stops. */
  readonly folder?: string;
}

/** Keys in hex; the swarm as nodes name it in their answers, in hex without padding. */
export interface NodeFacts {
  readonly host: string;
  /** Of HTTPS. */
  readonly port: number;
  readonly omqPort: number;
  readonly ed25519: string;
  readonly x25519: string;
  readonly swarm: string;
}

/** One node of a devnet: what stays the same however it runs. */
export class NodeLayout implements NodeFacts {
  /** Name of its data folder: 00, 01, … */
  readonly name: string;
  /** Its data folder. */
  readonly folder: string;
  readonly host: string;
  readonly port: number;
  readonly omqPort: number;
  readonly ed25519: string;
  readonly x25519: string;
  readonly #swarm: () => string;

  constructor(
    node: Omit<NodeFacts, 'swarm'> & {
      readonly name: string;
      readonly folder: string;
      readonly swarmNow: () => string;
    },
  ) {
    this.name = node.name;
    this.folder = node.folder;
    this.host = node.host;
    this.port = node.port;
    this.omqPort = node.omqPort;
    this.ed25519 = node.ed25519;
    this.x25519 = node.x25519;
    this.#swarm = node.swarmNow;
  }

  /** The one that it is in now; empty: none, or not known yet. */
  get swarm(): string {
    return this.#swarm();
  }

  get swarmNow(): () => string {
    return this.#swarm;
  }

  get url(): string {
    return `https://${this.host}:${this.port}`;
  }

  /** The entry of a ready file. */
  describe(): NodeFacts {
    const { host, port, omqPort, ed25519, x25519, swarm } = this;
    return { host, port, omqPort, ed25519, x25519, swarm };
  }
}

export interface Layout {
  readonly folder: string;
  /** Of the chain's endpoint; undefined: a signed list says who is in the network. */
  readonly chainPort: number | undefined;
  readonly networkFile: string;
  readonly nodes: readonly NodeLayout[];
  /** Who knows from now on in which swarm a node is, in hex without padding. */
  swarmsFrom(swarmOf: (ed25519Hex: string) => string): void;
  /** Unlocks the folder, and removes it when it was a temporary one. */
  release(): void;
}

const HOST = '127.0.0.1';
const DEFAULT_NODES = 14;
const TEMPORARY = 'allium-devnet-';
const YEARS_10_SECONDS = 10 * 365 * 86_400;

interface Saved {
  readonly nodes: number;
  readonly swarms: readonly number[] | null;
  /** HTTPS and OMQ port of each node. */
  readonly ports: readonly (readonly [number, number])[];
  /** Of a network on a chain. */
  readonly chainPort?: number;
}

/** Prepares or finds the network of a folder and locks it. @throws DevnetError */
export async function openLayout(options: LayoutOptions = {}): Promise<Layout> {
  const count = countNodes(options);
  const temporary = options.folder === undefined;
  if (temporary) clearStale();
  const folder = resolve(options.folder ?? mkdtempSync(join(tmpdir(), TEMPORARY)));
  mkdirSync(join(folder, 'nodes'), { recursive: true, mode: 0o700 });
  const unlock = lock(folder);
  const release = () => {
    unlock();
    if (temporary) rmSync(folder, { recursive: true, force: true });
  };
  try {
    const saved = readSaved(folder, count, options) ?? (await create(folder, count, options));
    await checkPorts(saved, folder);
    let swarmOf: (ed25519Hex: string) => string =
      saved.chainPort === undefined ? listedSwarms(folder) : () => '';
    return {
      folder,
      chainPort: saved.chainPort,
      networkFile: join(folder, 'network.json'),
      nodes: describeNodes(folder, saved, (ed25519Hex) => swarmOf(ed25519Hex)),
      swarmsFrom: (newSource) => {
        swarmOf = newSource;
      },
      release,
    };
  } catch (error) {
    release();
    throw error;
  }
}

/** Removes temporary folders of devnets that were killed. */
function clearStale(): void {
  for (const name of readdirSync(tmpdir())) {
    if (!name.startsWith(TEMPORARY)) continue;
    const folder = join(tmpdir(), name);
    try {
      // Of another user, or one that is being made: let it be.
      if (!existsSync(join(folder, 'lock'))) continue;
      const unlock = takePidLock(join(folder, 'lock'));
      if (typeof unlock === 'function') rmSync(folder, { recursive: true, force: true });
    } catch {
      // Somebody else was quicker, or may not do that: it is only tidying up.
    }
  }
}

/** Forgets everything about the network of a folder. @throws DevnetError when it is running */
export function resetLayout(folder: string): void {
  if (!existsSync(folder)) return;
  lock(folder)();
  rmSync(folder, { recursive: true, force: true });
}

function countNodes({ nodes, swarms, chain }: LayoutOptions): number {
  if (chain === true && swarms !== undefined) {
    throw new DevnetError(
      'bad_options',
      'on a chain the swarms follow from its events: they cannot be fixed by hand',
    );
  }
  const sum = swarms?.reduce((a, b) => a + b, 0);
  if (sum !== undefined && nodes !== undefined && sum !== nodes) {
    throw new DevnetError('bad_options', `the swarms hold ${sum} nodes together, not ${nodes}`);
  }
  const count = sum ?? nodes ?? DEFAULT_NODES;
  if (!Number.isSafeInteger(count) || count < 1 || count > 500) {
    throw new DevnetError('bad_options', 'a devnet has 1 to 500 nodes');
  }
  return count;
}

function lock(folder: string): () => void {
  const taken = takePidLock(join(folder, 'lock'));
  if (typeof taken === 'function') return taken;
  throw new DevnetError(
    'folder_in_use',
    `${folder} is in use by process ${taken}: stop it, or choose another folder by --folder`,
  );
}

function readSaved(folder: string, nodes: number, { swarms, chain }: LayoutOptions): Saved | undefined {
  const path = join(folder, 'devnet.json');
  if (!existsSync(path)) return undefined;
  let saved: Saved;
  try {
    saved = JSON.parse(readFileSync(path, 'utf8')) as Saved;
    if (saved.ports.length !== saved.nodes) throw new Error('ports are missing');
  } catch (error) {
    throw new DevnetError('other_network', `${path} cannot be read: reset the folder`, { cause: error });
  }
  if (saved.nodes !== nodes || JSON.stringify(saved.swarms) !== JSON.stringify(swarms ?? null)) {
    const held = saved.swarms === null ? `${saved.nodes} nodes` : `swarms of ${saved.swarms.join(' and ')}`;
    throw new DevnetError(
      'other_network',
      `${folder} holds a network of ${held}: reset it (--reset), or choose another folder by --folder`,
    );
  }
  if ((saved.chainPort !== undefined) !== (chain === true)) {
    const held = saved.chainPort === undefined ? 'with a signed list' : 'on a chain';
    throw new DevnetError(
      'other_network',
      `${folder} holds a network ${held}: reset it (--reset), or choose another folder by --folder`,
    );
  }
  return saved;
}

async function create(folder: string, nodes: number, { swarms, chain }: LayoutOptions): Promise<Saved> {
  const ports = await freePorts(2 * nodes + 1, HOST);
  const saved: Saved = {
    nodes,
    swarms: swarms ?? null,
    ports: Array.from({ length: nodes }, (_, i) => [ports[2 * i] as number, ports[2 * i + 1] as number]),
    ...(chain === true && { chainPort: ports.at(-1) as number }),
  };
  if (chain !== true) createList(folder, saved);
  writeFileSync(join(folder, 'devnet.json'), `${JSON.stringify(saved)}\n`);
  return saved;
}

function createList(folder: string, { ports, swarms }: Saved): void {
  const ids = swarms === null ? undefined : handMadeSwarms(swarms);
  const now = Math.floor(Date.now() / 1000);
  const admin = ed25519KeyPair(randomBytes(32));
  const list = createStaticList({
    issued: now,
    expires: now + YEARS_10_SECONDS,
    admins: [toHex(admin.publicKey)],
    threshold: 1,
    nodes: ports.map(([httpsPort, omqPort], index): StaticNodeInput => {
      const { ed25519Hex } = loadOrCreateNodeKeys(nodeFolder(folder, index));
      const swarmId = ids?.[index];
      return { ed25519Hex, host: HOST, httpsPort, omqPort, ...(swarmId === undefined ? {} : { swarmId }) };
    }),
  });
  writeFileSync(join(folder, 'admin.key'), `${toHex(admin.secretKey.subarray(0, 32))}\n`, { mode: 0o600 });
  writeFileSync(join(folder, 'network.json'), encodeStaticList(signStaticList(list, admin)));
}

/** The admin's key pair, for tests that change the list. */
export function readAdmin(folder: string) {
  return ed25519KeyPair(fromHex(readFileSync(join(folder, 'admin.key'), 'utf8').trim()));
}

/** One swarm id per node, the swarms spread evenly over the ring. */
export function handMadeSwarms(sizes: readonly number[]): bigint[] {
  const step = (1n << 64n) / BigInt(sizes.length);
  return sizes.flatMap((size, i) => Array.from({ length: size }, () => step * BigInt(i) + step / 2n));
}

/** By the list that the network began with. */
function listedSwarms(folder: string): (ed25519Hex: string) => string {
  const list = parseStaticList(readFileSync(join(folder, 'network.json')));
  const swarmOf = new Map(list.nodes.map((node) => [node.ed25519Hex, swarmIdHex(node.swarmId)]));
  return (ed25519Hex) => swarmOf.get(ed25519Hex) ?? '';
}

function describeNodes(folder: string, saved: Saved, swarmOf: (ed25519Hex: string) => string): NodeLayout[] {
  return saved.ports.map(([port, omqPort], index) => {
    const { ed25519Hex: ed25519, x25519Hex: x25519 } = loadOrCreateNodeKeys(nodeFolder(folder, index));
    return new NodeLayout({
      name: nodeName(index),
      folder: nodeFolder(folder, index),
      host: HOST,
      port,
      omqPort,
      ed25519,
      x25519,
      swarmNow: () => swarmOf(ed25519),
    });
  });
}

async function checkPorts(saved: Saved, folder: string): Promise<void> {
  for (const port of [...saved.ports.flat(), ...(saved.chainPort === undefined ? [] : [saved.chainPort])]) {
    if (!(await isFree(port, HOST))) {
      throw new DevnetError(
        'port_taken',
        `port ${port} of the network in ${folder} is taken by another program`,
      );
    }
  }
}

function nodeName(index: number): string {
  return String(index).padStart(2, '0');
}

function nodeFolder(folder: string, index: number): string {
  return join(folder, 'nodes', nodeName(index));
}
