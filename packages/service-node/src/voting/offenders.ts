// SPDX-License-Identifier: AGPL-3.0-or-later
// Peers that send invalid votes are not listened to any more for a while (spec/chain §4.19).
import type { Clock } from '@allium/protocol/env';

// From the specification.
const OFFENCES_PER_HOUR = 10;
const HOUR_MS = 3_600_000;

/** Ours: more than any network has nodes; beyond it the oldest are forgotten. */
const MAX_PEERS = 20_000;

export class Offenders {
  readonly #clock: Clock;
  /** Times of the newest offences, the oldest first. */
  readonly #offences = new Map<string, number[]>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  note(peer: string): void {
    const times = this.#offences.get(peer) ?? [];
    times.push(this.#clock.monotonic());
    if (times.length > OFFENCES_PER_HOUR) times.shift();
    this.#offences.delete(peer);
    this.#offences.set(peer, times);
    for (const oldest of this.#offences.keys()) {
      if (this.#offences.size <= MAX_PEERS) break;
      this.#offences.delete(oldest);
    }
  }

  /** Whether the peer made ten invalid votes within the last hour. */
  isDropped(peer: string): boolean {
    const times = this.#offences.get(peer);
    if (times === undefined || times.length < OFFENCES_PER_HOUR) return false;
    return this.#clock.monotonic() - times[0]! < HOUR_MS;
  }
}
