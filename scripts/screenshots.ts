// SPDX-License-Identifier: MIT
// `npm run screenshots`: pictures of the main screens of the web app, from its gallery, for the README and the guide.
// Light and dark, wide and narrow; WebP would be smaller, but PNG is shown everywhere.
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { launch, servePage } from '../apps/web/e2e/browser.ts';
import { builtApp } from '../apps/web/e2e/network.ts';

const OUT = join(import.meta.dirname, '../docs/screenshots');
const WIDE = { width: 1040, height: 640 };
const NARROW = { width: 390, height: 720 };
const SCENES = [
  'welcome',
  'create-phrase',
  'restore',
  'locked',
  'list',
  'chat',
  'requests',
  'request',
  'contact',
  'settings',
  'settings-privacy',
  'settings-devices',
  'network',
  'protected',
];
const VARIANTS = (['light', 'dark'] as const).flatMap((theme) => [
  { theme, width: 'wide', size: WIDE },
  { theme, width: 'narrow', size: NARROW },
]);

const browser = await launch();
const server = await servePage(await builtApp());
rmSync(OUT, { recursive: true, force: true });
mkdirSync(OUT, { recursive: true });
const context = await browser.newContext({ locale: 'en-GB', timezoneId: 'UTC', reducedMotion: 'reduce' });
const page = await context.newPage();
for (const { theme, width, size } of VARIANTS) {
  await page.setViewportSize(size);
  for (const scene of SCENES) {
    await page.goto('about:blank');
    await page.goto(`${server.url}/#/gallery/${scene}?theme=${theme}`);
    await page.locator('.shell, .onboarding').first().waitFor();
    await page.waitForTimeout(700);
    await page.screenshot({ path: join(OUT, `${scene}-${theme}-${width}.png`) });
  }
}
await browser.close();
await server.stop();
const row = (scene: string) =>
  `| ${scene} | ${VARIANTS.map(({ theme, width }) => `<img src="${scene}-${theme}-${width}.png" alt="${scene}, ${theme}, ${width}" width="${width === 'wide' ? 420 : 180}">`).join(' | ')} |`;
writeFileSync(
  join(OUT, 'README.md'),
  `# The web app in pictures

Made by \`npm run screenshots\` of the gallery of the app (\`#/gallery\`).

| | ${VARIANTS.map(({ theme, width }) => `${theme}, ${width}`).join(' | ')} |
| --- | --- | --- | --- | --- |
${SCENES.map(row).join('\n')}
`,
);
const names = readdirSync(OUT).filter((name) => name.endsWith('.png'));
const bytes = names.reduce((sum, name) => sum + statSync(join(OUT, name)).size, 0);
console.log(`${names.length} pictures in docs/screenshots, ${(bytes / 1e6).toFixed(2)} MB`);
