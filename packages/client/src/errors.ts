// SPDX-License-Identifier: MIT
// What the client throws on purpose. Answers of nodes are judged in `network/status.ts`; an operation that ends
// without success throws one of these.
import { AlliumError } from '@allium/protocol/errors';

/**
 * - `no_network`: nothing is reachable from this machine; nobody else is to blame. Try again later.
 * - `no_nodes`: no seed, stored or bundled list gave a usable node list.
 * - `unverified`: a verified node list is required, and none could be verified. The message says what to do.
 * - `no_path`: the node list is there, but no path through it passed its probe.
 * - `no_swarm`: nobody told the swarm of an account, or none of its members is known.
 * - `not_stored`: no member of the recipient's swarm confirmed the message; it is kept as failed and may be resent.
 * - `unreachable`: nodes did not answer, or not sensibly, in every attempt.
 * - `clock`: nodes refuse our time even after it was compared with theirs.
 * - `unauthorized`, `bad_request`, `not_found`: a node refused this very request; repeating it is useless.
 * - `invalid_recipient`, `empty`, `too_long`, `not_failed`: the caller's argument.
 * - `bad_emoji`, `too_fast`, `under_way`: what is to be done with a message cannot be done, or not now.
 * - `approved`: what can be done with requests only.
 * - `wrong_account`: this storage belongs to another account.
 * - `closed`, `aborted`: by the caller.
 */
export type ClientErrorCode =
  | 'no_network'
  | 'no_nodes'
  | 'unverified'
  | 'no_path'
  | 'no_swarm'
  | 'not_stored'
  | 'unreachable'
  | 'clock'
  | 'unauthorized'
  | 'bad_request'
  | 'not_found'
  | 'invalid_recipient'
  | 'empty'
  | 'too_long'
  | 'not_failed'
  | 'approved'
  | 'bad_emoji'
  | 'too_fast'
  | 'under_way'
  | 'wrong_account'
  | 'closed'
  | 'aborted';

export class ClientError extends AlliumError<ClientErrorCode> {
  override readonly name = 'ClientError';
}
