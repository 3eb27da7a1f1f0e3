// SPDX-License-Identifier: MIT
import { AlliumError } from '@allium/protocol/errors';

/** What a person wrote is no `amount` of tokens, or no `address`. */
export class InputError extends AlliumError<'amount' | 'address'> {
  override readonly name = 'InputError';
}
