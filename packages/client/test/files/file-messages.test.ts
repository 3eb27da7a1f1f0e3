// SPDX-License-Identifier: MIT
// Messages with files between whole clients on a network in memory: what is sent arrives, nothing is lost while a server is
// down or a program dies, and what strangers write harms nobody.
import { Account } from '@allium/protocol/account';
import { utf8 } from '@allium/protocol/bytes';
import { MAX_ATTACHMENT_BYTES } from '@allium/protocol/files/legacy';
import { PART_BYTES } from '@allium/protocol/files/parts';
import { type DataMessage, encodeContent } from '@allium/protocol/message/content';
import { encryptMessage } from '@allium/protocol/message/encryption-v1';
import { afterEach, expect, test } from 'vitest';
import type { Client } from '../../src/client.ts';
import { ClientError } from '../../src/errors.ts';
import type { FileProgress } from '../../src/files/uploads.ts';
import { NETWORKS } from '../../src/network/presets.ts';
import { MemoryBlobs } from '../../src/storage/blobs.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import type { StoredMessage } from '../../src/storage/storage.ts';
import { FakeFileServer } from '../fake-file-server.ts';
import { World } from '../world.ts';

const PATTERN = new Uint8Array(999).map((_, i) => (i * 31) >> 3);
function bytes(length: number): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(length);
  for (let at = 0; at < length; at += PATTERN.length) all.set(PATTERN.subarray(0, length - at), at);
  return all;
}
const PNG = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 1, 2, 3);
const ALICE = Account.fromSeed(new Uint8Array(16).fill(1));
const BOB = Account.fromSeed(new Uint8Array(16).fill(2));

class FileWorld extends World {
  readonly server = new FakeFileServer(this.network, () => this.clock.now());
  readonly second = new FakeFileServer(this.network, () => this.clock.now(), 1);

  person(
    account: Account,
    parts: { storage?: MemoryStorage; blobs?: MemoryBlobs; seed?: number; receive?: boolean } = {},
  ) {
    const { server, second } = this;
    return this.open(account, {
      network: {
        preset: {
          ...NETWORKS.local,
          seeds: [{ url: this.network.seedUrl }],
          fileServers: [server, second].map(({ url, ed25519Hex }) => ({ url, ed25519Hex })),
        },
      },
      ...parts,
    });
  }

  async arrival(client: Client, from: Account): Promise<StoredMessage> {
    let found: StoredMessage | undefined;
    await this.clock.until(async () => {
      found = (await client.conversation(from.id).history()).findLast(({ sender }) => sender === from.id);
      return found !== undefined;
    });
    return found!;
  }
}

let world: FileWorld;
afterEach(() => world.end());

test('a picture with its words, and a voice message without any', async () => {
  world = new FileWorld();
  const [alice, bob] = [await world.person(ALICE), await world.person(BOB)];
  const told: FileProgress[] = [];
  alice.on('upload', (progress) => told.push(progress));
  const sent = await world.clock.run(
    alice.conversation(bob.id).send('look', {
      attachments: [
        { data: new Blob([PNG]), contentType: 'image/png', fileName: '../cat.png', width: 640, height: 480 },
        { data: bytes(2_000), contentType: 'audio/mp4', isVoice: true, durationMs: 2_500, caption: 'hm' },
      ],
    }),
  );
  const message = await world.arrival(bob, ALICE);
  const { url: _1, key: _2, digest: _3, ...picture } = message.attachments?.[0] ?? {};
  expect(picture).toEqual({
    contentType: 'image/png',
    fileName: 'cat.png',
    sizeBytes: 11,
    width: 640,
    height: 480,
  });
  expect(message.attachments?.[1]).toMatchObject({
    isVoice: true,
    durationMs: 2_500,
    caption: 'hm',
    sizeBytes: 2_000,
  });
  const file = await world.clock.run(bob.files.open(message, 0));
  expect(await file.bytes()).toEqual(PNG);
  expect((await file.blob()).type).toBe('image/png');
  expect(told.at(-1)).toMatchObject({ timestamp: sent.timestamp, conversation: bob.id });
  expect(told.every(({ doneBytes, totalBytes }) => doneBytes <= totalBytes)).toBe(true);

  // A second opening asks nobody.
  const asked = world.server.asked.length;
  expect(await bob.files.isHere(message, 0)).toBe(true);
  expect(await (await world.clock.run(bob.files.open(message, 0))).bytes()).toEqual(PNG);
  expect(world.server.asked.length).toBe(asked);
  await expect(bob.files.open(message, 7)).rejects.toMatchObject({ code: 'not_found' });

  await world.clock.run(bob.conversation(alice.id).send('', { attachments: [{ data: bytes(500) }] }));
  const answer = await world.arrival(alice, BOB);
  expect(answer.text).toBe('');
  expect(answer.attachments?.[0]).toMatchObject({ contentType: 'application/octet-stream', sizeBytes: 500 });
  const confirmed = alice.sendWithConfirmation(bob.id, '', { attachments: [{ data: PNG }] });
  expect(await world.clock.run(confirmed)).toBe(true);
});

