// SPDX-License-Identifier: AGPL-3.0-or-later
// The folder of a devnet: keys and ports of its nodes, its admin, its signed list. A second start finds the same network.
//
//   devnet.json     nodes, swarms by hand, ports          admin.key   seed of the list's only admin, hex
//   network.json    the signed list                       lock        process that uses the folder now
//   nodes/00 …      data folder of each node
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
import { freePorts, isFree } from './ports.ts';

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
  readonly swarm: string;

  constructor(node: NodeFacts & { readonly name: string; readonly folder: string }) {
    this.name = node.name;
    this.folder = node.folder;
    this.host = node.host;
    this.port = node.port;
    this.omqPort = node.omqPort;
    this.ed25519 = node.ed25519;
    this.x25519 = node.x25519;
    this.swarm = node.swarm;
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
  readonly networkFile: string;
  readonly nodes: readonly NodeLayout[];
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
    const saved = readSaved(folder, count, options.swarms) ?? (await create(folder, count, options.swarms));
    await checkPorts(saved, folder);
    return {
      folder,
      networkFile: join(folder, 'network.json'),
      nodes: describeNodes(folder, saved),
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

function countNodes({ nodes, swarms }: LayoutOptions): number {
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
    `${folder} is in use by process ${taken}: stop it, or choose another folder`,
  );
}

function readSaved(folder: string, nodes: number, swarms: readonly number[] | undefined): Saved | undefined {
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
      `${folder} holds a network of ${held}: reset it, or choose another folder`,
    );
  }
  return saved;
}

async function create(folder: string, nodes: number, swarms: readonly number[] | undefined): Promise<Saved> {
  const ports = await freePorts(2 * nodes, HOST);
  const saved: Saved = {
    nodes,
    swarms: swarms ?? null,
    ports: Array.from({ length: nodes }, (_, i) => [ports[2 * i] as number, ports[2 * i + 1] as number]),
  };
  const ids = swarms === undefined ? undefined : handMadeSwarms(swarms);
  const now = Math.floor(Date.now() / 1000);
  const admin = ed25519KeyPair(randomBytes(32));
  const list = createStaticList({
    issued: now,
    expires: now + YEARS_10_SECONDS,
    admins: [toHex(admin.publicKey)],
    threshold: 1,
    nodes: saved.ports.map(([httpsPort, omqPort], index): StaticNodeInput => {
      const { ed25519Hex } = loadOrCreateNodeKeys(nodeFolder(folder, index));
      const swarmId = ids?.[index];
      return { ed25519Hex, host: HOST, httpsPort, omqPort, ...(swarmId === undefined ? {} : { swarmId }) };
    }),
  });
  writeFileSync(join(folder, 'admin.key'), `${toHex(admin.secretKey.subarray(0, 32))}\n`, { mode: 0o600 });
  writeFileSync(join(folder, 'network.json'), encodeStaticList(signStaticList(list, admin)));
  writeFileSync(join(folder, 'devnet.json'), `${JSON.stringify(saved)}\n`);
  return saved;
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

function describeNodes(folder: string, saved: Saved): NodeLayout[] {
  const list = parseStaticList(readFileSync(join(folder, 'network.json')));
  const swarmOf = new Map(list.nodes.map((node) => [node.ed25519Hex, swarmIdHex(node.swarmId)]));
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
      swarm: swarmOf.get(ed25519) ?? '',
    });
  });
}

async function checkPorts(saved: Saved, folder: string): Promise<void> {
  for (const port of saved.ports.flat()) {
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
