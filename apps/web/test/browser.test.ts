// SPDX-License-Identifier: AGPL-3.0-or-later
// The built page in Chromium: every scene of the gallery is accessible, hostile messages run nothing, two people chat over a
// real network and nothing but sealed bytes leaves. The long story is `npm run e2e`.
import type { Browser, Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findChromium } from '../../../scripts/chromium.ts';
import { violationsIn } from '../e2e/axe.ts';
import { launch, type PageServer, servePage } from '../e2e/browser.ts';
import { builtApp, removeBuilt, startWebNetwork } from '../e2e/network.ts';
import { formsOf } from '../e2e/recorder.ts';
import { User } from '../e2e/user.ts';

/** All of them: `npm run e2e`. */
const SCENES = [
  'welcome',
  'create-phrase',
  'chat',
  'request',
  'contact',
  'settings-accounts',
  'network-lost',
  'keys',
  'list-full',
];

describe.skipIf(findChromium() === undefined)(
  'the page in Chromium (skipped where none is installed)',
  () => {
    let browser: Browser;
    let server: PageServer;
    let page: Page;
    const complaints: string[] = [];

    beforeAll(async () => {
      browser = await launch();
      server = await servePage(await builtApp());
      page = await browser.newPage({ locale: 'en-GB' });
      page.setDefaultTimeout(90_000);
      page.on('console', (message) => {
        if (message.type() === 'error') complaints.push(message.text());
      });
      page.on('pageerror', (error) => complaints.push(String(error)));
    });
    afterAll(async () => {
      await browser?.close();
      await server?.stop();
      removeBuilt();
    });

    const show = async (scene: string, query = '') => {
      await page.goto('about:blank');
      await page.goto(`${server.url}/#/gallery/${scene}?${query}`);
      await page.locator('.shell, .onboarding').first().waitFor();
      // Pictures and lists have come, motion is over.
      await page.waitForTimeout(250);
    };
    test.each(['light', 'dark'])('no scene has a barrier that axe finds (%s)', async (theme) => {
      await page.emulateMedia({ reducedMotion: 'reduce' });
      const found: Record<string, readonly string[]> = {};
      for (const scene of theme === 'light' ? SCENES : ['chat', 'create-check']) {
        await show(scene, `theme=${theme}`);
        const here = await violationsIn(page);
        if (here.length > 0) found[scene] = here;
      }
      expect(found).toEqual({});
    });

    test('nothing that a stranger writes runs, leads away or breaks the frame', async () => {
      await show('chat-hostile');
      await page.locator('.message').last().waitFor();
      expect(await page.evaluate(() => (globalThis as { pwned?: number }).pwned)).toBeUndefined();
      expect(
        await page.locator('.messages img:not([src^="blob:"]), .messages script, .messages iframe').count(),
      ).toBe(0);
      const hrefs = await page
        .locator('.messages a')
        .evaluateAll((links) => links.map((link) => (link as HTMLAnchorElement).href));
      for (const href of hrefs) expect(href).toMatch(/^https?:/);
      const width = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      expect(width[0]).toBeLessThanOrEqual(width[1]!);
      // Of the file that says to be a picture, and of the one that says to be a voice, only saving is left.
      expect(await page.locator('.messages .voice').count()).toBe(0);
      await page.locator('.messages').hover();
      const link = page.locator('.rich-text__link').first();
      const goUp = async () => {
        await page.mouse.wheel(0, -100_000);
        return await link.count();
      };
      await expect.poll(goUp, { interval: 200 }).toBe(1);
      await link.click();
      await page.getByRole('dialog', { name: 'Open this link?' }).waitFor();
      await page.getByRole('button', { name: 'Cancel' }).click();
    });

    test('keys do what they say, and leave alone what is typed', async () => {
      await show('chat');
      const box = page.getByRole('textbox', { name: 'Message' });
      const dialog = page.getByRole('dialog', { name: 'Keyboard keys' });
      const focused = () => page.evaluate(() => document.activeElement?.className ?? '');
      await box.waitFor();
      await box.press('?');
      await box.press('r');
      expect(await box.inputValue()).toBe('?r');
      await box.fill('');
      await page.keyboard.press('Control+/');
      await dialog.waitFor();
      expect(await dialog.locator('kbd').count()).toBeGreaterThan(30);
      // Keys are the dialog's now.
      await page.keyboard.press('Control+k');
      await page.keyboard.press('Escape');
      await dialog.waitFor({ state: 'hidden' });
      await box.waitFor();

      // To the messages, up, an answer; the last own one is changed, and not.
      await box.focus();
      await page.keyboard.press('Shift+F6');
      await page.keyboard.press('ArrowUp');
      expect(await focused()).toContain('message');
      await page.keyboard.press('r');
      await page.getByText(/^Answer to/).waitFor();
      await page.keyboard.press('Escape');
      await page.getByText(/^Answer to/).waitFor({ state: 'hidden' });
      await box.press('ArrowUp');
      await expect.poll(() => box.inputValue()).toBe('And the map.');
      await page.keyboard.press('Escape');
      await expect.poll(() => box.inputValue()).toBe('');

      const name = () => page.locator('.chat__name').textContent();
      const first = await name();
      await page.keyboard.press('Alt+ArrowDown');
      await expect.poll(name).not.toBe(first);
      await page.keyboard.press('Alt+Shift+ArrowDown');
      await expect.poll(name).toBe('Jonas');
      await page.keyboard.press('Control+k');
      await expect
        .poll(() => page.evaluate(() => document.activeElement?.getAttribute('type')))
        .toBe('search');
      await page.keyboard.press('Control+,');
      await page.getByRole('heading', { name: 'Settings' }).waitFor();
      await page.getByRole('button', { name: 'Appearance' }).click();
      await page.keyboard.press('Escape');
      await page.getByRole('heading', { name: 'Settings' }).waitFor();
      await page.keyboard.press('Escape');
      await page.getByText('Nobody in between').waitFor();
      await page.keyboard.press('?');
      await dialog.waitFor();
      await page.keyboard.press('Escape');

      // Whoever does not want them has none.
      await page.keyboard.press('Control+,');
      await page.getByRole('button', { name: 'Appearance' }).click();
      await page.getByRole('switch', { name: 'Keyboard keys' }).click();
      await page.keyboard.press('?');
      await page.keyboard.press('Escape');
      await page.getByRole('switch', { name: 'Keyboard keys' }).waitFor();
      expect(await dialog.count()).toBe(0);
    });

    test('who opens a chat can write at once, and whatever is typed beside a field is written there', async () => {
      await show('list');
      const box = page.getByRole('textbox', { name: 'Message' });
      const row = (name: string) => page.locator('.sidebar .row', { hasText: name }).first();
      const isWriting = () => box.evaluate((element) => element === document.activeElement);
      await row('Jonas').click();
      await expect.poll(isWriting).toBe(true);
      // Once more the same, and one by its keys: arrows alone open nothing.
      await row('Jonas').click();
      await expect.poll(isWriting).toBe(true);
      await row('Jonas').focus();
      await page.keyboard.press('ArrowDown');
      expect(await page.evaluate(() => document.activeElement?.className)).toContain('row');
      expect(await page.locator('.chat__name').textContent()).toBe('Jonas');
      await page.keyboard.press('Enter');
      await expect.poll(() => page.locator('.chat__name').textContent()).not.toBe('Jonas');
      await expect.poll(isWriting).toBe(true);

      await row('Jonas').focus();
      await page.keyboard.press('Shift+H');
      await page.keyboard.type('ello');
      await expect.poll(() => box.inputValue()).toBe('Hello');
      // Keys that do something else are left to it.
      await row('Jonas').focus();
      await page.keyboard.press('Control+b');
      await page.keyboard.press('Home');
      expect(await isWriting()).toBe(false);
      await page.getByRole('searchbox').fill('');
      await page.keyboard.type('x');
      expect(await page.getByRole('searchbox').inputValue()).toBe('x');
      expect(await box.inputValue()).toBe('Hello');
      await page.getByRole('searchbox').fill('');
    });

    test('without a pointer that is fine nothing is typed that was not tapped', async () => {
      const context = await browser.newContext({ locale: 'en-GB', hasTouch: true, isMobile: true });
      const phone = await context.newPage();
      await phone.goto(`${server.url}/#/gallery/chat`);
      const box = phone.getByRole('textbox', { name: 'Message' });
      await box.waitFor();
      await phone.keyboard.type('hello');
      expect(await box.inputValue()).toBe('');
      expect(await box.evaluate((element) => element === document.activeElement)).toBe(false);
      await context.close();
    });

    test('a network without a file server says so where files would be chosen', async () => {
      await show('chat-no-files');
      const toast = page.locator('.toast', { hasText: /no server for files/ });
      const isToldOnce = async () => {
        await toast.waitFor();
        await toast.getByRole('button', { name: 'Close' }).click();
        await toast.waitFor({ state: 'hidden' });
      };
      for (const name of ['Attach files', 'Record a voice note']) {
        const button = page.getByRole('button', { name });
        expect(await button.getAttribute('aria-disabled')).toBe('true');
        const about = await button.getAttribute('aria-describedby');
        expect(await page.locator(`#${about}`).textContent()).toMatch(/no server for files/);
        // Playwright takes such a button for one that cannot be pressed.
        await button.click({ force: true });
        await isToldOnce();
      }
      for (const kind of ['paste', 'drop'] as const) {
        await page.locator(kind === 'paste' ? '.composer__text' : '.chat').evaluate((element, type) => {
          const data = new DataTransfer();
          data.items.add(new File(['a picture'], 'a.png', { type: 'image/png' }));
          element.dispatchEvent(
            type === 'paste'
              ? new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true })
              : new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }),
          );
        }, kind);
        await isToldOnce();
      }
      expect(await page.locator('.composer__file').count()).toBe(0);
    });

    test('names are not offered where the network said that it has none', async () => {
      await show('new-chat-no-names');
      const field = page.getByLabel('Account id or name', { exact: true });
      await field.fill('mara');
      await page.getByRole('button', { name: 'Begin' }).click();
      await page.getByText('This network knows no names. Use the account id.').waitFor();
      await page.getByRole('textbox', { name: 'Account id', exact: true }).fill('05');
      await page.getByText(/This network knows no names\.$/).waitFor();
      expect(await page.getByText(/registered a name/).count()).toBe(0);
    });

    test('what vouches for the node list is said where it is shown', async () => {
      await show('network');
      await page.locator('.facts').getByText('Consistent since the first visit').waitFor();
      await page.getByText(/named by this entry when you opened the app for the first time/).waitFor();
      expect(await page.getByText('Verified', { exact: true }).count()).toBe(
        await page.locator('.row__verified').count(),
      );
    });

    test('a narrow window shows one thing at a time, and the way back', async () => {
      await page.setViewportSize({ width: 390, height: 780 });
      await show('chat');
      await page.locator('.sidebar').waitFor({ state: 'hidden' });
      await page.getByRole('button', { name: 'Back' }).click();
      await page.locator('.sidebar').waitFor();
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
      await page.setViewportSize({ width: 1280, height: 720 });
    });

    test.each(['de', 'es'])('speaks %s; right to left, too', async (language) => {
      await show('settings', `lang=${language}&dir=rtl`);
      await page.locator(`html[lang=${language}][dir=rtl]`).waitFor();
      await page
        .getByRole('heading', { name: language === 'de' ? 'Einstellungen' : 'Ajustes' })
        .first()
        .waitFor();
      const [list, main] = await Promise.all(
        ['.sidebar', '.shell__main'].map((part) =>
          page.locator(part).evaluate((box) => box.getBoundingClientRect().left),
        ),
      );
      expect(list).toBeGreaterThan(main!);
    });

    test('a hundred thousand messages: the end is shown, and one can go to the beginning', async () => {
      await show('chat-long');
      await page.locator('.message', { hasText: '100000:' }).waitFor();
      expect(await page.locator('.message').count()).toBeLessThan(80);
      // Each time one arrives at the top, older ones come above, and what one looks at stays.
      const goUp = () => page.locator('.messages').evaluate((list) => list.scrollTo(0, 0));
      const isThere = async () => {
        await goUp();
        return await page.locator('.message', { hasText: /^\s*99[0-4]\d\d: / }).count();
      };
      await expect.poll(isThere, { interval: 100 }).toBeGreaterThan(0);
    });

    test('neither page nor gallery broke a rule of the policy', () => {
      expect(complaints).toEqual([]);
    });

    test('two people chat over a real network; only the entry is contacted, only sealed bytes leave', async () => {
      await using web = await startWebNetwork({ nodes: 6 });
      const [ada, ben] = await Promise.all(
        ['Ada', 'Ben'].map(async (name) => (await User.arrive(browser, web.url, name)).create()),
      );
      // The page that had the focus is gone; keys do not begin at nothing.
      const focused = await ada!.page.evaluate(() => document.activeElement?.textContent);
      expect(focused).toBe('New conversation');
      await ada!.begin(ben!.id);
      await ada!.write('Meet me at the sundial');
      await ben!.accept('Ada');
      await ben!.sees('Meet me at the sundial');
      await ben!.write('<b>bold</b> as ever');
      await ada!.sees('<b>bold</b> as ever');
      const secrets = ['sundial', '<b>bold', ada!.id, ben!.id, ada!.phrase, ben!.phrase];
      for (const { name, recorder, complaints: own } of [ada!, ben!]) {
        expect([...recorder.targets]).toEqual([new URL(web.url).host]);
        const sent = recorder.sent();
        for (const secret of secrets) {
          for (const form of formsOf(secret))
            expect(sent.includes(form), `${name} sent ${secret}`).toBe(false);
        }
        expect(own).toEqual([]);
      }
      await Promise.all([ada!.leave(), ben!.leave()]);
    });
  },
);
