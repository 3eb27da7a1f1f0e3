// SPDX-License-Identifier: MIT
import { AlliumError } from '@allium/protocol/errors';

/**
 * Why the chain cannot be followed. `unreachable`: no answer; `rpc_error`: the endpoint refused; `bad_answer`: an answer
 * that breaks the format; `too_large`: one beyond our limit; `too_many_results`: the endpoint wants a smaller range;
 * `wrong_chain`: the endpoint serves another chain, or the contract is not there; `reorganised`: blocks that were read
 * are no longer part of the chain; `inconsistent`: events that no registry can have emitted, so that some are missing
 * or made up; `bad_snapshot`: a file of ours that does not hold what we write; `stopped`: by our own `stop`.
 */
export class ChainError extends AlliumError<
  | 'unreachable'
  | 'rpc_error'
  | 'bad_answer'
  | 'too_large'
  | 'too_many_results'
  | 'wrong_chain'
  | 'reorganised'
  | 'inconsistent'
  | 'bad_snapshot'
  | 'stopped'
> {
  override readonly name = 'ChainError';
}
