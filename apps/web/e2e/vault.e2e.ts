// SPDX-License-Identifier: AGPL-3.0-or-later
// What lies in the browser: locked under a passphrase, and unreadable for whoever copies the profile.
import type { Browser, Page } from 'playwright';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch } from './browser.ts';
import { startWebNetwork, type WebNetwork } from './network.ts';
import { User } from './user.ts';

const PASSPHRASE = 'Quiet harbour 7';
let web: WebNetwork;
let browser: Browser;

beforeAll(async () => {
  [web, browser] = await Promise.all([startWebNetwork({ nodes: 6 }), launch()]);
});
afterAll(async () => {
  await browser?.close();
  await web?.[Symbol.asyncDispose]();
});

test('a passphrase is asked for, a wrong one is refused, and the database says nothing', async () => {
  const ada = await (await User.arrive(browser, web.url, 'Ada')).create(PASSPHRASE);
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
  await page.getByRole('button', { name: 'Accounts and passphrase' }).click();
  expect(await page.locator('.account-row').count()).toBe(2);
  await page.getByRole('button', { name: 'Remove from this browser' }).first().click();
  await page.getByRole('button', { name: 'Remove', exact: true }).click();
  await expect
    .poll(async () => (await names(page)).filter((name) => /^allium-[0-9a-f]{16}$/.test(name)).length)
    .toBe(1);
  await ben.leave();
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
