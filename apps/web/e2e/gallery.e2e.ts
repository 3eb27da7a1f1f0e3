// SPDX-License-Identifier: AGPL-3.0-or-later
// Every scene of the gallery, light and dark, wide and narrow: no barrier that axe finds, nothing wider than the window,
// no complaint of the browser.
import type { Browser } from 'playwright';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { violationsIn } from './axe.ts';
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

test.each([
  ['light', 1280],
  ['dark', 1280],
  ['light', 390],
  ['dark', 390],
] as const)('all scenes, %s, %i pixels wide', async (theme, width) => {
  const page = await browser.newPage({
    locale: 'en-GB',
    viewport: { width, height: 800 },
    reducedMotion: 'reduce',
  });
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.goto(`${server.url}/#/gallery`);
  await page.locator('main li a').first().waitFor();
  const scenes = await page.locator('main li a').allTextContents();
  expect(scenes.length).toBeGreaterThan(30);
  const found: Record<string, readonly string[]> = {};
  for (const scene of scenes) {
    await page.goto('about:blank');
    await page.goto(`${server.url}/#/gallery/${scene}?theme=${theme}`);
    await page.locator('.shell, .onboarding').first().waitFor();
    await page.waitForTimeout(150);
    const here = [...(await violationsIn(page))];
    const [whole, shown] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    if (whole! > shown!) here.push(`wider than the window: ${whole} > ${shown}`);
    if (here.length > 0) found[scene] = here;
  }
  expect(found).toEqual({});
  expect(complaints).toEqual([]);
  await page.close();
});
