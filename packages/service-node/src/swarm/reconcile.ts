// SPDX-License-Identifier: AGPL-3.0-or-later
// Anti-entropy between members of a swarm (spec/storage-server §5.13, docs/decisions/0010): now and then a member compares
// with another what both hold, and each gets what it missed. Signed acts go first, so that neither side is asked for
// messages that the other one knows to be deleted. A node that left the swarm gives in the same way, and takes nothing
// (docs/decisions/0013).
import type { OmqEndpoint } from '@allium/net/omq/endpoint';
import { OmqError } from '@allium/net/omq/endpoint';
import { toHex } from '@allium/protocol/bytes';
import { type Cancel, delay, type Env } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import { type Member, type Membership, swarmFor } from '@allium/protocol/membership';
import { decodeDataPush } from '@allium/protocol/storage/data-push';
import {
  type ActEntry,
  DIGEST_BYTES,
  decodeActKeys,
  decodeHeld,
  decodeReconcileReply,
  decodeReconcileRequest,
  encodeActKeys,
  encodeHeld,
  encodeReconcileReply,
  encodeReconcileRequest,
  type HeldEntry,
  type ReconcileKind,
  type ReconcileReply,
  type ReconcileRequest,
} from '@allium/protocol/storage/reconcile';
import { decodeForward } from '@allium/protocol/storage/request-reader';
import { encodeForward } from '@allium/protocol/storage/request-writer';
import { RequestError } from '@allium/protocol/storage/requests';
import type { Mailbox } from '../mailbox/mailbox.ts';
import { hashText, type NewMessage, type WholeMessage } from '../mailbox/messages.ts';
import type { Metrics } from '../metrics.ts';
import type { Executor } from '../rpc/executor.ts';
import { acceptPushed, encodeMessages, sendData } from './data-push.ts';
import {
  after,
  digestRanges,
  type Entry,
  entriesAt,
  type Read,
  rangeOf,
  differing as unequal,
} from './digest.ts';
import { hasAddress } from './replication.ts';
import type { Swarm } from './swarm.ts';

// Ours.
const TIMEOUT_MS = 30_000;
/** Messages about to expire are not worth the trouble. */
const CUTOFF_MS = 10_000;
const MAX_CUTOFF_OFF_MS = 600_000;
/** The times of changes may come from a clock that is ahead. */
const MAX_SKEW_MS = 70_000;
const MAX_LIFE_MS = 30 * 86_400_000;
/** Entries compared per round: some 0.15 s of work in small steps. A larger mailbox takes several rounds. */
const ROUND_ENTRIES = 20_000;
/** Ranges with no more entries than this are compared one by one. */
const LIST_ENTRIES = 256;
const DEEPEST = 6;
/** So many at most are listed: there may be more than when they were counted. */
const LISTED_ENTRIES = 512;
/** Signatures verified, or expiries settled, in one turn of the event loop. */
const STEP_ITEMS = 32;
/** Bytes of one transfer. */
const STEP_BYTES = 250_000;
/** Questions of one member that may wait for their turn; an honest one has one. */
const MAX_WAITING = 4;
/** Questions of all others together: whoever hands over after a change of swarms can wait. */
const MAX_WAITING_OTHERS = 8;
/** A member that does not know the command may be updated some day. */
const TRY_AGAIN_MS = 3_600_000;

const EVERYTHING = new Uint8Array(0);
/** Acts first. */
const KINDS: readonly ReconcileKind[] = ['a', 'm'];
/** Stands for all callers that are not of our swarm. */
const OTHERS = '';

export interface ReconcilerParts {
  readonly mailbox: Mailbox;
  readonly omq: OmqEndpoint;
  readonly swarm: Swarm;
  readonly metrics: Metrics;
  readonly executor: Pick<Executor, 'executeAct'>;
  /** Seconds between two rounds, in the mean; 0: never. */
  readonly everySeconds: number;
  readonly bytesPerSecond: number;
}

/** The peer does not answer, or not with sense: the round ends. */
class PeerError extends Error {}

/** Who asks. */
export interface ReconcileCaller {
  readonly keyHex: string;
  /** Of its swarm by the list in force; undefined for a node that has left the list and hands over. */
  readonly swarmId: bigint | undefined;
}

interface Round {
  readonly peer: Member;
  /** Whose accounts are compared: the peer's. */
  readonly swarm: bigint;
  readonly cutoff: number;
  /** Nothing is taken from the peer: we are not of its swarm. */
  readonly isGift: boolean;
}

