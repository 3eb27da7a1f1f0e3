// SPDX-License-Identifier: AGPL-3.0-or-later
// Cuts one node of an in-process devnet off from everybody. All nodes share a process and the loopback device, so no
// firewall can tell them apart; but whatever a node does runs in an async context of its own, and Node announces each
// new socket within the context that made it.
import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

const owner = new AsyncLocalStorage<NetworkCut>();

/** The sockets of one node, and whether they may live. */
export class NetworkCut {
  readonly #sockets = new Set<Socket>();
  #on = false;

  /** Runs what starts the node; all sockets that come of it belong to this cut. */
  run<T>(start: () => T): T {
    return owner.run(this, start);
  }

  get on(): boolean {
    return this.#on;
  }

  /** On: ends all connections at once, without goodbye, and every later one as soon as it is made. */
  set(on: boolean): void {
    this.#on = on;
    if (on) for (const socket of this.#sockets) sever(socket);
  }

  add(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    // Not now: a socket that is destroyed before `connect` would come to life again.
    if (this.#on) process.nextTick(sever, socket);
  }
}

function sever(socket: Socket): void {
  // Only a bare TCP socket can be reset.
  if (socket instanceof TLSSocket) socket.destroy();
  else socket.resetAndDestroy();
}

subscribe('net.client.socket', (message) => {
  owner.getStore()?.add((message as { socket: Socket }).socket);
});

subscribe('net.server.socket', (message) => {
  const cut = owner.getStore();
  if (cut === undefined) return;
  const { socket } = message as { socket: Socket };
  cut.add(socket);
  // Events of an accepted socket come from outside any context; what they lead to is the node's doing too.
  const emit = socket.emit;
  socket.emit = ((...args: Parameters<typeof emit>) =>
    owner.run(cut, () => emit.apply(socket, args))) as typeof emit;
});
