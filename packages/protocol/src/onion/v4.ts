// SPDX-License-Identifier: MIT
// (types first)
export interface V4Request {
  readonly method: string;
  /** Path with query; begins with `/`. */
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

export interface V4Response {
  readonly code: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export declare function encodeV4Request(request: V4Request): Uint8Array;
/** @throws ParseError: answer with `INVALID_V4_RESPONSE` */
export declare function parseV4Request(bytes: Uint8Array): V4Request;
export declare function encodeV4Response(response: V4Response): Uint8Array;
/** @throws ParseError */
export declare function parseV4Response(bytes: Uint8Array): V4Response;
