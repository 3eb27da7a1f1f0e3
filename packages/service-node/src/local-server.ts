// SPDX-License-Identifier: AGPL-3.0-or-later
// What the node tells on its own machine, over plain HTTP: `GET /metrics` for Prometheus and `GET /peers` for the operator.
// It listens at a loopback port where one is configured, and always at the socket `node.sock` in the data folder, which its
// user alone can open. Nothing can be changed through it.
import { rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';

/** Path → type and text of the answer. */
export type LocalRoutes = Readonly<Record<string, () => { type: string; text: string | Promise<string> }>>;

/** Name of the socket in the data folder. */
export const SOCKET_NAME = 'node.sock';

export class LocalServer {
  readonly #at: { readonly port: number } | { readonly path: string };
  readonly #routes: LocalRoutes;
  #server: Server | undefined;

  constructor(at: { readonly port: number } | { readonly path: string }, routes: LocalRoutes) {
    this.#at = at;
    this.#routes = routes;
  }

  /** A socket left behind by a node that was killed is replaced: whoever starts holds the lock of the folder. */
  start(): Promise<{ port?: number }> {
    const server = createServer((request, response) => {
      const route = request.method === 'GET' ? this.#routes[request.url ?? ''] : undefined;
      if (route === undefined) {
        response.writeHead(404, { 'content-type': 'text/plain' }).end('Not Found');
        return;
      }
      const { type, text } = route();
      Promise.resolve(text).then(
        (body) => response.writeHead(200, { 'content-type': type }).end(body),
        () => response.writeHead(500).end(),
      );
    });
    this.#server = server;
    const at = this.#at;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      if ('path' in at) {
        rmSync(at.path, { force: true });
        server.listen(at.path, () => resolve({}));
      } else {
        server.listen(at.port, '127.0.0.1', () =>
          resolve({ port: (server.address() as { port: number }).port }),
        );
      }
    });
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}
