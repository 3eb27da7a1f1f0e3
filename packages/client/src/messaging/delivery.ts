// SPDX-License-Identifier: MIT
// How far a message of ours has come, in words for people. Never more than what was proven: `stored` by signatures of the
// swarm, `delivered` and `read` by what the recipient signed (docs/decisions/0023-delivered.md).
import type { StoredMessage } from '../storage/storage.ts';

export interface Delivery {
  /** `queued` also while it is tried again. */
  readonly state: 'queued' | 'stored' | 'delivered' | 'read' | 'failed';
  /** Members of the recipient's swarm that proved that they keep it, … */
  readonly stored?: number;
  /** … of so many. */
  readonly of?: number;
  /** Network time in ms. */
  readonly deliveredAt?: number;
  readonly readAt?: number;
  /** Of a failed one: the code of the ClientError, and what to do, for people. */
  readonly reason?: string;
  readonly nextStep?: string;
}

const NEXT_STEPS: Readonly<Record<string, string>> = {
  no_network: 'connect this device to a network, then send it again',
  no_nodes: 'check the seeds or the node list, then send it again',
  no_path: 'wait until there is a path, then send it again',
  not_stored: "the recipient's swarm did not take it: send it again later",
  not_uploaded: 'no file server took the file: send it again later',
  no_file_server: 'this network has no file server: name one, then send it again',
  file_refused: 'no file server takes this file: send a smaller one',
  file_lost: 'the file is no longer on this device: send it as a new message',
  clock: "set this device's clock, then send it again",
  aborted: 'it was cancelled: send it again if it is wanted',
};

/** Of a message that this account sent. */
export function deliveryOf({ state, failure, marks = {} }: StoredMessage): Delivery {
  const { stored, of, deliveredAt, readAt } = marks;
  const known = {
    ...(stored !== undefined && { stored }),
    ...(of !== undefined && { of }),
    ...(deliveredAt !== undefined && { deliveredAt }),
    ...(readAt !== undefined && { readAt }),
  };
  if (readAt !== undefined) return { state: 'read', ...known };
  if (deliveredAt !== undefined) return { state: 'delivered', ...known };
  if (state === 'sent') return { state: 'stored', ...known };
  if (state === 'sending') return { state: 'queued', ...known };
  const reason = failure ?? 'not_stored';
  return { state: 'failed', ...known, reason, nextStep: NEXT_STEPS[reason] ?? 'send it again' };
}
