// SPDX-License-Identifier: MIT
// Whether the node list that a stranger hands us is that of the network (spec/chain §4.22, §4.23). A list is checked
// against what we trust: a membership certificate or signed list that came with the program or was checked before, or a
// `ListVerifier` that reads the chain. What is newer is accepted only when members of the trusted one vouch for it.
import { fromBase64, fromHex, toBase64, toHex } from '@allium/protocol/bytes';
import { ed25519PublicKeyToX25519 } from '@allium/protocol/crypto';
import type { Env } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import { type Json, type JsonInput, type JsonObject, parseJson, stringifyJson } from '@allium/protocol/json';
import {
  ANCHOR_MAX_AGE_MS,
  acceptCertificate,
  CertificateError,
  type MembershipCertificate,
  parseCertificate,
} from '@allium/protocol/membership/certificate';
import {
  CERTIFICATE_METHOD,
  type CertificateQuery,
  parseCertificateAnswer,
  parseStaticListAnswer,
  STATIC_LIST_METHOD,
} from '@allium/protocol/membership/evidence';
import {
  acceptStaticList,
  countSignatures,
  parseStaticList,
  type StaticList,
  staticListDigest,
} from '@allium/protocol/membership/static-list';
import { decodeSignedProof, verifyUptimeProof } from '@allium/protocol/membership/uptime-proof';
import type { ServiceNodeState } from '@allium/protocol/storage/service-node-list';
import type { Storage } from '../storage/storage.ts';
import { certificateDigest, type EpochTimes, statementName, type TrustAnchor } from './trust-anchor.ts';

// Ours.
/** Certificates fetched to get from the trusted one to the newest. */
const MAX_FETCHES = 24;
/** A list that leaves out more of the members than this shows us the part that somebody chose. */
const LEAST_SHARE = 1 / 2;
/** Proofs are renewed every hour or more often; clocks differ. */
const PROOF_MAX_AGE_MS = 24 * 60 * 60_000;
const SETTING = 'trust';
const LIST_SETTING = 'list_trust';

/** Who belongs to the network, from a source that needs no trust in nodes: the chain. */
export interface ListVerifier {
  /** Ed25519 keys in hex of all active members. Rejects when it cannot tell. */
  members(signal: AbortSignal): Promise<ReadonlySet<string>>;
}

export interface TrustOptions {
  readonly anchor?: TrustAnchor;
  /** Asked first; the anchor counts when it cannot tell. */
  readonly verifier?: ListVerifier;
  /** Use no list that cannot be verified. Default false: such a list is used and marked. */
  readonly requireVerified?: boolean;
}

/**
 * - `no_list`: none was fetched yet. `no_anchor`: there is nothing to check it against.
 * - `seeds_agree`: nothing to check it against, but three seeds or more name the same members.
 * - `no_evidence`: nobody gave a certificate or signed list that the trusted one vouches for.
 * - `chain_silent`: the verifier could not tell, and there is no anchor.
 * - `other_members`: the list does not name those members, or too few of them.
 * - `anchor_expired`: the trusted one is too old to vouch for anything.
 */
export type TrustReason =
  | 'no_list'
  | 'no_anchor'
  | 'seeds_agree'
  | 'no_evidence'
  | 'chain_silent'
  | 'other_members'
  | 'anchor_expired';

export interface TrustState {
  readonly state: 'verified' | 'unverified' | 'expired';
  /** Undefined when verified. */
  readonly reason: TrustReason | undefined;
  /** What vouches for the list. */
  readonly by: 'certificate' | 'static_list' | 'chain' | undefined;
  /** Epoch of the trusted certificate, or version of the signed list. */
  readonly version: number | undefined;
  /** Nodes of the last list that were left out. */
  readonly refused: number;
}

/** Asks a node or a seed one method of spec/chain §4.22; the result object, or rejects. */
export type AskEvidence = (method: string, params: JsonInput) => Promise<Json>;

export type ListedEntry = Pick<ServiceNodeState, 'ed25519Hex' | 'x25519Hex' | 'host' | 'httpsPort'> & {
  readonly proof?: Uint8Array | undefined;
};

