// SPDX-License-Identifier: AGPL-3.0-or-later
// Warns before the voting key runs out of money for transactions (spec/chain §4.19): below 30 days of what they cost, and
// loudly below 3. Ours: the cost is what the balance has lost since the start, since nobody knows the price of gas to come.
import type { ChainWriter } from '@allium/chain/chain-view';
import type { Cancel, Env } from '@allium/protocol/env';

// From the specification.
const WARN_DAYS = 30;
const ERROR_DAYS = 3;

// Ours.
const DAY_MS = 86_400_000;
/** An hour says too little of a day, unless the whole network is that quick. */
const LOOKS_BEFORE_JUDGING = 3;

export type TankLevel = 'unknown' | 'empty' | 'critical' | 'low' | 'enough';

export class GasTank {
  readonly #writer: ChainWriter;
  readonly #everyMs: number;
  readonly #env: Env;
  #cancel: Cancel | undefined;
  #looking: Promise<void> = Promise.resolve();
  #isStopped = true;
  #since = 0;
  #looks = 0;
  #spent = 0n;
  #balance: bigint | undefined;
  #told: TankLevel = 'unknown';

  /** `everyMs`: between two looks, an epoch. */
  constructor(parts: { writer: ChainWriter; everyMs: number }, env: Env) {
    this.#writer = parts.writer;
    this.#everyMs = parts.everyMs;
    this.#env = env;
  }

  /** In wei, at the last look. */
  get balance(): bigint | undefined {
    return this.#balance;
  }

  /** Days that the balance lasts; undefined while nothing was spent, or too little is known. */
  get daysLeft(): number | undefined {
    if (this.#balance === undefined || this.#spent === 0n || this.#looks <= LOOKS_BEFORE_JUDGING)
      return undefined;
    const days = (this.#env.clock.monotonic() - this.#since) / DAY_MS;
    return Number(this.#balance) / (Number(this.#spent) / days);
  }

  get level(): TankLevel {
    if (this.#balance === undefined) return 'unknown';
    if (this.#balance === 0n) return 'empty';
    const days = this.daysLeft;
    if (days === undefined) return 'unknown';
    return days < ERROR_DAYS ? 'critical' : days < WARN_DAYS ? 'low' : 'enough';
  }

  start(): void {
    this.#isStopped = false;
    this.#since = this.#env.clock.monotonic();
    this.#looking = this.look();
    this.#schedule();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancel?.();
    await this.#looking;
  }

  #schedule(): void {
    this.#cancel = this.#env.clock.after(this.#everyMs, () => {
      this.#looking = this.look();
      if (!this.#isStopped) this.#schedule();
    });
  }

  /** Never rejects. */
  async look(): Promise<void> {
    let balance: bigint;
    try {
      balance = await this.#writer.balance();
    } catch (error) {
      // The endpoint is down, which is told elsewhere.
      this.#env.log.debug({ error: String(error) }, 'the balance of the voting key is not known');
      return;
    }
    if (this.#balance !== undefined && balance < this.#balance) this.#spent += this.#balance - balance;
    this.#balance = balance;
    this.#looks++;
    this.#tell();
  }

  #tell(): void {
    const { level } = this;
    if (level === this.#told) return;
    this.#told = level;
    const { log } = this.#env;
    const days = this.daysLeft;
    const fields = { address: this.#writer.address, ...(days !== undefined && { days: Math.floor(days) }) };
    if (level === 'empty') {
      log.error(
        fields,
        'the voting key has no money for gas: others bring the votes of this node to the chain, but nobody its seeds. Send some to its address',
      );
    } else if (level === 'critical')
      log.error(
        fields,
        'the money for gas lasts for less than 3 days: send some to the address of the voting key',
      );
    else if (level === 'low')
      log.warn(
        fields,
        'the money for gas lasts for less than 30 days: send some to the address of the voting key',
      );
    else if (level === 'enough') log.info(fields, 'there is enough money for gas');
  }
}