test('what was sent is on the other devices of the account too, and opens there', async () => {
  world = new FileWorld();
  const [alice, other] = [await world.person(ALICE), await world.person(ALICE)];
  await world.clock.run(alice.conversation(BOB.id).send('both', { attachments: [{ data: PNG }] }));
  await world.clock.run(alice.flush());
  let copy: StoredMessage | undefined;
  await world.clock.until(async () => {
    [copy] = await other.conversation(BOB.id).history();
    return copy !== undefined;
  });
  expect(await (await world.clock.run(other.files.open(copy!))).bytes()).toEqual(PNG);
});

test('while all file servers are down the message waits, and goes when one is back', async () => {
  world = new FileWorld();
  world.server.isDown = true;
  world.second.isDown = true;
  const alice = await world.person(ALICE, { receive: false });
  const states: string[] = [];
  alice.on('outgoing', ({ state }) => states.push(state));
  const sending = alice
    .conversation(BOB.id)
    .send('later', { attachments: [{ data: bytes(3_000) }], keepTrying: true });
  await world.clock.until(() => states.length > 0);
  await world.clock.pass(120_000);
  expect(states).toEqual(['sending']);
  expect(world.network.destinations.some(({ request }) => request.method === 'store')).toBe(false);
  world.second.isDown = false;
  await world.clock.run(sending);
  const [message] = await alice.conversation(BOB.id).history();
  expect(message).toMatchObject({
    state: 'sent',
    attachments: [{ url: expect.stringContaining(world.second.url) }],
  });
});

test('without patience it fails with a reason, and can be sent again', async () => {
  world = new FileWorld();
  world.server.isDown = true;
  world.second.isDown = true;
  const alice = await world.person(ALICE, { receive: false });
  const { id } = BOB;
  const failed = alice.conversation(id).send('now', { attachments: [{ data: PNG }] });
  await expect(world.clock.run(failed)).rejects.toMatchObject({ code: 'not_uploaded' });
  const [message] = await alice.conversation(id).history();
  expect(message).toMatchObject({ state: 'failed', failure: 'not_uploaded' });
  world.server.isDown = false;
  await world.clock.run(alice.conversation(id).resend(message!.timestamp));
  expect((await alice.conversation(id).history())[0]).toMatchObject({ state: 'sent' });
});

