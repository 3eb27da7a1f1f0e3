// SPDX-License-Identifier: AGPL-3.0-or-later
// Membership certificates (spec/chain §4.22): at each certified epoch signs the list, gathers the signatures of the other
// members, and keeps the certificate as soon as two thirds of them have signed. What it missed it asks others for.
//
//   sn.chain_cert   [signatures, see certificate-signatures.ts]  → `OK` and, in the same form, those that the caller lacks;
//                                                                   or one word
//   sn.chain_certs  [epoch as decimal text, or nothing]          → `OK`, the certificate of that epoch or the newest, and the
//                                                                   epochs held, separated by commas; or `none`

import { type ChainView, type EpochView, epochStart } from '@allium/chain/chain-view';
import type { OmqEndpoint, OmqPart } from '@allium/net/omq/endpoint';
import { equal, fromHex, fromUtf8, utf8 } from '@allium/protocol/bytes';
import { ed25519Verify } from '@allium/protocol/crypto';
import { type Cancel, type Env, sample } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import type { Member, MembershipSource } from '@allium/protocol/membership';
import {
  type MembershipCertificate,
  type MembershipStatement,
  parseCertificate,
  signedDigest,
  statementDigest,
} from '@allium/protocol/membership/certificate';
import { swarmMapDigest } from '@allium/protocol/swarm/assignment';
import { Background } from '../background.ts';
import type { NodeKeys } from '../node-keys.ts';
import { ask, hasAddress, peerOf } from '../peers.ts';
import { Allowance } from './allowance.ts';
import { encodeSignatureNews, parseSignatureNews, type SignatureNews } from './certificate-signatures.ts';
import type { CertificateStore } from './certificate-store.ts';

// Ours.
const TIMEOUT_MS = 10_000;
const PEERS_PER_ROUND = 3;
/** Rounds in an epoch, while there is news; without any they become rarer down to the second number. */
const ROUNDS_PER_EPOCH = 60;
const FEWEST_ROUNDS_PER_EPOCH = 4;
/** A question costs us up to the signatures of all nodes. */
const AT_ONCE = 60;
const PER_SECOND = 2;
/** Epochs in one answer. */
const MAX_EPOCHS_TEXT = 16_384;
/** Older certificates that are fetched after one question. */
const BACKFILL = 16;

export interface CertifierParts {
  readonly chain: ChainView;
  readonly source: MembershipSource;
  readonly omq: OmqEndpoint;
  readonly keys: NodeKeys;
  readonly store: CertificateStore;
  readonly certifyEvery: number;
}

/** The list of one epoch while it is being signed. */
interface Signing {
  readonly statement: MembershipStatement;
  readonly digest: Uint8Array;
  readonly signed: Uint8Array;
  /** Keys of the map in the order of positions. */
  readonly keys: readonly string[];
  /** By position, checked. */
  readonly signatures: Map<number, Uint8Array>;
  /** Positions that came since the last round. */
  news: Set<number>;
  /** Who sent a signature that is none; their further ones are not looked at. */
  readonly liars: Set<string>;
  /** How many signatures the kept certificate has. */
  kept: number;
}

export class Certifier {
  readonly #parts: CertifierParts;
  readonly #env: Env;
  readonly #allowance: Allowance;
  readonly #signings = new Map<number, Signing>();
  readonly #running: Background;
  readonly #cancels: Cancel[] = [];
  #cancelRound: Cancel | undefined;
  #pauseMs: number;
  /** Somebody had no older certificates than we have. */
  #hasHistory = false;
  #stopping = new AbortController();

  constructor(parts: CertifierParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
    this.#running = new Background('exchanging certificates failed', env);
    this.#allowance = new Allowance(AT_ONCE, PER_SECOND, env.clock);
    this.#pauseMs = this.#shortestPause;
  }

