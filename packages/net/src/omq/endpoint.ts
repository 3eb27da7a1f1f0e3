// SPDX-License-Identifier: MIT
// The face of an OMQ endpoint (spec/storage-server §5.3): what its users and handlers see. `omq.ts` is the real one; a
// simulated network has its own.
import type { KeyPair } from '@allium/protocol/crypto/provider';
import type { Cancel } from '@allium/protocol/env';
import { AlliumError } from '@allium/protocol/errors';
import type { AdmissionLimit } from '../admission.ts';

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

export interface OmqCommandOptions {
  /** Without: a message without tag is refused, and the handler's answer is the reply. */
  readonly oneWay?: boolean;
  /** Whether to let in a caller that has no right to the category. Asked for every such message. */
  readonly admits?: (peerKeyHex: string) => boolean;
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

/** A message whose answer may be long in coming. */
export interface OmqExchange {
  /**
   * For handlers that from now on only wait, until they answer: gives the place in the category back to others. How
   * many may wait is for the caller to limit. `onGone` runs when the connection closes before the answer; the one given
   * last.
   */
  hold(onGone?: () => void): void;
}

/**
 * Answers a message. `parts` are views of a shared read buffer: copy what is kept for long. `undefined` (and any
 * exception, which is logged) gives no reply, so that the caller times out.
 */
export type OmqHandler = (
  context: OmqContext,
  parts: Uint8Array[],
  exchange: OmqExchange,
) => readonly OmqPart[] | undefined | Promise<readonly OmqPart[] | undefined>;

/** Which limit was met, for `onRefused`. */
export type OmqLimit =
  | AdmissionLimit
  | 'handshake_time'
  | 'silence'
  | 'unread_bytes'
  | 'message_bytes'
  | 'byte_rate'
  | 'message_size'
  | 'malformed'
  | 'queue'
  | 'pending';

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
  /** Incoming connections of one address or IPv6 /64, default 400 (several nodes may share one address). */
  readonly maxConnectionsPerAddress?: number;
  /** Told each time that a limit was met, whatever the peer got to hear of it. */
  readonly onRefused?: (limit: OmqLimit) => void;
  /** Requests of ours waiting for one peer, default 20 000. */
  readonly maxPendingPerPeer?: number;
  /** Bytes of unfinished messages from peers that are no service nodes, default 64 MiB; the largest gives way. */
  readonly maxStrangersPartialBytes?: number;
  /** Bytes waiting for one slow reader, default 64 MiB, then it is disconnected. */
  readonly maxQueuedBytes?: number;
  /** A connection that we opened is closed after this time without use, default 30 000. */
  readonly idleCloseMs?: number;
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

/** What users of an endpoint rely on. */
export interface OmqEndpoint {
  /** Declares a category, before its commands. */
  category(name: string, options: OmqCategoryOptions): void;
  /** Registers `category.command`. */
  register(command: string, handler: OmqHandler, options?: OmqCommandOptions): void;
  /** Must come before requests. @returns the port, when listening */
  start(): Promise<{ port?: number }>;
  /** Fails waiting requests with `closed`. */
  stop(): Promise<void>;
  /** @returns the data parts of the reply. @throws OmqError */
  request(
    peer: OmqPeer,
    command: string,
    parts: readonly OmqPart[],
    options?: OmqRequestOptions,
  ): Promise<Uint8Array[]>;
  /** One way, without a promise that it arrives. @throws OmqError */
  send(peer: OmqPeer, command: string, parts: readonly OmqPart[]): Promise<void>;
  statistics(): OmqStatistics;
}