test('a program that dies while it uploads goes on where it was, with the same bytes', async () => {
  world = new FileWorld();
  const parts = { storage: new MemoryStorage(), blobs: new MemoryBlobs() };
  const alice = await world.person(ALICE, parts);
  const data = bytes(3_500_000);
  let pieces = 0;
  // The second piece arrives, and nothing after it.
  world.server.answer = ({ method }) => {
    if (method === 'PATCH' && ++pieces > 2) world.server.isDown = true;
    return undefined;
  };
  world.second.isDown = true;
  alice
    .conversation(BOB.id)
    .send('big', { attachments: [{ data }], keepTrying: true })
    .catch(() => undefined);
  await world.clock.until(() => world.server.isDown);
  await world.clock.run(alice.close());
  const taken = world.server.taken;
  expect(taken).toBeGreaterThan(2_000_000);

  world.server.isDown = false;
  world.server.answer = undefined;
  parts.storage.reopen();
  const again = await world.person(ALICE, { ...parts, seed: 9 });
  const [waiting] = await again.conversation(BOB.id).history();
  expect(waiting).toMatchObject({ state: 'sending', attachments: [{ sizeBytes: 3_500_000 }] });
  const [progress] = await again.files.progress(waiting!);
  expect(progress?.doneBytes).toBeGreaterThan(1_000_000);
  await world.clock.until(async () => (await again.conversation(BOB.id).history())[0]?.state === 'sent');
  expect(world.server.asked.filter((line) => line === 'POST /uploads').length).toBe(1);
  // Nothing was sent twice.
  expect(world.server.taken).toBe([...world.server.files.values()][0]?.length);
  const bob = await world.person(BOB);
  const message = await world.arrival(bob, ALICE);
  expect((await (await world.clock.run(bob.files.open(message))).bytes()).length).toBe(data.length);
});

test('cancelled while it uploads: it is not sent, and its file is kept for another attempt', async () => {
  world = new FileWorld();
  const alice = await world.person(ALICE);
  const to = alice.conversation(BOB.id);
  alice.on('upload', ({ timestamp, doneBytes }) => doneBytes > 1_000_000 && to.cancel(timestamp));
  const sending = to.send('no', { attachments: [{ data: bytes(3_000_000) }], keepTrying: true });
  await expect(world.clock.run(sending)).rejects.toMatchObject({ code: 'aborted' });
  const [message] = await to.history();
  expect(message).toMatchObject({ state: 'failed', failure: 'aborted' });
  expect(to.cancel(message!.timestamp)).toBe(false);
  expect(await alice.files.isHere(message!)).toBe(true);
  await world.clock.run(to.deleteForMe([message!]));
  await world.clock.until(async () => !(await alice.files.isHere(message!)));
});

test('a file above ten megabytes goes in parts, and goes on after an interruption', async () => {
  world = new FileWorld();
  const parts = { storage: new MemoryStorage(), blobs: new MemoryBlobs() };
  const [alice, bob] = [await world.person(ALICE), await world.person(BOB, parts)];
  const size = MAX_ATTACHMENT_BYTES + 1;
  const data = bytes(size);
  await world.clock.run(
    alice.conversation(bob.id).send('film', {
      attachments: [{ data: new Blob([data]).stream(), fileName: 'film.mp4', contentType: 'video/mp4' }],
    }),
  );
  expect(world.server.files.size).toBe(3);
  const message = await world.arrival(bob, ALICE);
  expect(message.attachments?.[0]).toMatchObject({
    ...{
      fileName: 'film.mp4',
      contentType: 'video/mp4',
      sizeBytes: size,
      partsTextBytes: expect.any(Number),
    },
  });
  // What other clients show.
  const pointer = { ...message.attachments![0]!, partsTextBytes: undefined };
  expect(pointer.url).toContain(world.server.url);

  const abort = new AbortController();
  const first = bob.files.open(message, 0, {
    signal: abort.signal,
    onProgress: ({ doneBytes }) => doneBytes > PART_BYTES && abort.abort(new Error('enough')),
  });
  await expect(world.clock.run(first)).rejects.toThrow('enough');
  const gets = () => world.server.asked.filter((line) => line.startsWith('GET')).length;
  const before = gets();
  const file = await world.clock.run(bob.files.open(message));
  expect(file.sizeBytes).toBe(size);
  // The description and the second part; not the first.
  expect(gets() - before).toBeLessThan(5);
  let at = 0;
  for (const reader = file.stream().getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    expect(value[value.length - 1]).toBe(data[at + value.length - 1]);
    at += value.length;
  }
  expect(at).toBe(size);
});

