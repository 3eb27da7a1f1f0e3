// SPDX-License-Identifier: AGPL-3.0-or-later
// What members of our swarm still have to get because they did not answer (spec/storage-server §5.6 [2.10+], §9.3.6).
// It lives in the database and survives restarts. A missed `store` is kept as a reference to the message and delivered by
// `sn.data`: small, and valid however old its signature. Other requests are kept whole and repeated as they came.

import type { StatementSync } from 'node:sqlite';
import type { OmqEndpoint } from '@allium/net/omq/endpoint';
import { fromHex, utf8 } from '@allium/protocol/bytes';
import type { Cancel, Env } from '@allium/protocol/env';
import { type Member, swarmFor } from '@allium/protocol/membership';
import type { Database } from '../mailbox/database.ts';
import type { Mailbox } from '../mailbox/mailbox.ts';
import type { WholeMessage } from '../mailbox/messages.ts';
import type { Metrics } from '../metrics.ts';
import { ask, hasAddress, peerOf } from '../peers.ts';
import { type Delivery, encodeMessages, sendData } from './data-push.ts';
import type { Swarm } from './swarm.ts';

// From the specification (§5.6).
const FIRST_DELAY_MS = 1000;
const DELAY_FACTOR = 1.75;
const LONGEST_DELAY_MS = 60_000;
const KEEP_MS = 30 * 86_400_000;
const REQUEST_TIMEOUT_MS = 5_000;

/** §2.9: a timestamp too far from now. */
const STALE = '406';
/** §2.5: the account is not theirs by their node list. */
const WRONG_SWARM = '421';

// Ours.
/** Entries looked at in one go, and bytes of one blob: deliveries must not hold up the event loop of either side. */
const STEP_ENTRIES = 256;
const STEP_BYTES = 500_000;
/**
 * Bodies kept for one peer: anybody may sign requests for accounts of its own, of 9 MB each, and they lie in the file of
 * the messages. Beyond it the oldest go, to a part of it, so that they are looked for now and then only; what they did is
 * left to the repair (§5.13).
 */
const MAX_PEER_BODY_BYTES = 16 * 1024 * 1024;
/** For all peers together, and never more than this share of the mailbox: then those with the most lose their oldest. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;
const SHARE_OF_MAILBOX = 1 / 16;
/** Where a limit was passed, so much of it is left: not every request has to look for the oldest. */
const PART_LEFT = 0.75;
/** A long request that did nothing here may be for messages that only the absent member has; it takes nobody's room. */
const LONG_BODY_BYTES = 65_536;
const PART_FOR_IDLE = 0.25;

interface Entry {
  readonly id: number;
  readonly created: number;
  readonly message: number | null;
  readonly method: string | null;
  readonly body: Uint8Array | null;
}

interface Peer {
  /** It answers, but does not take what waits: being spoken to by it is no reason to try again at once. */
  refuses: boolean;
  delayMs: number;
  cancel: Cancel | undefined;
  running: boolean;
}

/** Row number of a stored message, the forwarded request itself, or both: the message then goes when the request is refused. */
export interface Missed {
  readonly message?: number;
  readonly method?: string;
  readonly body?: Uint8Array;
  /** It found nothing to do here. */
  readonly isIdle?: boolean;
}

export class RetryQueue {
  readonly #parts: { database: Database; mailbox: Mailbox; omq: OmqEndpoint; swarm: Swarm; metrics: Metrics };
  readonly #env: Env;
  readonly #insert: StatementSync;
  readonly #next: StatementSync;
  readonly #remove: StatementSync;
  readonly #removePeer: StatementSync;
  readonly #peersOf: StatementSync;
  readonly #count: StatementSync;
  readonly #bodyBytes: StatementSync;
  readonly #bodies: StatementSync;
  readonly #removeBody: StatementSync;
  readonly #sizes: StatementSync;
  readonly #maxBytes: number;
  /** Bytes of kept bodies by Ed25519 hex, as far as they were asked for. */
  readonly #bodyBytesOf = new Map<string, number>();
  /** Bytes of all of them; undefined until they are measured. */
  #allBytes: number | undefined;
  /** By Ed25519 hex; only peers with something waiting. */
  readonly #peers = new Map<string, Peer>();
  readonly #running = new Set<Promise<void>>();
  #stopped = true;
  #stopping = new AbortController();

