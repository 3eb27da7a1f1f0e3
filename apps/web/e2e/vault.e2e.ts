// SPDX-License-Identifier: AGPL-3.0-or-later
// What lies in the browser: locked under a passphrase or a passkey, unreadable for whoever copies the profile, and not
// lost when it is damaged; what settings and names say of it.
import { Account } from '@allium/protocol/account';
import type { Browser, Page } from 'playwright';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch } from './browser.ts';
import { removeBuilt, startWebNetwork, type WebNetwork } from './network.ts';
import { User } from './user.ts';

const PASSPHRASE = 'Quiet harbour 7';
/** Somebody who has a name. */
const MARA = Account.create().id;
let web: WebNetwork;
let browser: Browser;

beforeAll(async () => {
  [web, browser] = await Promise.all([startWebNetwork({ nodes: 6, names: { mara: MARA } }), launch()]);
});
afterAll(async () => {
  await browser?.close();
  await web?.[Symbol.asyncDispose]();
  removeBuilt();
});

test('a passphrase is asked for, a wrong one is refused, and the database says nothing', async () => {
  const ada = await (await User.arrive(browser, web.url, 'Ada')).create({ passphrase: PASSPHRASE });
  const { page } = ada;
  await page.getByRole('button', { name: 'New conversation' }).first().click();
  await page
    .getByRole('button', { name: /Note to self/ })
    .first()
    .click();
  await ada.write('The key is under the flowerpot');
  await ada.marked('flowerpot', /Stored/);
  const kept = await databasesOf(page);
  expect(kept.length).toBeGreaterThan(2_000);
  for (const secret of ['flowerpot', ada.id, ada.id.slice(2), ada.phrase.split(' ').slice(0, 2).join(' ')]) {
    expect(kept.includes(secret), secret).toBe(false);
  }

  await page.reload();
  await page.getByRole('textbox', { name: 'Passphrase for this browser' }).fill('quiet harbour 7');
  await page.getByRole('button', { name: 'Open', exact: true }).click();
  await page.getByText('This passphrase does not open it').waitFor();
  await page.getByRole('textbox', { name: 'Passphrase for this browser' }).fill(PASSPHRASE);
  await page.getByRole('button', { name: 'Open', exact: true }).click();
  await ada.online();
  await ada.open('Note to self');
  await ada.sees('The key is under the flowerpot');
  expect(ada.complaints).toEqual([]);
  await ada.leave();
});

test('a second account has its own messages; a removed one leaves nothing', async () => {
  const ben = await (await User.arrive(browser, web.url, 'Ben')).create();
  const { page } = ben;
  await page.getByRole('button', { name: 'Menu', exact: true }).click();
  await page.getByRole('menuitem', { name: 'Add an account' }).click();
  await ben.create();
  await page.getByRole('button', { name: 'Profile and settings' }).click();
  await page.getByRole('button', { name: 'Accounts and lock' }).click();
  expect(await page.locator('.account-row').count()).toBe(2);
  await page.getByRole('button', { name: 'Remove from this browser' }).first().click();
  await page.getByRole('button', { name: 'Remove', exact: true }).click();
  await expect
    .poll(async () => (await names(page)).filter((name) => /^allium-[0-9a-f]{16}$/.test(name)).length)
    .toBe(1);
  await ben.leave();
});

