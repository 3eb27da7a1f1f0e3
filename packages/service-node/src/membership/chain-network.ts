// SPDX-License-Identifier: AGPL-3.0-or-later
// The network of a chain (spec/chain §4.16–§4.21): who belongs to it and in which swarm says the chain, where they are say
// their uptime proofs. Loaded only where an operator names a chain.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ChainView, ChainWriter } from '@allium/chain/chain-view';
import { PRESETS } from '@allium/chain/presets';
import { fromHex } from '@allium/protocol/bytes';
import { ed25519PublicKeyToX25519 } from '@allium/protocol/crypto';
import { delay, type Env } from '@allium/protocol/env';
import { AlliumError } from '@allium/protocol/errors';
import type { Json } from '@allium/protocol/json';
import {
  CERTIFICATE_METHOD,
  certificateAnswerJson,
  parseCertificateQuery,
} from '@allium/protocol/membership/evidence';
import type { Version } from '@allium/protocol/membership/uptime-proof';
import { isUsableIpv4 } from '@allium/protocol/storage/responses';
import type { ListedNetwork } from '@allium/protocol/storage/service-node-list';
import { parsePeer, type ServiceNodeOptions } from '../config.ts';
import type { NodeKeys } from '../node-keys.ts';
import { WIRE_VERSION } from '../protocol-version.ts';
import { type CertificateFiles, CertificateStore } from './certificate-store.ts';
import { Certifier } from './certifier.ts';
import { ChainSource } from './chain-source.ts';
import type { NetworkCommand, NetworkParts, NodeNetwork, PlaceWords } from './node-network.ts';
import { isPublicAddress, ProofBook, type ProofRules } from './proof-book.ts';
import { type KnownPeer, ProofGossip } from './proof-gossip.ts';

const PROOFS_FILE = 'proofs.bt';

// Ours.
/** A chain that does not answer must not keep a node down that knows its network from before. */
const FIRST_READ_MS = 2_000;
/** … and one that is new reads for a while. */
const FIRST_EVER_READ_MS = 13_000;
const ANY_VERSION: Version = [0, 0, 0];

/**
 * Why the configuration does not do. `no_address`, `private_address`: of this node. `bad_peer`: a key that is none.
 * `two_networks`: a list and a chain. `no_deployment`: it does not tell where the contracts are.
 */
export class ChainNetworkError extends AlliumError<
  'no_address' | 'private_address' | 'bad_peer' | 'two_networks' | 'no_deployment'
> {
  override readonly name = 'ChainNetworkError';
}

/** A window on the chain, and the transactions of this node when it has a voting key. */
export interface ChainAccess {
  readonly view: ChainView;
  readonly writer?: ChainWriter;
  /** Secret, 32 bytes: signs the votes of this node. Comes with the writer. */
  readonly votingKey?: Uint8Array;
}

const WORDS: PlaceWords = {
  notListed:
    'this node is not registered on the chain, or its registration is not valid: it serves no accounts',
  // Where proofs do not go out, it is told why not.
  noAddress: undefined,
  otherAddress: 'others still know the old address of this node: a new uptime proof will tell them',
  right: 'others now know this node at its address',
};

export class ChainNetwork implements NodeNetwork {
  readonly source: ChainSource;
  readonly words = WORDS;
  readonly chain: ChainAccess & { readonly book: ProofBook };
  readonly #keys: NodeKeys;
  readonly #host: string;
  /** 0: those that the node listens at. */
  readonly #publicPorts: { readonly https: number; readonly omq: number };
  readonly #peers: readonly KnownPeer[];
  readonly #env: Env;
  readonly #certificates: CertificateStore;
  readonly #certifyEvery: number;
  #gossip: ProofGossip | undefined;
  #certifier: Certifier | undefined;
  #isOpen = false;

