// SPDX-License-Identifier: MIT
// Messages of ours that a swarm will soon forget, and that nobody is known to have: while they can still be sent once more
// in time, the program is told. Clients other than ours confirm nothing; whoever has written since has been there.
import { delay, type Env } from '@allium/protocol/env';
import { ClientError } from '../errors.ts';
import { Tasks } from '../events.ts';
import type { Network } from '../network/network.ts';
import type { Storage, StoredMessage } from '../storage/storage.ts';
import { MESSAGE_TTL_MS } from './proofs.ts';

// Ours.
/** Told so long before the end. */
const WARN_MS = 2 * 24 * 3_600_000;
const LOOK_EVERY_MS = 3_600_000;
const AWAIT_TIME_MS = 60_000;
/** The newest of a conversation, for something that the other side wrote since. */
const PAGE = 200;
const CHECKED = 'expiring_checked';

export interface ExpiringMessage {
  readonly message: StoredMessage;
  /** Network time in ms: swarms forget it then. */
  readonly expiresAt: number;
  /** For people. */
  readonly nextStep: string;
}

interface ExpiringDeps {
  readonly own: string;
  readonly network: Network;
  readonly storage: Storage;
  readonly env: Env;
  readonly onExpiring: (expiring: ExpiringMessage) => void;
}

export class Expiring {
  readonly #deps: ExpiringDeps;
  readonly #tasks: Tasks;
  #count = 0;

  constructor(deps: ExpiringDeps) {
    this.#deps = deps;
    this.#tasks = new Tasks(deps.env.log);
  }

  /** Of messages, when it was looked last. */
  get count(): number {
    return this.#count;
  }

  /** Looks now and then until `stop`. */
  start(): void {
    this.#tasks.run('messages that expire', async () => {
      const { env, network } = this.#deps;
      const { signal } = this.#tasks;
      for (;;) {
        // By a clock that is wrong all or none would be old; what goes on anyway will tell the time.
        const { isSettled } = network.clock;
        if (isSettled) await this.look();
        await delay(env.clock, isSettled ? LOOK_EVERY_MS : AWAIT_TIME_MS, signal);
      }
    });
  }

  async stop(): Promise<void> {
    await this.#tasks.stop(new ClientError('closed', 'the client was closed'));
  }

  async look(): Promise<void> {
    const { storage, network, own, onExpiring } = this.#deps;
    const now = network.clock.now();
    const until = now - MESSAGE_TTL_MS + WARN_MS;
    const told = Number((await storage.setting(CHECKED)) ?? 0);
    const old = await storage.sentBy(own as StoredMessage['sender'], now - MESSAGE_TTL_MS, until);
    const expiring: StoredMessage[] = [];
    const heardAt = new Map<StoredMessage['conversation'], number>();
    for (const message of old.filter(isUnconfirmed)) {
      const { conversation } = message;
      if (!heardAt.has(conversation)) heardAt.set(conversation, await this.#lastHeard(conversation));
      if (heardAt.get(conversation)! < message.timestamp) expiring.push(message);
    }
    await storage.write({ settings: { [CHECKED]: String(until) } });
    this.#count = expiring.length;
    for (const message of expiring) {
      if (message.timestamp < told) continue;
      onExpiring({
        message,
        expiresAt: message.timestamp + MESSAGE_TTL_MS,
        nextStep: 'nobody is known to have fetched it: send it again, or ask them another way',
      });
    }
  }

  async #lastHeard(conversation: StoredMessage['conversation']): Promise<number> {
    const page = await this.#deps.storage.history(conversation, { limit: PAGE });
    return Math.max(
      0,
      ...page.filter(({ sender }) => sender === conversation).map(({ timestamp }) => timestamp),
    );
  }
}

function isUnconfirmed({ state, conversation, sender, notice, timer, marks = {} }: StoredMessage): boolean {
  const isSent = state === 'sent' && conversation !== sender && notice === undefined;
  // What disappears is meant to.
  return isSent && timer === undefined && marks.deliveredAt === undefined && marks.deletedAt === undefined;
}