test('a passkey seals the account: it is asked for, a weak one is refused, without it nothing opens', async () => {
  const eve = await (await User.arrive(browser, web.url, 'Eve')).create();
  const { page } = eve;
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('WebAuthn.enable');
  const addAuthenticator = async (hasPrf: boolean) => {
    const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        protocol: 'ctap2',
        ctap2Version: 'ctap2_1',
        transport: 'internal',
        hasResidentKey: true,
        hasUserVerification: true,
        isUserVerified: true,
        automaticPresenceSimulation: true,
        hasPrf,
      },
    });
    return authenticatorId;
  };
  await page.getByRole('button', { name: 'Profile and settings' }).click();
  await page.getByRole('button', { name: 'Accounts and lock' }).click();
  // One that can derive no key is refused with advice, and changes nothing.
  const weak = await addAuthenticator(false);
  await page.getByRole('button', { name: 'Use a passkey' }).click();
  await page.getByText('This passkey cannot derive keys').waitFor();
  await page.getByText('opens the account without being asked').waitFor();
  await cdp.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId: weak });

  const strong = await addAuthenticator(true);
  await page.getByRole('button', { name: 'Use a passkey' }).click();
  await page.getByText('A passkey seals this account').waitFor();
  const kept = await databasesOf(page);
  for (const secret of [eve.id, eve.id.slice(2)]) expect(kept.includes(secret), secret).toBe(false);

  await page.reload();
  await page.getByRole('button', { name: 'Open with passkey' }).click();
  await eve.online();

  // The phrase is shown after the passkey was asked once more.
  await page.getByRole('button', { name: 'Profile and settings' }).click();
  await page.getByRole('button', { name: 'Recovery phrase' }).click();
  await page.getByRole('button', { name: 'Show the phrase' }).click();
  expect(await page.locator('.phrase__words').count()).toBe(0);
  await page.getByRole('button', { name: 'I am alone' }).click();
  await page.locator('.phrase__words').waitFor();
  expect((await page.locator('.phrase__words li').allTextContents()).join(' ')).toBe(eve.phrase);

  await page.reload();
  await page.getByRole('button', { name: 'Open with passkey' }).click();
  await eve.online();
  await page.getByRole('button', { name: 'Profile and settings' }).click();
  await page.getByRole('button', { name: 'Accounts and lock' }).click();
  await page.getByRole('button', { name: 'Remove the passkey' }).click();
  await page.getByText('opens the account without being asked').waitFor();
  await page.reload();
  await eve.online();

  // Once more, and then somebody whom the passkey does not know.
  await page.getByRole('button', { name: 'Profile and settings' }).click();
  await page.getByRole('button', { name: 'Accounts and lock' }).click();
  await page.getByRole('button', { name: 'Use a passkey' }).click();
  await page.getByText('A passkey seals this account').waitFor();
  await cdp.send('WebAuthn.setUserVerified', { authenticatorId: strong, isUserVerified: false });
  await page.reload();
  await page.getByRole('button', { name: 'Open with passkey' }).click();
  await page.getByText('The passkey was not used').waitFor();
  expect(await page.locator('.sidebar').count()).toBe(0);
  expect(eve.complaints).toEqual([]);
  await eve.leave();
});

test('a passkey can be chosen with a new account, and a sealed account is not restored beside itself', async () => {
  const ivy = await User.arrive(browser, web.url, 'Ivy');
  const { page } = ivy;
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('WebAuthn.enable');
  await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      ctap2Version: 'ctap2_1',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
      hasPrf: true,
    },
  });
  await ivy.create({ passkey: true });
  await page.reload();
  await page.getByRole('button', { name: 'Open with passkey' }).click();
  await ivy.online();
  const databases = async () =>
    (await names(page)).filter((name) => /^allium-[0-9a-f]{16}$/.test(name)).length;
  expect(await databases()).toBe(1);

  // The page knows it by its phrase, and nothing that is kept says whose it is.
  const kept = await databasesOf(page);
  for (const secret of [ivy.id, ivy.id.slice(2)]) expect(kept.includes(secret), secret).toBe(false);
  await page.getByRole('button', { name: 'Menu', exact: true }).click();
  await page.getByRole('menuitem', { name: 'Add an account' }).click();
  await page.getByRole('button', { name: 'I have a recovery phrase' }).click();
  await page.getByLabel('Recovery phrase').fill(ivy.phrase);
  await page.getByText('This account is in this browser already').waitFor();
  expect(await page.getByRole('button', { name: 'Restore', exact: true }).isDisabled()).toBe(true);
  await page.getByRole('button', { name: 'Open it' }).click();
  await page.getByRole('button', { name: 'Open with passkey' }).click();
  await ivy.online();
  expect(await databases()).toBe(1);

  // Whoever has lost what opens it replaces it.
  await page.getByRole('button', { name: 'Menu', exact: true }).click();
  await page.getByRole('menuitem', { name: 'Add an account' }).click();
  await page.getByRole('button', { name: 'I have a recovery phrase' }).click();
  await page.getByLabel('Recovery phrase').fill(ivy.phrase);
  await page.getByRole('button', { name: 'Replace what is here' }).click();
  await page.getByRole('button', { name: 'Erase and restore' }).click();
  await ivy.online();
  expect(await databases()).toBe(1);
  await page.reload();
  await ivy.online();
  expect(ivy.complaints).toEqual([]);
  await ivy.leave();
});

