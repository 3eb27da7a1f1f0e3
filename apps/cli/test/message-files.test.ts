// SPDX-License-Identifier: AGPL-3.0-or-later
// Files with `allium send --file` and `allium listen --save`.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemEnv } from '@allium/net/system-env';
import { type FileServer, startFileServer } from '@allium/servers/files';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Shell } from './shell.ts';
import { type Person, TwoPeople } from './two-people.ts';

let people: TwoPeople;
let server: FileServer;
let folder: string;
let ann: string;
let ben: string;

beforeAll(async () => {
  people = await TwoPeople.sitDown(
    { nodes: 6, node: { relayExemptRanges: ['127.0.0.0/8'] } },
    async (place) => {
      server = await startFileServer({ folder: join(place, 'server'), port: 0 }, systemEnv());
      return { ALLIUM_FILE_SERVER: `${server.url}#${server.ed25519Hex}` };
    },
  );
  ({
    folder,
    ids: { ann, ben },
  } = people);
});
afterAll(async () => {
  await server.stop();
  await people[Symbol.asyncDispose]();
});

const as = (who: Person, ...args: string[]) => people.run(who, ...args);

test('files go with and without a text, are saved for contacts only, and never over another file', async () => {
  const inbox = join(folder, 'inbox');
  mkdirSync(inbox);
  const picture = join(folder, 'cat.png');
  const data = Buffer.alloc(200_000, 'miaow');
  writeFileSync(picture, data);
  const note = join(folder, 'note.m4a');
  writeFileSync(note, 'speech');

  expect((await as('ann', 'send', ben, 'look', '--file', picture, '--json')).code).toBe(0);
  const listen = (...args: string[]) =>
    as('ben', 'listen', '--count', '1', '--timeout', '90', '--save', inbox, ...args);
  const stranger = await listen('--json');
  expect(JSON.parse(stranger.stdout)).toMatchObject({
    from: ann,
    text: 'look',
    attachments: [
      { name: 'cat.png', type: 'image/png', bytes: 200_000, notSaved: expect.stringContaining('accepted') },
    ],
  });
  expect((await as('ben', 'contacts', 'accept', ann)).code).toBe(0);

  const voice = ['--file', note, '--file', note, '--voice', '--duration', '3'];
  expect((await as('ann', 'send', ben, '--file', picture, ...voice)).code).toBe(0);
  const saved = await listen('--json');
  expect(JSON.parse(saved.stdout)).toMatchObject({
    text: '',
    attachments: [
      { saved: join(inbox, 'cat.png') },
      { saved: join(inbox, 'note.m4a'), type: 'audio/mp4', voice: true, durationMs: 3_000 },
      { saved: join(inbox, 'note (1).m4a') },
    ],
  });
  expect(Buffer.compare(readFileSync(join(inbox, 'cat.png')), data)).toBe(0);
  const history = (await as('ann', 'history', ben)).stdout;
  expect(history).toContain('[file] cat.png, image/png, 200.0 kB');
  expect(history).toContain('[file] voice message, 3 s, audio/mp4, 6 bytes');
});

test('what is wrong with a file is said in words', async () => {
  const said = async (...args: string[]) => {
    const { code, stderr } = await as('ann', 'send', ben, ...args);
    return [code, stderr.trim()];
  };
  const missing = join(folder, 'none');
  expect(await said('--file', missing)).toEqual([2, `allium: cannot send ${missing}: there is no such file`]);
  const empty = join(folder, 'empty');
  writeFileSync(empty, '');
  expect(await said('--file', empty)).toEqual([1, 'allium: not stored: the file is empty']);
  expect((await said('x', '--file', empty, '--file-server', 'nonsense'))[1]).toContain('is not URL#KEY');
  const listening = await as('ben', 'listen', '--save', missing);
  expect(listening.stderr).toContain(`cannot save into ${missing}: there is no such file`);
});

test('without any file server the message is kept as failed, and the reason is told', async () => {
  const bare = new Shell({ ALLIUM_HOME: people.home, ALLIUM_SEED: people.net.seed });
  try {
    const path = join(folder, 'x.txt');
    writeFileSync(path, 'x');
    const { code, stdout } = await bare.run('send', ben, '--file', path, '--account', 'ann', '--json');
    expect([code, JSON.parse(stdout)]).toMatchObject([1, { stored: false, code: 'no_file_server' }]);
    const history = await bare.run('history', ben, '--account', 'ann', '--json', '--limit', '1');
    expect(JSON.parse(history.stdout)).toMatchObject({
      delivery: { state: 'failed', reason: 'no_file_server' },
    });
  } finally {
    bare.dispose();
  }
});
