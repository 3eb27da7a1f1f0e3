// SPDX-License-Identifier: AGPL-3.0-or-later
// Keeps the members of a swarm in possession of the same messages when the node list changes
// (spec/storage-server §5.12): newcomers are greeted (`sn.data_ready`) and then get all that is theirs, accounts that move to
// another swarm take their messages along, a node that starts with an empty mailbox asks for a dump. Members share the work
// where those who come can be compared with afterwards (docs/decisions/0036).

import type { StatementSync } from 'node:sqlite';
import type { OmqEndpoint } from '@allium/net/omq/endpoint';
import { OmqError } from '@allium/net/omq/endpoint';
import { btInteger, decodeBtDict, encodeBt } from '@allium/protocol/bencode';
import { utf8 } from '@allium/protocol/bytes';
import { type Cancel, delay, type Env } from '@allium/protocol/env';
import type { Member, Membership } from '@allium/protocol/membership';
import { swarmFor } from '@allium/protocol/membership';
import type { Database } from '../mailbox/database.ts';
import type { Mailbox } from '../mailbox/mailbox.ts';
import type { WholeMessage } from '../mailbox/messages.ts';
import type { Metrics } from '../metrics.ts';
import { hasAddress, peerOf } from '../peers.ts';
import { encodeMessages } from './data-push.ts';
import { DumpParts } from './dump-parts.ts';
import { Flight } from './flight.ts';
import type { Reconciler } from './reconcile.ts';
import type { Swarm } from './swarm.ts';

// From the specification (§5.12).
const GREET_INTERVAL_MS = 10_000;

// Ours.
const GREET_TIMEOUT_MS = 5_000;
/** One member's dump is enough in good times, a second one covers what it may have missed itself. */
const WANTED_DUMPS = 2;
/** A peer that asks for dumps again and again gets so many within the time. */
const DUMPS_ON_REQUEST = 5;
const DUMPS_WINDOW_MS = 3_600_000;
/** Rows per step and bytes per blob: neither side may be held up for long. */
const STEP_ROWS = 1000;
const STEP_BYTES = 700_000;
/** Long dumps tell how far they are. */
const TELL_MS = 10_000;

/** Before the first of those who gave compares, at least; the longer its part took, the longer the others' may take. */
const COMPARE_AFTER_MS = 2_000;
/** What a newcomer asks for so soon after its part has come with it. */
const JUST_GIVEN_MS = 60_000;
/** So many of them do, one after the other. */
const COMPARING = 2;

/** Then it is given to as one that cannot be compared with, or not compared with any more. */
const MAX_SILENCES = 3;

/** A member that answers otherwise is of a release that takes acts from members only. */
const MAX_ACTS_FAILED = 10;

const SEEN = 'swarm';

/** What a member still has to get: all messages of its accounts beyond row `after`. */
interface Dump {
  readonly member: Member;
  after: number;
  /** Signed acts are still to be given: deletions and revocations must hold there too. */
  actsLeft: boolean;
  /** How often that failed. */
  actsFailed: number;
  /** Which accounts are ours to give; undefined: all, because the member asked us, or because we cannot know who else gives. */
  readonly parts: DumpParts | undefined;
  /** Whether the member answers when it is compared with; undefined: not known yet. */
  comparable: boolean | undefined;
  /** How often it was asked for that, or compared with, and said nothing. */
  silences: number;
  /** By the monotonic clock: when the first message went, and when it is compared with what others gave. */
  beganAt: number | undefined;
  compareAt: number | undefined;
}

export interface SwarmSyncParts {
  readonly database: Database;
  readonly mailbox: Mailbox;
  readonly omq: OmqEndpoint;
  readonly swarm: Swarm;
  readonly metrics: Metrics;
  /** Absent when the node compares nothing with others. */
  readonly reconciler?: Pick<Reconciler, 'give' | 'cannot' | 'reaches'>;
}

/** What is remembered over a restart. */
interface Seen {
  readonly swarm: string;
  readonly swarms: readonly string[];
  /** Members that have had everything. */
  readonly members: readonly string[];
  /** Members to whom a dump was not finished. Absent in what earlier versions wrote. */
  readonly dumps?: readonly string[];
}

