// SPDX-License-Identifier: AGPL-3.0-or-later
// What a scenario sees of a network. It is written once and runs on two engines: `devnet` (sockets, files, real time)
// and `sim` (virtual time, a seed, latencies and losses as wanted).
//
// A scenario waits only for the network: `pass`, `until`, and what clients and nodes promise. It reads the time from
// `clock`.
import type { Client } from '@allium/client';
import type { Storage } from '@allium/client/storage';
import type { Account } from '@allium/protocol/account';
import type { AccountId } from '@allium/protocol/account-id';
import type { Clock, Transport } from '@allium/protocol/env';

export interface ScenarioNode {
  readonly index: number;
  readonly name: string;
  readonly url: string;
  readonly ed25519: string;
  readonly running: boolean;
  start(): Promise<void>;
  /** Clean stop. */
  stop(): Promise<void>;
  /** Goes down without a word. What was committed to its database stays. */
  kill(): Promise<void>;
  restart(): Promise<void>;
  /** On: nobody reaches the node and it reaches nobody, while it goes on running. */
  partition(on: boolean): void;
}

export interface ScenarioClientOptions {
  readonly account: Account;
  /** False: only send. Default true. */
  readonly receive?: boolean;
  readonly pollEveryMs?: number;
  /** Default: memory of its own. */
  readonly storage?: Storage;
}

export interface ScenarioNetwork<Node extends ScenarioNode = ScenarioNode> extends AsyncDisposable {
  readonly nodes: readonly Node[];
  readonly clock: Clock;
  /** For requests to single nodes. */
  readonly transport: Transport;
  /** The nodes that keep an account's messages. */
  swarmOf(account: AccountId): readonly Node[];
  /** Closed by the caller, before the network. */
  client(options: ScenarioClientOptions): Promise<Client>;
  /** Lets time go by. */
  pass(ms: number): Promise<void>;
  /** Waits until `condition` holds. @throws Error after `limitMs`, default 90 000 */
  until(condition: () => boolean | Promise<boolean>, limitMs?: number): Promise<void>;
  stop(): Promise<void>;
}

export interface ScenarioOptions {
  readonly nodes?: number;
  /** Sizes of swarms fixed by hand. */
  readonly swarms?: readonly number[];
}

/** How long `until` waits by default. */
export const UNTIL_MS = 90_000;