test('a key locks the account in all tabs, keeps the draft; it locks by itself when nobody is there', async () => {
  const una = await (await User.arrive(browser, web.url, 'Una')).create({ passphrase: PASSPHRASE });
  const { page } = una;
  const unlock = async () => {
    await page.getByRole('textbox', { name: 'Passphrase for this browser' }).fill(PASSPHRASE);
    await page.getByRole('button', { name: 'Open', exact: true }).click();
    await una.online();
  };
  await una.begin(MARA);
  await una.write('Hello Mara');
  await una.marked('Hello Mara', /Stored/);
  await page.getByRole('textbox', { name: 'Message' }).fill('Only half a');
  const second = await una.context.newPage();
  await second.goto(web.url);
  await second.getByText('Connected over 3 hops').waitFor();
  await page.bringToFront();
  await page.keyboard.press('Control+Shift+L');
  for (const tab of [page, second]) {
    await tab.getByRole('textbox', { name: 'Passphrase for this browser' }).waitFor();
    expect(await tab.locator('.sidebar').count()).toBe(0);
  }
  await unlock();
  await page.locator('.sidebar .row').first().click();
  await expect.poll(() => page.getByRole('textbox', { name: 'Message' }).inputValue()).toBe('Only half a');

  await page.keyboard.press('Control+,');
  await page.getByRole('button', { name: 'Accounts and lock' }).click();
  await page.getByText('5 minutes', { exact: true }).click();
  // All tabs and the time kept between them: nobody was there for six minutes.
  await page.clock.install();
  await second.close();
  await page.clock.fastForward(6 * 60_000);
  await page.getByRole('textbox', { name: 'Passphrase for this browser' }).waitFor();
  expect(una.complaints).toEqual([]);
  await una.leave();
});

/** In front of the worker's script: IndexedDB ends as it does when the quota is used up, as long as somebody says so. */
const QUOTA = `
let isFull = false;
new BroadcastChannel('quota').onmessage = ({ data }) => { isFull = data; };
const { put } = IDBObjectStore.prototype;
const { get } = Object.getOwnPropertyDescriptor(IDBTransaction.prototype, 'error');
const full = () => new DOMException('no space', 'QuotaExceededError');
IDBObjectStore.prototype.put = function (...given) {
  if (!isFull) return put.apply(this, given);
  this.transaction.abort();
  throw full();
};
Object.defineProperty(IDBTransaction.prototype, 'error', {
  get() { return isFull ? full() : get.call(this); },
});
`;

test('a browser without space says so and what to do, and nothing is lost', async () => {
  const max = await User.arrive(browser, web.url, 'Max', {
    options: { serviceWorkers: 'block' },
    prepare: async (context) => {
      await context.route(/assets\/main-[^/]*\.js$/, async (route) => {
        const answer = await route.fetch();
        const body = await answer.text();
        const isWorker = body.includes('allium-owner');
        await route.fulfill({ response: answer, body: isWorker ? QUOTA + body : body });
      });
    },
  });
  await max.create();
  const { page } = max;
  const setFull = (full: boolean) =>
    page.evaluate((now) => new BroadcastChannel('quota').postMessage(now), full);
  await max.begin(MARA);
  await max.write('Before it is full');
  await max.marked('Before it is full', /Stored/);
  await setFull(true);
  await max.write('Too much');
  await page.getByText('so nothing can be kept').waitFor();
  // What was typed is in its field again.
  await expect.poll(() => page.getByRole('textbox', { name: 'Message' }).inputValue()).toBe('Too much');
  await page.getByText('wait in the network').waitFor();
  await page.getByRole('button', { name: 'Free space' }).click();
  await page.getByRole('button', { name: 'Remove fetched files' }).waitFor();
  await setFull(false);
  await page.locator('.sidebar .row').first().click();
  await max.write('There is space again');
  await max.marked('There is space again', /Stored/);
  await max.sees('Before it is full');
  await page.getByText('wait in the network').waitFor({ state: 'hidden' });
  await max.leave();
});

