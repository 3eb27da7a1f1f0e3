// SPDX-License-Identifier: AGPL-3.0-or-later
// Nodes that were in the list lately and are not any more (spec/storage-server §5.12 "Ours"): for a while they may still
// hand over what only they have. It survives restarts, also one during which the list changed.
import type { StatementSync } from 'node:sqlite';
import { utf8 } from '@allium/protocol/bytes';
import type { Env } from '@allium/protocol/env';
import type { Membership } from '@allium/protocol/membership';
import type { Database } from '../mailbox/database.ts';
import type { Swarm } from './swarm.ts';

// Ours.
/** How long a node may hand over after the list left it out, or moved it. */
export const GRACE_MS = 86_400_000;
/** The latest are kept. */
const MAX_DEPARTED = 10_000;
const STATE = 'departed';

/** X25519 keys in hex; times in ms. */
interface Saved {
  /** Digest of the list, and when it changed last. */
  readonly list: string;
  readonly changed: number;
  readonly active: readonly string[];
  readonly departed: readonly (readonly [key: string, since: number])[];
}

export class Departed {
  readonly #parts: { database: Database; swarm: Swarm };
  readonly #env: Env;
  readonly #load: StatementSync;
  readonly #save: StatementSync;
  readonly #since = new Map<string, number>();
  #changed = 0;

  constructor(parts: { database: Database; swarm: Swarm }, env: Env) {
    this.#parts = parts;
    this.#env = env;
    this.#load = parts.database.prepare('SELECT value FROM state WHERE name = ?');
    this.#save = parts.database.prepare('INSERT OR REPLACE INTO state (name, value) VALUES (?, ?)');
  }

  start(): void {
    const row = this.#load.get(STATE) as { value: Uint8Array } | undefined;
    if (row !== undefined) {
      const saved = JSON.parse(Buffer.from(row.value).toString()) as Saved;
      this.#changed = saved.changed;
      for (const [key, since] of saved.departed) this.#since.set(key, since);
      if (saved.list !== this.#parts.swarm.membership.blockHash) this.#compare(saved.active);
    } else this.#remember();
  }

  /** A new list is in force. */
  changed(previous: Membership): void {
    this.#compare(activeKeys(previous));
  }

  /** Whether a node that is not in the list may still hand over. */
  has(x25519Hex: string): boolean {
    return this.#isRecent(this.#since.get(x25519Hex));
  }

  /** Whether the list changed so lately that members of other swarms may have something for us. */
  get swarmsChanged(): boolean {
    return this.#isRecent(this.#changed);
  }

  #isRecent(time: number | undefined): boolean {
    return time !== undefined && Math.abs(this.#env.clock.now() - time) < GRACE_MS;
  }

  #compare(before: readonly string[]): void {
    const now = this.#env.clock.now();
    const active = new Set(activeKeys(this.#parts.swarm.membership));
    this.#changed = now;
    for (const key of before) {
      if (active.has(key)) continue;
      this.#since.delete(key); // to the end
      this.#since.set(key, now);
    }
    for (const [key, since] of this.#since) {
      const isOver = active.has(key) || !this.#isRecent(since) || this.#since.size > MAX_DEPARTED;
      if (isOver) this.#since.delete(key);
    }
    this.#remember();
  }

  #remember(): void {
    const { membership } = this.#parts.swarm;
    const saved: Saved = {
      list: membership.blockHash,
      changed: this.#changed,
      active: activeKeys(membership),
      departed: [...this.#since],
    };
    this.#parts.database
      .write(() => this.#save.run(STATE, utf8(JSON.stringify(saved))))
      .catch((error: unknown) =>
        this.#env.log.error({ error: String(error) }, 'the departed nodes could not be written down'),
      );
  }
}

const activeKeys = ({ members }: Membership): string[] =>
  members.filter(({ active }) => active).map(({ x25519Hex }) => x25519Hex);
