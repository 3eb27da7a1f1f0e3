// SPDX-License-Identifier: AGPL-3.0-or-later
// Uptime proofs between nodes (spec/chain §4.17): sends our own, relays those of others, asks for what is missing.
//
//   sn.chain_proof   [proof]                        → `OK` or a reason; behind it the proof held till then, when it names
//                                                     another address or is why this one was refused
//   sn.chain_proofs  [{k: keys, 32 bytes each}]     → the list of those proofs that are held

import type { OmqEndpoint, OmqPart, OmqPeer } from '@allium/net/omq/endpoint';
import { btBytes, decodeBt, decodeBtDict, encodeBt } from '@allium/protocol/bencode';
import { concat, fromUtf8, toHex } from '@allium/protocol/bytes';
import { type Cancel, type Env, sample } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import type { Member, MembershipSource } from '@allium/protocol/membership';
import {
  decodeSignedProof,
  encodeSignedProof,
  MAX_PROOF_BYTES,
  type SignedUptimeProof,
} from '@allium/protocol/membership/uptime-proof';
import { Background } from '../background.ts';
import { ask, hasAddress, peerOf } from '../peers.ts';
import type { Swarm } from '../swarm/swarm.ts';
import { Allowance } from './allowance.ts';
import { OwnProof, type OwnProofFacts, type OwnProofParts, type Silence, scaledWait } from './own-proof.ts';
import { hasMoved, type ProofOrigin, type ProofRefusal } from './proof-book.ts';

// From the specification (spec/chain §4.17).
const RANDOM_OF_SENDER = 8;
const RANDOM_OF_RELAY = 6;
const PEERS_TO_PULL_FROM = 3;

// Ours.
const TIMEOUT_MS = 10_000;
const CHECK_MS = 30_000;
const CHECK_SHARE = 20;
const KEYS_PER_PULL = 256;
const KEY_BYTES = 32;
const RETRY_PULL_MS = 5_000;
const MOST_RETRY_PULL_MS = 3_600_000;
/** After a new epoch not all nodes ask at once. */
const PULL_SPREAD_MS = 10_000;
/** A relay sends each proof to six of all nodes, so that each node gets about six of each peer per frequency. */
const PROOFS_AT_ONCE = 120;
const PROOFS_PER_SECOND = 10;
/** A question costs us up to `KEYS_PER_PULL` proofs. */
const PULLS_AT_ONCE = 60;
const PULLS_PER_SECOND = 1;

/** A node that is asked while no addresses are known. */
export interface KnownPeer extends OmqPeer {
  /** Ed25519. */
  readonly keyHex: string;
}

export interface ProofGossipParts extends OwnProofParts {
  readonly source: MembershipSource;
  readonly omq: OmqEndpoint;
  readonly swarm: Swarm;
  readonly peers: readonly KnownPeer[];
  readonly counts: ProofCounts;
}

/** For metrics. */
interface ProofCounts {
  proofsTaken: number;
  proofsRefused: number;
  proofsSent: number;
}

export class ProofGossip {
  readonly #parts: ProofGossipParts;
  readonly #env: Env;
  readonly #own: OwnProof;
  readonly #proofs: Allowance;
  readonly #pulls: Allowance;
  readonly #running: Background;
  #cancels: { check?: Cancel; pull?: Cancel; epoch?: Cancel } = {};
  #stopping = new AbortController();
  #sending = false;
  /** Until the next question, while proofs are missing. */
  #pullPauseMs = RETRY_PULL_MS;

  constructor(parts: ProofGossipParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
    this.#own = new OwnProof(parts, env);
    this.#running = new Background('exchanging uptime proofs failed', env);
    this.#proofs = new Allowance(PROOFS_AT_ONCE, PROOFS_PER_SECOND, env.clock);
    this.#pulls = new Allowance(PULLS_AT_ONCE, PULLS_PER_SECOND, env.clock);
  }

  /** Why own proofs are not sent at the moment. */
  get silence(): Silence | undefined {
    return this.#own.silence;
  }

  /** The node listens at these ports; from here on it tells. */
  start(own: OwnProofFacts): void {
    this.#stopping = new AbortController();
    this.#own.begin(own);
    this.#cancels = { epoch: this.#parts.chain.onEpoch(() => this.#pullSoon()) };
    this.#checkLater();
    this.#pullPauseMs = this.#scaled(RETRY_PULL_MS);
    this.#pullAfter(0);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const cancel of Object.values(this.#cancels)) cancel();
    this.#cancels = {};
    await this.#running.settled();
  }

