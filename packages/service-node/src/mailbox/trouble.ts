// SPDX-License-Identifier: AGPL-3.0-or-later
// What an operator has to know when the mailbox fails: once in words, not once per request.
import type { Env } from '@allium/protocol/env';
import type { Metrics } from '../metrics.ts';
import { DatabaseError } from './database.ts';

// Ours.
const REMINDER_MS = 60_000;

export class Trouble {
  readonly #metrics: Metrics;
  readonly #env: Env;
  readonly #remindAt = new Map<string, number>();

  constructor(metrics: Metrics, env: Env) {
    this.#metrics = metrics;
    this.#env = env;
  }

  /** A request could not be executed because of `error`. */
  report(method: string, error: unknown): void {
    this.#metrics.mailboxFailures++;
    const kind = error instanceof DatabaseError ? error.code : 'fault';
    const now = this.#env.clock.monotonic();
    if (now < (this.#remindAt.get(kind) ?? Number.NEGATIVE_INFINITY)) return;
    this.#remindAt.set(kind, now + REMINDER_MS);
    this.#env.log.error({ method, error: String(error) }, sentence(kind));
  }
}

function sentence(kind: string): string {
  switch (kind) {
    case 'full':
      return (
        'the mailbox is full: new messages are refused, kept ones are still served. Free disk space, or raise ' +
        '--database-max-mib'
      );
    case 'locked':
      return 'another program holds the mailbox: end what has it open, such as a backup or a database shell';
    case 'corrupt':
      return (
        'the mailbox is damaged: stop the node, move mailbox.sqlite and its -wal and -shm files away, and start again; ' +
        'the other members of the swarm give back the messages'
      );
    default:
      return 'executing a request failed';
  }
}
