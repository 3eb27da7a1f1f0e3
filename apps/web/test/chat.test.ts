// SPDX-License-Identifier: AGPL-3.0-or-later
// The messages of a conversation as the page holds them: order, pages, changes.
import { expect, test } from 'vitest';
import { message, PEOPLE } from '../src/gallery/fixtures.ts';
import type { MessageView } from '../src/model.ts';
import { AppError, type Backend } from '../src/rpc.ts';
import { Chat } from '../src/state/chat.ts';

const { mara } = PEOPLE;
const at = (place: number): MessageView => ({
  ...message(mara, mara, place, `at ${place}`),
  key: `${mara.id}:${place}`,
  timestamp: place,
  place,
  hash: String(place),
});

function backendOf(all: readonly MessageView[]): Backend {
  return {
    on: () => () => undefined,
    call: (async (method: string, [, query]: [string, { limit: number; before?: MessageView }]) => {
      if (method !== 'history') throw new AppError('bad_request', method);
      const end =
        query.before === undefined ? all.length : all.findIndex(({ place }) => place === query.before?.place);
      return all.slice(Math.max(0, end - query.limit), end);
    }) as unknown as Backend['call'],
  };
}
const places = (chat: Chat) => chat.state.get().messages.map(({ place }) => place);

test('older pages come before, without a gap, until the beginning', async () => {
  const all = Array.from({ length: 700 }, (_, i) => at(i + 1));
  const chat = new Chat(mara.id, backendOf(all));
  await chat.open(0);
  expect(places(chat)).toEqual(all.slice(-60).map(({ place }) => place));
  while (chat.state.get().hasOlder) {
    await Promise.all([chat.loadOlder(), chat.loadOlder()]);
    expect(chat.state.get().shift).toBe(true);
  }
  expect(places(chat)).toEqual(all.map(({ place }) => place));
});

test('new and late messages stand where they belong; a changed one stays in place', async () => {
  const chat = new Chat(mara.id, backendOf([at(10), at(20), at(30)]));
  await chat.open(2);
  expect(chat.state.get().unreadFrom).toBe(`${mara.id}:20`);
  chat.put(at(40));
  chat.put(at(25));
  chat.put({ ...at(20), text: 'changed' });
  expect(places(chat)).toEqual([10, 20, 25, 30, 40]);
  expect(chat.state.get().messages[1]?.text).toBe('changed');
  expect(chat.state.get().shift).toBe(false);
  chat.put({ ...at(20), place: 35 });
  expect(places(chat)).toEqual([10, 25, 30, 35, 40]);
  chat.remove(`${mara.id}:25`);
  expect(places(chat)).toEqual([10, 30, 35, 40]);
});

test('a message that is older than what is loaded comes with its page only', async () => {
  const all = Array.from({ length: 100 }, (_, i) => at(i + 1));
  const chat = new Chat(mara.id, backendOf(all));
  await chat.open(0);
  chat.put({ ...at(3), text: 'late' });
  expect(places(chat)[0]).toBe(41);
  expect(await chat.reach(`${mara.id}:3`)).toBe(true);
  expect(await chat.reach(`${mara.id}:999`)).toBe(false);
});

test('a page that could not be read is told', async () => {
  const chat = new Chat(mara.id, {
    on: () => () => undefined,
    call: (() => Promise.reject(new AppError('failed', 'no'))) as unknown as Backend['call'],
  });
  await chat.open(0);
  expect(chat.state.get().phase).toBe('failed');
});

test('what is read anew keeps what was loaded, and the line above what was unread', async () => {
  const all = Array.from({ length: 700 }, (_, i) => at(i + 1));
  const chat = new Chat(mara.id, backendOf(all));
  await chat.open(3);
  await chat.loadOlder();
  await chat.loadOlder();
  const before = places(chat);
  expect(before.length).toBe(560);
  all.splice(300, 1);
  await chat.refresh();
  // All that were there, and what its page brings along.
  expect(places(chat).slice(-559)).toEqual(before.filter((place) => place !== 301));
  expect(chat.state.get()).toMatchObject({ hasOlder: true, shift: false, unreadFrom: `${mara.id}:698` });
  await chat.loadOlder();
  expect(places(chat)).toEqual(all.map(({ place }) => place));
  expect(chat.state.get().hasOlder).toBe(false);
});

test.each(['open', 'refresh'] as const)(
  'what comes while a page is on its way is not lost (%s)',
  async (how) => {
    const kept = [at(10), at(20)];
    const backend = backendOf(kept);
    const answered: (() => void)[] = [];
    let isSlow = false;
    const chat = new Chat(mara.id, {
      ...backend,
      call: (async (...given: Parameters<Backend['call']>) => {
        const page = await backend.call(...given);
        if (isSlow) await new Promise<void>((resolve) => answered.push(resolve));
        return page;
      }) as unknown as Backend['call'],
    });
    if (how === 'refresh') await chat.open(0);
    isSlow = true;
    const reading = how === 'open' ? chat.open(0) : chat.refresh();
    await expect.poll(() => answered.length).toBe(1);
    chat.put(at(30));
    chat.put({ ...at(20), text: 'changed' });
    chat.remove(`${mara.id}:10`);
    answered[0]!();
    await reading;
    expect(places(chat)).toEqual([20, 30]);
    expect(chat.state.get().messages[0]?.text).toBe('changed');
  },
);

test('an answer shows what it answers as it is now, and nothing of what was deleted', async () => {
  const quote = { author: mara.id, timestamp: 10, text: 'at 10' };
  const chat = new Chat(mara.id, backendOf([at(10), { ...at(20), quote }, at(30)]));
  await chat.open(0);
  const quoted = () => chat.state.get().messages.find(({ place }) => place === 20)?.quote;
  const others = chat.state.get().messages;
  chat.put({ ...at(10), reactions: [] });
  expect(chat.state.get().messages[1]).toBe(others[1]);
  chat.put({ ...at(10), text: 'changed' });
  expect(quoted()).toEqual({ ...quote, text: 'changed' });
  chat.put({ ...at(10), text: 'change' });
  expect(quoted()?.text).toBe('change');
  chat.put({ ...at(10), text: '', deleted: true });
  expect(quoted()).toEqual({ author: mara.id, timestamp: 10 });
  chat.put({ ...at(10), text: 'there' });
  chat.remove(`${mara.id}:10`);
  expect(quoted()).toEqual({ author: mara.id, timestamp: 10 });
  expect(places(chat)).toEqual([20, 30]);
});