  /** Handler of `sn.chain_proof`. */
  answerProof(member: Member | undefined, part: Uint8Array | undefined): readonly OmqPart[] {
    if (member === undefined) return ['unknown'];
    if (!this.#proofs.take(member.ed25519Hex)) return ['busy'];
    if (part === undefined) return ['malformed'];
    const from = member.ed25519Hex;
    const result = this.#judge(part, 'pushed', from);
    return result.held === undefined ? [result.word] : [result.word, encodeSignedProof(result.held)];
  }

  /** Handler of `sn.chain_proofs`. */
  answerProofs(member: Member | undefined, part: Uint8Array | undefined): readonly OmqPart[] {
    if (member === undefined) return ['unknown'];
    if (!this.#pulls.take(member.ed25519Hex)) return ['busy'];
    let keys: Uint8Array;
    try {
      keys =
        btBytes(decodeBtDict(part ?? new Uint8Array(0), { maxDepth: 1, maxValues: 8 }), 'k') ??
        new Uint8Array(0);
    } catch (error) {
      if (error instanceof ParseError) return ['malformed'];
      throw error;
    }
    if (keys.length % KEY_BYTES !== 0 || keys.length > KEYS_PER_PULL * KEY_BYTES) return ['malformed'];
    const found: Uint8Array[][] = [];
    for (let at = 0; at < keys.length; at += KEY_BYTES) {
      const known = this.#parts.book.proofOf(toHex(keys.subarray(at, at + KEY_BYTES)));
      if (known !== undefined) found.push([known.signed.bytes, known.signed.signature]);
    }
    return [encodeBt(found)];
  }

  #scaled(ms: number): number {
    return scaledWait(ms, this.#parts.book.rules);
  }

  /** Takes a proof in, and tells others of what is new. */
  #judge(
    wire: Uint8Array,
    origin: ProofOrigin,
    from: string,
  ): { readonly word: 'OK' | ProofRefusal; readonly held?: SignedUptimeProof } {
    const { book, counts, keys } = this.#parts;
    let signed: SignedUptimeProof;
    try {
      signed = decodeSignedProof(wire);
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      counts.proofsRefused++;
      return { word: 'malformed' };
    }
    if (signed.proof.ed25519Hex === keys.ed25519Hex) {
      this.#own.heard(signed);
      return { word: 'OK' };
    }
    const verdict = book.take(signed, origin);
    if (verdict.accepted) {
      counts.proofsTaken++;
      if (origin === 'pushed') this.#relay(signed, from);
      // Two processes with one key learn of each other by this: the address of each hides the other.
      const { previous } = verdict;
      const hasNewAddress = previous !== undefined && hasMoved(previous.proof, signed.proof);
      return { word: 'OK', ...(hasNewAddress && { held: previous.signed }) };
    }
    if (verdict.reason === 'same') return { word: 'OK' };
    counts.proofsRefused++;
    this.#env.log.debug(
      { from: from.slice(0, 8), node: signed.proof.ed25519Hex.slice(0, 8), reason: verdict.reason },
      'uptime proof refused',
    );
    const isLate = verdict.reason === 'older' || verdict.reason === 'too_soon';
    return { word: verdict.reason, ...(isLate && verdict.known && { held: verdict.known.signed }) };
  }

  #relay(signed: SignedUptimeProof, from: string): void {
    const { keys } = this.#parts;
    const skip = new Set([keys.ed25519Hex, from, signed.proof.ed25519Hex]);
    const wire = encodeSignedProof(signed);
    for (const peer of this.#random(RANDOM_OF_RELAY, skip))
      this.#running.run(this.#push(peer, wire).then(() => {}));
  }

  /** Members with an address, at random. */
  #random(count: number, skip: ReadonlySet<string>): KnownPeer[] {
    const members = this.#parts.source
      .current()
      .members.filter((member) => hasAddress(member) && !skip.has(member.ed25519Hex));
    return sample(members, count, this.#env.random).map(knownPeer);
  }

