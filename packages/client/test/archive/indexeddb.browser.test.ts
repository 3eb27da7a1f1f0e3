// SPDX-License-Identifier: MIT
// Archives of and into the browser's storage, plain and sealed, whose writes fail now and then.
import { expect, test } from 'vitest';
import { storageDigest } from '../../src/archive/export.ts';
import { importArchive } from '../../src/archive/import.ts';
import { IndexedDbStorage } from '../../src/storage/indexeddb.ts';
import { ALICE, archived, contentOf, failing, NOW, PASSPHRASE, plainMessage, readerOver } from './support.ts';

test.each([
  ['plain', 3, false],
  ['sealed', 2, true],
] as const)(
  '%s: an import whose every %ith write fails loses and doubles nothing',
  async (kind, every, late) => {
    const names = ['from', 'to'].map((name) => `archive-${kind}-${name}-${Date.now()}`);
    const options = kind === 'sealed' ? { key: new Uint8Array(32).fill(5) } : {};
    const [source, target] = (await Promise.all(
      names.map((name) => IndexedDbStorage.open(name, undefined, options)),
    )) as [IndexedDbStorage, IndexedDbStorage];
    await source.write({ messages: Array.from({ length: 600 }, (_, at) => plainMessage(at)) });
    const bytes = await archived(source, { chunkTarget: 16 * 1024 });
    const face = failing(target, every, late);
    for (;;) {
      const ended = await importArchive(face, {
        account: ALICE,
        passphrase: PASSPHRASE,
        source: readerOver(bytes),
        now: NOW,
        resume: true,
      }).catch((error) => error);
      if (!(ended instanceof Error)) break;
      expect(ended).toMatchObject({ code: 'full' });
    }
    expect(face.failures).toBeGreaterThan(1);
    expect(await contentOf(target)).toEqual(await contentOf(source));
    expect(await storageDigest(target, { now: NOW })).toEqual(await storageDigest(source, { now: NOW }));
    await source.close();
    await target.close();
    for (const name of names) await IndexedDbStorage.delete(name);
  },
);
