// SPDX-License-Identifier: AGPL-3.0-or-later
// OMQ within one process and without sockets: for tests that move the clock. Delivers in the next turn of microtasks.
import {
  type OmqAccess,
  type OmqCategoryOptions,
  type OmqContext,
  type OmqEndpoint,
  OmqError,
  type OmqHandler,
  type OmqPart,
  type OmqPeer,
  type OmqStatistics,
} from '@allium/net/omq/endpoint';
import { toHex, utf8 } from '@allium/protocol/bytes';

/** All endpoints that can reach each other, by host and port. */
export class MemoryOmqHub {
  readonly endpoints = new Map<string, MemoryOmq>();
  /** Every request that was made: `command host:port`. */
  readonly requests: string[] = [];

  endpoint(
    host: string,
    port: number,
    publicKey: Uint8Array,
    accessOf: (keyHex: string) => OmqAccess = () => 'service_node',
  ): MemoryOmq {
    const endpoint = new MemoryOmq(this, publicKey, accessOf);
    this.endpoints.set(`${host}:${port}`, endpoint);
    return endpoint;
  }
}

export class MemoryOmq implements OmqEndpoint {
  readonly publicKey: Uint8Array;
  readonly #hub: MemoryOmqHub;
  readonly #accessOf: (keyHex: string) => OmqAccess;
  readonly #access = new Map<string, OmqAccess>();
  readonly #handlers = new Map<string, OmqHandler>();
  isUp = true;

  constructor(hub: MemoryOmqHub, publicKey: Uint8Array, accessOf: (keyHex: string) => OmqAccess) {
    this.#hub = hub;
    this.publicKey = publicKey;
    this.#accessOf = accessOf;
  }

  category(name: string, options: OmqCategoryOptions): void {
    this.#access.set(name, options.access);
  }

  register(command: string, handler: OmqHandler): void {
    this.#handlers.set(command, handler);
  }

  async start(): Promise<{ port?: number }> {
    return {};
  }

  async stop(): Promise<void> {
    this.isUp = false;
  }

  async request(peer: OmqPeer, command: string, parts: readonly OmqPart[]): Promise<Uint8Array[]> {
    this.#hub.requests.push(`${command} ${peer.host}:${peer.port}`);
    await undefined;
    const target = this.#hub.endpoints.get(`${peer.host}:${peer.port}`);
    if (target === undefined || !target.isUp || toHex(target.publicKey) !== toHex(peer.publicKey)) {
      throw new OmqError('unreachable', 'nobody there');
    }
    return target.#handle(this.publicKey, command, parts);
  }

  async #handle(from: Uint8Array, command: string, parts: readonly OmqPart[]): Promise<Uint8Array[]> {
    const handler = this.#handlers.get(command);
    const access = this.#access.get(command.split('.')[0]!) ?? 'none';
    if (handler === undefined || (access !== 'none' && this.#accessOf(toHex(from)) !== access)) {
      throw new OmqError('refused', 'refused');
    }
    const context = { peerKey: from, peerKeyHex: toHex(from), remoteAddress: '127.0.0.1' } as OmqContext;
    const reply = await handler(context, parts.map(bytes), { hold: () => {} });
    if (reply === undefined) throw new OmqError('timeout', 'no answer');
    return reply.map(bytes);
  }

  async send(peer: OmqPeer, command: string, parts: readonly OmqPart[]): Promise<void> {
    await this.request(peer, command, parts);
  }

  statistics(): OmqStatistics {
    return { incoming: 0, outgoing: 0, pendingRequests: 0, queuedBytes: 0 };
  }
}

const bytes = (part: OmqPart): Uint8Array => (typeof part === 'string' ? utf8(part) : part);
