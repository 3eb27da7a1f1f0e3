// SPDX-License-Identifier: AGPL-3.0-or-later
// What a running node tells on its own machine (local-server.ts): its metrics, and what it found out about others.
import { join } from 'node:path';
import type { HttpsListener } from '@allium/net/https-server';
import type { OmqEndpoint } from '@allium/net/omq/endpoint';
import type { Env } from '@allium/protocol/env';
import type { Closer } from './assembly.ts';
import { type LocalRoutes, LocalServer, SOCKET_NAME } from './local-server.ts';
import type { Database } from './mailbox/database.ts';
import type { NodeNetwork } from './membership/node-network.ts';
import type { Metrics } from './metrics.ts';
import type { LongPolls } from './monitor/long-polls.ts';
import type { Subscriptions } from './monitor/subscriptions.ts';
import type { OnionRelay } from './onion/relay.ts';
import type { RetryQueue } from './swarm/retry-queue.ts';
import type { PeerTests } from './testing/peer-tests.ts';
import type { Governance } from './voting/governance.ts';

export interface LocalPagesParts {
  readonly metrics: Metrics;
  readonly network: NodeNetwork;
  readonly database: Database;
  readonly retries: RetryQueue;
  readonly omq: OmqEndpoint;
  readonly https: HttpsListener;
  readonly subscriptions: Subscriptions;
  readonly polls: LongPolls;
  readonly onions: OnionRelay;
  readonly tests: PeerTests;
  readonly governance: Governance | undefined;
}

export function localPages(parts: LocalPagesParts): LocalRoutes {
  const text = () =>
    parts.metrics.text({
      databaseBytes: () => parts.database.size(),
      queuedForwards: () => parts.retries.size(),
      omqConnections: () => {
        const { incoming, outgoing } = parts.omq.statistics();
        return incoming + outgoing;
      },
      httpsConnections: () => parts.https.connections,
      subscriptions: () => parts.subscriptions.size,
      longPolls: () => parts.polls.size,
      waitingHops: () => parts.onions.waiting,
      membershipVersion: () => parts.network.version,
      membershipExpiry: () => parts.network.expires,
      clockOffsetMs: () => parts.tests.clocks.offsetMs,
      failingPeers: () => parts.tests.counts(),
      governance: () => parts.governance?.figures,
    });
  return {
    '/metrics': () => ({ type: 'text/plain; version=0.0.4; charset=utf-8', text: text() }),
    '/peers': () => ({ type: 'application/json', text: JSON.stringify(parts.tests.report()) }),
  };
}

/** At the socket of the data folder. A node without one is as good: the operator is told. */
export async function openSocket(
  dataDir: string,
  pages: LocalRoutes,
  env: Env,
  closers: Closer[],
): Promise<void> {
  const socket = new LocalServer({ path: join(dataDir, SOCKET_NAME) }, pages);
  try {
    await socket.start();
    closers.push(() => socket.stop());
  } catch (error) {
    // A path of more than about 100 characters, or a file system without sockets.
    env.log.warn(
      { error: String(error) },
      'no socket for "allium node peers": set --metrics-port to have it',
    );
  }
}

/** At a loopback port, which it returns; 0: at none. @throws Error when it is taken */
export async function openMetricsPort(
  wanted: number,
  pages: LocalRoutes,
  closers: Closer[],
): Promise<number | undefined> {
  if (wanted === 0) return undefined;
  const server = new LocalServer({ port: wanted }, pages);
  const { port } = await server.start();
  closers.push(() => server.stop());
  return port;
}