  /** Configured peers that are not at a known address already. */
  #configured(): KnownPeer[] {
    const { peers, source, keys } = this.#parts;
    const { byEd25519 } = source.current();
    return peers.filter(({ keyHex }) => {
      const member = byEd25519.get(keyHex);
      return keyHex !== keys.ed25519Hex && (member === undefined || !hasAddress(member));
    });
  }

  // --- Our own proof ------------------------------------------------------------------------------------------------

  #checkLater(): void {
    const ms = Math.min(CHECK_MS, this.#parts.book.rules.frequencyMs / CHECK_SHARE);
    this.#cancels.check = this.#env.clock.after(ms, () => {
      this.#check();
      this.#checkLater();
    });
  }

  #check(): void {
    const signed = this.#own.due({ isSending: this.#sending });
    if (signed === undefined) return;
    this.#sending = true;
    this.#running.run(
      this.#send(signed).finally(() => {
        this.#sending = false;
      }),
    );
  }

  async #send(signed: SignedUptimeProof): Promise<void> {
    const { swarm, keys, counts } = this.#parts;
    const wire = encodeSignedProof(signed);
    const own = swarm.peers.filter(hasAddress).map(knownPeer);
    const skip = new Set([keys.ed25519Hex, ...own.map(({ keyHex }) => keyHex)]);
    const targets = [...own, ...this.#random(RANDOM_OF_SENDER, skip), ...this.#configured()];
    counts.proofsSent++;
    const answers = await Promise.all(targets.map((peer) => this.#push(peer, wire)));
    // Alone, there is nobody to take it.
    if (answers.includes('OK') || targets.length === 0) this.#own.taken(signed);
  }

  async #push(peer: KnownPeer, wire: Uint8Array): Promise<string | undefined> {
    const reply = await this.#request(peer, 'sn.chain_proof', wire);
    const [word, held] = reply ?? [];
    if (held !== undefined) this.#judge(held, 'pulled', peer.keyHex);
    return word === undefined ? undefined : toWord(word);
  }

  // --- Proofs of others ---------------------------------------------------------------------------------------------

  #pullSoon(): void {
    this.#pullPauseMs = this.#scaled(RETRY_PULL_MS);
    this.#pullAfter(this.#env.random.below(Math.ceil(this.#scaled(PULL_SPREAD_MS))));
  }

  #pullAfter(ms: number): void {
    this.#cancels.pull?.();
    this.#cancels.pull = this.#env.clock.after(ms, () => this.#running.run(this.#pull()));
  }

  /** From three random peers, one after the other, so that each is asked only for what those before did not have. */
  async #pull(): Promise<void> {
    const skip = new Set([this.#parts.keys.ed25519Hex]);
    const configured = this.#configured();
    const peers = [...this.#random(PEERS_TO_PULL_FROM, skip), ...configured].slice(
      0,
      Math.max(PEERS_TO_PULL_FROM, configured.length),
    );
    for (const peer of peers) {
      // Always for our own: only so we learn that somebody else uses our key.
      await this.#pullFrom(peer, [this.#parts.keys.ed25519Key, ...this.#missing()]);
      if (this.#stopping.signal.aborted) return;
    }
    // Ours: sooner than the next epoch, at ever longer intervals, while nodes were never heard of. A whole network may have
    // started at once, or the block with our registration is not read by others yet.
    const { source, book, keys } = this.#parts;
    const isHeard = ({ ed25519Hex }: Member) =>
      ed25519Hex === keys.ed25519Hex || book.proofOf(ed25519Hex) !== undefined;
    if (source.current().members.every(isHeard)) return;
    this.#pullAfter(this.#pullPauseMs);
    this.#pullPauseMs = Math.min(2 * this.#pullPauseMs, MOST_RETRY_PULL_MS);
  }

  /** Other nodes of which no proof is held, or one that should have been followed by another. */
  #missing(): Uint8Array[] {
    const { source, book, keys } = this.#parts;
    const { frequencyMs, toleranceMs } = book.rules;
    const now = this.#env.clock.now();
    return source
      .current()
      .members.filter(({ ed25519Hex }) => {
        if (ed25519Hex === keys.ed25519Hex) return false;
        const known = book.proofOf(ed25519Hex);
        return known === undefined || now - known.receivedAt > frequencyMs + toleranceMs;
      })
      .map((member) => member.ed25519Key);
  }

  async #pullFrom(peer: KnownPeer, keys: readonly Uint8Array[]): Promise<void> {
    for (let at = 0; at < keys.length; at += KEYS_PER_PULL) {
      const wanted = keys.slice(at, at + KEYS_PER_PULL);
      const reply = await this.#request(peer, 'sn.chain_proofs', encodeBt({ k: concat(...wanted) }));
      const list = reply?.[0];
      if (list === undefined || !this.#takeList(list, wanted, peer)) return;
    }
  }

  /** False when the answer is none. */
  #takeList(list: Uint8Array, wanted: readonly Uint8Array[], peer: KnownPeer): boolean {
    if (list.length > wanted.length * (MAX_PROOF_BYTES + KEY_BYTES * 4)) return false;
    try {
      const items = decodeBt(list, { maxDepth: 2, maxValues: 4 * wanted.length + 4 });
      if (!Array.isArray(items) || items.length > wanted.length) return false;
      for (const item of items) this.#judge(encodeBt(item), 'pulled', peer.keyHex);
      return true;
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      this.#env.log.debug(
        { peer: peer.keyHex.slice(0, 8) },
        'the answer to a question for proofs is malformed',
      );
      return false;
    }
  }

  #request(peer: KnownPeer, command: string, part: Uint8Array): Promise<Uint8Array[] | undefined> {
    const options = { timeoutMs: TIMEOUT_MS, signal: this.#stopping.signal };
    return ask(this.#parts.omq, peer, command, [part], options, (code) =>
      this.#env.log.debug({ peer: peer.keyHex.slice(0, 8), command, code }, 'proofs not exchanged'),
    );
  }
}

const knownPeer = (member: Member): KnownPeer => ({ ...peerOf(member), keyHex: member.ed25519Hex });

function toWord(part: Uint8Array): string {
  try {
    return fromUtf8(part.subarray(0, 32));
  } catch {
    return '';
  }
}
