// SPDX-License-Identifier: AGPL-3.0-or-later
// Messages in the gallery, by keys and over time: what the long tests of a network do not look at.
import type { Browser, Page } from 'playwright';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch, type PageServer, servePage } from './browser.ts';
import { builtApp, removeBuilt } from './network.ts';

let browser: Browser;
let server: PageServer;

beforeAll(async () => {
  browser = await launch();
  server = await servePage(await builtApp());
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
  removeBuilt();
});

async function openScene(scene: string): Promise<Page> {
  const page = await browser.newPage({ locale: 'en-GB', viewport: { width: 1280, height: 800 } });
  await page.goto(`${server.url}/#/gallery/${scene}`);
  await page.locator('.message').first().waitFor();
  return page;
}
const focused = (page: Page) =>
  page.evaluate(() => {
    const element = document.activeElement;
    return {
      key: element?.closest<HTMLElement>('.message')?.dataset.key,
      label: element?.getAttribute('aria-label'),
    };
  });

test('F6 leads to the newest message', async () => {
  const page = await openScene('chat-long');
  const newest = page.locator('.message').last();
  await newest.waitFor();
  await page.locator('.composer__text').focus();
  await page.keyboard.press('Shift+F6');
  expect((await focused(page)).key).toBe(await newest.getAttribute('data-key'));
  await page.close();
});

test.each(['menu', 'picker'])(
  'whoever closes the %s of a message by a key is at the message again',
  async (which) => {
    const page = await openScene('chat-long');
    await page.locator('.composer__text').focus();
    await page.keyboard.press('Shift+F6');
    const { key } = await focused(page);
    if (which === 'picker') await page.keyboard.press('+');
    else {
      await page.locator('.message--near [aria-haspopup=menu]').focus();
      await page.keyboard.press('Enter');
    }
    const overlay = page.locator(which === 'picker' ? '.emoji' : '.menu');
    await overlay.waitFor();
    // What is open has the focus.
    await expect
      .poll(() => page.evaluate(() => document.activeElement?.closest('.emoji, .menu') !== null))
      .toBe(true);
    await page.keyboard.press('Escape');
    await overlay.waitFor({ state: 'detached' });
    await expect.poll(async () => (await focused(page)).key).toBe(key);
    await page.keyboard.press('ArrowUp');
    await expect.poll(() => page.locator('.message:focus').count()).toBe(1);
    expect((await focused(page)).key).not.toBe(key);
    await page.close();
  },
);

test('what the menu of a message does leads back to the message, or to where one writes', async () => {
  const page = await openScene('chat-long');
  await page.locator('.composer__text').focus();
  await page.keyboard.press('Shift+F6');
  // The newest one of ours.
  while ((await page.locator('.message--mine:focus').count()) === 0) await page.keyboard.press('ArrowUp');
  const { key } = await focused(page);
  const choose = async (label: string) => {
    await page.locator('.message--near [aria-haspopup=menu]').focus();
    await page.keyboard.press('Enter');
    const item = page.locator('.menu__item', { hasText: label });
    await item.waitFor();
    await item.focus();
    await page.keyboard.press('Enter');
  };
  await choose('Details');
  await page.locator('dialog[open]').waitFor();
  await page.keyboard.press('Escape');
  await page.locator('dialog[open]').waitFor({ state: 'detached' });
  await expect.poll(async () => (await focused(page)).key).toBe(key);
  await choose('Edit');
  await page.locator('.composer__about').waitFor();
  await page.locator('.menu').waitFor({ state: 'detached' });
  await expect.poll(() => page.locator('.composer__text:focus').count()).toBe(1);
  await page.close();
});

test('a notice takes neither tail nor picture from the message before it', async () => {
  const page = await openScene('chat-failed');
  await page.locator('.notice').first().waitFor();
  const found = await page.evaluate(() =>
    [...document.querySelectorAll('.notice')].map((notice) => {
      const rows = [...document.querySelectorAll('.message, .notice')];
      const before = rows[rows.indexOf(notice) - 1];
      return before?.matches('.message') === true ? before.matches('.message--last') : undefined;
    }),
  );
  expect(found).toContain(true);
  expect(found).not.toContain(false);
  await page.close();
});

test('the day is named anew at midnight', async () => {
  const page = await browser.newPage({ locale: 'en-GB', viewport: { width: 1280, height: 800 } });
  await page.clock.install({ time: new Date('2026-11-21T23:58:00') });
  await page.goto(`${server.url}/#/gallery/chat`);
  const days = page.locator('.messages__day');
  await page.locator('.messages__day', { hasText: /^Today$/ }).waitFor();
  await page.clock.fastForward(180_000);
  await page
    .locator('.messages__day', { hasText: /^Yesterday$/ })
    .last()
    .waitFor();
  expect(await days.filter({ hasText: /^Today$/ }).count()).toBe(0);
  await page.close();
});
