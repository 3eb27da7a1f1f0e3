// SPDX-License-Identifier: AGPL-3.0-or-later
// What a script can do with messages and contacts: answers, reactions, deletion, receipts, requests, exit codes.
import { until } from '@allium/net/testing/until';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Running } from './shell.ts';
import { jsonLines, type Person, TwoPeople } from './two-people.ts';

let people: TwoPeople;
let ann: string;
let ben: string;

beforeAll(async () => {
  people = await TwoPeople.sitDown();
  ({ ann, ben } = people.ids);
});
afterAll(() => people[Symbol.asyncDispose]());

const as = (who: Person, ...args: string[]) => people.json(who, ...args);
const eventsOf = (listener: Running, name: string) =>
  jsonLines(listener.lines.join('\n')).filter(({ event }) => event === name);

test('requests, delivery as an exit code, answers, reactions, deletion, read state, history', async () => {
  const listener = people.start('ben', 'listen', '--json', '--events');
  await until(() => listener.stderr.includes('Online'));

  // Nobody confirms to a stranger.
  const first = await as('ann', 'send', ben, 'hello', '--wait', '1');
  expect(first.code).toBe(3);
  const sent = String(first.lines[0]?.timestamp);
  expect(first.lines[0]).toMatchObject({ stored: true, delivered: false });
  await until(() => eventsOf(listener, 'request').length === 1);
  expect(eventsOf(listener, 'request')[0]).toMatchObject({ id: ann });
  const requests = await as('ben', 'contacts', 'requests');
  expect(requests.lines[0]).toMatchObject([{ id: ann, approved: false, last: { text: 'hello' } }]);
  expect((await as('ben', 'contacts', 'accept', ann)).code).toBe(0);
  expect((await people.run('ben', 'contacts')).stdout).toContain(ann);

  // The listener was started before; it must know who was accepted by another process, so it is started again.
  listener.child.kill('SIGINT');
  await listener.ended();
  const again = people.start('ben', 'listen', '--json', '--events');
  await until(() => again.stderr.includes('Online'));

  const second = await as('ann', 'send', ben, 'an answer', '--reply-to', sent, '--wait', '30');
  expect(second).toMatchObject({ code: 0 });
  expect(second.lines[0]).toMatchObject({ stored: true, delivered: true });
  await until(() => eventsOf(again, 'message').length === 1);
  expect(eventsOf(again, 'message')[0]).toMatchObject({
    from: ann,
    text: 'an answer',
    replyTo: { from: ann, timestamp: Number(sent) },
  });

  expect((await as('ann', 'react', ben, sent, '👍')).code).toBe(0);
  await until(() => eventsOf(again, 'reactions').length === 1);
  expect(eventsOf(again, 'reactions')[0]).toMatchObject({
    from: ann,
    timestamp: Number(sent),
    reactions: [{ by: ann, emoji: '👍' }],
  });
  const timestamp = second.lines[0]?.timestamp;
  expect((await as('ann', 'delete', ben, String(timestamp), '--for-everyone')).code).toBe(0);
  await until(() => eventsOf(again, 'deleted').length === 1);
  expect(eventsOf(again, 'deleted')[0]).toMatchObject({ from: ann, with: ann, timestamp });

  const { lines: history } = await as('ann', 'history', ben);
  expect(history.map(({ text }) => text)).toEqual(['hello', '']);
  expect(history[0]).toMatchObject({ from: ann, to: ben, delivery: { state: 'stored' } });
  expect(history[1]).toMatchObject({ timestamp, deletedAt: expect.any(Number) });
  expect((await people.run('ann', 'history', ben)).stdout).toContain('\n          [👍 You]\n');
  // What was deleted for everyone is nothing to read.
  expect((await as('ben', 'read', ann)).lines[0]).toMatchObject({ read: 1, unread: 0 });
  again.child.kill('SIGINT');
  await again.ended();
});

