// SPDX-License-Identifier: AGPL-3.0-or-later
// What a node does that the list left out, or moved to another swarm (spec/storage-server §5.12 "Ours"): it may be the only
// one that has a message, so it compares what it holds with those who serve it now and gives them the rest. A node that left
// the network forgets everything then.
import type { StatementSync } from 'node:sqlite';
import { utf8 } from '@allium/protocol/bytes';
import { type Cancel, delay, type Env } from '@allium/protocol/env';
import { type Member, type Membership, swarmFor } from '@allium/protocol/membership';
import type { Database } from '../mailbox/database.ts';
import type { Mailbox } from '../mailbox/mailbox.ts';
import { hasAddress } from '../peers.ts';
import { GRACE_MS } from './departed.ts';
import type { Reconciler } from './reconcile.ts';
import type { RetryQueue } from './retry-queue.ts';
import type { Swarm } from './swarm.ts';

// Ours.
/** Others need the new list too, before they know whom to expect. */
const FIRST_TRY_MS = 500;
const LONGEST_DELAY_MS = 60_000;
/** Accounts read in one turn of the event loop. */
const STEP_ACCOUNTS = 1000;
const STATE = 'place';

/** Where we are in the list, remembered over restarts. */
interface Place {
  /** Hex; empty: in none. */
  readonly swarm: string;
  /** Until when something is to be handed over, in ms; absent: nothing is. */
  readonly until?: number | undefined;
}

export interface HandoverParts {
  readonly database: Database;
  readonly mailbox: Mailbox;
  readonly swarm: Swarm;
  readonly retries: Pick<RetryQueue, 'forgetAll'>;
  readonly reconciler: Pick<Reconciler, 'give'>;
}

export class Handover {
  readonly #parts: HandoverParts;
  readonly #env: Env;
  readonly #load: StatementSync;
  readonly #save: StatementSync;
  #place: Place = { swarm: '' };
  /** Members that have all that is theirs, with their swarm. */
  readonly #given = new Set<string>();
  #delayMs = FIRST_TRY_MS;
  #cancel: Cancel | undefined;
  #work: Promise<void> | undefined;
  #stopping = new AbortController();

  constructor(parts: HandoverParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
    this.#load = parts.database.prepare('SELECT value FROM state WHERE name = ?');
    this.#save = parts.database.prepare('INSERT OR REPLACE INTO state (name, value) VALUES (?, ?)');
  }

  /** Something is to be handed over. */
  get isPending(): boolean {
    return this.#place.until !== undefined;
  }

  start(): void {
    this.#stopping = new AbortController();
    const row = this.#load.get(STATE) as { value: Uint8Array } | undefined;
    if (row !== undefined) this.#place = JSON.parse(Buffer.from(row.value).toString()) as Place;
    this.#moved(this.#place.swarm);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#cancel?.();
    await this.#work;
    this.#given.clear();
  }

  /** A new list is in force. */
  changed(previous: Membership): void {
    const { self } = this.#parts.swarm;
    const before = self === undefined ? undefined : previous.byEd25519.get(self.ed25519Hex);
    this.#moved(before?.active === true ? before.swarmId.toString(16) : this.#place.swarm);
  }

  #moved(before: string): void {
    const now = this.#parts.swarm.id?.toString(16) ?? '';
    let { until } = this.#place;
    if (before !== '' && before !== now) until = this.#env.clock.now() + GRACE_MS;
    if (until === undefined && now === this.#place.swarm) return;
    this.#remember({ swarm: now, until });
    this.#delayMs = FIRST_TRY_MS;
    this.#schedule();
  }

  #remember(place: Place): void {
    this.#place = place;
    this.#parts.database
      .write(() => this.#save.run(STATE, utf8(JSON.stringify(place))))
      .catch((error: unknown) =>
        this.#env.log.error({ error: String(error) }, 'the change of swarms could not be written down'),
      );
  }

  #schedule(): void {
    if (!this.isPending || this.#work !== undefined || this.#stopping.signal.aborted) return;
    this.#cancel?.();
    this.#cancel = this.#env.clock.after(this.#delayMs, () => {
      this.#delayMs = Math.min(this.#delayMs * 2, LONGEST_DELAY_MS);
      this.#work = this.#handOver()
        .catch((error: unknown) => {
          if (!this.#stopping.signal.aborted)
            this.#env.log.error({ error: String(error) }, 'handing over failed');
        })
        .then(() => {
          this.#work = undefined;
          this.#schedule();
        });
    });
  }

  async #handOver(): Promise<void> {
    const { swarm, reconciler } = this.#parts;
    const { membership, id: own } = swarm;
    let missing = 0;
    let isSafe = true;
    for (const [id, members] of await this.#heirs(membership, own)) {
      let given = 0;
      for (const member of members) {
        const key = `${member.ed25519Hex} ${id}`;
        if (!this.#given.has(key) && (await reconciler.give(member))) this.#given.add(key);
        // Another list: from the beginning, with the new members.
        if (swarm.membership !== membership || this.#stopping.signal.aborted) return;
        if (this.#given.has(key)) given++;
      }
      missing += members.length - given;
      if (2 * given <= members.length) isSafe = false;
    }
    const isOver = this.#env.clock.now() > (this.#place.until ?? 0);
    if (isSafe) await this.#done(own, missing);
    else if (isOver) {
      this.#env.log.error(
        { missing },
        'what this node held could not be handed over in time: it is kept until it expires',
      );
      this.#remember({ swarm: this.#place.swarm });
    } else {
      this.#env.log.warn(
        { missing, againInSeconds: Math.round(this.#delayMs / 1000) },
        'not handed over yet: some who serve the messages of this node do not take them. Keep it running',
      );
    }
  }

  /** More than half of each swarm have everything; the rest get it from them (§5.13). */
  async #done(own: bigint | undefined, missing: number): Promise<void> {
    const { mailbox, retries } = this.#parts;
    this.#given.clear();
    if (own === undefined) {
      await mailbox.forgetAll();
      await retries.forgetAll();
    }
    if (this.#parts.swarm.id !== own) return;
    this.#remember({ swarm: this.#place.swarm });
    if (own === undefined) {
      this.#env.log.info({ missing }, 'handed over, safe to switch off: this node is not in the node list');
    } else this.#env.log.info({ missing }, 'messages of the former swarm handed over');
  }

  /** Who serves the accounts of which we hold something, without our own swarm. */
  async #heirs(membership: Membership, own: bigint | undefined): Promise<Map<bigint, readonly Member[]>> {
    const heirs = new Map<bigint, readonly Member[]>();
    let after: Uint8Array | undefined = new Uint8Array(0);
    while (after !== undefined) {
      const accounts = this.#parts.mailbox.accounts(after, STEP_ACCOUNTS);
      for (const account of accounts) {
        const found = swarmFor(membership, account.subarray(1));
        if (found !== undefined && found.id !== own) heirs.set(found.id, found.members.filter(hasAddress));
      }
      after = accounts.length < STEP_ACCOUNTS ? undefined : accounts[accounts.length - 1];
      await delay(this.#env.clock, 0, this.#stopping.signal);
    }
    return heirs;
  }
}
