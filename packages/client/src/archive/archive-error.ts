// SPDX-License-Identifier: MIT
import { AlliumError } from '@allium/protocol/errors';

/**
 * `not_an_archive`: another kind of file. `wrong_passphrase`: the header is whole. `damaged`: not what was written.
 * `truncated`: whole so far, and the end is missing. `unsupported`: of a newer version, or its parameters are out of
 * bounds. `wrong_account`: of another account. `empty_passphrase`: refused when writing. `too_large`: a record that no
 * archive can hold. `cannot_resume`: what is there is not the beginning of this archive.
 */
export class ArchiveError extends AlliumError<
  | 'not_an_archive'
  | 'wrong_passphrase'
  | 'damaged'
  | 'truncated'
  | 'unsupported'
  | 'wrong_account'
  | 'empty_passphrase'
  | 'too_large'
  | 'cannot_resume'
> {
  override readonly name = 'ArchiveError';
}
