// SPDX-License-Identifier: AGPL-3.0-or-later
// HTTPS POST without ceremony, for load runs and for waiting until a node answers.
import { Agent, request } from 'node:https';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export interface PostAnswer {
  readonly status: number;
  readonly body: Buffer;
}

/** Certificates of nodes are self-signed and checked by nobody (spec/storage-server §3.2). */
export function newAgent(connections: number): Agent {
  return new Agent({ keepAlive: true, maxSockets: connections, rejectUnauthorized: false });
}

/** One POST; rejects when nobody answers within `timeoutMs`. */
export function post(
  to: Endpoint,
  path: string,
  body: string | Uint8Array,
  options: { readonly agent?: Agent; readonly timeoutMs?: number; readonly localAddress?: string } = {},
): Promise<PostAnswer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: to.host,
        port: to.port,
        path,
        method: 'POST',
        rejectUnauthorized: false,
        agent: options.agent ?? false,
        headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) },
        ...(options.localAddress === undefined ? {} : { localAddress: options.localAddress }),
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
      },
    );
    outgoing.setTimeout(options.timeoutMs ?? 30_000, () => outgoing.destroy(new Error('no answer in time')));
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
