// SPDX-License-Identifier: MIT
// What every store of file contents must do. `open` gives an empty one; `reopen` the same data as after a restart.
import { expect, test } from 'vitest';
import type { BlobPort } from '../../src/storage/blobs.ts';

export function blobSuite(
  open: () => Promise<{ port: BlobPort; reopen: () => Promise<BlobPort>; remove: () => Promise<void> }>,
): void {
  test('keeps what it was given, also over a restart, and forgets what is removed', async () => {
    const { port, reopen, remove } = await open();
    try {
      expect(port.cacheBytes).toBeGreaterThan(0);
      const bytes = new Uint8Array(100_000).fill(7);
      await port.put('ab12-0', bytes);
      bytes.fill(0);
      await port.put('ab12-1', Uint8Array.of(1));
      await port.put('ab12-1', Uint8Array.of(2, 3));
      await port.put('cd-0', new Uint8Array(0));
      await port.close();
      const again = await reopen();
      expect([...(await again.names())].sort()).toEqual(['ab12-0', 'ab12-1', 'cd-0']);
      expect((await again.get('ab12-0'))?.every((byte) => byte === 7)).toBe(true);
      expect([...((await again.get('ab12-1')) ?? [])]).toEqual([2, 3]);
      expect(await again.get('cd-0')).toHaveLength(0);
      expect(await again.get('none')).toBeUndefined();
      await again.remove(['ab12-0', 'none', 'cd-0']);
      expect(await again.names()).toEqual(['ab12-1']);
      await again.close();
    } finally {
      await remove();
    }
  });
}
