// SPDX-License-Identifier: MIT
// What an answer means: the whole table of spec/client §2.5 and spec/storage-server §4.9 as one pure function. It says
// what to do next and whom to blame; `network.ts` does it.
import type { TransportError } from '@allium/protocol/env';
import type { ClientErrorCode } from '../errors.ts';

/** How one onion request ended. */
export type Outcome =
  /** No answer from the guard. */
  | { readonly at: 'transport'; readonly code: TransportError['code'] }
  /** An answer of the guard or of a hop, in the clear: any status but 200. */
  | { readonly at: 'hop'; readonly status: number; readonly body: string }
  /** Status 200, but the answer does not open with the destination's key; or it does and is nonsense. */
  | { readonly at: 'unreadable'; readonly opened: boolean }
  /** The opened answer of a service node, or one entry of its batch. */
  | { readonly at: 'destination'; readonly status: number; readonly body: string }
  /** The answer of a server beyond the last hop. */
  | { readonly at: 'server'; readonly status: number; readonly body: string; readonly isOfficial: boolean };

/** Who took part: what a hop says of others counts only if they did. Ed25519 keys in hex. */
export interface Route {
  /** Guard first. */
  readonly hops: readonly string[];
  /** Undefined for a server. */
  readonly destination: string | undefined;
}

export type Next =
  | 'done'
  /** On another path if there is one, with another swarm member if any will do. */
  | 'retry'
  /** Compare our clock with the network's, then once more. */
  | 'resync_clock'
  /** The body may hold the right swarm; once more with a member of it. */
  | 'change_swarm'
  | 'stop';

export type Blame =
  | { readonly kind: 'nobody' }
  /** One failure for the path: its guard's counter and every other hop (§2.4). */
  | { readonly kind: 'path' }
  /** One failure for the path, but the other hops are innocent. */
  | { readonly kind: 'guard' }
  /** One failure for this node. */
  | { readonly kind: 'node'; readonly ed25519Hex: string }
  /** This node goes at once. */
  | { readonly kind: 'drop'; readonly ed25519Hex: string }
  /** Nobody can tell whether a hop or the destination is silent: one failure for the path and one for the node. */
  | { readonly kind: 'path_and_node'; readonly ed25519Hex: string };

export interface Verdict {
  readonly next: Next;
  readonly blame: Blame;
  /** What to throw when `next` is `stop`, or when the attempts are used up. */
  readonly error: ClientErrorCode;
}

const NOBODY: Blame = { kind: 'nobody' };
const NAMED = /^(Next node not found|Next node is currently unreachable|Snode not ready): ([0-9a-f]{64})\s*$/;

export function judge(outcome: Outcome, route: Route): Verdict {
  switch (outcome.at) {
    case 'transport':
      return judgeTransport(outcome.code);
    case 'hop':
      return judgeHop(outcome.status, outcome.body, route);
    case 'unreadable':
      return {
        next: 'retry',
        // Ours: the spec blames the path in both cases; but what opens was written by the destination.
        blame:
          outcome.opened && route.destination !== undefined
            ? { kind: 'node', ed25519Hex: route.destination }
            : { kind: 'path' },
        error: 'unreachable',
      };
    case 'destination':
      return judgeDestination(outcome.status, outcome.body, route);
    case 'server':
      return judgeServer(outcome.status, outcome.body, outcome.isOfficial);
  }
}

function judgeTransport(code: TransportError['code']): Verdict {
  switch (code) {
    case 'no_network':
    case 'proxy_unreachable':
    case 'proxy_refused':
      return { next: 'stop', blame: NOBODY, error: code };
    case 'aborted':
      return { next: 'stop', blame: NOBODY, error: 'aborted' };
    case 'unreachable':
    case 'bad_certificate':
      // Ours: the spec counts a path failure; that no connection came about tells nothing about the other hops.
      return { next: 'retry', blame: { kind: 'guard' }, error: 'unreachable' };
    case 'timeout':
    case 'too_large':
    case 'bad_response':
      return { next: 'retry', blame: { kind: 'path' }, error: 'unreachable' };
  }
}

function judgeHop(status: number, body: string, route: Route): Verdict {
  const retry = (blame: Blame): Verdict => ({ next: 'retry', blame, error: 'unreachable' });
  if (body.includes('Oxen Server error')) return { next: 'stop', blame: NOBODY, error: 'unreachable' };
  if (status === 406 || status === 425) return { next: 'resync_clock', blame: NOBODY, error: 'clock' };
  if (status === 421) return { next: 'change_swarm', blame: NOBODY, error: 'no_swarm' };

  const named = NAMED.exec(body);
  if (named !== null) {
    const [, sentence, ed25519Hex = ''] = named;
    const isGuard = ed25519Hex === route.hops[0];
    // A hop may only speak of those who come after it: else any node could have any other dropped.
    const tookPart = route.hops.includes(ed25519Hex) || ed25519Hex === route.destination;
    if (!tookPart) return retry({ kind: 'path' });
    if (status === 503 && sentence === 'Snode not ready') {
      return retry(isGuard ? { kind: 'guard' } : { kind: 'node', ed25519Hex });
    }
    if (status === 502 && sentence !== 'Snode not ready' && !isGuard)
      return retry({ kind: 'drop', ed25519Hex });
    return retry({ kind: 'path' });
  }
  if (status === 503 && /^(Service node is not ready:|Server busy, try again later)/.test(body)) {
    return retry({ kind: 'guard' });
  }
  if ((status === 504 || status === 500) && route.destination !== undefined) {
    // `Request time out`, `Invalid response from snode`: said by the hop before the one at fault, which may be the last.
    if (/Request time out|Invalid response from snode/.test(body)) {
      return retry({ kind: 'path_and_node', ed25519Hex: route.destination });
    }
  }
  return retry({ kind: 'path' });
}

const stop = (error: ClientErrorCode): Verdict => ({ next: 'stop', blame: NOBODY, error });

/** What an inner answer means wherever it comes from, a node or a server; undefined where they differ. */
function judgeInner(status: number, body: string): Verdict | undefined {
  if (status >= 200 && status <= 299) return { next: 'done', blame: NOBODY, error: 'unreachable' };
  if (body.includes('Oxen Server error')) return stop('unreachable');
  switch (status) {
    case 400:
    // Ours: 403 (lifetime not allowed) and 413 are about the request just as 400 is; asking others would not help.
    case 403:
    case 413:
      return stop('bad_request');
    case 401:
      return stop('unauthorized');
    case 404:
      // Ours: `delete` with `required`, a regular answer.
      return stop('not_found');
    case 406:
    case 425:
      return { next: 'resync_clock', blame: NOBODY, error: 'clock' };
    default:
      return undefined;
  }
}

function judgeDestination(status: number, body: string, { destination = '' }: Route): Verdict {
  const common = judgeInner(status, body);
  if (common !== undefined) return common;
  if (status === 421) return { next: 'change_swarm', blame: NOBODY, error: 'no_swarm' };
  const isBroken = status === 502 && body.startsWith('oxend returned unparsable data');
  const kind = isBroken ? 'drop' : 'node';
  return { next: 'retry', blame: { kind, ed25519Hex: destination }, error: 'unreachable' };
}

function judgeServer(status: number, body: string, isOfficial: boolean): Verdict {
  const common = judgeInner(status, body);
  if (common !== undefined) return common;
  if (status === 502 && !isOfficial && body.trim() === 'Bad Gateway') return stop('unreachable');
  return { next: 'retry', blame: NOBODY, error: 'unreachable' };
}