export interface Checked<T> {
  readonly nodes: readonly T[];
  readonly state: TrustState;
}

/** What is trusted at present. */
type Trusted =
  | { readonly kind: 'certificate'; readonly certificate: MembershipCertificate; readonly bytes: Uint8Array }
  | { readonly kind: 'static_list'; readonly list: StaticList; readonly bytes: Uint8Array };

/** Members by key; a value: where the signed list says it is. */
type Members = ReadonlyMap<string, { readonly host: string; readonly httpsPort: number } | undefined>;

/** Of a list that nobody has checked. */
export const NOT_CHECKED: TrustState = {
  state: 'unverified',
  reason: 'no_list',
  by: undefined,
  version: undefined,
  refused: 0,
};

export class Trust {
  readonly #options: TrustOptions;
  readonly #deps: { readonly storage: Storage; readonly env: Env };
  readonly #anchorName: string;
  #trusted: Trusted | undefined;
  #state: TrustState = NOT_CHECKED;

  /** @throws ParseError for an anchor that is none */
  constructor(options: TrustOptions, deps: { readonly storage: Storage; readonly env: Env }) {
    this.#options = options;
    this.#deps = deps;
    const { anchor } = options;
    if (!this.isGiven) this.#state = { ...NOT_CHECKED, reason: 'no_anchor' };
    this.#anchorName = anchorName(anchor);
    if (anchor?.kind === 'certificate') this.#trusted = readTrusted('certificate', anchor.certificate);
    if (anchor?.kind === 'static_list') this.#trusted = readTrusted('static_list', anchor.list);
  }

  get state(): TrustState {
    return this.#state;
  }

  set state(state: TrustState) {
    this.#state = state;
  }

  get isRequired(): boolean {
    return this.#options.requireVerified === true;
  }

  /** Whether there is anything to check a list against. */
  get isGiven(): boolean {
    return this.#options.anchor !== undefined || this.#options.verifier !== undefined;
  }

  /** Seeds are asked for the uptime proofs of nodes: one of them alone says where all nodes are. */
  get wantsProofs(): boolean {
    const kind = this.#options.anchor?.kind;
    return kind === 'certificate' || kind === 'certificate_digest' || this.#options.verifier !== undefined;
  }