export class Reconciler {
  readonly #parts: ReconcilerParts;
  readonly #env: Env;
  /** Where the next round goes on, per kind: first byte of the keys. */
  readonly #next: Record<ReconcileKind, number> = { a: 0, m: 0 };
  /** Members that do not know the command, and until when that is believed. */
  readonly #cannot = new Map<string, number>();
  #swarms = new Map<string | number, bigint | undefined>();
  #swarmsOf: Membership | undefined;
  #cancel: Cancel | undefined;
  #round: Promise<unknown> | undefined;
  #answering: Promise<unknown> = Promise.resolve();
  /** Questions per caller; those of callers that are not of our swarm count for one more together. */
  readonly #waiting = new Map<string, number>();
  #stopping = new AbortController();

  constructor(parts: ReconcilerParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
  }

  start(): void {
    this.#stopping = new AbortController();
    this.#schedule();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#cancel?.();
    await this.#round;
    await this.#answering;
  }

  #schedule(): void {
    const { everySeconds } = this.#parts;
    if (everySeconds === 0 || this.#stopping.signal.aborted) return;
    // Between half and one and a half of the time, so that members do not fall into step.
    const ms = Math.round(everySeconds * 1000 * 0.5) + this.#env.random.below(everySeconds * 1000);
    this.#cancel = this.#env.clock.after(ms, () => {
      this.#round = this.#pick().then(() => {
        this.#round = undefined;
        this.#schedule();
      });
    });
  }

  async #pick(): Promise<void> {
    const now = this.#env.clock.monotonic();
    const able = this.#parts.swarm.peers.filter(
      (peer) => hasAddress(peer) && (this.#cannot.get(peer.ed25519Hex) ?? now) <= now,
    );
    const peer = able[able.length === 0 ? 0 : this.#env.random.below(able.length)];
    if (peer !== undefined) await this.reconcile(peer);
  }

  /** One round with a member; true when all went well. */
  async reconcile(peer: Member): Promise<boolean> {
    const { metrics } = this.#parts;
    const before = metrics.reconciledItems;
    const went = await this.#whole(async () => {
      const round = this.#begin(peer, false);
      for (const kind of KINDS) {
        // As much of the ring as fits a round.
        const first = this.#next[kind];
        const done = await this.#compare(round, kind, EVERYTHING, first);
        this.#next[kind] = (first + done) % 256;
      }
      metrics.reconcileRounds++;
    });
    const items = metrics.reconciledItems - before;
    if (items > 0) this.#env.log.info({ peer: peer.ed25519Hex.slice(0, 8), items }, 'differences repaired');
    return went;
  }

  /**
   * Gives a member of any swarm all that we have of its accounts and it has not; true when it has it. Nothing is taken:
   * what we do not serve any more is not ours to collect.
   */
  give(peer: Member, kinds: readonly ReconcileKind[] = KINDS): Promise<boolean> {
    return this.#whole(async () => {
      const round = this.#begin(peer, true);
      for (const kind of kinds) {
        for (let at = 0; at < 256; ) at += await this.#compare(round, kind, EVERYTHING, at);
      }
    });
  }

  /** Whether a member did not know the command when it was asked last. */
  cannot({ ed25519Hex }: Member): boolean {
    return (this.#cannot.get(ed25519Hex) ?? Number.NEGATIVE_INFINITY) > this.#env.clock.monotonic();
  }

  #begin(peer: Member, isGift: boolean): Round {
    return { peer, swarm: peer.swarmId, cutoff: this.#env.clock.now() + CUTOFF_MS, isGift };
  }

  async #whole(work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      this.#parts.metrics.reconcileFailures++;
      const expected = error instanceof PeerError || error instanceof ParseError;
      if (!expected && !this.#stopping.signal.aborted)
        this.#env.log.error({ error: String(error) }, 'comparing with a member failed');
      return false;
    }
  }

  /** Compares the ranges of the next byte after `prefix`, and repairs what differs; returns how many it got through. */
  async #compare(round: Round, kind: ReconcileKind, prefix: Uint8Array, first = 0): Promise<number> {
    const { peer, cutoff, swarm, isGift } = round;
    const read = this.#read(kind, cutoff, swarm);
    const { bytes: own, entries: total } = await this.#digests(read, prefix, first, 256 - first);
    const count = own.length / DIGEST_BYTES;
    if (isGift && total === 0) return count;
    const { digests } = await this.#ask(peer, { ask: 'digests', kind, cutoff, prefix, first, count });
    const done = (digests?.length ?? 0) / DIGEST_BYTES;
    if (digests === undefined || done === 0 || done > count) throw new PeerError('no digests');
    for (const { index, entries } of unequal(own, digests)) {
      if (isGift && entriesAt(own, index) === 0) continue;
      const range = Buffer.concat([prefix, Buffer.of(first + index)]);
      if (entries > LIST_ENTRIES && range.length < DEEPEST) {
        for (let at = 0; at < 256; ) at += await this.#compare(round, kind, range, at);
      } else if (kind === 'a') await this.#repairActs(round, range);
      else await this.#repairMessages(round, range);
    }
    return done;
  }

  async #repairActs({ peer, cutoff, swarm, isGift }: Round, prefix: Uint8Array): Promise<void> {
    const { mailbox, metrics } = this.#parts;
    const { list = EVERYTHING } = await this.#ask(peer, { ask: 'list', kind: 'a', cutoff, prefix });
    const theirs = new Map(decodeActKeys(list).map((entry) => [toHex(entry.key), entry]));
    const missing: ActEntry[] = [];
    for (const { key, value: time } of this.#all('a', cutoff, swarm, prefix)) {
      const other = theirs.get(toHex(key));
      if (other !== undefined && other.time > time) continue;
      theirs.delete(toHex(key));
      const act = other?.time === time ? undefined : mailbox.acts.get(key);
      if (act !== undefined) missing.push(act);
    }
    let wanted = isGift ? [] : [...theirs.values()].map(({ key }) => key);
    while (wanted.length > 0) {
      const { acts = [] } = await this.#ask(peer, { ask: 'get', kind: 'a', keys: wanted });
      if (acts.length === 0) break;
      metrics.reconciledItems += await this.#takeActs(acts);
      wanted = wanted.slice(acts.length);
    }
    for (const acts of packed(missing, ({ body }) => body.length)) {
      await this.#ask(peer, { ask: 'put', kind: 'a', acts });
      metrics.reconciledItems += acts.length;
    }
  }

  async #repairMessages({ peer, cutoff, swarm, isGift }: Round, prefix: Uint8Array): Promise<void> {
    const { mailbox, metrics, omq } = this.#parts;
    const { list = EVERYTHING } = await this.#ask(peer, { ask: 'list', kind: 'm', cutoff, prefix });
    const theirs = new Map(decodeHeld(list).map((entry) => [toHex(entry.hash), entry]));
    const differing: Uint8Array[] = [];
    const missing: Uint8Array[] = [];
    for (const { key } of this.#all('m', cutoff, swarm, prefix)) {
      const own = mailbox.find(key);
      if (own === undefined) continue;
      const other = theirs.get(toHex(key));
      if (other === undefined) missing.push(key);
      else if (own.expiry !== other.expiry) differing.push(key);
    }
    let wanted = isGift
      ? []
      : [...theirs.values()].flatMap(({ hash }) => (mailbox.find(hash) === undefined ? [hash] : []));
    if (differing.length > 0) {
      if (!isGift) {
        metrics.reconciledItems += await this.#takeExpiries(
          differing.flatMap((hash) => theirs.get(toHex(hash)) ?? []),
        );
      }
      const held = differing.flatMap((hash) => mailbox.find(hash) ?? []);
      await this.#ask(peer, { ask: 'put', kind: 'm', held });
    }
    while (wanted.length > 0) {
      const { blob } = await this.#ask(peer, { ask: 'get', kind: 'm', keys: wanted });
      if (blob === undefined) break;
      const taken = await this.#takeMessages(blob, wanted, theirs);
      if (taken === 0) break;
      wanted = wanted.slice(taken);
    }
    for (const hashes of packed(missing, (hash) => mailbox.byHash(hash)?.data.length ?? 0)) {
      const messages = hashes.flatMap((hash) => mailbox.byHash(hash) ?? []);
      if (messages.length === 0) continue;
      for (const blob of encodeMessages(messages)) {
        await this.#spend(blob.length);
        const delivery = await sendData(omq, peer, blob, this.#stopping.signal);
        if (delivery === 'silent' || (isGift && delivery === 'refused')) throw new PeerError('not taken');
      }
      metrics.reconciledItems += messages.length;
    }
  }

  /** What a peer answered to `get`: how many of `wanted` that settles. */
  async #takeMessages(
    blob: Uint8Array,
    wanted: readonly Uint8Array[],
    theirs: ReadonlyMap<string, HeldEntry>,
  ): Promise<number> {
    const { mailbox, swarm, metrics } = this.#parts;
    const pushed = decodeDataPush(blob);
    const accepted: NewMessage[] = [];
    const places = new Map(wanted.map((hash, place) => [hashText(hash), place]));
    let last = -1;
    for (const message of pushed) {
      const place = places.get(message.hash);
      last = Math.max(last, place ?? -1);
      const good = place === undefined ? undefined : acceptPushed(message, swarm, this.#env.clock);
      if (good === undefined) continue;
      const changed = theirs.get(toHex(good.hash))?.changed ?? 0;
      accepted.push({ ...good, changed: changed > this.#latest() ? 0 : changed });
    }
    for (let i = 0; i < accepted.length; i += 100) {
      const stored = await mailbox.storeMany(accepted.slice(i, i + 100));
      metrics.reconciledItems += stored;
      metrics.messagesReceived += stored;
    }
    return last + 1;
  }

  #latest(): number {
    return this.#env.clock.now() + MAX_SKEW_MS;
  }

  /** Only what could be true: nobody may keep a message for ever, or forbid all later changes. */
  async #takeExpiries(held: readonly HeldEntry[]): Promise<number> {
    const latest = this.#latest();
    let count = 0;
    for (let i = 0; i < held.length; i += STEP_ITEMS) {
      const good = held
        .slice(i, i + STEP_ITEMS)
        .filter(({ expiry, changed }) => expiry <= latest + MAX_LIFE_MS && changed <= latest);
      count += await this.#parts.mailbox.adoptExpiries(good);
    }
    return count;
  }

  /** How many were good. */
  async #takeActs(acts: readonly ActEntry[]): Promise<number> {
    let count = 0;
    for (const [i, { method, time, body }] of acts.entries()) {
      if (i % STEP_ITEMS === STEP_ITEMS - 1) await this.#pause();
      try {
        const request = decodeForward(method, body);
        // One request has one form, or a liar could fill the table with forms of one.
        if (request === undefined || !Buffer.from(encodeForward(request)).equals(body)) continue;
        if (await this.#parts.executor.executeAct(request, time)) count++;
      } catch (error) {
        if (!(error instanceof RequestError || error instanceof ParseError)) throw error;
      }
    }
    return count;
  }

  /** Handler of `sn.reconcile`. */
  async answer({ keyHex, swarmId }: ReconcileCaller, part: Uint8Array | undefined): Promise<Uint8Array[]> {
    const own = this.#parts.swarm.id;
    if (part === undefined || own === undefined || this.#stopping.signal.aborted) return [];
    const isOurs = swarmId === own;
    const places = isOurs ? [keyHex] : [keyHex, OTHERS];
    const count = (place: string) => this.#waiting.get(place) ?? 0;
    if (count(keyHex) >= MAX_WAITING || (!isOurs && count(OTHERS) >= MAX_WAITING_OTHERS)) return [];
    for (const place of places) this.#waiting.set(place, count(place) + 1);
    const mine = this.#answering.then(() => this.#reply(decodeReconcileRequest(part), own, isOurs));
    this.#answering = mine.catch(() => undefined);
    try {
      return [encodeReconcileReply(await mine)];
    } catch (error) {
      if (error instanceof ParseError || this.#stopping.signal.aborted) return [];
      throw error;
    } finally {
      for (const place of places) {
        if (count(place) > 1) this.#waiting.set(place, count(place) - 1);
        else this.#waiting.delete(place);
      }
    }
  }

  async #reply(request: ReconcileRequest, own: bigint, isOurs: boolean): Promise<ReconcileReply> {
    const { mailbox } = this.#parts;
    if ('cutoff' in request) {
      const { kind, prefix, cutoff } = request;
      if (Math.abs(cutoff - CUTOFF_MS - this.#env.clock.now()) > MAX_CUTOFF_OFF_MS) return {};
      if (request.ask === 'digests') {
        const read = this.#read(kind, cutoff, own);
        return { digests: (await this.#digests(read, prefix, request.first, request.count)).bytes };
      }
      const entries = this.#all(kind, cutoff, own, prefix);
      if (kind === 'a')
        return { list: encodeActKeys(entries.map(({ key, value }) => ({ key, time: value }))) };
      return { list: encodeHeld(entries.flatMap(({ key }) => mailbox.find(key) ?? [])) };
    }
    if (request.ask === 'put') {
      if (request.kind === 'a') await this.#takeActs(request.acts);
      else await this.#takeExpiries(request.held);
      return {};
    }
    // Others give; what is here is for members.
    if (!isOurs) return {};
    let bytes = 0;
    if (request.kind === 'a') {
      const acts: ActEntry[] = [];
      for (const key of request.keys) {
        const act = mailbox.acts.get(key);
        if (act === undefined) continue;
        bytes += act.body.length;
        if (acts.length > 0 && (bytes > STEP_BYTES || acts.length === LIST_ENTRIES)) break;
        acts.push(act);
      }
      return { acts };
    }
    const messages: WholeMessage[] = [];
    for (const hash of request.keys) {
      const message = mailbox.byHash(hash);
      if (message === undefined || !this.#parts.swarm.serves(message.account.subarray(1))) continue;
      bytes += message.data.length;
      if (messages.length > 0 && bytes > STEP_BYTES) break;
      messages.push(message);
    }
    return { blob: encodeMessages(messages).next().value as Uint8Array };
  }

  // --- what we hold ---

  #digests(read: Read, prefix: Uint8Array, first: number, count: number) {
    return digestRanges(read, prefix, first, count, ROUND_ENTRIES, () => this.#pause());
  }

  /** Lets others have the event loop. */
  #pause(): Promise<void> {
    return delay(this.#env.clock, 0, this.#stopping.signal);
  }

  #all(kind: ReconcileKind, cutoff: number, swarm: bigint, prefix: Uint8Array): Entry[] {
    const { from, to } = rangeOf(prefix);
    return this.#read(kind, cutoff, swarm)(from, to, LISTED_ENTRIES).entries;
  }

  /** Entries of accounts of one swarm: after a change of swarms those of others are left until they expire. */
  #read(kind: ReconcileKind, cutoff: number, swarm: bigint): Read {
    const { mailbox } = this.#parts;
    if (kind === 'a') {
      return (from, to, limit) => {
        const rows = mailbox.acts.keys(from, to, limit);
        const entries = rows
          .filter(({ account }) => this.#swarmOf(toHex(account), () => account) === swarm)
          .map(({ key, time }) => ({ key, value: time }));
        return { entries, next: rows.length < limit ? undefined : after(rows[rows.length - 1]!.key) };
      };
    }
    return (from, to, limit) => {
      const rows = mailbox.held(from, to, cutoff, limit);
      const entries = rows
        .filter(({ account }) => this.#swarmOf(account, () => mailbox.accountOf(account)) === swarm)
        .map(({ hash, expiry }) => ({ key: hash, value: expiry }));
      return { entries, next: rows.length < limit ? undefined : after(rows[rows.length - 1]!.hash) };
    };
  }

  #swarmOf(id: string | number, account: () => Uint8Array | undefined): bigint | undefined {
    const { membership } = this.#parts.swarm;
    if (this.#swarmsOf !== membership || this.#swarms.size > 100_000) {
      this.#swarmsOf = membership;
      this.#swarms = new Map();
    }
    let found = this.#swarms.get(id);
    if (found === undefined) {
      const bytes = account();
      found = bytes && swarmFor(membership, bytes.subarray(1))?.id;
      this.#swarms.set(id, found);
    }
    return found;
  }

  // --- the wire ---

  /** Waits as long as `bytes` may take. */
  #spend(bytes: number): Promise<void> {
    this.#parts.metrics.reconciledBytes += bytes;
    const ms = Math.ceil((bytes / this.#parts.bytesPerSecond) * 1000);
    return delay(this.#env.clock, ms, this.#stopping.signal);
  }

  async #ask(peer: Member, request: ReconcileRequest): Promise<ReconcileReply> {
    const body = encodeReconcileRequest(request);
    let reply: Uint8Array[];
    try {
      reply = await this.#parts.omq.request(
        { host: peer.host, port: peer.omqPort, publicKey: peer.x25519Key },
        'sn.reconcile',
        [body],
        { timeoutMs: TIMEOUT_MS, signal: this.#stopping.signal },
      );
    } catch (error) {
      if (!(error instanceof OmqError)) throw error;
      if (request.ask === 'digests') this.#rememberSilence(peer, error);
      throw new PeerError('no answer', { cause: error });
    }
    if (reply[0] === undefined) throw new PeerError('nothing to say');
    await this.#spend(body.length + reply[0].length);
    return decodeReconcileReply(reply[0]);
  }

  /** Nodes of other software do not know the command; there is no use in asking every minute. */
  #rememberSilence(peer: Member, { code }: OmqError): void {
    if (code !== 'timeout' && code !== 'refused') return;
    this.#cannot.set(peer.ed25519Hex, this.#env.clock.monotonic() + TRY_AGAIN_MS);
  }
}

/** Groups of about `STEP_BYTES` each. */
function* packed<T>(items: readonly T[], size: (item: T) => number): Generator<T[]> {
  let group: T[] = [];
  let bytes = 0;
  for (const item of items) {
    const more = size(item);
    if (group.length > 0 && (bytes + more > STEP_BYTES || group.length === LIST_ENTRIES)) {
      yield group;
      group = [];
      bytes = 0;
    }
    group.push(item);
    bytes += more;
  }
  if (group.length > 0) yield group;
}
