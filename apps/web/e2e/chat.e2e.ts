// SPDX-License-Identifier: AGPL-3.0-or-later
// One story on a real devnet: two browsers, a third one, and everything that can go wrong on the way.
import { Account } from '@allium/protocol/account';
import type { Browser } from 'playwright';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { launch } from './browser.ts';
import { removeBuilt, startWebNetwork, type WebNetwork } from './network.ts';
import { formsOf } from './recorder.ts';
import { User } from './user.ts';

describe('two people and their browsers', () => {
  let web: WebNetwork;
  let browser: Browser;
  let ada: User;
  let ben: User;
  let third: User | undefined;

  beforeAll(async () => {
    [web, browser] = await Promise.all([startWebNetwork({ nodes: 10 }), launch({ media: true })]);
  });
  afterAll(async () => {
    for (const user of [ada, ben, third]) await user?.leave();
    await browser?.close();
    await web?.[Symbol.asyncDispose]();
    removeBuilt();
  });

  test('make accounts and chat both ways', async () => {
    ada = await (await User.arrive(browser, web.url, 'Ada')).create();
    ben = await (await User.arrive(browser, web.url, 'Ben')).create();
    await ada.begin(ben.id);
    await ada.write('Good morning from the lighthouse');
    await ada.marked('Good morning', /Stored in the network/);
    await ben.accept('Ada');
    await ben.sees('Good morning from the lighthouse');
    await ben.write('And a good morning to the harbour');
    await ada.sees('And a good morning to the harbour');
    await ada.write('The fog is lifting');
    await ben.sees('The fog is lifting');
    // Whoever has accepted us tells that it came, after a pause of a few seconds.
    await ada.marked('The fog is lifting', /Delivered|Read/);
  });

  test('reactions, answers, changes and deletions reach the other side', async () => {
    const message = ben.page.locator('.message--theirs', { hasText: 'lighthouse' });
    await message.hover();
    await message.getByRole('button', { name: 'React' }).click();
    await ben.page.getByRole('button', { name: '👍', exact: true }).first().click();
    await ada.page.getByRole('button', { name: /👍, 1 person/ }).waitFor();

    await message.hover();
    await message.getByRole('button', { name: 'Answer' }).click();
    await ben.write('Is the lamp repaired?');
    await ada.page.locator('.quote', { hasText: 'lighthouse' }).waitFor();

    await ada.write('Almost dnoe');
    await ada.marked('Almost dnoe', /Stored|Delivered/);
    await ben.sees('Almost dnoe');
    const own = ada.page.locator('.message--mine', { hasText: 'Almost dnoe' });
    await own.hover();
    await own.getByRole('button', { name: 'More' }).click();
    await ada.page.getByRole('menuitem', { name: 'Edit' }).click();
    await ada.page.getByRole('textbox', { name: 'Message' }).fill('Almost done');
    await ada.page.getByRole('button', { name: 'Save' }).click();
    await ben.sees('Almost done');

    await ada.write('This one goes again');
    await ben.sees('This one goes again');
    const gone = ada.page.locator('.message--mine', { hasText: 'goes again' });
    await gone.hover();
    await gone.getByRole('button', { name: 'More' }).click();
    await ada.page.getByRole('menuitem', { name: 'Delete' }).click();
    await ada.page.getByRole('button', { name: 'For everyone' }).click();
    await ben.page.locator('.message--theirs', { hasText: 'This message was deleted' }).waitFor();
    await expect.poll(() => ben.page.getByText('This one goes again').count()).toBe(0);
  });

  test('a picture is shown on the other side', async () => {
    await ada.page
      .locator('input[type=file]')
      .setInputFiles({ name: 'lamp.png', mimeType: 'image/png', buffer: await picture(ada) });
    await ada.page.getByRole('button', { name: 'Send', exact: true }).click();
    const shown = ben.page.locator('.message--theirs .picture img');
    await shown.waitFor();
    const size = await shown.evaluate(async (image: HTMLImageElement) => {
      await image.decode();
      return [image.naturalWidth, image.naturalHeight];
    });
    expect(size).toEqual([320, 200]);
    await ben.page.locator('.message--theirs .picture').click();
    await ben.page.locator('.viewer img').waitFor();
    const saving = ben.page.waitForEvent('download');
    await ben.page.locator('dialog').getByRole('button', { name: 'Save' }).click();
    expect((await saving).suggestedFilename()).toBe('lamp.png');
    await ben.page.keyboard.press('Escape');
    await ada.page.locator('.notice', { hasText: 'Ben saved a file' }).waitFor();
  });

  test('a conversation that was begun is in the list until what was written is taken away', async () => {
    const field = ada.page.getByRole('textbox', { name: 'Message' });
    const toBen = () => ada.page.locator('.sidebar .row', { hasText: 'Ben' }).click();
    await ada.begin(Account.create().id);
    await field.fill('dear stranger');
    await toBen();
    const row = ada.page.locator('.sidebar .row', { hasText: 'dear stranger' });
    await row.click();
    await expect.poll(() => field.inputValue()).toBe('dear stranger');
    await field.fill('');
    await toBen();
    await expect
      .poll(() => ada.page.locator('.sidebar .row[aria-current] .row__title').textContent())
      .toBe('Ben');
    await expect.poll(() => ada.page.locator('.sidebar li').count()).toBe(1);
  });

  test('a voice note is recorded, sent and can be played', async () => {
    await ben.page.getByRole('button', { name: 'Record a voice note' }).click();
    await ben.page.getByRole('timer').getByText('0:01').waitFor();
    await ben.page.getByRole('button', { name: 'Send voice note' }).click();
    const voice = ada.page.locator('.message--theirs .voice');
    await voice.waitFor();
    await voice.locator('audio').waitFor({ state: 'attached' });
    await voice.getByRole('button', { name: 'Play' }).click();
    await voice.getByRole('button', { name: /Pause|Play/ }).waitFor();
    const played = () => voice.locator('audio').evaluate((audio: HTMLAudioElement) => audio.currentTime);
    await expect.poll(played).toBeGreaterThan(0);
  });

  test('offline and back: what was written goes out by itself', async () => {
    ada.recorder.cut(true);
    await ada.write('Written in a tunnel');
    await ada.marked('Written in a tunnel', /Sending/);
    await ben.write('Where are you?');
    ada.recorder.cut(false);
    await ben.sees('Written in a tunnel');
    await ada.sees('Where are you?');
    await ada.marked('Written in a tunnel', /Stored|Delivered/);
  });

  test('a reload keeps everything, drafts too', async () => {
    await ada.page.getByRole('textbox', { name: 'Message' }).fill('half a thou');
    await ada.page.waitForTimeout(900);
    await ada.page.reload();
    await ada.online();
    await ada.sees('Almost done');
    expect(await ada.page.getByRole('textbox', { name: 'Message' }).inputValue()).toBe('half a thou');
    await ada.page.getByRole('textbox', { name: 'Message' }).fill('');
  });

  test('a second tab follows, and takes over when the first one goes', async () => {
    const first = ada.page;
    const second = await ada.context.newPage();
    await second.goto(web.url);
    ada.page = second;
    await ada.online();
    await ada.open('Ben');
    await ada.sees('Almost done');
    await ada.write('From the second tab');
    await ben.sees('From the second tab');
    await first.close();
    await ada.write('The first tab is gone');
    await ben.sees('The first tab is gone');
  });

  test('the page starts without its server; chats go on when the gateway is back', async () => {
    await ada.page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
    await web.stopGateway();
    await ada.page.reload();
    await ada.open('Ben');
    await ada.sees('The first tab is gone');
    await ada.write('Without a gateway');
    await ada.marked('Without a gateway', /Sending/);
    await web.startGateway();
    await ben.sees('Without a gateway');
  });

  test('a lost guard is replaced', async () => {
    await ada.online();
    await ada.page.getByRole('button', { name: /Connected/ }).click();
    const where = await ada.page.locator('.path__stop--hop .path__where').first().textContent();
    const port = Number(where?.split(':').at(-1));
    const guard = web.net.nodes.find(({ url }) => new URL(url).port === String(port));
    expect(guard).toBeDefined();
    await guard?.kill();
    await ada.page.locator('.sidebar .row', { hasText: 'Ben' }).first().click();
    await ada.write('Over another guard');
    await ben.sees('Over another guard');
    await guard?.restart();
  });

  test('a third browser gets the account back from the phrase', async () => {
    third = await User.arrive(browser, web.url, 'Ada on another computer');
    await third.restore(ada.phrase);
    await third.open('Ben');
    await third.sees('Over another guard');
    // The beginning is far above: searching leads to it.
    await third.page.getByRole('searchbox', { name: 'Search' }).fill('harbour');
    await third.page.locator('.sidebar .row', { hasText: 'harbour' }).click();
    await third.sees('And a good morning to the harbour');
    await third.page.getByRole('searchbox', { name: 'Search' }).fill('');
    await third.write('From the other computer');
    await ben.sees('From the other computer');
    await ada.sees('From the other computer');
  });

  test('only the entry was contacted; no text, id or phrase left', () => {
    const secrets = [
      'lighthouse',
      'good morning',
      'Almost done',
      'Written in a tunnel',
      'Without a gateway',
      'lamp.png',
      ...[ada, ben].flatMap(({ id, phrase }) => [id, phrase, phrase.split(' ').slice(0, 3).join(' ')]),
    ];
    for (const user of [ada, ben, third!]) {
      expect([...user.recorder.targets]).toEqual([new URL(web.url).host]);
      const sent = user.recorder.sent();
      expect(sent.length).toBeGreaterThan(20_000);
      for (const secret of secrets) {
        for (const form of formsOf(secret))
          expect(sent.includes(form), `${user.name} sent ${secret}`).toBe(false);
      }
      expect(user.complaints).toEqual([]);
    }
  });
});

/** A PNG that the browser makes. */
async function picture(user: User): Promise<Buffer> {
  const bytes = await user.page.evaluate(async () => {
    const canvas = document.createElement('canvas');
    canvas.width = 320;
    canvas.height = 200;
    const context = canvas.getContext('2d')!;
    context.fillStyle = '#8a5';
    context.fillRect(20, 20, 200, 100);
    const blob = await new Promise<Blob>((resolve) => canvas.toBlob((made) => resolve(made!), 'image/png'));
    return [...new Uint8Array(await blob.arrayBuffer())];
  });
  return Buffer.from(bytes);
}