  /** What the last run had accepted, when it began from the same anchor. */
  async load(): Promise<void> {
    const text = await this.#deps.storage.setting(SETTING);
    if (text === undefined || this.#options.anchor === undefined) return;
    try {
      const { anchor, kind, bytes } = parseJson(text) as JsonObject;
      if (anchor !== this.#anchorName || typeof bytes !== 'string') return;
      if (kind === 'certificate' || kind === 'static_list') {
        this.#trusted = readTrusted(kind, fromBase64(bytes));
      }
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      this.#deps.env.log.warn({ error: error.message }, 'the stored list of members is not readable');
    }
  }

  /** Whether the stored node list was verified when it was stored, and still counts. */
  async restore(): Promise<boolean> {
    const text = await this.#deps.storage.setting(LIST_SETTING);
    if (!this.isGiven || text !== this.#anchorName) return false;
    const by = this.#options.anchor === undefined ? { by: 'chain' as const, version: undefined } : this.#by();
    this.#state = this.#aged({ ...NOT_CHECKED, state: 'verified', reason: undefined, ...by });
    return this.#state.state === 'verified';
  }

  /** Remembers in which state the stored list is. */
  async remember(): Promise<void> {
    const name = this.#state.state === 'verified' ? this.#anchorName : undefined;
    await this.#deps.storage.write({ settings: { [LIST_SETTING]: name } });
  }

  /**
   * Keeps of a list the nodes that are vouched for. Does not change what `state` says.
   * @param proven several nodes agree on the list: its addresses need no proofs
   */
  async check<T extends ListedEntry>(
    entries: readonly T[],
    ask: AskEvidence,
    options: { readonly proven: boolean; readonly signal: AbortSignal },
  ): Promise<Checked<T>> {
    if (!this.isGiven) return this.#unchecked(entries, 'no_anchor');
    const chain = await this.#fromChain(options.signal);
    let members = chain;
    if (members === undefined) {
      if (this.#options.anchor === undefined) return this.#unchecked(entries, 'chain_silent');
      await this.#advance(ask, options.signal);
      if (this.#trusted === undefined) return this.#unchecked(entries, 'no_evidence');
      if (this.#isExpired()) {
        const { nodes } = this.#unchecked(entries, 'anchor_expired');
        return { nodes, state: this.#aged({ ...NOT_CHECKED, ...this.#by() }) };
      }
      members = membersOf(this.#trusted);
    }
    const nodes = entries.filter((entry) => this.#isVouchedFor(entry, members, options.proven));
    const refused = entries.length - nodes.length;
    const by = chain === undefined ? this.#by() : { by: 'chain' as const, version: undefined };
    if (nodes.length === 0 || nodes.length < members.size * LEAST_SHARE) {
      const { nodes: all, state } = this.#unchecked(entries, 'other_members');
      return { nodes: all, state: { ...state, ...by, refused } };
    }
    return { nodes, state: { state: 'verified', reason: undefined, ...by, refused } };
  }

  #unchecked<T>(nodes: readonly T[], reason: TrustReason): Checked<T> {
    return { nodes, state: { ...NOT_CHECKED, reason } };
  }

  #isVouchedFor(entry: ListedEntry, members: Members, proven: boolean): boolean {
    if (!members.has(entry.ed25519Hex)) return false;
    const place = members.get(entry.ed25519Hex);
    if (place !== undefined && (place.host !== entry.host || place.httpsPort !== entry.httpsPort))
      return false;
    // Who lists a member with an encryption key of his own reads what is meant for it.
    const x25519 = ed25519PublicKeyToX25519(fromHex(entry.ed25519Hex, 32));
    if (x25519 === undefined || toHex(x25519) !== entry.x25519Hex) return false;
    if (place !== undefined) return true;
    // Signed by the node itself; needed where one seed alone could say that all nodes are where it likes.
    if (entry.proof === undefined) return proven;
    return this.#isProof(entry, entry.proof);
  }

  #isProof(entry: ListedEntry, wire: Uint8Array): boolean {
    try {
      const signed = decodeSignedProof(wire);
      const { proof } = signed;
      const trusted = this.#trusted;
      if (trusted?.kind === 'certificate') {
        const { chainId, registry } = trusted.certificate;
        if (proof.chainId !== chainId || proof.registry !== `0x${toHex(registry)}`) return false;
      }
      const isHere = proof.host === entry.host && proof.httpsPort === entry.httpsPort;
      const age = Math.abs(this.#deps.env.clock.now() - proof.time * 1000);
      if (proof.ed25519Hex !== entry.ed25519Hex || !isHere || age > PROOF_MAX_AGE_MS) return false;
      return verifyUptimeProof(signed);
    } catch (error) {
      if (error instanceof ParseError) return false;
      throw error;
    }
  }

  async #fromChain(signal: AbortSignal): Promise<Members | undefined> {
    const { verifier } = this.#options;
    if (verifier === undefined) return undefined;
    try {
      return new Map([...(await verifier.members(signal))].map((key) => [key, undefined]));
    } catch (error) {
      signal.throwIfAborted();
      this.#deps.env.log.warn({ error: String(error) }, 'the chain does not tell who belongs to the network');
      return undefined;
    }
  }

  // --- From the trusted to the newest --------------------------------------------------------------------------------

  async #advance(ask: AskEvidence, signal: AbortSignal): Promise<void> {
    const { anchor } = this.#options;
    const before = this.#trusted;
    try {
      if (anchor?.kind === 'static_list' || anchor?.kind === 'admins') await this.#advanceStatic(ask);
      else await this.#advanceCertificate(ask);
    } catch (error) {
      signal.throwIfAborted();
      // Seeds of other kinds do not know the question; an answer that is none is no evidence.
      this.#deps.env.log.debug({ error: String(error) }, 'no evidence of who belongs to the network');
    }
    if (this.#trusted === undefined || this.#trusted === before) return;
    const { kind, bytes } = this.#trusted;
    const kept = stringifyJson({ anchor: this.#anchorName, kind, bytes: toBase64(bytes) });
    await this.#deps.storage.write({ settings: { [SETTING]: kept } });
  }

  async #advanceStatic(ask: AskEvidence): Promise<void> {
    const { anchor } = this.#options;
    const bytes = parseStaticListAnswer(await ask(STATIC_LIST_METHOD, {}));
    const candidate = parseStaticList(bytes);
    const trusted = this.#trusted;
    const now = this.#deps.env.clock.now() / 1000;
    let isGood = false;
    if (trusted?.kind === 'static_list') {
      isGood = acceptStaticList(candidate, trusted.list, now).accepted;
    } else if (anchor?.kind === 'admins') {
      isGood = candidate.expires > now && countSignatures(candidate, anchor.admins) >= anchor.threshold;
    }
    if (isGood) this.#trusted = { kind: 'static_list', list: candidate, bytes };
  }

  /** Accepts the newest, over others in between where too many members have changed (spec/chain §4.22). */
  async #advanceCertificate(ask: AskEvidence): Promise<void> {
    const fetch = async (query: CertificateQuery) => {
      const answer = parseCertificateAnswer(await ask(CERTIFICATE_METHOD, { ...query }));
      const { certificate: bytes } = answer;
      return { ...answer, found: bytes === undefined ? undefined : readTrusted('certificate', bytes) };
    };
    const held = this.#trusted?.kind === 'certificate' ? this.#trusted.certificate.epoch : undefined;
    // A certificate of a thousand nodes has 100 kB: only a newer one is asked for.
    const { epochs, found: newest } = await fetch(held === undefined ? {} : { after: held });
    let fetches = 1;
    if (newest === undefined) return;
    if (this.#trusted === undefined) {
      const digest = this.#anchorDigest;
      for (const epoch of [...epochs].reverse()) {
        if (fetches++ > MAX_FETCHES) return;
        const { found } = await fetch({ epoch });
        if (found === undefined || statementName(found.certificate) !== digest) continue;
        this.#trusted = found;
        break;
      }
    }
    // Nearer and nearer ones, until the trusted one vouches for it; then from there to the newest again.
    let goal = newest;
    while (fetches < MAX_FETCHES && this.#trusted?.kind === 'certificate') {
      const from = this.#trusted.certificate.epoch;
      if (goal.certificate.epoch <= from) {
        if (goal === newest) return;
        goal = newest;
        continue;
      }
      const refusal = this.#try(goal);
      if (refusal === undefined) {
        if (goal === newest) return;
        goal = newest;
        continue;
      }
      if (refusal !== 'too_few_signatures') return;
      const target = goal.certificate.epoch;
      const between = epochs.filter((epoch) => epoch > from && epoch < target);
      const middle = between[Math.floor((between.length - 1) / 2)];
      if (middle === undefined) return;
      fetches++;
      const { found } = await fetch({ epoch: middle });
      if (found?.certificate.epoch !== middle) return;
      goal = found;
    }
  }

  #try(candidate: Trusted & { kind: 'certificate' }): CertificateError['code'] | undefined {
    if (this.#trusted?.kind !== 'certificate') return undefined;
    try {
      const options = { epochNow: this.#epochNow(), trustedAgeMs: this.#ageMs() };
      acceptCertificate(this.#trusted.certificate, candidate.certificate, options);
      this.#trusted = candidate;
      return undefined;
    } catch (error) {
      if (!(error instanceof CertificateError)) throw error;
      this.#deps.env.log.debug({ code: error.code, message: error.message }, 'certificate not accepted');
      return error.code;
    }
  }

  // --- What is trusted ------------------------------------------------------------------------------------------------

  #times(): EpochTimes {
    const { anchor } = this.#options;
    if (anchor === undefined || !('t0' in anchor)) throw new Error('no times without a certificate');
    return anchor;
  }

  #epochNow(): number {
    const { t0, epochSeconds } = this.#times();
    return Math.floor((this.#deps.env.clock.now() / 1000 - t0) / epochSeconds);
  }

  #ageMs(): number {
    if (this.#trusted?.kind !== 'certificate') return 0;
    const { t0, epochSeconds } = this.#times();
    return this.#deps.env.clock.now() - 1000 * (t0 + this.#trusted.certificate.epoch * epochSeconds);
  }

  #isExpired(): boolean {
    if (this.#trusted?.kind === 'static_list') {
      return this.#trusted.list.expires * 1000 <= this.#deps.env.clock.now();
    }
    return this.#ageMs() > ANCHOR_MAX_AGE_MS;
  }

  #aged(state: TrustState): TrustState {
    return this.#trusted !== undefined && this.#isExpired()
      ? { ...state, state: 'expired', reason: 'anchor_expired' }
      : state;
  }

  #by(): Pick<TrustState, 'by' | 'version'> {
    const trusted = this.#trusted;
    if (trusted === undefined) return { by: undefined, version: undefined };
    return trusted.kind === 'certificate'
      ? { by: 'certificate', version: trusted.certificate.epoch }
      : { by: 'static_list', version: trusted.list.version };
  }

  get #anchorDigest(): string {
    const { anchor } = this.#options;
    return anchor?.kind === 'certificate_digest' ? anchor.digest.toLowerCase() : '';
  }
}

/** Names the anchor: what was accepted from another one does not count. */
function anchorName(anchor: TrustAnchor | undefined): string {
  switch (anchor?.kind) {
    case undefined:
      return 'chain';
    case 'certificate':
      return certificateDigest(anchor.certificate);
    case 'certificate_digest':
      return anchor.digest.toLowerCase();
    case 'static_list':
      return toHex(staticListDigest(parseStaticList(anchor.list)));
    case 'admins':
      return `${anchor.threshold} of ${[...anchor.admins].sort().join(' ')}`;
  }
}

function readTrusted<K extends Trusted['kind']>(kind: K, bytes: Uint8Array): Extract<Trusted, { kind: K }>;
function readTrusted(kind: Trusted['kind'], bytes: Uint8Array): Trusted {
  return kind === 'certificate'
    ? { kind, certificate: parseCertificate(bytes), bytes }
    : { kind, list: parseStaticList(bytes), bytes };
}

function membersOf(trusted: Trusted): Members {
  if (trusted.kind === 'certificate') {
    return new Map([...trusted.certificate.swarms.values()].flat().map((key) => [key, undefined]));
  }
  const known = trusted.list.nodes.filter((node) => node.host !== '0.0.0.0');
  return new Map(known.map(({ ed25519Hex, host, httpsPort }) => [ed25519Hex, { host, httpsPort }]));
}

const WORDS: Readonly<Record<TrustReason, string>> = {
  no_list: 'no node list was fetched yet',
  no_anchor: 'there is nothing to check the node list against',
  seeds_agree: 'there is nothing to check the node list against, but several seeds name the same members',
  no_evidence: 'nobody gave a certificate or signed list that the trusted one vouches for',
  chain_silent: 'the chain does not tell who belongs to the network',
  other_members: 'the node list does not name the members of the network',
  anchor_expired: 'what vouches for the members is too old, or the clock of this machine is wrong',
};

/** What a person should know, and do. */
export function explainTrust({ reason }: TrustState): string {
  if (reason === undefined) return 'the node list is that of the network';
  const isNew = reason === 'no_anchor' || reason === 'seeds_agree';
  const anchor = `${isNew ? 'name a' : 'get a newer'} certificate or signed list of the network (option trust)`;
  const isOfSeeds = reason === 'no_evidence' || reason === 'other_members';
  const advice =
    reason === 'chain_silent'
      ? 'name another endpoint of the chain, or a certificate of the network (option trust)'
      : `${isOfSeeds ? 'try another seed, ' : ''}${anchor}, or read the chain`;
  return `${WORDS[reason]}. ${advice[0]!.toUpperCase()}${advice.slice(1)}`;
}
