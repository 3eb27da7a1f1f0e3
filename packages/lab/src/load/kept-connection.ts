// SPDX-License-Identifier: AGPL-3.0-or-later
// One kept HTTP/1.1 connection over TLS without the weight of an agent: load runs hold thousands of them.
import { connect as connectTcp } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import type { Endpoint } from './post.ts';

/** One request at a time. */
export class KeptConnection {
  readonly #socket: TLSSocket;
  #received: Buffer[] = [];
  #resolve: ((body: Uint8Array) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;

  private constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received.push(chunk);
      this.#look();
    });
    socket.on('error', (error) => this.#reject?.(error));
    socket.on('close', () => this.#reject?.(new Error('the node closed a connection')));
  }

  static open(node: Endpoint, localAddress: string): Promise<KeptConnection> {
    return openTls(node, localAddress).then((socket) => new KeptConnection(socket));
  }

  /** Resolves with the body of a 200; other answers, and a closed connection, reject. */
  post(path: string, body: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      if (this.isClosed) reject(new Error('the node closed a connection'));
      const head = `POST ${path} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
      this.#socket.write(Buffer.concat([Buffer.from(head), body]));
    });
  }

  get isClosed(): boolean {
    return this.#socket.destroyed;
  }

  close(): void {
    this.#socket.destroy();
  }

  #look(): void {
    const bytes = this.#received.length === 1 ? this.#received[0]! : Buffer.concat(this.#received);
    const end = bytes.indexOf('\r\n\r\n');
    const length = Number(/content-length: (\d+)/i.exec(bytes.toString('latin1', 0, Math.max(0, end)))?.[1]);
    if (end < 0 || bytes.length < end + 4 + length) return;
    this.#received = [];
    if (bytes.toString('latin1', 9, 12) === '200') this.#resolve?.(bytes.subarray(end + 4));
    else this.#reject?.(new Error(`the node answered ${bytes.toString('latin1', 0, 200)}`));
  }
}

/** Resolves after the handshake. */
export function openTls(to: Endpoint, localAddress: string): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const below = connectTcp({ host: to.host, port: to.port, localAddress });
    const socket = connect({ socket: below, rejectUnauthorized: false });
    const fail = (error?: Error) => reject(error ?? new Error('the node closed a connection'));
    below.once('error', fail);
    below.once('close', () => fail());
    socket.once('error', fail);
    socket.once('secureConnect', () => {
      socket.off('error', fail);
      socket.on('error', () => {});
      resolve(socket);
    });
  });
}