  /** @throws ChainNetworkError */
  constructor(
    options: ServiceNodeOptions,
    parts: { access: ChainAccess; keys: NodeKeys; files: CertificateFiles },
    env: Env,
  ) {
    const { view } = parts.access;
    const { timings, certifyEvery } = PRESETS[view.network.preset];
    const rules: ProofRules = {
      registry: view.network.registry,
      chainId: view.network.chainId,
      frequencyMs: timings.proofFrequency * 1000,
      validityMs: timings.proofValidity * 1000,
      toleranceMs: timings.proofTolerance * 1000,
      privateAddresses: view.network.preset !== 'production',
      minimumVersion: () => view.minimumVersion() ?? ANY_VERSION,
    };
    this.#host = ownHost(options, rules.privateAddresses);
    this.#publicPorts = { https: options.publicHttpsPort, omq: options.publicOmqPort };
    this.#peers = options.peers.map(knownPeer);
    this.#keys = parts.keys;
    this.#env = env;
    const book = new ProofBook(
      {
        rules,
        files: parts.files,
        path: join(options.dataDir, PROOFS_FILE),
        isNode: (ed25519Hex) => view.nodeByEd25519(ed25519Hex) !== undefined,
      },
      env,
    );
    const { chainId, registry } = view.network;
    this.#certifyEvery = certifyEvery;
    this.#certificates = new CertificateStore(
      { files: parts.files, folder: options.dataDir, chainId, registry, certifyEvery },
      env,
    );
    this.chain = { ...parts.access, book };
    this.source = new ChainSource({ chain: view, book, overlapMs: timings.swarmOverlap * 1000 }, env);
  }

  get version(): number {
    return this.source.current().epoch;
  }

  get expires(): undefined {
    return undefined;
  }

  height(): number {
    return this.source.height();
  }

  listed(): ListedNetwork {
    return this.source.listed();
  }

  readonly questions = {
    [CERTIFICATE_METHOD]: (params: Json | undefined) => {
      const { epoch: asked, after = -1 } = parseCertificateQuery(params);
      const epoch = asked ?? this.#certificates.newest()?.epoch;
      const { t0, epochSeconds } = this.chain.view.network;
      const isNews = asked !== undefined || (epoch ?? 0) > after;
      const certificate = isNews ? this.#certificates.bytes(epoch) : undefined;
      const epochs = this.#certificates.epochs();
      return certificateAnswerJson({ epochs, certificate, t0, epochSeconds }, epoch);
    },
  };

  commands({ omq, swarm, metrics, storageAnswers }: NetworkParts): Readonly<Record<string, NetworkCommand>> {
    const gossip = new ProofGossip(
      {
        chain: this.chain.view,
        book: this.chain.book,
        source: this.source,
        omq,
        swarm,
        keys: this.#keys,
        peers: this.#peers,
        storageAnswers,
        counts: metrics,
      },
      this.#env,
    );
    this.#gossip = gossip;
    const certifier = new Certifier(
      {
        chain: this.chain.view,
        source: this.source,
        omq,
        keys: this.#keys,
        store: this.#certificates,
        certifyEvery: this.#certifyEvery,
      },
      this.#env,
    );
    this.#certifier = certifier;
    return {
      chain_cert: (member, data) => certifier.answer(member, data[0]),
      chain_certs: (member, data) => certifier.answerKept(member, data[0]),
      chain_proof: (member, data) => gossip.answerProof(member, data[0]),
      chain_proofs: (member, data) => gossip.answerProofs(member, data[0]),
    };
  }

  /** Resolves when the chain is read, or soon after when it does not answer. */
  async start(): Promise<void> {
    await this.chain.book.start();
    await this.#certificates.start();
    this.source.start();
    let isRead = false;
    const reading = this.chain.view.start().then(() => {
      isRead = true;
    });
    const waiting = new AbortController();
    const wait = (ms: number) => delay(this.#env.clock, ms, waiting.signal).catch(() => {});
    await Promise.race([reading, wait(FIRST_READ_MS)]);
    const knowsNothing = !isRead && this.chain.view.epochView() === undefined;
    if (knowsNothing) await Promise.race([reading, wait(FIRST_EVER_READ_MS)]);
    waiting.abort();
    this.source.refresh();
    if (isRead) return;
    this.#env.log.warn({}, 'the chain does not answer: going on with what is known until it does');
    reading.catch((error: unknown) =>
      this.#env.log.error({ error: String(error) }, 'reading the chain failed'),
    );
  }

  open(ports: { readonly https: number; readonly omq: number }): void {
    this.#isOpen = true;
    this.#certifier?.start();
    this.#gossip?.start({
      host: this.#host,
      httpsPort: this.#publicPorts.https || ports.https,
      omqPort: this.#publicPorts.omq || ports.omq,
      storageVersion: WIRE_VERSION,
      nodeVersion: productVersion(),
    });
  }

  async close(): Promise<void> {
    if (this.#isOpen) await Promise.all([this.#gossip?.stop(), this.#certifier?.stop()]);
    this.#isOpen = false;
  }

  async stop(): Promise<void> {
    this.source.stop();
    await this.chain.writer?.stop();
    await this.chain.view.stop();
    await this.chain.book.stop();
    await this.#certificates.stop();
  }
}

/** The address that our proofs name. */
function ownHost({ publicIp, bindHost }: ServiceNodeOptions, privateAddresses: boolean): string {
  const host = publicIp === '' ? bindHost : publicIp;
  if (!isUsableIpv4(host)) {
    throw new ChainNetworkError(
      'no_address',
      'a node of a chain network tells others where it is: name its public IPv4 address with --public-ip',
    );
  }
  if (isPublicAddress(host, privateAddresses)) return host;
  throw new ChainNetworkError(
    'private_address',
    `${host} is not a public address, others would refuse it: name the address under which the internet reaches this node with --public-ip`,
  );
}

function knownPeer(text: string): KnownPeer {
  const { host, port, keyHex } = parsePeer(text)!;
  const publicKey = ed25519PublicKeyToX25519(fromHex(keyHex, 32));
  if (publicKey === undefined) {
    throw new ChainNetworkError('bad_peer', `${keyHex} (--peers) is not the Ed25519 key of a node`);
  }
  return { host, port, keyHex, publicKey };
}

function productVersion(): Version {
  const file = new URL('../../package.json', import.meta.url);
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string };
  const [major, minor, patch] = version.split(/[.+-]/).map(Number);
  return [major ?? 0, minor ?? 0, patch ?? 0];
}
