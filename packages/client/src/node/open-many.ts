// SPDX-License-Identifier: MIT
// Many accounts in one Node program that nobody outside can join: each has its own connections, guards, paths, node list,
// swarms, clock, storage, and name at the proxy; they begin at random times and go on at their own pace.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Account } from '@allium/protocol/account';
import type { Client } from '../client.ts';
import { type OpenOptions, openClient } from './node.ts';

// Ours.
/** Accounts that are being opened at the same time. */
const AT_ONCE = 16;
/** On average so long after each other. */
const APART_MS = 500;
const READY_WITHIN_MS = 60_000;
const RETRY_MS = 1_000;

export interface OpenManyOptions extends Omit<OpenOptions, 'account' | 'folder'> {
  /** Each account has a folder of its own in it, named by its id. Absent: everything is in memory. */
  readonly folder?: string;
  /**
   * Accounts begin at random times, on average so far apart; default 500 ms. Who watches the line sees that several accounts
   * are here, as their address is the same without a proxy; but those that begin together look like one person's.
   */
  readonly apartMs?: number;
  /**
   * Waits for a usable path of each, as long; default 60 000 ms, 0: not at all. An account that fails goes on trying until
   * then, as it does in any case once it is open.
   */
  readonly readyWithinMs?: number;
  /** Told each account that is open. */
  readonly onOpen?: (client: Client) => void;
  readonly signal?: AbortSignal;
}

/** Clients that are closed together. */
export class Accounts implements AsyncDisposable {
  readonly #clients = new Map<string, Client>();

  /** By account id. */
  get(id: string): Client | undefined {
    return this.#clients.get(id);
  }

  get size(): number {
    return this.#clients.size;
  }

  [Symbol.iterator](): IterableIterator<Client> {
    return this.#clients.values();
  }

  /** Belongs to these from now on. */
  add(client: Client): void {
    this.#clients.set(client.id, client);
  }

  async close(): Promise<void> {
    const closed = await Promise.allSettled([...this.#clients.values()].map((client) => client.close()));
    this.#clients.clear();
    for (const outcome of closed) if (outcome.status === 'rejected') throw outcome.reason;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * Opens many accounts; all are closed again when one of them cannot be opened.
 * @throws as `openClient` and `Client.ready`
 */
export async function openMany(accounts: Iterable<Account>, options: OpenManyOptions): Promise<Accounts> {
  const { folder, apartMs = APART_MS, readyWithinMs = READY_WITHIN_MS, onOpen, signal, ...common } = options;
  const opened = new Accounts();
  const left = [...accounts];
  const failed = new AbortController();
  const end = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]);
  const openOne = async (account: Account) => {
    const client = await openClient({
      account,
      ...common,
      ...(folder !== undefined && { folder: join(folder, account.id) }),
    });
    opened.add(client);
    if (readyWithinMs > 0) await untilReady(client, readyWithinMs, end);
    onOpen?.(client);
  };
  let turn: Promise<unknown> = Promise.resolve();
  const worker = async () => {
    for (let account = left.shift(); account !== undefined; account = left.shift()) {
      // Exponential: when one begins tells nothing about the next.
      const pause = -Math.log(1 - Math.random()) * apartMs;
      turn = turn.then(() => sleep(pause, undefined, { signal: end }));
      await turn;
      await openOne(account);
    }
  };
  const outcomes = await Promise.allSettled(
    Array.from({ length: AT_ONCE }, () =>
      worker().catch((error: unknown) => {
        failed.abort(error);
        throw error;
      }),
    ),
  );
  const failure = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failure === undefined) return opened;
  await opened.close().catch(() => undefined);
  throw signal?.aborted ? signal.reason : failed.signal.reason;
}

async function untilReady(client: Client, withinMs: number, signal: AbortSignal): Promise<void> {
  const end = performance.now() + withinMs;
  for (;;) {
    try {
      await client.ready({ signal });
      return;
    } catch (error) {
      if (signal.aborted || performance.now() + RETRY_MS >= end) throw error;
      await sleep(RETRY_MS, undefined, { signal });
    }
  }
}