test('a damaged database is set aside, not erased, and the account comes back beside it', async () => {
  const [ada, ben] = await Promise.all(
    ['Ada', 'Ben'].map(async (name) => (await User.arrive(browser, web.url, name)).create()),
  );
  await ada!.begin(ben!.id);
  await ada!.write('The ferry leaves at nine');
  await ada!.marked('ferry', /Stored|Delivered/);
  const { page } = ada!;
  const damage = (key: string) =>
    page.evaluate(async (mark) => {
      const { name = '' } =
        (await indexedDB.databases()).find((one) => /^allium-[0-9a-f]{16}$/.test(one.name ?? '')) ?? {};
      const database = await new Promise<IDBDatabase>((resolve, reject) => {
        const request = indexedDB.open(name);
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
      const transaction = database.transaction('values', 'readwrite');
      const store = transaction.objectStore('values');
      const keys = await new Promise<IDBValidKey[]>((resolve) => {
        const request = store.getAllKeys();
        request.onsuccess = () => resolve(request.result);
      });
      for (const one of mark === '' ? keys : keys.filter((found) => found === mark)) {
        store.put({ sealed: new Uint8Array(80), nonce: new Uint8Array(24) }, one);
      }
      await new Promise((resolve) => {
        transaction.oncomplete = resolve;
      });
      database.close();
      return keys.length;
    }, key);
  expect(await damage('')).toBeGreaterThan(0);
  await page.reload();
  await page.getByRole('heading', { name: 'Your messages here cannot be read' }).waitFor();
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByText('It still cannot be read').waitFor();
  const before = (await names(page)).filter((name) => name.startsWith('allium-'));
  await page.getByRole('button', { name: 'Start again beside it' }).click();
  await ada!.online();
  // All that was there is there still.
  expect(await names(page)).toEqual(expect.arrayContaining(before));
  expect((await names(page)).some((name) => /^allium-[0-9a-f]{16}-1$/.test(name))).toBe(true);
  await page.locator('.sidebar .row').first().click();
  await ada!.sees('The ferry leaves at nine');

  await page.getByRole('button', { name: 'Profile and settings' }).click();
  await page.getByRole('button', { name: 'Storage and archive' }).click();
  await page.getByRole('button', { name: 'Try the older one' }).click();
  await page.getByRole('heading', { name: 'Your messages here cannot be read' }).waitFor();
  await page.reload();
  await page.getByRole('heading', { name: 'Your messages here cannot be read' }).waitFor();
  await Promise.all([ada!.leave(), ben!.leave()]);
});

test('a name shows its account before one writes; devices tell what they share', async () => {
  const joe = await (await User.arrive(browser, web.url, 'Joe')).create();
  const { page } = joe;
  await page.getByRole('button', { name: 'New conversation' }).first().click();
  const field = page.getByLabel('Account id or name', { exact: true });
  await field.fill('nobody-at-all');
  await page.getByRole('button', { name: 'Begin' }).click();
  await page.getByText('Nobody has this name').waitFor();
  await field.fill('Mara');
  await page.getByRole('button', { name: 'Begin' }).click();
  await page.getByText('Mara stands for this account').waitFor();
  await page.getByText(MARA).waitFor();
  await page.getByRole('button', { name: 'Begin' }).click();
  await page.getByRole('textbox', { name: 'Message' }).waitFor();
  expect(await page.evaluate(() => history.state.route)).toEqual({ at: 'chat', id: MARA });
  await joe.write('Are you there?');
  await joe.marked('Are you there?', /Stored/);

  await page.getByRole('button', { name: 'Profile and settings' }).click();
  await page.getByRole('button', { name: 'Devices' }).click();
  await page.getByRole('button', { name: 'Sync now' }).click();
  await page.getByText('All is up to date').waitFor();
  await page
    .getByText(/^Shared, version [1-9]/)
    .first()
    .waitFor();
  await page.getByText(/^Last asked for changes: .*20\d\d/).waitFor();
  expect(joe.complaints).toEqual([]);
  await joe.leave();
});

const names = (page: Page): Promise<string[]> =>
  page.evaluate(async () => (await indexedDB.databases()).map(({ name = '' }) => name));

/** Everything in all databases, as text; bytes as Latin-1. */
function databasesOf(page: Page): Promise<string> {
  return page.evaluate(async () => {
    const done = <T>(request: IDBRequest<T>): Promise<T> =>
      new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
    const show = (_: string, value: unknown) =>
      ArrayBuffer.isView(value) ? new TextDecoder('latin1').decode(value) : value;
    let all = '';
    for (const { name = '' } of await indexedDB.databases()) {
      const database = await done(indexedDB.open(name));
      for (const store of database.objectStoreNames) {
        const rows = database.transaction(store).objectStore(store);
        all += JSON.stringify([await done(rows.getAll()), await done(rows.getAllKeys())], show);
      }
      database.close();
    }
    return all;
  });
}
