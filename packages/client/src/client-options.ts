// SPDX-License-Identifier: MIT
// What a client is opened with.
import type { Account } from '@allium/protocol/account';
import type { Env, Transport } from '@allium/protocol/env';
import type { NetworkOptions } from './network/network.ts';
import type { BlobPort } from './storage/blobs.ts';
import type { Storage } from './storage/storage.ts';

export interface ClientOptions {
  readonly account: Account;
  readonly network: NetworkOptions;
  /** False: only send. Default true. */
  readonly receive?: boolean;
  /**
   * False: nothing that is sent or changed is kept for other devices of this account. Half the work of a bot, which has
   * none. Default true.
   */
  readonly ownCopies?: boolean;
  /** Pause between two polls, where nodes do not hold their answers; default as the network's preset says. */
  readonly pollEveryMs?: number;
  /** How long a node may hold its answer until a message comes, at most 25 000; 0: poll. Default as the preset says. */
  readonly waitMs?: number;
  /** Belongs to the client from now on, and to this account for ever. */
  readonly storage: Storage;
  /** Where files are kept, beside the storage; belongs to the client too. Default: in memory. */
  readonly blobs?: BlobPort;
  readonly transport: Transport;
  readonly env: Env;
  /** Called once everything has ended: for whoever made the transport. */
  readonly onClose?: () => void;
}
