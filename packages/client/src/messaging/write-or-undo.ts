// SPDX-License-Identifier: MIT
// Contacts, states, profile and settings change in memory first, and are written then. What could not be written did not happen:
// the user is told so, does it again perhaps, and it must have all its consequences then.
import type { Changes, Storage, StoredRecord } from '../storage/storage.ts';

interface Model<T extends object> {
  /** As it was before the change, which is made already. */
  readonly before: T;
  /** Names of what was changed. */
  readonly changed: readonly (keyof T)[];
  readonly now: () => T;
  /** Undefined takes something away. */
  readonly put: (change: { readonly [Name in keyof T]?: T[Name] | undefined }) => StoredRecord;
}

/** As `storage.write`; when that fails the change is taken back, except where something was changed once more meanwhile. */
export async function writeOrUndo<T extends object>(
  storage: Storage,
  changes: Changes,
  { before, changed, now, put }: Model<T>,
): Promise<void> {
  const writing = storage.write(changes);
  const made = now();
  try {
    await writing;
  } catch (error) {
    const current = now();
    const isSame = (name: keyof T) => JSON.stringify(current[name]) === JSON.stringify(made[name]);
    const undone = changed.filter(isSame).map((name) => [name, before[name]]);
    const record = put(Object.fromEntries(undone) as Partial<T>);
    // Other devices are not to hear of it either; where this fails too, the next write has it.
    await storage.write({ records: [record] }).catch(() => undefined);
    throw error;
  }
}