test('a preview goes along, and is kept only where its link stands in the text', async () => {
  world = new FileWorld();
  const [alice, bob] = [await world.person(ALICE), await world.person(BOB)];
  const url = 'https://example.org/a';
  await world.clock.run(
    alice.conversation(bob.id).send(`see ${url}`, {
      preview: { url, title: 'A page', image: { data: PNG, contentType: 'image/png' } },
    }),
  );
  const message = await world.arrival(bob, ALICE);
  expect(message.preview).toMatchObject({
    url,
    title: 'A page',
    image: { contentType: 'image/png', sizeBytes: 11 },
  });
  expect(await (await world.clock.run(bob.files.open(message, 'preview'))).bytes()).toEqual(PNG);
  // spec/client §5.1: not padded.
  expect([...world.server.files.values()][0]?.length).toBe(64);
  const refused = (preview: object) =>
    expect(
      alice.conversation(bob.id).send(`see ${url}`, { preview: preview as { url: string } }),
    ).rejects.toMatchObject({ code: 'bad_attachment' });
  await refused({ url: 'https://elsewhere.org', title: 'x' });
  await refused({ url: 'javascript:alert(1)', title: 'x' });
  await refused({ url });
});

async function toBob(content: DataMessage, check: (message: StoredMessage | undefined) => void) {
  const bob = await world.person(BOB);
  const timestamp = world.clock.trueNow();
  const data = encryptMessage({
    content: encodeContent({ dataMessage: content, sigTimestamp: timestamp }),
    ...{ sender: ALICE, recipient: BOB.id, timestamp },
  });
  world.network.deliver(BOB.id, data);
  await world.clock.pass(5_000);
  check((await bob.conversation(ALICE.id).history())[0]);
  return bob;
}

test('pointers of strangers: what cannot be opened is shown as such, the rest of the message stands', async () => {
  world = new FileWorld();
  const key = new Uint8Array(64);
  const digest = new Uint8Array(32);
  const good = `${world.server.url}/file/abc#p=${world.server.ed25519Hex}`;
  const bob = await toBob(
    {
      body: 'look at https://a.example',
      attachments: [
        { id: 0n },
        { id: 0n, url: 'file:///etc/passwd', key, digest },
        { id: 0n, url: 'http://10.0.0.1/file/1', key, digest },
        { id: 0n, url: good, key: new Uint8Array(5), digest },
        { id: 0n, url: good, key, digest, size: 4_000_000_000 },
        { id: 0n, url: `${good}&${'x'.repeat(1_000)}`, key, digest },
        {
          ...{ id: 0n, url: good, key, digest, size: 5, fileName: '..\\..\\\u202Egpj.exe', flags: 0xffff },
          ...{ contentType: 'text/html;<script>', width: 2 ** 31, caption: 'a\u0000b', durationMs: 2 ** 31 },
        },
        {
          id: 0n,
          url: good,
          key,
          digest,
          size: 9,
          contentType: 'application/vnd.allium.parts',
          wholeSize: 2 ** 32 - 1,
        },
      ],
      preview: [{ url: 'https://b.example', title: 'not in the text' }],
    },
    (message) => {
      expect(message?.attachments?.map(({ problem }) => problem)).toEqual([
        ...['bad_pointer', 'bad_pointer', 'bad_pointer', 'bad_pointer', 'too_large', 'bad_pointer'],
        ...[undefined, 'too_large'],
      ]);
      expect(message?.attachments?.[6]).toEqual({
        ...{ contentType: 'text/html', fileName: 'gpj.exe', sizeBytes: 5, isVoice: true, caption: 'a b' },
        ...{ url: good, key: '00'.repeat(64), digest: '00'.repeat(32) },
      });
      expect(message?.preview).toBeUndefined();
    },
  );
  const [message] = await bob.conversation(ALICE.id).history();
  const code = (index: number, expected: string) =>
    expect(world.clock.run(bob.files.open(message!, index))).rejects.toMatchObject({ code: expected });
  await code(0, 'bad_pointer');
  await code(4, 'too_large');
  await code(6, 'gone');
  world.server.files.set('abc', bytes(541 + 64 + 3));
  await code(6, 'corrupt');
  const file = await bob.files.isHere(message!, 6);
  expect(file).toBe(false);
});

