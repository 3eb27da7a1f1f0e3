// SPDX-License-Identifier: MIT
// Why an attachment cannot be encrypted or opened.
import { AlliumError } from '../errors.ts';

/**
 * - `too_large`, `empty`: what no file server takes.
 * - `bad_key`: a pointer whose key or digest has the wrong length, or that has none.
 * - `bad_digest`: not the file that the sender meant.
 * - `bad_file`: the right length of key, but the file does not open: changed, cut or of another form.
 */
export class FileError extends AlliumError<'too_large' | 'empty' | 'bad_key' | 'bad_digest' | 'bad_file'> {
  override readonly name = 'FileError';
}