test('what was not sent says so, by which command it goes again, and then it goes', async () => {
  const nobody = ['--seed', 'https://127.0.0.1:1'];
  const lost = await people.run('ann', 'send', ben, 'once more', '--timeout', '1', ...nobody);
  expect(lost).toMatchObject({ code: 1, stdout: '' });
  expect(lost.stderr).toMatch(/not stored: no usable path within 1 s \(asked https:\/\/127\.0\.0\.1:1\)/);
  const shown = await people.run('ann', 'history', ben, '--ids');
  const line = shown.stdout.split('\n').find((one) => one.includes('once more'));
  expect(line).toMatch(/^\d{13} {2}\S+ {2}You {2}once more {2}✗$/);
  const [command, , timestamp] = shown.stdout.match(/allium (resend (\S+) (\d+))/)!.slice(1);
  expect(line).toContain(timestamp);

  expect(await people.run('ann', ...command!.split(' '))).toMatchObject({
    code: 0,
    stdout: /Stored by 5 of 5/,
  });
  const again = await people.run('ann', ...command!.split(' '));
  expect(again).toMatchObject({ code: 1, stdout: '' });
  expect((await people.run('ann', 'history', ben)).stdout).toMatch(/You {2}once more {2}✓\n/);
  expect(await people.run('ann', 'history', ann)).toMatchObject({
    code: 0,
    stdout: '',
    stderr: /Nothing was said/,
  });
});

test('contacts go by the names that one gave them, never by those that they gave themselves', async () => {
  expect((await as('ann', 'contacts', 'name', ben, 'Benjamin B')).code).toBe(0);
  const sent = await as('ann', 'send', 'benjamin b', 'by your name');
  expect(sent.lines[0]).toMatchObject({ stored: true, id: ben });
  expect((await as('ann', 'history', 'Benjamin B', '--limit', '1')).lines[0]).toMatchObject({
    text: 'by your name',
  });
  expect((await people.run('ann', 'search', 'your')).stdout).toContain('You to Benjamin B');
  expect(await people.run('ann', 'send', 'Benjamin C', 'to nobody')).toMatchObject({
    code: 2,
    stderr: /nor what you call a contact/,
  });
  const unknown = await people.run('ann', 'send', 'carla', 'hello?');
  expect(unknown.code).toBe(1);
  expect(unknown.stderr).toContain(
    'no contact is called "carla", and the nodes of this network know no names',
  );
  // That is an account of this machine, and ben is called otherwise by ann.
  expect((await people.run('ann', 'send', 'ben', 'to whom?')).code).toBe(2);
});

test('blocking, and what is not there', async () => {
  expect(await people.run('ann', 'contacts', 'blocked')).toMatchObject({
    code: 0,
    stdout: 'Nobody is blocked.\n',
  });
  expect((await as('ann', 'contacts', 'block', ben)).code).toBe(0);
  for (const list of [[], ['blocked']]) {
    const { lines } = await as('ann', 'contacts', ...list);
    expect(lines[0]).toMatchObject([{ id: ben, nickname: 'Benjamin B', blocked: true }]);
  }
  // Options may stand before the name of the command, of every group.
  expect(await people.shell.run('contacts', '--account', 'ann', 'blocked')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining(ben),
  });
  expect(
    (await people.shell.run('--account=ann', 'contacts', '--json', 'name', ben, 'Benjamin B')).stdout,
  ).toContain('"nickname":"Benjamin B"');
  expect((await people.shell.run('account', '--account', 'ben', 'show')).stdout).toContain(ben);
  expect(await people.shell.run('account', '--save', 'x', 'show')).toMatchObject({
    code: 2,
    stderr: /unknown option '--save'/,
  });
  const blocked = await people.run('ann', 'send', ben, 'no answer wanted');
  expect(blocked).toMatchObject({
    code: 0,
    stderr: expect.stringContaining('their answers do not reach you'),
  });
  const slip = await people.run('ann', 'contacts', 'blokced');
  expect(slip).toMatchObject({ code: 2, stderr: /no command of "allium contacts": list, blocked, requests/ });
  const missing = await people.run('ann', 'react', ben, '1234567890123', '👍');
  expect(missing).toMatchObject({ code: 2, stdout: '', stderr: /allium history/ });
});