test('a description of parts that lies about the size, or leads to other bytes, is corrupt', async () => {
  world = new FileWorld();
  const alice = await world.person(ALICE);
  const lies = utf8('not a description');
  const pointer = await world.clock.run(
    alice.files.upload(lies, { contentType: 'application/vnd.allium.parts', fileName: 'x.parts.txt' }),
  );
  const bob = await toBob({ attachments: [{ ...pointer, wholeSize: 20_000_000 }] }, (message) => {
    expect(message?.attachments?.[0]).toMatchObject({ sizeBytes: 20_000_000, fileName: 'x' });
  });
  const [message] = await bob.conversation(ALICE.id).history();
  await expect(world.clock.run(bob.files.open(message!))).rejects.toMatchObject({ code: 'corrupt' });
});

test('files come by themselves where the settings allow it, and never from strangers', async () => {
  world = new FileWorld();
  const [alice, bob] = [await world.person(ALICE), await world.person(BOB)];
  await world.clock.run(bob.changeSettings({ autoDownload: { from: 'contacts', maxBytes: 1_000 } }));
  const send = (length: number) =>
    world.clock.run(alice.conversation(bob.id).send(`${length}`, { attachments: [{ data: bytes(length) }] }));
  await send(100);
  const stranger = await world.arrival(bob, ALICE);
  await world.clock.pass(5_000);
  expect(await bob.files.isHere(stranger)).toBe(false);
  await world.clock.run(bob.conversation(alice.id).approve());
  await send(200);
  await send(2_000);
  await world.clock.pass(10_000);
  const [, small, large] = await bob.conversation(alice.id).history();
  expect([small?.text, large?.text]).toEqual(['200', '2000']);
  expect([await bob.files.isHere(small!), await bob.files.isHere(large!)]).toEqual([true, false]);
});

test('a download that fails is tried again later by itself', async () => {
  world = new FileWorld();
  const [alice, bob] = [await world.person(ALICE), await world.person(BOB)];
  await world.clock.run(bob.changeSettings({ autoDownload: { from: 'contacts', maxBytes: 1_000 } }));
  await world.clock.run(bob.conversation(alice.id).approve());
  await world.clock.run(alice.conversation(bob.id).send('x', { attachments: [{ data: PNG }] }));
  world.server.isDown = true;
  const message = await world.arrival(bob, ALICE);
  await world.clock.pass(20_000);
  expect(await bob.files.isHere(message)).toBe(false);
  world.server.isDown = false;
  await world.clock.until(() => bob.files.isHere(message));
});

test('what a message owned here goes with the message', async () => {
  world = new FileWorld();
  const [alice, bob] = [await world.person(ALICE), await world.person(BOB)];
  const sent = await world.clock.run(alice.conversation(bob.id).send('x', { attachments: [{ data: PNG }] }));
  await world.clock.run(alice.flush());
  const message = await world.arrival(bob, ALICE);
  await world.clock.run(bob.files.open(message));
  expect(bob.files.cachedBytes).toBe(PNG.length);
  await world.clock.run(alice.conversation(bob.id).deleteForEveryone(sent.timestamp));
  await world.clock.until(() => bob.files.cachedBytes === 0);
  expect(await world.arrival(bob, ALICE)).not.toHaveProperty('attachments');
});

test('an erased conversation takes its files along', async () => {
  world = new FileWorld();
  const [alice, bob] = [await world.person(ALICE), await world.person(BOB)];
  await world.clock.run(alice.conversation(bob.id).send('x', { attachments: [{ data: PNG }] }));
  await world.clock.run(bob.files.open(await world.arrival(bob, ALICE)));
  await world.clock.run(bob.conversation(alice.id).decline());
  await world.clock.until(() => bob.files.cachedBytes === 0);
});