export class SwarmSync {
  readonly #parts: SwarmSyncParts;
  readonly #env: Env;
  readonly #load: StatementSync;
  readonly #save: StatementSync;
  /** Members of our swarm that were greeted. */
  readonly #ready = new Set<string>();
  /** Members that had everything that was here when they came. */
  readonly #complete = new Set<string>();
  readonly #dumps = new Map<string, Dump>();
  /** Newcomers of our swarm, and who of it was there before them. */
  readonly #givers = new Map<string, readonly string[]>();
  /** When each newcomer had its part from us, by the monotonic clock. */
  readonly #sharedAt = new Map<string, number>();
  /** When each peer had dumps that it asked for. */
  readonly #dumpedAt = new Map<string, readonly number[]>();
  #wanted = 0;
  #cancel: Cancel | undefined;
  #round: Promise<void> | undefined;
  /** Work came in while a round ran. */
  #again = false;
  #stopping = new AbortController();
  #stopped = true;

  constructor(parts: SwarmSyncParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
    this.#load = parts.database.prepare('SELECT value FROM state WHERE name = ?');
    this.#save = parts.database.prepare('INSERT OR REPLACE INTO state (name, value) VALUES (?, ?)');
  }

  start(): void {
    this.#stopped = false;
    this.#stopping = new AbortController();
    this.#wanted = this.#parts.mailbox.isVirgin() ? WANTED_DUMPS : 0;
    const { swarm } = this.#parts;
    const seen = this.#recall();
    const own = swarm.id?.toString(16);
    if (seen === undefined || seen.swarm !== own) {
      // First swarm after the start: nothing to send (§5.12), all members count as provided for.
      for (const member of swarm.peers) this.#complete.add(member.ed25519Hex);
      if (seen !== undefined) this.#moved(seen.swarm, new Set(seen.swarms));
    } else {
      for (const hex of seen.members) this.#complete.add(hex);
      this.#moved(seen.swarm, new Set(seen.swarms));
    }
    for (const hex of seen?.dumps ?? []) {
      const member = swarm.membership.byEd25519.get(hex);
      if (member !== undefined) this.#dump(member);
    }
    this.#remember();
    this.#schedule(0);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopping.abort();
    this.#cancel?.();
    await this.#round;
    this.#ready.clear();
    this.#complete.clear();
    this.#dumps.clear();
    this.#givers.clear();
    this.#sharedAt.clear();
  }

