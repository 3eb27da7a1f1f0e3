// SPDX-License-Identifier: AGPL-3.0-or-later
// What a script can do with messages and contacts: answers, reactions, deletion, receipts, requests, exit codes.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Devnet } from '@allium/lab';
import { until } from '@allium/net/testing/until';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Shell } from './shell.ts';

let net: Devnet;
let folder: string;
let shell: Shell;
let ann: string;
let ben: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'allium-messages-test-'));
  net = await Devnet.start({ nodes: 14 });
  shell = new Shell({ ALLIUM_HOME: join(folder, 'home'), ALLIUM_SEED: net.seed });
  [ann, ben] = (await Promise.all(
    ['ann', 'ben'].map(async (name) => {
      const made = await shell.run('account', 'new', '--account', name, '--no-passphrase', '--json');
      return JSON.parse(made.stdout).id as string;
    }),
  )) as [string, string];
});
afterAll(async () => {
  shell.dispose();
  await net.stop();
  rmSync(folder, { recursive: true, force: true });
});

const as = (name: string, ...args: string[]) => shell.run(...args, '--account', name, '--json');
const parsed = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

test('requests, delivery as an exit code, answers, reactions, deletion, read state, history', async () => {
  const listener = shell.start('listen', '--account', 'ben', '--json', '--events');
  await until(() => listener.stderr.includes('Online'));
  const events = (name: string) =>
    listener.lines.map((line) => JSON.parse(line)).filter(({ event }) => event === name);

  // Nobody confirms to a stranger.
  const first = await as('ann', 'send', ben, 'hello', '--wait', '1');
  expect(first.code).toBe(3);
  const [sent] = parsed(first.stdout);
  expect(sent).toMatchObject({ stored: true, delivered: false });
  await until(() => events('request').length === 1);
  expect(events('request')[0]).toMatchObject({ id: ann });
  const requests = await as('ben', 'contacts', 'requests');
  expect(parsed(requests.stdout)[0]).toMatchObject([{ id: ann, approved: false, last: { text: 'hello' } }]);
  expect((await as('ben', 'contacts', 'accept', ann)).code).toBe(0);
  expect((await shell.run('contacts', '--account', 'ben')).stdout).toContain(ann);

  // The listener was started before; it must know who was accepted by another process, so it is started again.
  listener.child.kill('SIGINT');
  await listener.ended();
  const again = shell.start('listen', '--account', 'ben', '--json', '--events');
  await until(() => again.stderr.includes('Online'));
  const now = (name: string) =>
    again.lines.map((line) => JSON.parse(line)).filter(({ event }) => event === name);

  const second = await as(
    'ann',
    'send',
    ben,
    'an answer',
    '--reply-to',
    String(sent.timestamp),
    '--wait',
    '30',
  );
  expect(second).toMatchObject({ code: 0 });
  expect(parsed(second.stdout)[0]).toMatchObject({ stored: true, delivered: true });
  await until(() => now('message').length === 1);
  expect(now('message')[0]).toMatchObject({
    from: ann,
    text: 'an answer',
    replyTo: { from: ann, timestamp: sent.timestamp },
  });

  expect((await as('ann', 'react', ben, String(sent.timestamp), '👍')).code).toBe(0);
  await until(() => now('reactions').length === 1);
  expect(now('reactions')[0]).toMatchObject({
    from: ann,
    timestamp: sent.timestamp,
    reactions: [{ by: ann, emoji: '👍' }],
  });
  const { timestamp } = parsed(second.stdout)[0];
  expect((await as('ann', 'delete', ben, String(timestamp), '--for-everyone')).code).toBe(0);
  await until(() => now('deleted').length === 1);
  expect(now('deleted')[0]).toMatchObject({ from: ann, with: ann, timestamp });

  const history = parsed((await as('ann', 'history', ben)).stdout);
  expect(history.map(({ text }) => text)).toEqual(['hello', '']);
  expect(history[0]).toMatchObject({ from: ann, to: ben, delivery: { state: 'stored' } });
  expect(history[1]).toMatchObject({ timestamp, deletedAt: expect.any(Number) });
  expect(parsed((await as('ben', 'read', ann)).stdout)[0]).toMatchObject({ unread: 0 });
  again.child.kill('SIGINT');
  await again.ended();
});

test('names of one’s own, blocking, and what is not there', async () => {
  expect((await as('ann', 'contacts', 'name', ben, 'Benjamin')).code).toBe(0);
  expect((await as('ann', 'contacts', 'block', ben)).code).toBe(0);
  const [contacts] = parsed((await as('ann', 'contacts')).stdout);
  expect(contacts).toMatchObject([{ id: ben, nickname: 'Benjamin', blocked: true }]);
  const missing = await shell.run('react', ben, '1234567890123', '👍', '--account', 'ann');
  expect(missing).toMatchObject({ code: 2, stdout: '' });
  expect(missing.stderr).toContain('allium history');
});
