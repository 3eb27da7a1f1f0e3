// SPDX-License-Identifier: AGPL-3.0-or-later
// The state of the page when the account is closed: nothing of it stays, and nothing of it comes any more.
import { afterEach, expect, test, vi } from 'vitest';
import type { ApiEvents } from '../src/api.ts';
import { conversationsOf, message, PEOPLE, SESSION } from '../src/gallery/fixtures.ts';
import type { SessionView } from '../src/model.ts';
import type { Backend } from '../src/rpc.ts';
import { App } from '../src/state/app.ts';
import { startNotifications } from '../src/views/notifications.ts';

const { mara } = PEOPLE;
const NOW = 1_800_000_000_000;
const open: SessionView = { ...SESSION, phase: 'open' };
const locked: SessionView = { ...open, phase: 'locked', profile: {} };
const list = { list: conversationsOf(NOW), requests: [] };

afterEach(() => vi.unstubAllGlobals());

function setUp() {
  const listeners = new Map<string, (value: never) => void>();
  const answers: Record<string, unknown> = { session: open, conversations: list, history: [] };
  const backend = {
    on: (name: string, listener: (value: never) => void) => {
      listeners.set(name, listener);
      return () => undefined;
    },
    call: async (method: string) => await answers[method],
  } as unknown as Backend;
  const app = new App({ backend });
  const tell = <N extends keyof ApiEvents>(name: N, value: ApiEvents[N]) =>
    listeners.get(name)?.(value as never);
  return { app, tell, answers };
}

test('what is told late of an account that was locked is not taken', async () => {
  const { app, tell, answers } = setUp();
  await app.refresh();
  await expect.poll(() => app.conversations.get()).toEqual(list);
  const late = Promise.withResolvers<typeof list>();
  answers.conversations = late.promise;
  await app.refresh();
  tell('session', locked);
  expect(app.conversations.get()).toBeUndefined();
  late.resolve(list);
  tell('conversations', list);
  tell('typing', { id: mara.id, isTyping: true });
  tell('full', true);
  const heard = vi.fn();
  app.arrivals.add(heard);
  tell('message', { view: message(mara, mara, NOW, 'late'), isNew: true });
  await new Promise((resolve) => setTimeout(resolve));
  expect([app.conversations.get(), app.typing.get().size, app.full.get()]).toEqual([undefined, 0, false]);
  expect(heard).not.toHaveBeenCalled();
});

test('notifications that are shown go when the account is locked', async () => {
  const shown: { title: string; isOpen: boolean }[] = [];
  class Shown extends EventTarget {
    static permission = 'granted';
    readonly own: { title: string; isOpen: boolean };
    constructor(title: string) {
      super();
      this.own = { title, isOpen: true };
      shown.push(this.own);
    }
    close() {
      this.own.isOpen = false;
    }
  }
  vi.stubGlobal('Notification', Shown);
  vi.stubGlobal('document', { hasFocus: () => false });
  const { app, tell } = setUp();
  app.preferences.change({ notifications: 'full', sounds: false });
  const stop = startNotifications(app);
  await app.refresh();
  await expect.poll(() => app.conversations.get()).toEqual(list);
  tell('message', { view: message(mara, mara, NOW, 'a secret'), isNew: true });
  expect(shown).toEqual([{ title: mara.name, isOpen: true }]);
  tell('session', locked);
  expect(shown[0]?.isOpen).toBe(false);
  stop();
});
