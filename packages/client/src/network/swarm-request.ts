// SPDX-License-Identifier: MIT
// What is asked of the swarm of an account (spec/client §2.3, §2.5): how the request is made anew for each attempt, and what
// counts as an answer.
import type { AccountId } from '@allium/protocol/account-id';
import type { SimpleRequest } from '@allium/protocol/storage/requests';
import type { Subresult } from '@allium/protocol/storage/responses';
import type { PoolNode } from '../storage/storage.ts';
import type { Path } from './paths.ts';

export interface SwarmRequest<T> {
  readonly account: AccountId;
  readonly carrier: 'batch' | 'sequence';
  /**
   * Called for each attempt: times in requests must be of now. `timeRefused`: the attempt before was refused because
   * of a time in it, and network time has been asked for since.
   */
  make(node: PoolNode, timeRefused: boolean): readonly SimpleRequest[] | Promise<readonly SimpleRequest[]>;
  /**
   * Reads results that all have a success code.
   * @throws ParseError: counts as a failure of the node, and the next one is asked
   */
  accept(results: readonly Subresult[], node: PoolNode, requests: readonly SimpleRequest[]): T | Promise<T>;
  readonly attempts: number;
  readonly pauseMs: number;
  readonly timeoutMs?: number;
  /** These first, in this order, those that are members. */
  readonly prefer?: readonly string[] | undefined;
  /** These members only when there are no others. */
  readonly avoid?: ReadonlySet<string>;
  /** Guards of paths, Ed25519 keys in hex; as long as there is a choice. */
  readonly preferGuard?: string | undefined;
  readonly avoidGuard?: string | undefined;
  /** Told the path of each attempt. */
  readonly onSent?: (path: Path) => void;
  /**
   * The answer may be long in coming: when the path is found bad meanwhile, the request goes out again over another
   * one, to the same member.
   */
  readonly endsWithPath?: boolean;
  readonly signal?: AbortSignal;
}
