// SPDX-License-Identifier: AGPL-3.0-or-later
// Tells when the browser gives no more space, and when it does again.

/** What writes: its methods are watched from now on. */
type Writer = Partial<Record<'write' | 'put', (...given: never[]) => Promise<void>>>;

export function watchSpace(writers: readonly Writer[], tell: (full: boolean) => void): void {
  let isFull = false;
  const found = (full: boolean) => {
    if (full === isFull) return;
    isFull = full;
    tell(full);
  };
  for (const writer of writers) {
    for (const name of ['write', 'put'] as const) {
      const write = writer[name]?.bind(writer);
      if (write === undefined) continue;
      writer[name] = async (...given: never[]) => {
        try {
          await write(...given);
          found(false);
        } catch (error) {
          if ((error as { code?: unknown }).code === 'full') found(true);
          throw error;
        }
      };
    }
  }
}
