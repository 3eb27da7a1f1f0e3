// SPDX-License-Identifier: AGPL-3.0-or-later
// A network without a file server: text goes, and what does not is said before and after.
import type { Browser } from 'playwright';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch } from './browser.ts';
import { removeBuilt, startWebNetwork } from './network.ts';
import { User } from './user.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launch({ media: true });
});
afterAll(async () => {
  await browser?.close();
  removeBuilt();
});

test('files are refused with the reason, by each way; text arrives', async () => {
  await using web = await startWebNetwork({ nodes: 6, fileServer: false });
  const [ada, ben] = await Promise.all(
    ['Ada', 'Ben'].map(async (name) => (await User.arrive(browser, web.url, name)).create()),
  );
  await ada!.begin(ben!.id);
  // Whoever opens a chat writes at once.
  await ada!.page.keyboard.type('Only words here');
  await ada!.page.keyboard.press('Enter');
  await ben!.accept('Ada');
  await ben!.sees('Only words here');
  const why = /no server for files/;
  const attach = ada!.page.getByRole('button', { name: 'Attach files' });
  expect(await attach.getAttribute('aria-disabled')).toBe('true');
  await attach.click({ force: true });
  await ada!.page.locator('.toast', { hasText: why }).waitFor();
  await ada!.page.getByRole('button', { name: 'New conversation' }).first().click();
  await ada!.page.getByLabel('Account id or name', { exact: true }).fill('mara');
  await ada!.page.getByRole('button', { name: 'Begin' }).click();
  await ada!.page.getByText('Nobody has this name').waitFor();
  expect(ada!.complaints).toEqual([]);
  await Promise.all([ada!.leave(), ben!.leave()]);
});
