// SPDX-License-Identifier: MIT
// (types first; bodies follow)
import type {
  DeleteAllRequest,
  DeleteBeforeRequest,
  DeleteRequest,
  ExpireAllRequest,
  ExpireRequest,
  GetExpiriesRequest,
  RecursiveRequest,
  RequestAuth,
  RetrieveRequest,
  RevokedSubaccountsRequest,
  RevokeSubaccountRequest,
  StoreRequest,
  UnrevokeSubaccountRequest,
} from './requests.ts';
import type { NodeResultOf } from './responses.ts';

/** Requests that can carry a signature. */
export type SignableRequest =
  | StoreRequest
  | RetrieveRequest
  | DeleteRequest
  | DeleteAllRequest
  | DeleteBeforeRequest
  | ExpireRequest
  | ExpireAllRequest
  | GetExpiriesRequest
  | RevokeSubaccountRequest
  | UnrevokeSubaccountRequest
  | RevokedSubaccountsRequest;

/** What the client signs (§2.8). */
export declare function signedText(request: SignableRequest): Uint8Array;

export interface VerifyOptions {
  /** Whether a subaccount token (36 bytes) stands on the account's revocation list. Absent: none does. */
  readonly isRevoked?: ((token: Uint8Array) => boolean) | undefined;
  /** A memoized `ed25519PublicKeyToX25519`, for callers who see the same keys again. */
  readonly toX25519?: ((ed25519Key: Uint8Array) => Uint8Array | undefined) | undefined;
}
/** Whether the request is signed by one who may do it (order of §2.6). False without signature. */
export declare function verifyRequest(request: SignableRequest, options?: VerifyOptions): boolean;

/** What an `expire` may do, after verification (§2.9.7): undefined = subaccount that may not shorten (answer 400). */
export declare function expireMode(request: ExpireRequest): 'set' | 'shorten' | 'extend' | undefined;

/** Signs for an account or a subaccount. */
export interface RequestSigner {
  sign(message: Uint8Array): Uint8Array;
  /** For 05 accounts: sent as `pubkey_ed25519`. */
  readonly ed25519Key?: Uint8Array | undefined;
  readonly subaccount?: RequestAuth['subaccount'];
}
type Unsigned<R> = R extends unknown ? Omit<R, 'auth'> : never;
export type UnsignedRequest = Unsigned<SignableRequest>;
/** The same request with `auth`. */
export declare function signRequest<R extends UnsignedRequest>(
  request: R,
  signer: RequestSigner,
): R & { readonly auth: RequestAuth };

/** What a node signs in its own entry of the answer (§2.8); hash lists are sorted here. */
export declare function nodeSignedText<R extends RecursiveRequest>(
  request: R,
  result: Omit<NodeResultOf<R['method']>, 'signature'>,
): Uint8Array;
/** Whether the entry filed under `nodeKey` (Ed25519) is signed by it. */
export declare function verifyNodeResult<R extends RecursiveRequest>(
  request: R,
  nodeKey: Uint8Array,
  result: NodeResultOf<R['method']>,
): boolean;
