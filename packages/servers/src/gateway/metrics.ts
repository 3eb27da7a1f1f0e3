// SPDX-License-Identifier: AGPL-3.0-or-later
// `/metrics` of a gateway, for Prometheus, on loopback: counts alone, no address.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { GatewayNumbers } from './gateway.ts';

/** In the text format of Prometheus. */
export function gatewayMetrics(numbers: GatewayNumbers): string {
  const lines: string[] = [];
  const add = (name: string, type: 'gauge' | 'counter', help: string, values: Iterable<[string, number]>) => {
    lines.push(`# HELP allium_gateway_${name} ${help}`, `# TYPE allium_gateway_${name} ${type}`);
    for (const [label, value] of values) lines.push(`allium_gateway_${name}${label} ${value}`);
  };
  const one = (value: number): [string, number][] => [['', value]];
  const by = (label: string, values: ReadonlyMap<string, number>): [string, number][] =>
    [...values].map(([name, value]) => [`{${label}="${name}"}`, value]);
  add('nodes', 'gauge', 'Nodes in the list', one(numbers.nodes));
  add('list_time_seconds', 'gauge', 'Unix time of the newest list', one((numbers.listedAt ?? 0) / 1000));
  add('connections', 'gauge', 'Open connections of browsers', one(numbers.connections));
  add('sockets', 'gauge', 'Open WebSockets', one(numbers.sockets));
  add('pending', 'gauge', 'Envelopes without answer', one(numbers.pending));
  add('buffered_bytes', 'gauge', 'Envelopes and answers of WebSockets in memory', one(numbers.bufferedBytes));
  add('envelopes_total', 'counter', 'Envelopes by how they ended', by('end', numbers.envelopes));
  add('refusals_total', 'counter', 'How often a limit was met', by('limit', numbers.refused));
  add('bytes_total', 'counter', 'Bytes of envelopes (in) and answers (out)', [
    ['{direction="in"}', numbers.bytesIn],
    ['{direction="out"}', numbers.bytesOut],
  ]);
  return `${lines.join('\n')}\n`;
}

/** Serves `GET /metrics` on loopback. @param port 0: any free one */
export function serveGatewayMetrics(
  numbers: () => GatewayNumbers,
  port: number,
): Promise<{ readonly port: number; stop(): Promise<void> }> {
  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url !== '/metrics') {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('Not Found\n');
      return;
    }
    response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });
    response.end(gatewayMetrics(numbers()));
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () =>
      resolve({
        port: (server.address() as AddressInfo).port,
        stop: () =>
          new Promise<void>((stopped) => {
            server.close(() => stopped());
            server.closeAllConnections();
          }),
      }),
    );
  });
}
