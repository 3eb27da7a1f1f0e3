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
import type { Member } from '@allium/protocol/membership';
import {
  type ActEntry,
  DIGEST_BYTES,
  decodeActKeys,
  decodeHeld,
  decodeReconcileReply,
  encodeReconcileRequest,
  type ReconcileKind,
  type ReconcileReply,
  type ReconcileRequest,
} from '@allium/protocol/storage/reconcile';
import type { Mailbox } from '../mailbox/mailbox.ts';
import type { Metrics } from '../metrics.ts';
import { hasAddress, peerOf } from '../peers.ts';
import { encodeMessages, sendData } from './data-push.ts';
import { entriesAt, differing as unequal } from './digest.ts';
import { CUTOFF_MS, type Holdings, LIST_ENTRIES, STEP_BYTES } from './holdings.ts';
import type { Swarm } from './swarm.ts';

// Ours.
const TIMEOUT_MS = 30_000;
const DEEPEST = 6;
/** A member that does not know the command may be updated some day. */
const TRY_AGAIN_MS = 3_600_000;

const EVERYTHING = new Uint8Array(0);
/** Acts first. */
const KINDS: readonly ReconcileKind[] = ['a', 'm'];

export interface ReconcilerParts {
  readonly mailbox: Mailbox;
  readonly omq: OmqEndpoint;
  readonly swarm: Swarm;
  readonly metrics: Metrics;
  readonly holdings: Holdings;
  /** Seconds between two rounds, in the mean; 0: never. */
  readonly everySeconds: number;
  readonly bytesPerSecond: number;
}

/** The peer does not answer, or not with sense: the round ends. */
class PeerError extends Error {}

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
  #cancel: Cancel | undefined;
  #round: Promise<unknown> | undefined;
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

  /** Whether a member answers our questions now. */
  reaches(peer: Member): Promise<boolean> {
    return this.#whole(async () => {
      const { cutoff } = this.#begin(peer, true);
      await this.#ask(peer, { ask: 'digests', kind: 'a', cutoff, prefix: EVERYTHING, first: 0, count: 1 });
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
    const { holdings } = this.#parts;
    const { signal } = this.#stopping;
    const ours = { kind, cutoff, swarm };
    const { bytes: own, entries: total } = await holdings.digests(ours, prefix, first, 256 - first, signal);
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
    const { holdings, mailbox, metrics } = this.#parts;
    const { list = EVERYTHING } = await this.#ask(peer, { ask: 'list', kind: 'a', cutoff, prefix });
    const theirs = new Map(decodeActKeys(list).map((entry) => [toHex(entry.key), entry]));
    const missing: ActEntry[] = [];
    for (const { key, value: time } of holdings.entries({ kind: 'a', cutoff, swarm }, prefix)) {
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
      metrics.reconciledItems += await holdings.takeActs(acts, this.#stopping.signal);
      wanted = wanted.slice(acts.length);
    }
    for (const acts of packed(missing, ({ body }) => body.length)) {
      await this.#ask(peer, { ask: 'put', kind: 'a', acts });
      metrics.reconciledItems += acts.length;
    }
  }

  async #repairMessages({ peer, cutoff, swarm, isGift }: Round, prefix: Uint8Array): Promise<void> {
    const { holdings, mailbox, metrics, omq } = this.#parts;
    const { list = EVERYTHING } = await this.#ask(peer, { ask: 'list', kind: 'm', cutoff, prefix });
    const theirs = new Map(decodeHeld(list).map((entry) => [toHex(entry.hash), entry]));
    const differing: Uint8Array[] = [];
    const missing: Uint8Array[] = [];
    for (const { key } of holdings.entries({ kind: 'm', cutoff, swarm }, prefix)) {
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
        metrics.reconciledItems += await holdings.takeExpiries(
          differing.flatMap((hash) => theirs.get(toHex(hash)) ?? []),
        );
      }
      const held = differing.flatMap((hash) => mailbox.find(hash) ?? []);
      await this.#ask(peer, { ask: 'put', kind: 'm', held });
    }
    while (wanted.length > 0) {
      const { blob } = await this.#ask(peer, { ask: 'get', kind: 'm', keys: wanted });
      if (blob === undefined) break;
      const taken = await holdings.takeMessages(blob, wanted, theirs);
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
      reply = await this.#parts.omq.request(peerOf(peer), 'sn.reconcile', [body], {
        timeoutMs: TIMEOUT_MS,
        signal: this.#stopping.signal,
      });
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
