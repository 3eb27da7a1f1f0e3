// SPDX-License-Identifier: MIT
// OMQ endpoint: commands, requests and replies between nodes, and between nodes and clients
// (spec/storage-server §5.1, §5.3), over ZMTP with CURVE (curve.ts, zmtp.ts, connection.ts).

import type { KeyPair } from '@allium/protocol/crypto/provider';
import type { Cancel, Env } from '@allium/protocol/env';
import { AlliumError } from '@allium/protocol/errors';

/** Why a request of ours got no reply. `refused`: the peer said so; `busy`: too many requests of ours wait for it. */
export class OmqError extends AlliumError<
  'timeout' | 'unreachable' | 'refused' | 'closed' | 'aborted' | 'too_large' | 'handshake' | 'busy'
> {
  override readonly name = 'OmqError';
}

/** A part to send; text goes out as UTF-8. Bytes must not be changed after the call. */
export type OmqPart = Uint8Array | string;

export interface OmqPeer {
  readonly host: string;
  readonly port: number;
  /** X25519, 32 bytes. The handshake fails when somebody else answers. */
  readonly publicKey: Uint8Array;
}

export type OmqAccess = 'none' | 'service_node' | 'admin';

export interface OmqCategoryOptions {
  /** What `accessOf` must say of the caller; 'none' admits anyone. */
  readonly access: OmqAccess;
  /** Handlers running at once, default 256. */
  readonly maxConcurrent?: number;
  /** Messages waiting beyond that, default 1000; further ones are dropped silently (§5.3). */
  readonly maxQueued?: number;
}

/** The connection that a message came from. */
export interface OmqConnection {
  readonly isOpen: boolean;
  /** One-way command on this very connection; lost without notice when it is closed. */
  send(command: string, parts: readonly OmqPart[]): void;
  /** Calls `run` once when the connection closes, at once when it is closed already. */
  onClose(run: () => void): Cancel;
}

export interface OmqContext {
  /** The caller's CURVE key, proven by the handshake. */
  readonly peerKey: Uint8Array;
  readonly peerKeyHex: string;
  /** IPv4 or IPv6 text; mapped IPv4 as IPv4. */
  readonly remoteAddress: string;
  readonly connection: OmqConnection;
}

/**
 * Answers a message. `parts` are views of a shared read buffer: copy what is kept for long. `undefined` (and any
 * exception, which is logged) gives no reply, so that the caller times out.
 */
export type OmqHandler = (
  context: OmqContext,
  parts: Uint8Array[],
) => readonly OmqPart[] | undefined | Promise<readonly OmqPart[] | undefined>;

export interface OmqOptions {
  /** X25519; the node's or a fresh one. */
  readonly keyPair: KeyPair;
  /** Absent: connects only. Port 0: chosen by the system. */
  readonly listen?: { readonly host: string; readonly port: number };
  /** Sends the service-node identity, needs no HI/HELLO, and serves the categories of service nodes. */
  readonly isServiceNode: boolean;
  /** Asked for every message. */
  readonly accessOf?: (peerKeyHex: string) => OmqAccess;
  /** Incoming connections, default 4000. */
  readonly maxConnections?: number;
  /** Incoming connections of one address, default 400 (several nodes may share one address). */
  readonly maxConnectionsPerAddress?: number;
  /** Requests of ours waiting for one peer, default 10 000. */
  readonly maxPendingPerPeer?: number;
  /** Bytes waiting for one slow reader, default 64 MiB, then it is disconnected. */
  readonly maxQueuedBytes?: number;
}

export interface OmqRequestOptions {
  /** Default 15 000; kept to about 50 ms. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Uses a connection that we opened, even if the peer has one to us (ping tests). */
  readonly ownConnection?: boolean;
}

export interface OmqStatistics {
  readonly incoming: number;
  readonly outgoing: number;
  readonly pendingRequests: number;
  readonly queuedBytes: number;
}

export class Omq {
  readonly options: OmqOptions;
  readonly env: Env;

  constructor(options: OmqOptions, env: Env) {
    this.options = options;
    this.env = env;
  }

  /** Declares a category before its commands. */
  category(_name: string, _options: OmqCategoryOptions): void {
    throw new Error('not yet');
  }

  /**
   * Registers `category.command`. A request without tag is answered NO_REPLY_TAG unless `oneWay`; a one-way command
   * has no reply.
   */
  register(_command: string, _handler: OmqHandler, _options?: { readonly oneWay?: boolean }): void {
    throw new Error('not yet');
  }

  /** Listens when asked to. @returns the port, when listening */
  async start(): Promise<{ port?: number }> {
    throw new Error('not yet');
  }

  /** Says BYE, closes everything; waiting requests fail with `closed`. Harmless when repeated. */
  async stop(): Promise<void> {
    throw new Error('not yet');
  }

  /**
   * Sends a request, opening a connection unless there is one with the peer.
   * @returns the data parts of the reply, after tag
   * @throws OmqError
   */
  request(
    _peer: OmqPeer,
    _command: string,
    _parts: readonly OmqPart[],
    _options?: OmqRequestOptions,
  ): Promise<Uint8Array[]> {
    throw new Error('not yet');
  }

  /** Sends a one-way command; resolves when it is handed to a connection. @throws OmqError */
  async send(_peer: OmqPeer, _command: string, _parts: readonly OmqPart[]): Promise<void> {
    throw new Error('not yet');
  }

  statistics(): OmqStatistics {
    throw new Error('not yet');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