test('an answer leads to the message with the picture', async () => {
  world = new FileWorld();
  const [alice, bob] = [await world.person(ALICE), await world.person(BOB)];
  const { timestamp } = await world.clock.run(
    alice.conversation(bob.id).send('look', { attachments: [{ data: PNG }] }),
  );
  await world.arrival(bob, ALICE);
  const to = bob.conversation(alice.id);
  await world.clock.run(to.send('nice', { quote: { author: alice.id, timestamp } }));
  const answer = await world.arrival(alice, BOB);
  const quoted = await alice.conversation(bob.id).quoted(answer);
  expect(quoted).toMatchObject({ text: 'look', attachments: [{ sizeBytes: PNG.length }] });
  expect(await to.quoted({ quote: { author: alice.id, timestamp: 1 } })).toBeUndefined();
  expect(await to.quoted({})).toBeUndefined();
});

test('only the newest files stay when there is no more room', async () => {
  world = new FileWorld();
  const [alice, bob] = [await world.person(ALICE), await world.person(BOB)];
  await world.clock.run(bob.changeSettings({ fileCacheBytes: 5_000 }));
  const attachments = [1, 2, 3].map((i) => ({ data: bytes(2_000 + i) }));
  await world.clock.run(alice.conversation(bob.id).send('x', { attachments }));
  const message = await world.arrival(bob, ALICE);
  for (const index of [0, 1, 2]) {
    await world.clock.run(bob.files.open(message, index));
    await world.clock.pass(1_000);
  }
  const here = await Promise.all([0, 1, 2].map((index) => bob.files.isHere(message, index)));
  expect(here).toEqual([false, true, true]);
  await bob.files.clearCache();
  expect(bob.files.cachedBytes).toBe(0);
});

test('what cannot be sent is said at once, and nothing of it stays', async () => {
  world = new FileWorld();
  const storage = new MemoryStorage();
  const alice = await world.person(ALICE, { storage });
  const to = alice.conversation(BOB.id);
  const refused = (attachments: Parameters<typeof to.send>[1], code: string) =>
    expect(to.send('x', attachments)).rejects.toMatchObject({ code });
  await refused({ attachments: Array.from({ length: 33 }, () => ({ data: PNG })) }, 'bad_attachment');
  await refused({ attachments: [{ data: PNG }, { data: new Uint8Array(0) }] }, 'empty');
  await refused({ attachments: [{ data: PNG, width: 0.5 }] }, 'bad_attachment');
  const broken = (async function* () {
    yield PNG;
    throw new ClientError('not_found', 'the disk is gone');
  })();
  await refused({ attachments: [{ data: broken }] }, 'not_found');
  await expect(to.send('')).rejects.toMatchObject({ code: 'empty' });
  expect(await to.history()).toEqual([]);
  expect(await storage.records('content')).toEqual([]);
  expect(await storage.records('upload')).toEqual([]);
});

test('a picture of the profile travels with messages, and is taken away', async () => {
  world = new FileWorld();
  const [alice, bob] = [await world.person(ALICE), await world.person(BOB)];
  await expect(alice.setPicture(utf8('no picture'))).rejects.toMatchObject({ code: 'bad_attachment' });
  await world.clock.run(alice.setPicture(PNG));
  await world.clock.run(alice.conversation(bob.id).send('hi'));
  await world.arrival(bob, ALICE);
  const seen = await world.clock.run(bob.picture(alice.id));
  expect(seen?.contentType).toBe('image/png');
  expect(await seen?.bytes()).toEqual(PNG);
  expect(await (await alice.picture())?.bytes()).toEqual(PNG);
  expect(await bob.picture()).toBeUndefined();

  await world.clock.run(alice.setPicture(undefined));
  await world.clock.run(alice.conversation(bob.id).send('bare'));
  await world.clock.until(() => bob.conversation(alice.id).contact.pictureUrl === undefined);
  expect(await bob.picture(alice.id)).toBeUndefined();
});
