// SPDX-License-Identifier: AGPL-3.0-or-later
// Compares our clock with those of other members: a clock that is off by more than the tolerances of
// spec/storage-server §2.9 makes this node refuse good requests, and nobody sees why.
import type { OmqEndpoint } from '@allium/net/omq/endpoint';
import { fromUtf8, utf8 } from '@allium/protocol/bytes';
import type { Cancel, Env } from '@allium/protocol/env';
import type { Member } from '@allium/protocol/membership';
import { hasAddress } from '../swarm/replication.ts';
import type { Swarm } from '../swarm/swarm.ts';

// From the specification (§2.9.1): a message may come from the future by this much.
export const CLOCK_TOLERANCE_MS = 10_000;

// Ours.
const FIRST_LOOK_MS = 15_000;
const LOOK_MS = 600_000;
/** So many that no single member decides; few enough that nobody notices the questions. */
export const CLOCKS_TO_ASK = 5;
const TIMEOUT_MS = 5_000;
const NO_PARAMETERS = utf8('{}');

/** The offset in the middle: one liar of three or two of five change nothing. Undefined for no offsets. */
export function medianOffset(offsets: readonly number[]): number | undefined {
  return [...offsets].sort((a, b) => a - b)[offsets.length >> 1];
}

/** A clock's offset in words, as a person would say it. */
export function offsetText(ms: number): string {
  const seconds = Math.abs(ms) / 1000;
  const amount = seconds < 120 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds / 60)} minutes`;
  return `${amount} ${ms > 0 ? 'ahead of' : 'behind'}`;
}

export class ClockWatch {
  readonly #omq: OmqEndpoint;
  readonly #swarm: Swarm;
  readonly #env: Env;
  #cancel: Cancel | undefined;
  #looking: Promise<void> | undefined;
  #stopping = new AbortController();
  #offsetMs: number | undefined;
  #wasOff = false;

  constructor(parts: { omq: OmqEndpoint; swarm: Swarm }, env: Env) {
    this.#omq = parts.omq;
    this.#swarm = parts.swarm;
    this.#env = env;
  }

  /** Our clock minus those of the others at the last look; undefined while nobody has answered. */
  get offsetMs(): number | undefined {
    return this.#offsetMs;
  }

  start(): void {
    this.#stopping = new AbortController();
    this.#schedule(FIRST_LOOK_MS);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#cancel?.();
    await this.#looking;
  }

  #schedule(ms: number): void {
    this.#cancel = this.#env.clock.after(ms, () => {
      this.#looking = this.look().then(() => {
        this.#looking = undefined;
        if (!this.#stopping.signal.aborted) this.#schedule(LOOK_MS);
      });
    });
  }

  /** Asks some members now. Never rejects. */
  async look(): Promise<void> {
    const { membership, self, peers } = this.#swarm;
    // Members of the own swarm first: connections to them are open anyway.
    const others = [...new Set([...peers, ...membership.members])].filter(
      (member) => member.ed25519Hex !== self?.ed25519Hex && hasAddress(member),
    );
    const answers = await Promise.all(others.slice(0, CLOCKS_TO_ASK).map((member) => this.#ask(member)));
    const offset = medianOffset(answers.filter((answer) => answer !== undefined));
    if (offset === undefined) return;
    this.#offsetMs = offset;
    const isOff = Math.abs(offset) > CLOCK_TOLERANCE_MS;
    if (isOff) {
      this.#env.log.warn(
        { offsetSeconds: Math.round(offset / 1000) },
        'the clock of this machine is wrong: requests will be refused until it is set (for instance "timedatectl set-ntp true")',
      );
    } else if (this.#wasOff) {
      this.#env.log.info({ offsetSeconds: Math.round(offset / 1000) }, 'the clock is right again');
    }
    this.#wasOff = isOff;
  }

  async #ask(member: Member): Promise<number | undefined> {
    const { clock } = this.#env;
    const began = clock.now();
    try {
      const [body] = await this.#omq.request(
        { host: member.host, port: member.omqPort, publicKey: member.x25519Key },
        'storage.info',
        [NO_PARAMETERS],
        { timeoutMs: TIMEOUT_MS, signal: this.#stopping.signal },
      );
      const { t } = JSON.parse(fromUtf8(body ?? NO_PARAMETERS)) as { t?: unknown };
      return typeof t === 'number' && Number.isFinite(t) ? (began + clock.now()) / 2 - t : undefined;
    } catch {
      // No answer, or none that we understand: others will do.
      return undefined;
    }
  }
}
