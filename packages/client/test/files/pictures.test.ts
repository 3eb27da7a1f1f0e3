// SPDX-License-Identifier: MIT
// Our own picture stays on its server: it is extended before its time is over, put back where it was lost, and moves where there is
// no other way.
import { fromHex } from '@allium/protocol/bytes';
import { contentId } from '@allium/protocol/files/content-id';
import { openAvatar } from '@allium/protocol/files/legacy';
import { beforeEach, expect, test } from 'vitest';
import { Contents } from '../../src/files/contents.ts';
import { FileTransferError } from '../../src/files/file-transfer-error.ts';
import { Pictures, pictureType } from '../../src/files/pictures.ts';
import { OwnProfile } from '../../src/messaging/profile.ts';
import { MemoryBlobs } from '../../src/storage/blobs.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { TestClock, testEnv } from '../test-clock.ts';

const DAY_MS = 86_400_000;
const SERVER = 'http://files.test';
const KEY = 'b8eef9821445ae16e2e97ef8aa6fe782fd11ad5253cd6723b281341dba22e371';
const PNG = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 1, 2, 3);
const never = new AbortController().signal;

let clock: TestClock;
let storage: MemoryStorage;
let profile: OwnProfile;
let kept: Map<string, Uint8Array>;
let host: string;
let extended: number;
let isDown: boolean;

beforeEach(async () => {
  clock = new TestClock();
  storage = new MemoryStorage();
  profile = await OwnProfile.load(storage);
  kept = new Map();
  host = SERVER;
  extended = 0;
  isDown = false;
});

async function pictures(at = storage): Promise<Pictures> {
  const fail = () => {
    if (isDown) throw new FileTransferError('server_down', 'down');
  };
  const expiresAt = () => clock.now() + 21 * DAY_MS;
  return new Pictures({
    transfers: {
      sendBody: async (body) => {
        fail();
        const id = contentId(body);
        kept.set(id, body);
        const server = { url: host, ed25519Hex: KEY };
        return { id, url: `${host}/file/${id}#p=${KEY}`, server, expiresAt: expiresAt() };
      },
      fetchBody: async ({ id }) => kept.get(id) ?? new Uint8Array(0),
      extend: async ({ id }) => {
        fail();
        extended++;
        return kept.has(id) ? expiresAt() : undefined;
      },
    },
    ...{ contents: await Contents.open(new MemoryBlobs(), at, clock), profile, storage: at },
    ...{ env: testEnv(clock), now: () => clock.now() },
  });
}

test('asks for nothing while there is time, and for more when there is not', async () => {
  const own = await pictures();
  await own.set(PNG);
  const { picture } = profile.now;
  await clock.pass(11 * DAY_MS);
  await own.renew(never);
  expect(extended).toBe(0);
  await clock.pass(2 * DAY_MS);
  isDown = true;
  await expect(own.renew(never)).rejects.toMatchObject({ code: 'server_down' });
  isDown = false;
  await own.renew(never);
  await own.renew(never);
  expect(extended).toBe(1);
  expect(profile.now.picture).toEqual(picture);
});

test('what the server lost comes back under the same address; from another server others learn it', async () => {
  const own = await pictures();
  await own.set(PNG);
  const before = profile.kept;
  kept.clear();
  await clock.pass(13 * DAY_MS);
  await own.renew(never);
  expect(profile.kept).toEqual(before);
  const [body] = kept.values();
  expect(openAvatar(body!, fromHex(before?.picture?.key ?? ''))).toEqual(PNG);

  kept.clear();
  host = 'http://other.test';
  await clock.pass(13 * DAY_MS);
  await own.renew(never);
  expect(profile.now.picture?.url).toContain(host);
  expect(profile.kept?.updatedAtSeconds).toBeGreaterThan(before?.updatedAtSeconds ?? 0);
});

test('another device of the account, that only knows the address, extends it', async () => {
  await (await pictures()).set(PNG);
  const other = await pictures(new MemoryStorage());
  await other.renew(never);
  expect(extended).toBe(1);
  kept.clear();
  await clock.pass(13 * DAY_MS);
  await other.renew(never);
  await other.renew(never);
  expect([extended, kept.size]).toEqual([2, 0]);
});

test('nothing has changed when a picture could not be uploaded', async () => {
  const own = await pictures();
  await own.set(PNG);
  const before = profile.kept;
  isDown = true;
  await expect(own.set(Uint8Array.of(...PNG, 9))).rejects.toMatchObject({ code: 'server_down' });
  expect(profile.kept).toEqual(before);
  expect(await (await own.own())?.bytes()).toEqual(PNG);
  await expect(own.set(new Uint8Array(1_000_001))).rejects.toMatchObject({ code: 'too_large' });
});

test.each([
  ['image/jpeg', [0xff, 0xd8, 0xff, 0xe0]],
  ['image/gif', [0x47, 0x49, 0x46, 0x38]],
  ['image/webp', [0x52, 0x49, 0x46, 0x46, 1, 2, 3, 4, 0x57, 0x45, 0x42, 0x50]],
  [undefined, [0x3c, 0x73, 0x76, 0x67]],
  [undefined, []],
])('%s by the first bytes', (type, first) => {
  expect(pictureType(Uint8Array.from(first))).toBe(type);
});