  constructor(
    parts: { database: Database; mailbox: Mailbox; omq: OmqEndpoint; swarm: Swarm; metrics: Metrics },
    env: Env,
  ) {
    this.#parts = parts;
    this.#env = env;
    const { database } = parts;
    this.#insert = database.prepare(
      'INSERT INTO forwards (peer, created, message, method, body) VALUES (?, ?, ?, ?, ?)',
    );
    this.#next = database.prepare(
      'SELECT id, created, message, method, body FROM forwards WHERE peer = ? ORDER BY id LIMIT ?',
    );
    this.#remove = database.prepare('DELETE FROM forwards WHERE id = ? RETURNING length(body) AS n');
    this.#removePeer = database.prepare('DELETE FROM forwards WHERE peer = ?');
    this.#peersOf = database.prepare('SELECT DISTINCT peer FROM forwards');
    this.#count = database.prepare('SELECT count(*) AS n FROM forwards');
    this.#bodyBytes = database.prepare('SELECT total(length(body)) AS n FROM forwards WHERE peer = ?');
    this.#bodies = database.prepare(
      'SELECT id, message, length(body) AS bytes FROM forwards WHERE peer = ? AND body IS NOT NULL ORDER BY id',
    );
    this.#sizes = database.prepare(
      'SELECT peer, total(length(body)) AS n FROM forwards WHERE body IS NOT NULL GROUP BY peer ORDER BY n',
    );
    this.#maxBytes = Math.min(MAX_BODY_BYTES, database.size().max * SHARE_OF_MAILBOX);
    this.#removeBody = database.prepare('UPDATE forwards SET method = NULL, body = NULL WHERE id = ?');
    database.onRollback(() => {
      this.#bodyBytesOf.clear();
      this.#allBytes = undefined;
    });
  }

  start(): void {
    this.#stopped = false;
    this.#stopping = new AbortController();
    for (const row of this.#peersOf.all())
      this.#schedule(Buffer.from(row.peer as Uint8Array).toString('hex'));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopping.abort();
    for (const peer of this.#peers.values()) peer.cancel?.();
    this.#peers.clear();
    await Promise.all(this.#running);
  }

  /**
   * One more try for every peer before a stop, so that an upgrade leaves nothing waiting here that could be there.
   * Resolves after `ms` at the latest; what is left waits on disk.
   */
  async handOver(ms: number): Promise<void> {
    if (this.#stopped) return;
    for (const [hex, peer] of this.#peers) {
      if (peer.running) continue;
      peer.cancel?.();
      this.#run(hex, peer);
    }
    if (this.#running.size === 0) return;
    let cancel: Cancel = () => {};
    const over = new Promise<void>((resolve) => {
      cancel = this.#env.clock.after(ms, resolve);
    });
    await Promise.race([Promise.all(this.#running), over]);
    cancel();
  }

  /** How many entries wait, for all peers. */
  size(): number {
    return Number(this.#count.get()?.n);
  }

  /** Keeps `missed` for each of the members; resolves when it is on disk. */
  async add(members: readonly Member[], missed: Missed): Promise<void> {
    try {
      await this.#parts.database.write(() => {
        const now = this.#env.clock.now();
        const { message = null, isIdle = false } = missed;
        const fits = (missed.body?.length ?? 0) <= this.#maxBytes * PART_LEFT;
        const { method = null, body = null } = fits ? missed : {};
        if (message === null && body === null) return;
        for (const { ed25519Key, ed25519Hex } of members) {
          if (body !== null) {
            if (isIdle && !this.#isRoomy(ed25519Key, ed25519Hex, body.length)) continue;
            this.#makeRoom(ed25519Key, ed25519Hex, body.length);
          }
          this.#insert.run(ed25519Key, now, message, method, body);
        }
      });
    } catch (error) {
      this.#env.log.error({ error: String(error) }, 'a request for an absent member could not be kept');
      return;
    }
    for (const member of members) this.#schedule(member.ed25519Hex);
  }

  #bytesOf(key: Uint8Array, hex: string): number {
    return this.#bodyBytesOf.get(hex) ?? Number(this.#bodyBytes.get(key)?.n);
  }

  /** Whether the body of a request that did nothing here may be kept. */
  #isRoomy(key: Uint8Array, hex: string, bytes: number): boolean {
    if (bytes <= LONG_BODY_BYTES) return true;
    if (this.#bytesOf(key, hex) + bytes > MAX_PEER_BODY_BYTES * PART_FOR_IDLE) return false;
    return this.#measured() + bytes <= this.#maxBytes * PART_FOR_IDLE;
  }

  /** In a transaction. */
  #makeRoom(key: Uint8Array, hex: string, bytes: number): void {
    const kept = this.#bytesOf(key, hex);
    const left = kept + bytes > MAX_PEER_BODY_BYTES ? MAX_PEER_BODY_BYTES * PART_LEFT - bytes : kept;
    this.#bodyBytesOf.set(hex, this.#dropOldest(key, kept, left) + bytes);
    if (left < kept) this.#allBytes = undefined;
    if (this.#measured() + bytes > this.#maxBytes) this.#shareOut(this.#maxBytes * PART_LEFT - bytes);
    this.#allBytes = this.#measured() + bytes;
  }

  /** Oldest bodies of one peer until no more than `left` bytes of its `kept` remain; returns how many do. */
  #dropOldest(key: Uint8Array, kept: number, left: number): number {
    if (kept <= left) return kept;
    const dropped: { id: number; message: number | null }[] = [];
    let bytes = kept;
    for (const row of this.#bodies.iterate(key)) {
      if (bytes <= left) break;
      bytes -= Number(row.bytes);
      dropped.push({ id: Number(row.id), message: row.message as number | null });
    }
    // A message still goes by its number.
    for (const { id, message } of dropped) (message === null ? this.#remove : this.#removeBody).run(id);
    return bytes;
  }

  /** Leaves `bytes` in all: peers with little keep it, the others have equal parts of the rest. */
  #shareOut(bytes: number): void {
    let left = Math.max(0, bytes);
    const sizes = this.#sizes.all();
    for (const [i, { peer, n }] of sizes.entries()) {
      const part = left / (sizes.length - i);
      left -= this.#dropOldest(peer as Uint8Array, Number(n), part);
    }
    this.#bodyBytesOf.clear();
    this.#allBytes = undefined;
  }

  #measured(): number {
    this.#allBytes ??= this.#sizes.all().reduce((sum, { n }) => sum + Number(n), 0);
    return this.#allBytes;
  }

  /** In a transaction. */
  #forget(hex: string, finished: readonly Entry[]): void {
    for (const { id } of finished) {
      // Its body may have been dropped while it was on its way.
      const bytes = Number(this.#remove.get(id)?.n ?? 0);
      if (this.#allBytes !== undefined) this.#allBytes -= bytes;
    }
    this.#bodyBytesOf.delete(hex);
  }

  /** In a transaction. */
  #forgetPeer(hex: string): void {
    this.#removePeer.run(fromHex(hex));
    this.#bodyBytesOf.delete(hex);
    this.#allBytes = undefined;
  }

  /** Called when a peer has shown that it is there: what waits goes out now. */
  wake(ed25519Hex: string): void {
    const peer = this.#peers.get(ed25519Hex);
    if (peer === undefined || peer.running || peer.refuses) return;
    peer.cancel?.();
    peer.delayMs = FIRST_DELAY_MS;
    this.#run(ed25519Hex, peer);
  }

  /**
   * After a change of the list: forgets what was kept for nodes that left the network. If it was we who left their
   * swarm, they need it all the same: nobody else may have it.
   */
  async dropStrangers(): Promise<void> {
    for (const [hex, peer] of this.#peers) {
      if (this.#member(hex) !== undefined) continue;
      peer.cancel?.();
      this.#peers.delete(hex);
      await this.#parts.database.write(() => this.#forgetPeer(hex));
    }
  }

  /** Nobody needs any of it from us. */
  async forgetAll(): Promise<void> {
    for (const [hex, peer] of this.#peers) {
      peer.cancel?.();
      this.#peers.delete(hex);
      await this.#parts.database.write(() => this.#forgetPeer(hex));
    }
  }

  #member(hex: string): Member | undefined {
    const member = this.#parts.swarm.membership.byEd25519.get(hex);
    return member?.active === true ? member : undefined;
  }

  #schedule(hex: string): void {
    if (this.#stopped || this.#peers.has(hex)) return;
    const peer: Peer = { refuses: false, delayMs: FIRST_DELAY_MS, cancel: undefined, running: false };
    this.#peers.set(hex, peer);
    peer.cancel = this.#env.clock.after(peer.delayMs, () => this.#run(hex, peer));
  }

  #run(hex: string, peer: Peer): void {
    if (this.#stopped) return;
    peer.running = true;
    const run = this.#drain(hex)
      .catch((error: unknown) => {
        this.#env.log.error(
          { peer: hex.slice(0, 8), error: String(error) },
          'delivering kept requests failed',
        );
        return 'silent' as const;
      })
      .then((delivery) => {
        peer.running = false;
        this.#running.delete(run);
        if (this.#stopped) return;
        peer.refuses = delivery === 'refused';
        if (delivery === 'taken') {
          this.#peers.delete(hex);
          // Something may have come in between the last look and now.
          if (this.#next.get(fromHex(hex), 1) !== undefined) this.#schedule(hex);
          return;
        }
        peer.delayMs = Math.min(peer.delayMs * DELAY_FACTOR, LONGEST_DELAY_MS);
        peer.cancel = this.#env.clock.after(peer.delayMs, () => this.#run(hex, peer));
      });
    this.#running.add(run);
  }

  /** `taken`: nothing is left for the peer. */
  async #drain(hex: string): Promise<Delivery> {
    const { database, metrics } = this.#parts;
    const member = this.#member(hex);
    if (member === undefined) {
      await database.write(() => this.#forgetPeer(hex));
      return 'taken';
    }
    if (!hasAddress(member)) return 'silent';
    for (;;) {
      const entries = this.#next.all(member.ed25519Key, STEP_ENTRIES) as unknown as Entry[];
      if (entries.length === 0) return 'taken';
      const { finished, delivery } = await this.#deliver(member, entries);
      if (finished.length > 0) {
        await database.write(() => this.#forget(hex, finished));
      }
      if (delivery !== 'taken') return delivery;
      metrics.retriesDelivered += finished.length;
    }
  }

  /** Delivers the first entries: all leading messages in one blob, or one request. */
  async #deliver(
    member: Member,
    entries: readonly Entry[],
  ): Promise<{ finished: Entry[]; delivery: Delivery }> {
    const oldest = this.#env.clock.now() - KEEP_MS;
    const finished: Entry[] = [];
    const messages: WholeMessage[] = [];
    let bytes = 0;
    for (const entry of entries) {
      if (entry.created < oldest) {
        finished.push(entry);
        continue;
      }
      if (entry.method !== null) {
        if (finished.length > 0) break;
        const delivery = await this.#repeat(member, entry);
        return { finished: delivery === 'taken' ? [entry] : [], delivery };
      }
      const message = this.#missed(member, entry);
      if (message !== undefined && bytes > 0 && bytes + message.data.length > STEP_BYTES) break;
      finished.push(entry);
      if (message === undefined) continue;
      messages.push(message);
      bytes += message.data.length;
    }
    if (messages.length === 0) return { finished, delivery: 'taken' };
    for (const blob of encodeMessages(messages)) {
      const delivery = await sendData(this.#parts.omq, member, blob, this.#stopping.signal);
      if (delivery !== 'taken') return { finished: [], delivery };
    }
    return { finished, delivery: 'taken' };
  }

  /**
   * Sends a kept request; any answer ends it, be it a refusal (§5.6). Ours: when time has made its signature stale, the
   * message goes by `sn.data`, or the request by `sn.missed`.
   */
  async #repeat(member: Member, entry: Entry): Promise<Delivery> {
    const parts = [utf8(entry.method ?? ''), entry.body ?? new Uint8Array(0)];
    const reply = await this.#request(member, 'sn.storage_cc', parts);
    if (reply === undefined) return 'silent';
    const refusal = reply.length === 2 ? Buffer.from(reply[0]!).toString() : '';
    if (refusal !== STALE && refusal !== WRONG_SWARM) return 'taken';
    const message = this.#missed(member, entry);
    if (message === undefined) {
      if (refusal === WRONG_SWARM) return 'taken';
      // A node that does not know the command says nothing in return; it was there a moment ago, so this ends it too.
      await this.#request(member, 'sn.missed', parts);
      return 'taken';
    }
    for (const blob of encodeMessages([message])) {
      const delivery = await sendData(this.#parts.omq, member, blob, this.#stopping.signal);
      if (delivery !== 'taken') return delivery;
    }
    return 'taken';
  }

  /** Undefined for what is not missed any more: deleted or expired meanwhile, or another swarm's by now. */
  #missed(member: Member, { message }: Entry): WholeMessage | undefined {
    const { mailbox, swarm } = this.#parts;
    const found = message === null ? undefined : mailbox.message(message);
    if (found === undefined) return undefined;
    return swarmFor(swarm.membership, found.account.subarray(1))?.id === member.swarmId ? found : undefined;
  }

  /** Undefined when there was no answer. */
  #request(member: Member, command: string, parts: Uint8Array[]): Promise<Uint8Array[] | undefined> {
    const options = { timeoutMs: REQUEST_TIMEOUT_MS, signal: this.#stopping.signal };
    return ask(this.#parts.omq, peerOf(member), command, parts, options);
  }
}
