// SPDX-License-Identifier: MIT
// Why a transaction of an operator or staker does not come about. What the chain library throws quotes addresses of
// endpoints, which may hold keys: nothing of it is passed on but what is chosen here.
import { AlliumError } from '@allium/protocol/errors';
import {
  BaseError,
  HttpRequestError,
  InsufficientFundsError,
  RpcRequestError,
  TimeoutError,
  UserRejectedRequestError,
  WaitForTransactionReceiptTimeoutError,
} from 'viem';
import type { Hex } from '../chain-view.ts';
import { refusalOf } from './reverts.ts';

/**
 * `bad_endpoint`: no http address; `unreachable`: no answer; `rpc_error`: the endpoint refused; `wrong_chain`: it serves
 * another chain, or the contracts are not there; `refused`: a contract would revert, nothing was sent; `reverted`: it was
 * mined and did nothing; `no_gas`, `no_tokens`: of the wallet; `not_signed`: the signer refused; `not_mined`: sent, but in
 * no block yet; `other_registration`: of another operator, chain or registry; `key_taken`: a node with this key is there.
 */
export type StakeErrorCode =
  | 'bad_endpoint'
  | 'unreachable'
  | 'rpc_error'
  | 'wrong_chain'
  | 'refused'
  | 'reverted'
  | 'no_gas'
  | 'no_tokens'
  | 'not_signed'
  | 'not_mined'
  | 'other_registration'
  | 'key_taken';

export class StakeError extends AlliumError<StakeErrorCode> {
  override readonly name = 'StakeError';
  /** Name of the contract's error, where one refused. */
  readonly contractError: string | undefined;

  constructor(
    code: StakeErrorCode,
    message: string,
    options: ErrorOptions & { contractError?: string } = {},
  ) {
    super(code, message, options);
    this.contractError = options.contractError;
  }
}

/** @param contract the one that was called */
export function stakeError(error: unknown, rpc: string, contract?: string): Error {
  if (error instanceof AlliumError || !(error instanceof BaseError)) return error as Error;
  const host = hostOf(rpc);
  const is = <T>(kind: new (...args: never[]) => T) =>
    error.walk((cause) => cause instanceof kind) as T | null;
  const timeout = is(WaitForTransactionReceiptTimeoutError);
  if (timeout !== null)
    return new StakeError('not_mined', 'the transaction is in no block yet', { cause: error });
  if (is(UserRejectedRequestError) !== null) {
    return new StakeError('not_signed', 'the signer refused the transaction', { cause: error });
  }
  const data = revertDataOf(error);
  if (data !== undefined) {
    const { error: contractError, words } = refusalOf(data, contract);
    return new StakeError('refused', words, {
      cause: error,
      ...(contractError !== undefined && { contractError }),
    });
  }
  if (is(InsufficientFundsError) !== null || /insufficient funds/i.test(error.details ?? '')) {
    return new StakeError('no_gas', 'the wallet has not enough to pay for gas', { cause: error });
  }
  if (is(TimeoutError) !== null) {
    return new StakeError('unreachable', `the chain endpoint ${host} does not answer`, { cause: error });
  }
  const http = is(HttpRequestError);
  if (http !== null) {
    const why = http.status === undefined ? 'cannot be reached' : `answered with status ${http.status}`;
    return new StakeError('unreachable', `the chain endpoint ${host} ${why}`, { cause: error });
  }
  const rpcError = is(RpcRequestError);
  const details = (rpcError?.details ?? error.shortMessage)
    .replace(/[^\x20-\x7e]+/g, ' ')
    .replace(/https?:\S+/g, '…');
  return new StakeError('rpc_error', `the chain endpoint ${host} refused: ${details.slice(0, 200)}`, {
    cause: error,
  });
}

/** What the reverted call returned, wherever the endpoint put it. */
export function revertDataOf(error: BaseError): Hex | undefined {
  let found: Hex | undefined;
  error.walk((cause) => {
    const { data } = cause as { data?: unknown };
    const inner = typeof data === 'object' && data !== null ? (data as { data?: unknown }).data : data;
    if (typeof inner === 'string' && /^0x([0-9a-f]{2}){4,}$/i.test(inner)) found = inner as Hex;
    return found !== undefined;
  });
  return found;
}

/** Without user and path, which may hold a key. */
export function hostOf(rpc: string): string {
  try {
    return new URL(rpc).host;
  } catch {
    return 'given';
  }
}
