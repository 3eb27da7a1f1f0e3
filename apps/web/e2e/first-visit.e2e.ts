// SPDX-License-Identifier: AGPL-3.0-or-later
// The page of a first visit whose server goes, or has another release, before all of it was fetched.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch, servePage } from './browser.ts';
import { builtApp, removeBuilt } from './network.ts';

let browser: Browser;

beforeAll(async () => {
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  removeBuilt();
});

test('what a first visit has not fetched is there when the server is away', async () => {
  const folder = await builtApp();
  const server = await servePage(folder);
  const page = await browser.newPage();
  await page.goto(server.url);
  await page.getByRole('button', { name: 'Create an account' }).waitFor();
  await expect.poll(() => page.evaluate(() => navigator.serviceWorker.controller !== null)).toBe(true);
  await server.stop();
  const later = readdirSync(join(folder, 'assets')).find((name) => /^settings-view.*\.js$/.test(name));
  const status = await page.evaluate(
    async (path) => (await fetch(path)).status,
    `./assets/${later ?? 'no such file'}`,
  );
  expect(status).toBe(200);
  await page.close();
});

test('a part that does not come is told, and comes when it is there', async () => {
  const server = await servePage(await builtApp());
  const page = await browser.newPage({ locale: 'en-GB' });
  let isThere = false;
  await page.route(/assets\/settings-view.*\.js/, (route) => (isThere ? route.continue() : route.abort()));
  await page.goto(`${server.url}/#/gallery/settings`);
  await page.getByText('A part of the page is missing').waitFor();
  isThere = true;
  await page.getByText('A part of the page is missing').waitFor({ state: 'detached' });
  await page.locator('.pane').first().waitFor();
  await page.close();
  await server.stop();
});
