// SPDX-License-Identifier: MIT
// `npm run screenshots`: pictures of the main screens of the web app, from its gallery, for the README and the guide.
// Light and dark, wide and narrow; WebP would be smaller, but PNG is shown everywhere.
import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { launch, servePage } from '../apps/web/e2e/browser.ts';
import { builtApp } from '../apps/web/e2e/network.ts';

const OUT = join(import.meta.dirname, '../docs/screenshots');
const WIDE = { width: 1040, height: 640 };
const NARROW = { width: 390, height: 720 };
const PICTURES: readonly (readonly [scene: string, theme: 'light' | 'dark', narrow: boolean])[] = [
  ['welcome', 'light', false],
  ['create-phrase', 'dark', true],
  ['restore', 'light', true],
  ['list', 'light', true],
  ['list', 'dark', true],
  ['chat', 'light', false],
  ['chat', 'dark', false],
  ['chat', 'light', true],
  ['chat', 'dark', true],
  ['request', 'light', true],
  ['contact', 'dark', true],
  ['settings', 'light', false],
  ['network', 'light', false],
  ['network', 'dark', true],
  ['protected', 'dark', true],
];

const browser = await launch();
const server = await servePage(await builtApp());
rmSync(OUT, { recursive: true, force: true });
mkdirSync(OUT, { recursive: true });
const context = await browser.newContext({ locale: 'en-GB', timezoneId: 'UTC', reducedMotion: 'reduce' });
const page = await context.newPage();
for (const [scene, theme, narrow] of PICTURES) {
  await page.setViewportSize(narrow ? NARROW : WIDE);
  await page.goto('about:blank');
  await page.goto(`${server.url}/#/gallery/${scene}?theme=${theme}`);
  await page.locator('.shell, .onboarding').first().waitFor();
  await page.waitForTimeout(700);
  await page.screenshot({ path: join(OUT, `${scene}-${theme}-${narrow ? 'narrow' : 'wide'}.png`) });
}
await browser.close();
await server.stop();
const bytes = readdirSync(OUT).reduce((sum, name) => sum + statSync(join(OUT, name)).size, 0);
console.log(`${PICTURES.length} pictures in docs/screenshots, ${(bytes / 1e6).toFixed(2)} MB`);
