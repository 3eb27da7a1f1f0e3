// SPDX-License-Identifier: MIT
// Is the network healthy? The documented question: how many service nodes are there, how many of them are active.
import { type Transport, TransportError } from '@allium/protocol/env';
import {
  encodeHealthRequest,
  parseServiceNodeHealth,
  type ServiceNodeHealth,
} from '@allium/protocol/storage/network-health';
import { decodeJsonRpcAnswer } from '@allium/protocol/storage/service-node-list';
import { ClientError, noWayOut } from './errors.ts';
import { NETWORKS, type Seed } from './network/presets.ts';

export type { ServiceNodeHealth };

/** Ours: a person waits. */
const TIMEOUT_MS = 5_000;

export interface HealthOptions {
  readonly transport: Transport;
  /** Asked one after the other until one answers. Default: those of the main network. */
  readonly seeds?: readonly Seed[];
  readonly signal?: AbortSignal;
}

/**
 * Counts the nodes that a seed lists; more than fifty active ones are a healthy network. What the seed says is not
 * checked: `client.health().trust` tells whether a list could be.
 * @throws ClientError `no_network`, `no_nodes`; the reason of `signal`
 */
export async function checkServiceNodeHealth(options: HealthOptions): Promise<ServiceNodeHealth> {
  const { transport, seeds = NETWORKS.main.seeds, signal } = options;
  let last: unknown;
  for (const seed of seeds) {
    signal?.throwIfAborted();
    try {
      const { status, body } = await transport.request({
        url: `${seed.url.replace(/\/+$/, '')}/json_rpc`,
        body: encodeHealthRequest(),
        headers: { 'content-type': 'application/json' },
        timeoutMs: TIMEOUT_MS,
        ...(seed.pins !== undefined && { pins: seed.pins }),
        ...(signal !== undefined && { signal }),
      });
      if (status !== 200) throw new TransportError('bad_response', `a seed answered ${status}`);
      return parseServiceNodeHealth(decodeJsonRpcAnswer(body));
    } catch (error) {
      signal?.throwIfAborted();
      last = error;
    }
  }
  const trapped = last instanceof TransportError ? noWayOut(last.code, { cause: last }) : undefined;
  if (trapped !== undefined) throw trapped;
  throw new ClientError('no_nodes', 'no seed told how many nodes there are', { cause: last });
}
