// SPDX-License-Identifier: MIT
import { AlliumError } from '../errors.ts';

/**
 * What cannot be done with a config. `no_key`: nothing to encrypt it with. `read_only`: without the key that signs.
 * `too_large`: more than any client takes. `exhausted`: somebody with the phrase has counted the versions up to the last one.
 * `bad_value`: such as a name that is too long.
 */
export class ConfigError extends AlliumError<
  'no_key' | 'read_only' | 'too_large' | 'exhausted' | 'bad_value'
> {
  override readonly name = 'ConfigError';
}