  /** A new list is in force. */
  changed(previous: Membership): void {
    const { swarm } = this.#parts;
    const peers = new Set(swarm.peers.map((member) => member.ed25519Hex));
    const ownHex = swarm.self?.ed25519Hex ?? '';
    const before = previous.byEd25519.get(ownHex);
    const whole = new Set(this.#complete);
    // We left, forgot everything, and are back.
    if (before?.active !== true && swarm.id !== undefined && this.#parts.mailbox.isEmpty()) {
      this.#wanted = WANTED_DUMPS;
    }
    if (before === undefined || !before.active || before.swarmId !== swarm.id) {
      // We came into this swarm just now: its members give to us.
      this.#complete.clear();
      for (const hex of peers) this.#complete.add(hex);
    }
    for (const set of [this.#ready, this.#complete, this.#givers, this.#sharedAt])
      for (const hex of set.keys()) if (!peers.has(hex)) set.delete(hex);
    if (before?.active === true) {
      const former = (previous.swarms.get(before.swarmId) ?? []).map(({ ed25519Hex }) => ed25519Hex);
      // Not those who still wait for their own part.
      const givers = former.filter(
        (hex) => swarm.membership.byEd25519.get(hex)?.active === true && (hex === ownHex || whole.has(hex)),
      );
      const present = givers.filter((hex) => peers.has(hex));
      for (const hex of peers) if (!former.includes(hex)) this.#givers.set(hex, present);
      const oldSwarms = new Set(previous.swarmIds.map((id) => id.toString(16)));
      this.#moved(before.swarmId.toString(16), oldSwarms, givers);
    }
    for (const hex of this.#dumps.keys()) {
      if (!swarm.membership.byEd25519.has(hex)) this.#dumps.delete(hex);
    }
    this.#remember();
    this.#schedule(0);
  }

  /** Messages that map to swarms that are new, or all messages when our old swarm is gone, go to their new members. */
  #moved(oldSwarm: string, oldSwarms: ReadonlySet<string>, givers?: readonly string[]): void {
    const { membership, id } = this.#parts.swarm;
    // Not in any swarm, now or before: nothing to send (§5.12).
    if (id === undefined || oldSwarm === '') return;
    const dissolved = !membership.swarmIds.some((swarm) => swarm.toString(16) === oldSwarm);
    for (const swarm of membership.swarmIds) {
      if (swarm === id) continue;
      if (!dissolved && oldSwarms.has(swarm.toString(16))) continue;
      const members = membership.swarms.get(swarm) ?? [];
      // Who went over there gives nothing to it.
      const staying = givers?.filter((hex) => !members.some(({ ed25519Hex }) => ed25519Hex === hex));
      for (const member of members) this.#dump(member, staying);
    }
  }

  /** `givers`: who gives beside us; undefined: we give all. */
  #dump(member: Member, givers?: readonly string[]): void {
    const { reconciler, swarm } = this.#parts;
    const ownHex = swarm.self?.ed25519Hex;
    const isShared = reconciler !== undefined && givers !== undefined && ownHex !== undefined;
    this.#dumps.set(member.ed25519Hex, {
      member,
      after: 0,
      actsLeft: reconciler !== undefined,
      actsFailed: 0,
      parts: isShared ? new DumpParts(ownHex, givers) : undefined,
      comparable: undefined,
      silences: 0,
      beganAt: undefined,
      compareAt: undefined,
    });
  }

  /** Handler of `sn.data_ready`: a member greets us (§5.12). */
  greeted(member: Member | undefined, body: Uint8Array | undefined): string {
    const { swarm } = this.#parts;
    if (member === undefined) return 'Remote not recognized as SN';
    if (swarm.id === undefined || member.swarmId !== swarm.id) return 'Swarm mismatch';
    let wantsDump = false;
    try {
      wantsDump = body !== undefined && body.length > 0 && btInteger(decodeBtDict(body), 't') === 1;
    } catch {
      // A form that we do not know is a greeting all the same.
    }
    if (wantsDump) {
      const now = this.#env.clock.monotonic();
      const recent = (this.#dumpedAt.get(member.ed25519Hex) ?? []).filter(
        (time) => now - time < DUMPS_WINDOW_MS,
      );
      if (recent.length < DUMPS_ON_REQUEST) {
        this.#dumpedAt.set(member.ed25519Hex, [...recent, now]);
        // What has not begun yet is from the beginning, and whoever has just come is given to by all.
        const given = this.#dumps.get(member.ed25519Hex);
        if (given !== undefined) {
          const isCompared = given.parts !== undefined && given.comparable !== false;
          if (given.after !== 0 && !isCompared) this.#dump(member);
        } else if (!this.#complete.has(member.ed25519Hex)) this.#dump(member, this.#giversTo(member));
        else if (now - (this.#sharedAt.get(member.ed25519Hex) ?? Number.NEGATIVE_INFINITY) > JUST_GIVEN_MS)
          this.#dump(member);
        this.#schedule(0);
      }
    }
    return 'OK';
  }

  #schedule(ms: number): void {
    if (this.#stopped) return;
    if (this.#round !== undefined) {
      this.#again = true;
      return;
    }
    this.#cancel?.();
    this.#cancel = this.#env.clock.after(ms, () => {
      this.#again = false;
      this.#round = this.#run()
        .then(() => this.#pauseMs())
        .catch((error: unknown) => {
          this.#env.log.error({ error: String(error) }, 'handing messages over failed');
          return GREET_INTERVAL_MS;
        })
        .then((pauseMs) => {
          this.#round = undefined;
          this.#schedule(this.#again ? 0 : pauseMs);
        });
    });
  }

  /** Until the next round: sooner when a dump is to be compared before. */
  #pauseMs(): number {
    const now = this.#env.clock.monotonic();
    const due = [...this.#dumps.values()].map(
      ({ compareAt }) => (compareAt ?? Number.POSITIVE_INFINITY) - now,
    );
    return Math.max(0, Math.min(GREET_INTERVAL_MS, ...due));
  }

  async #run(): Promise<void> {
    const { swarm } = this.#parts;
    await Promise.all(
      swarm.peers
        .filter((member) => !this.#ready.has(member.ed25519Hex))
        .map((member) => this.#greet(member)),
    );
    for (const [hex, dump] of [...this.#dumps]) {
      if (this.#stopped) return;
      if (this.#dumps.get(hex) !== dump) continue;
      if ((await this.#send(dump)) && (await this.#compare(dump))) {
        if (this.#dumps.get(hex) === dump) this.#dumps.delete(hex);
        if (swarm.peers.some((member) => member.ed25519Hex === hex)) this.#complete.add(hex);
        if (dump.comparable === true) this.#sharedAt.set(hex, this.#env.clock.monotonic());
        this.#remember();
      }
    }
  }

  async #greet(member: Member): Promise<void> {
    if (!hasAddress(member)) return;
    const wants = this.#wanted > 0;
    if (wants) this.#wanted--;
    let answer: string;
    try {
      const reply = await this.#parts.omq.request(
        peerOf(member),
        'sn.data_ready',
        [encodeBt({ '@': 0, t: wants ? 1 : 0 })],
        { timeoutMs: GREET_TIMEOUT_MS, signal: this.#stopping.signal },
      );
      answer = Buffer.from(reply[0] ?? new Uint8Array(0)).toString();
    } catch (error) {
      if (wants) this.#wanted++;
      if (error instanceof OmqError) return;
      throw error;
    }
    if (answer !== 'OK') {
      if (wants) this.#wanted++;
      this.#env.log.debug({ peer: member.ed25519Hex.slice(0, 8), answer }, 'greeting not accepted');
      return;
    }
    this.#ready.add(member.ed25519Hex);
    if (this.#complete.has(member.ed25519Hex)) return;
    this.#dump(member, this.#giversTo(member));
  }

  /** Who was in our swarm before a newcomer, as far as we saw it come; else those who are known to have everything. */
  #giversTo({ ed25519Hex }: Member): readonly string[] {
    return this.#givers.get(ed25519Hex) ?? [...this.#complete];
  }

  /** Whether a member to which all of us give can be compared with later; undefined: it does not say yet. */
  async #isComparable({ member, parts }: Dump): Promise<boolean | undefined> {
    const { reconciler } = this.#parts;
    if (reconciler === undefined || parts?.isShared !== true) return false;
    if (await reconciler.reaches(member)) return true;
    return reconciler.cannot(member) ? false : undefined;
  }

  /** Whether a dump to which others gave their parts is whole; those who look are the second and third to find out. */
  async #compare(dump: Dump): Promise<boolean> {
    const { reconciler, swarm } = this.#parts;
    const { clock } = this.#env;
    const { ed25519Hex } = dump.member;
    const place = dump.parts?.placeFor(ed25519Hex) ?? COMPARING;
    if (reconciler === undefined || dump.comparable !== true || place >= COMPARING) return true;
    const now = clock.monotonic();
    const wait = Math.max(COMPARE_AFTER_MS, now - (dump.beganAt ?? now));
    dump.compareAt ??= now + wait * (place + 1);
    if (now < dump.compareAt) return false;
    const member = swarm.membership.byEd25519.get(ed25519Hex);
    if (member?.active !== true || (await reconciler.give(member, ['m']))) return true;
    if (this.#stopped) return false;
    dump.compareAt = clock.monotonic() + GREET_INTERVAL_MS;
    // What cannot be given in the end is found by the rounds between members.
    return reconciler.cannot(member) || ++dump.silences >= MAX_SILENCES;
  }

  /** Sends what is left of a dump; true when it is all there. */
  async #send(dump: Dump): Promise<boolean> {
    const { mailbox, swarm, omq, metrics } = this.#parts;
    const { ed25519Hex } = dump.member;
    if (dump.compareAt !== undefined) return true;
    // First, so that it serves nobody whom a revocation has shut out.
    await this.#giveActs(dump);
    dump.comparable ??= await this.#isComparable(dump);
    if (dump.comparable === undefined && ++dump.silences < MAX_SILENCES) return false;
    // One of other software is given all by everybody: what a member that is down should give would be lost to it.
    const parts = dump.comparable === true ? dump.parts : undefined;
    dump.beganAt ??= this.#env.clock.monotonic();
    const flight = new Flight(omq, this.#stopping.signal);
    const progress = this.#progress(ed25519Hex);
    let readTo = dump.after;
    for (;;) {
      const member = swarm.membership.byEd25519.get(ed25519Hex);
      // `dumps` has another one when the member asked to have everything from the beginning.
      const isVoid = this.#stopped || flight.hasFailed || this.#dumps.get(ed25519Hex) !== dump;
      if (isVoid || member?.active !== true || !hasAddress(member)) {
        if (!(await flight.land())) metrics.peerFailed(ed25519Hex, 'pushes');
        return !isVoid && member?.active !== true;
      }
      const rows = mailbox.page(readTo, STEP_ROWS);
      const last = rows[rows.length - 1]?.id;
      if (last === undefined) break;
      readTo = last;
      const theirs: WholeMessage[] = rows.filter(
        (row) =>
          swarmFor(swarm.membership, row.account.subarray(1))?.id === member.swarmId &&
          (parts === undefined || parts.has(row.account)),
      );
      if (theirs.length === 0) {
        await delay(this.#env.clock, 0);
        continue;
      }
      const blobs = [...encodeMessages(theirs, STEP_BYTES)];
      for (const [i, blob] of blobs.entries()) {
        const onTaken = () => {
          metrics.bytesHandedOver += blob.length;
          if (i < blobs.length - 1) return;
          dump.after = last;
          progress.add(theirs.length);
        };
        await flight.send(member, blob, onTaken);
      }
    }
    if (!(await flight.land())) {
      metrics.peerFailed(ed25519Hex, 'pushes');
      return false;
    }
    dump.after = readTo;
    progress.end();
    await this.#giveActs(dump);
    return !dump.actsLeft;
  }

  /** Counts what a member took, and tells the operator now and then. */
  #progress(ed25519Hex: string) {
    const { clock, log } = this.#env;
    const { metrics } = this.#parts;
    const peer = ed25519Hex.slice(0, 8);
    const began = clock.monotonic();
    let toldAt = began;
    let messages = 0;
    const seconds = () => Math.round((clock.monotonic() - began) / 100) / 10;
    return {
      add: (more: number) => {
        messages += more;
        metrics.messagesHandedOver += more;
        if (clock.monotonic() - toldAt < TELL_MS) return;
        toldAt = clock.monotonic();
        log.info({ peer, messages, seconds: seconds() }, 'handing messages over');
      },
      end: () => {
        if (messages > 0) log.info({ peer, messages, seconds: seconds() }, 'messages handed over');
      },
    };
  }

  async #giveActs(dump: Dump): Promise<void> {
    const { reconciler, swarm } = this.#parts;
    const member = swarm.membership.byEd25519.get(dump.member.ed25519Hex);
    if (!dump.actsLeft || reconciler === undefined || member === undefined || this.#stopped) return;
    if (!reconciler.cannot(member) && !(await reconciler.give(member, ['a']))) {
      if (!reconciler.cannot(member) && ++dump.actsFailed < MAX_ACTS_FAILED) return;
    }
    dump.actsLeft = false;
  }

  #recall(): Seen | undefined {
    const row = this.#load.get(SEEN) as { value: Uint8Array } | undefined;
    return row === undefined ? undefined : (JSON.parse(Buffer.from(row.value).toString()) as Seen);
  }

  #remember(): void {
    const { swarm } = this.#parts;
    const seen: Seen = {
      swarm: swarm.id?.toString(16) ?? '',
      swarms: swarm.membership.swarmIds.map((id) => id.toString(16)),
      members: [...this.#complete],
      dumps: [...this.#dumps.keys()],
    };
    this.#parts.database
      .write(() => this.#save.run(SEEN, utf8(JSON.stringify(seen))))
      .catch((error: unknown) =>
        this.#env.log.error({ error: String(error) }, 'the swarm could not be written down'),
      );
  }
}
