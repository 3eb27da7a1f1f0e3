// SPDX-License-Identifier: MIT
// (types first)
import type { EncType, FixedLayer, ReceivedEncType, ReplyKey } from './layer.ts';

/** An envelope or hop message greater than this is refused (spec/storage-server §4.8). */
export const MAX_ONION_BYTES = 10 * 1024 * 1024;
/** A hop message with a greater number is refused (spec/storage-server §4.8). */
export const MAX_HOPS = 15;

/** A layer on its way to the node that can open it. */
export interface Hop {
  readonly ciphertext: Uint8Array;
  /** X25519, 32 bytes. */
  readonly ephemeralKey: Uint8Array;
  readonly encType: ReceivedEncType;
  readonly hopNo: number;
}

/** This node is the destination. */
export interface FinalLayer {
  readonly kind: 'final';
  /** An RPC request (spec/storage-server §2.4). */
  readonly body: Uint8Array;
  /** Embed a JSON result as JSON instead of as text. */
  readonly embedJson: boolean;
  readonly base64: boolean;
}

export interface ServerRelayLayer {
  readonly kind: 'server';
  readonly host: string;
  readonly port: number;
  readonly protocol: string;
  readonly target: string;
  /** What the server gets: the whole plaintext of the layer. */
  readonly payload: Uint8Array;
}

export interface NodeRelayLayer {
  readonly kind: 'node';
  /** Ed25519 key of the next node, lower-case hex. */
  readonly destination: string;
  readonly ephemeralKey: Uint8Array;
  readonly encType: ReceivedEncType;
  readonly ciphertext: Uint8Array;
}

export type Layer = FinalLayer | ServerRelayLayer | NodeRelayLayer;

export interface FinalReply {
  readonly status: number;
  /** Text, or bytes, which travel as base64. */
  readonly body: string | Uint8Array;
  /** `body` is a JSON document. */
  readonly isJson?: boolean;
}

export interface PathNode {
  readonly ed25519Key: Uint8Array;
  readonly x25519Key: Uint8Array;
}

export type OnionDestination =
  | ({ readonly kind: 'node' } & PathNode)
  | {
      readonly kind: 'server';
      readonly x25519Key: Uint8Array;
      readonly host: string;
      readonly target: string;
      readonly port?: number;
      readonly protocol?: 'http' | 'https';
    };

export interface OnionOptions {
  /** Guard first; one to fourteen nodes. */
  readonly path: readonly PathNode[];
  readonly destination: OnionDestination;
  /** To a node: the RPC request's JSON. To a server: a v4 request. */
  readonly payload: Uint8Array;
  /** Default aes-gcm. */
  readonly encType?: EncType;
  /** Where to start counting hops, to blur the position of the sender. */
  readonly hopNo?: number;
  /** Fill up to a size class (spec/storage-server §9.3.13). The payload to a node must be JSON then. */
  readonly padded?: boolean;
}

export interface BuiltOnion {
  /** Body of the POST to the guard. */
  readonly body: Uint8Array;
  /** Opens the destination's answer. */
  readonly replyKey: ReplyKey;
}

export declare function encodeEnvelope(blob: Uint8Array, controlJson: string): Uint8Array;
/** @throws ParseError */
export declare function splitEnvelope(bytes: Uint8Array): {
  readonly blob: Uint8Array;
  readonly control: string;
};
/** Body of `POST /onion_req/v2`. @throws ParseError: answer 400 `Error parsing onion request: <message>`, plain */
export declare function parseEntry(bytes: Uint8Array): Hop;
/** @throws ParseError: answer 400 `Invalid json`, encrypted */
export declare function parseLayer(plaintext: Uint8Array): Layer;
/** Where to post a server relay; undefined: answer 400 `Invalid url`, encrypted. */
export declare function relayUrl(layer: ServerRelayLayer): string | undefined;
/** The status that a hop passes on for one that it got (spec/storage-server §4.6). */
export declare function relayedStatus(status: number): number;
/** The one part of `sn.onion_request`. */
export declare function encodeHop(hop: Hop): Uint8Array;
/** @throws ParseError: answer 400 `Invalid internal onion request: <message>`, plain. Does not check MAX_HOPS. */
export declare function parseHop(bytes: Uint8Array): Hop;
export declare function encodeFinalReply(reply: FinalReply, embedJson?: boolean): Uint8Array;
/** Wraps, encrypts and, unless the request said no, base64-encodes: the HTTP body of the answer (status 200). */
export declare function sealFinalReply(reply: FinalReply, layer: FinalLayer, replyKey: ReplyKey): Uint8Array;
/** @throws ParseError */
export declare function parseFinalReply(plaintext: Uint8Array): {
  readonly status: number;
  readonly body: string;
};
/**
 * The answer of a node destination from the HTTP body that the guard gave; undefined when it does not open.
 * @throws ParseError when it opens to nonsense
 */
export declare function openFinalReply(
  httpBody: Uint8Array,
  replyKey: ReplyKey,
): { readonly status: number; readonly body: string } | undefined;
/** `fixed`, for tests: destination first, guard last. */
export declare function buildOnion(options: OnionOptions, fixed?: readonly FixedLayer[]): BuiltOnion;
