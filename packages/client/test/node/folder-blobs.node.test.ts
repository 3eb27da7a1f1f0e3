// SPDX-License-Identifier: MIT
// Segments in a folder, and files of messages in a folder of the user.
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemEnv } from '@allium/net/system-env';
import { expect, test } from 'vitest';
import { Contents } from '../../src/files/contents.ts';
import { OpenFile } from '../../src/files/downloads.ts';
import { FolderBlobs } from '../../src/node/folder-blobs.ts';
import { attachmentOf, saveFile } from '../../src/node/save-file.ts';
import { MemoryBlobs } from '../../src/storage/blobs.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { blobSuite } from '../storage/blobs-suite.ts';

const folderOf = () => mkdtempSync(join(tmpdir(), 'allium-blobs-'));

blobSuite(async () => {
  const folder = folderOf();
  return {
    port: await FolderBlobs.open(folder),
    reopen: () => FolderBlobs.open(folder),
    remove: async () => rmSync(folder, { recursive: true }),
  };
});

test('others cannot read it, a name cannot lead out of it, and half a file is none', async () => {
  const folder = folderOf();
  const port = await FolderBlobs.open(join(folder, 'files'));
  await port.put('a-0', Uint8Array.of(1));
  expect(statSync(join(folder, 'files')).mode & 0o77).toBe(0);
  expect(statSync(join(folder, 'files', 'a-0')).mode & 0o77).toBe(0);
  await expect(port.put('../b', Uint8Array.of(1))).rejects.toThrow(RangeError);
  writeFileSync(join(folder, 'files', 'c-0.new'), 'half');
  expect(await port.names()).toEqual(['a-0']);
  rmSync(folder, { recursive: true });
  await expect(port.put('a-0', Uint8Array.of(1))).rejects.toMatchObject({ code: 'failed' });
});

async function fileNamed(fileName: string | undefined, text: string): Promise<OpenFile> {
  const contents = await Contents.open(new MemoryBlobs(), new MemoryStorage(), systemEnv().clock);
  const bytes = new TextEncoder().encode(text);
  await contents.keep('ab', bytes, undefined);
  const said = {
    contentType: 'text/plain',
    sizeBytes: bytes.length,
    ...(fileName !== undefined && { fileName }),
  };
  return new OpenFile(said, 'ab', bytes.length, contents);
}

test('a file is saved beside what is there, never over it or through a link', async () => {
  const folder = folderOf();
  try {
    writeFileSync(join(folder, 'a.txt'), 'mine');
    symlinkSync('/dev/null', join(folder, 'a (1).txt'));
    expect(await saveFile(await fileNamed('a.txt', 'theirs'), folder)).toBe(join(folder, 'a (2).txt'));
    expect(await saveFile(await fileNamed(undefined, 'x'), folder)).toBe(join(folder, 'file'));
    expect(readFileSync(join(folder, 'a.txt'), 'utf8')).toBe('mine');
    expect(readFileSync(join(folder, 'a (2).txt'), 'utf8')).toBe('theirs');
    await expect(saveFile(await fileNamed('b', 'x'), join(folder, 'none'))).rejects.toMatchObject({
      code: 'ENOENT',
    });
    expect(readdirSync(folder).sort()).toEqual(['a (1).txt', 'a (2).txt', 'a.txt', 'file']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a file of this machine is read when it is sent, and one that is missing is said then', async () => {
  const contents = await Contents.open(new MemoryBlobs(), new MemoryStorage(), systemEnv().clock);
  const folder = folderOf();
  try {
    writeFileSync(join(folder, 'cat.JPG'), 'miaow');
    const attachment = attachmentOf(join(folder, 'cat.JPG'));
    expect(attachment).toMatchObject({ fileName: 'cat.JPG', contentType: 'image/jpeg' });
    const { content } = await contents.put('ab', attachment.data, { limit: 100 });
    expect(content.sizeBytes).toBe(5);
    const missing = attachmentOf(join(folder, 'none'));
    await expect(contents.put('cd', missing.data, { limit: 100 })).rejects.toMatchObject({ code: 'ENOENT' });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