  /** The node listens: the list is signed from here on. */
  start(): void {
    this.#stopping = new AbortController();
    this.#cancels.push(this.#parts.chain.onEpoch(() => this.#epoch()));
    this.#epoch();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const cancel of this.#cancels.splice(0)) cancel();
    this.#cancelRound?.();
    await this.#running.settled();
  }

  /** Handler of `sn.chain_cert`. */
  answer(member: Member | undefined, part: Uint8Array | undefined): readonly OmqPart[] {
    if (member === undefined) return ['unknown'];
    if (!this.#allowance.take(member.ed25519Hex)) return ['busy'];
    const news = read(() => parseSignatureNews(part ?? new Uint8Array(0)));
    if (news === undefined) return ['malformed'];
    const signing = this.#signings.get(news.epoch);
    // Another list, or one that is not in force here: whose view is behind will ask again.
    if (signing === undefined || !equal(signing.digest, news.digest)) return ['other'];
    const isHonest = this.#take(signing, news, member.ed25519Hex);
    if (!isHonest) return ['signature'];
    const lacking = [...signing.signatures].filter(([position]) => !news.held.has(position));
    return ['OK', this.#encoded(signing, new Map(lacking))];
  }

  /** Handler of `sn.chain_certs`. */
  answerKept(member: Member | undefined, part: Uint8Array | undefined): readonly OmqPart[] {
    if (member === undefined) return ['unknown'];
    if (!this.#allowance.take(member.ed25519Hex)) return ['busy'];
    const { store } = this.#parts;
    const text = read(() => fromUtf8(part?.subarray(0, 16) ?? new Uint8Array(0))) ?? '?';
    if (!/^\d{0,10}$/.test(text)) return ['malformed'];
    const bytes = store.bytes(text === '' ? undefined : Number(text));
    return bytes === undefined ? ['none'] : ['OK', bytes, store.epochs().join(',')];
  }

  get #shortestPause(): number {
    return (this.#parts.chain.network.epochSeconds * 1000) / ROUNDS_PER_EPOCH;
  }

  #epoch(): void {
    const { chain } = this.#parts;
    const views = [chain.epochView(), chain.previousEpochView()].flatMap((view) => view ?? []);
    const certified = views.filter(({ epoch }) => epoch > 0 && epoch % this.#parts.certifyEvery === 0);
    for (const epoch of this.#signings.keys()) {
      if (!certified.some((view) => view.epoch === epoch)) this.#signings.delete(epoch);
    }
    for (const view of certified) this.#open(view);
    this.#pauseMs = this.#shortestPause;
    this.#roundAfter(this.#env.random.below(Math.ceil(this.#pauseMs)));
    this.#running.run(this.#catchUp());
  }

  #open(view: EpochView): void {
    const { chain } = this.#parts;
    const { chainId, registry } = chain.network;
    const { epoch, seed, swarms } = view;
    const statement = { chainId, registry: fromHex(registry.slice(2), 20), epoch, seed, swarms };
    const digest = statementDigest(statement, swarmMapDigest(swarms));
    const known = this.#signings.get(epoch);
    // After a reorganisation the epoch has another list.
    if (known !== undefined && equal(known.digest, digest)) return;
    const ids = [...swarms.keys()].sort((a, b) => (a < b ? -1 : 1));
    const signing: Signing = {
      statement,
      digest,
      signed: signedDigest(digest),
      keys: ids.flatMap((id) => [...(swarms.get(id) ?? [])].sort()),
      signatures: new Map(),
      news: new Set(),
      liars: new Set(),
      kept: 0,
    };
    this.#signings.set(epoch, signing);
    this.#sign(signing);
  }

  /** Adds our signature, as soon as what we see of the chain can be relied on. */
  #sign(signing: Signing): void {
    const { chain, keys } = this.#parts;
    const own = signing.keys.indexOf(keys.ed25519Hex);
    if (own < 0 || signing.signatures.has(own) || !chain.isFresh()) return;
    if (chain.nodeByEd25519(keys.ed25519Hex)?.state !== 'active') return;
    this.#add(signing, own, keys.sign(signing.signed));
    this.#keep(signing);
  }

  #add(signing: Signing, position: number, signature: Uint8Array): void {
    signing.signatures.set(position, signature);
    signing.news.add(position);
  }

