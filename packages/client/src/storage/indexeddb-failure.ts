// SPDX-License-Identifier: MIT
// What failures of IndexedDB mean.
import { StorageError } from './storage.ts';

/** `full` when the browser gives no more space, else `failed`; what is one of ours already stays. */
export function indexedDbFailure(cause: unknown, what: string): StorageError {
  if (cause instanceof StorageError) return cause;
  // Some browsers abort the transaction and tell why in the cause of that.
  const isFull = [cause, (cause as { cause?: unknown } | null)?.cause].some(
    (error) => (error as { name?: unknown } | null | undefined)?.name === 'QuotaExceededError',
  );
  return isFull
    ? new StorageError('full', `${what}: the browser gives no more space`, { cause })
    : new StorageError('failed', what, { cause });
}
