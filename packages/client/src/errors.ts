// SPDX-License-Identifier: MIT
// What the client throws on purpose. Answers of nodes are judged in `network/status.ts`; an operation that ends
// without success throws one of these.
import { AlliumError } from '@allium/protocol/errors';

/**
 * - `no_network`: nothing is reachable from this machine; nobody else is to blame. Try again later.
 * - `proxy_unreachable`, `proxy_refused`: the proxy that is the only way out does not answer as one, or lets nothing
 *   through. Nothing was sent past it.
 * - `no_nodes`: no seed, stored or bundled list gave a usable node list.
 * - `unverified`: a verified node list is required, and none could be verified. The message says what to do.
 * - `no_path`: the node list is there, but no path through it passed its probe.
 * - `no_swarm`: nobody told the swarm of an account, or none of its members is known.
 * - `not_stored`: no member of the recipient's swarm confirmed the message; it is kept as failed and may be resent.
 * - `unreachable`: nodes did not answer, or not sensibly, in every attempt.
 * - `clock`: nodes refuse our time even after it was compared with theirs.
 * - `unauthorized`, `bad_request`, `not_found`: a node refused this very request; repeating it is useless.
 * - `invalid_recipient`, `empty`, `too_long`, `not_failed`: the caller's argument.
 * - `not_uploaded`: no file server took the files of a message; it works later by itself.
 * - `no_file_server`, `file_refused`, `file_lost`: the files of a message cannot be uploaded, also not later.
 * - `bad_attachment`: the caller's attachment or preview.
 * - `bad_emoji`, `too_fast`, `under_way`: what is to be done with a message cannot be done, or not now.
 * - `too_late`: the message is too old for what is to be done with it.
 * - `bad_search`: a question that cannot be asked, such as a page that no page before it named.
 * - `bad_timer`: no time after which messages can disappear.
 * - `approved`: what can be done with requests only.
 * - `own_account`: what cannot be done with notes to self.
 * - `wrong_account`: this storage belongs to another account.
 * - `closed`, `aborted`: by the caller.
 */
export type ClientErrorCode =
  | 'no_network'
  | 'proxy_unreachable'
  | 'proxy_refused'
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
  | 'not_uploaded'
  | 'no_file_server'
  | 'file_refused'
  | 'file_lost'
  | 'bad_attachment'
  | 'approved'
  | 'too_late'
  | 'bad_search'
  | 'bad_timer'
  | 'bad_emoji'
  | 'too_fast'
  | 'under_way'
  | 'own_account'
  | 'wrong_account'
  | 'closed'
  | 'aborted';

export class ClientError extends AlliumError<ClientErrorCode> {
  override readonly name = 'ClientError';
}

const NO_WAY_OUT = {
  no_network: 'no network here',
  proxy_unreachable:
    'the proxy does not answer. Start it, or correct its address; nothing was sent without it',
  proxy_refused:
    'the proxy lets nothing through. Correct its user and password, or look into its log; nothing was sent without it',
} as const satisfies Partial<Record<ClientErrorCode, string>>;

/** The error of a code that says that nothing gets out of this machine, so that nobody else is to blame; of others none. */
export function noWayOut(code: string | undefined, options?: ErrorOptions): ClientError | undefined {
  if (code === undefined || !Object.hasOwn(NO_WAY_OUT, code)) return undefined;
  const known = code as keyof typeof NO_WAY_OUT;
  return new ClientError(known, NO_WAY_OUT[known], options);
}