  /** False: the sender gave a signature that is none. */
  #take(signing: Signing, news: SignatureNews, from: string): boolean {
    if (signing.liars.has(from)) return false;
    for (const [position, signature] of news.signatures) {
      if (signing.signatures.has(position)) continue;
      const key = signing.keys[position];
      if (key === undefined || !ed25519Verify(signature, signing.signed, fromHex(key, 32))) {
        // One bad signature costs us one check, and its sender all others of this epoch.
        signing.liars.add(from);
        this.#env.log.warn({ from: from.slice(0, 8), epoch: news.epoch }, 'a signature of the list is none');
        this.#keep(signing);
        return false;
      }
      this.#add(signing, position, signature);
    }
    this.#keep(signing);
    return true;
  }

  /** Serves it as soon as clients can use it, and again with more signatures. */
  #keep(signing: Signing): void {
    const { signatures, keys, statement } = signing;
    if (signatures.size === signing.kept || 3 * signatures.size < 2 * keys.length) return;
    if (signing.kept === 0) {
      const fields = { epoch: statement.epoch, signatures: signatures.size, of: keys.length };
      this.#env.log.info(fields, 'the list of members is certified');
    }
    signing.kept = signatures.size;
    const named = [...signatures].map(([position, signature]) => [keys[position]!, signature] as const);
    this.#parts.store.put({ ...statement, signatures: new Map(named) });
  }

  #roundAfter(ms: number): void {
    this.#cancelRound?.();
    this.#cancelRound = this.#env.clock.after(ms, () => this.#running.run(this.#round()));
  }

  async #round(): Promise<void> {
    for (const signing of this.#signings.values()) this.#sign(signing);
    const open = [...this.#signings.values()].filter(({ signatures, keys }) => signatures.size < keys.length);
    const hasNews = [...this.#signings.values()].some(({ news }) => news.size > 0);
    const { epochSeconds } = this.#parts.chain.network;
    const longest = (epochSeconds * 1000) / FEWEST_ROUNDS_PER_EPOCH;
    this.#pauseMs = hasNews ? this.#shortestPause : Math.min(2 * this.#pauseMs, longest);
    // The last news goes out also when everything is here.
    const told = open.concat(
      [...this.#signings.values()].filter((one) => one.news.size > 0 && !open.includes(one)),
    );
    for (const signing of told) {
      const { news } = signing;
      signing.news = new Set();
      const given = new Map([...news].map((position) => [position, signing.signatures.get(position)!]));
      const part = this.#encoded(signing, given);
      await Promise.all(this.#random(PEERS_PER_ROUND).map((peer) => this.#exchange(peer, signing, part)));
    }
    if (open.length > 0 && !this.#stopping.signal.aborted) this.#roundAfter(this.#pauseMs);
  }

  async #exchange(peer: Member, signing: Signing, part: Uint8Array): Promise<void> {
    const [word, more] = (await this.#request(peer, 'sn.chain_cert', part)) ?? [];
    if (word === undefined || more === undefined) return;
    const news = read(() => parseSignatureNews(more));
    const isSame = news !== undefined && equal(news.digest, signing.digest);
    if (isSame) this.#take(signing, news, peer.ed25519Hex);
  }

  #encoded(signing: Signing, signatures: ReadonlyMap<number, Uint8Array>): Uint8Array {
    const { statement, digest, keys } = signing;
    const held = new Set(signing.signatures.keys());
    return encodeSignatureNews({ epoch: statement.epoch, digest, held, signatures }, keys.length);
  }

  // --- What was missed ----------------------------------------------------------------------------------------------

  /** Asks one member for the newest certificate when ours is older than the last certified epoch, and for older ones. */
  async #catchUp(): Promise<void> {
    const { chain, store, certifyEvery } = this.#parts;
    const now = chain.epochView()?.epoch;
    if (now === undefined) return;
    const due = now - (now % certifyEvery);
    // The one in work is gathered, not asked for.
    const isHere = (store.newest()?.epoch ?? 0) >= (this.#signings.has(due) ? due - certifyEvery : due);
    const [peer] = this.#random(1);
    if (peer === undefined || (isHere && this.#hasHistory) || due === 0) return;
    const [word, bytes, list] = (await this.#request(peer, 'sn.chain_certs', '')) ?? [];
    if (word === undefined || bytes === undefined || list === undefined) return;
    this.#offer(bytes, now);
    const text = list.length > MAX_EPOCHS_TEXT ? '' : (read(() => fromUtf8(list)) ?? '');
    const missing = text
      .split(',')
      .filter((part) => /^\d{1,10}$/.test(part))
      .map(Number)
      .filter((epoch) => epoch < now && store.wants(epoch));
    for (const epoch of missing.slice(-BACKFILL)) {
      const reply = await this.#request(peer, 'sn.chain_certs', String(epoch));
      if (reply?.[1] === undefined || !this.#offer(reply[1], now)) return;
    }
    // One that is as new as we are has no history to give either.
    this.#hasHistory = missing.length <= BACKFILL && store.epochs().length > 1;
  }

  #offer(bytes: Uint8Array, now: number): boolean {
    const { store } = this.#parts;
    const certificate = read(() => parseCertificate(bytes));
    if (certificate === undefined || !this.#isCredible(certificate, now)) return false;
    if (store.wants(certificate.epoch)) store.put(certificate);
    return true;
  }

  /**
   * Whether a certificate of an epoch that we do not see any more can be believed: everybody who has been a member since
   * then is in it, nobody who was not registered, and two thirds of it have signed.
   */
  #isCredible(certificate: MembershipCertificate, now: number): boolean {
    const { chain, store, certifyEvery } = this.#parts;
    const { epoch, swarms, signatures } = certificate;
    if (!store.isOfThisNetwork(certificate) || epoch > now || epoch % certifyEvery !== 0) return false;
    const keys = new Set([...swarms.values()].flat());
    const began = epochStart(chain.network, epoch);
    const registered = new Set<string>();
    for (const { ed25519Hex, valid, from, until, registeredAt } of chain.nodes().values()) {
      if (!valid || registeredAt > began) continue;
      registered.add(ed25519Hex);
      if (from <= epoch && epoch < until && !keys.has(ed25519Hex)) return false;
    }
    for (const key of keys) if (!registered.has(key)) return false;
    const needed = Math.ceil((2 * keys.size) / 3);
    if (keys.size === 0 || signatures.size < needed) return false;
    const signed = signedDigest(statementDigest(certificate, swarmMapDigest(swarms)));
    for (const [key, signature] of signatures) {
      if (!ed25519Verify(signature, signed, fromHex(key, 32))) return false;
    }
    return true;
  }

  /** Other members with an address, at random. */
  #random(count: number): Member[] {
    const { source, keys } = this.#parts;
    const members = source
      .current()
      .members.filter((member) => hasAddress(member) && member.ed25519Hex !== keys.ed25519Hex);
    return sample(members, count, this.#env.random);
  }

  #request(peer: Member, command: string, part: Uint8Array | string): Promise<Uint8Array[] | undefined> {
    const bytes = typeof part === 'string' ? utf8(part) : part;
    const options = { timeoutMs: TIMEOUT_MS, signal: this.#stopping.signal };
    return ask(this.#parts.omq, peerOf(peer), command, [bytes], options, (code) =>
      this.#env.log.debug({ peer: peer.ed25519Hex.slice(0, 8), command, code }, 'certificates not exchanged'),
    );
  }
}

/** Undefined for what is malformed. */
function read<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof ParseError) return undefined;
    throw error;
  }
}
