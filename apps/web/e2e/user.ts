// SPDX-License-Identifier: AGPL-3.0-or-later
// Somebody at a browser of his own.
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright';
import { Recorder } from './recorder.ts';

/** Only ends what hangs; a busy machine must never meet it. */
const PATIENCE_MS = 90_000;

export class User {
  readonly name: string;
  readonly context: BrowserContext;
  readonly recorder: Recorder;
  /** Failures that the page did not catch, and refusals of its policies. */
  readonly complaints: string[] = [];
  page: Page;
  id = '';
  phrase = '';

  private constructor(name: string, context: BrowserContext, page: Page, recorder: Recorder) {
    this.name = name;
    this.context = context;
    this.page = page;
    this.recorder = recorder;
    context.on('console', (message) => {
      const text = message.text();
      if (
        message.type() === 'error' &&
        !/Failed to load resource|WebSocket connection|net::ERR_/.test(text)
      ) {
        this.complaints.push(text);
      }
    });
    context.on('weberror', (error) => this.complaints.push(String(error.error())));
  }

  /** `change`: what the browser does otherwise, before the page is there. */
  static async arrive(
    browser: Browser,
    url: string,
    name: string,
    change: { options?: BrowserContextOptions; prepare?: (context: BrowserContext) => Promise<void> } = {},
  ): Promise<User> {
    const recorder = await Recorder.start();
    const context = await browser.newContext({
      proxy: recorder.proxy,
      locale: 'en-GB',
      permissions: ['clipboard-read', 'clipboard-write', 'microphone', 'camera'],
      ...change.options,
    });
    await change.prepare?.(context);
    context.setDefaultTimeout(PATIENCE_MS);
    const page = await context.newPage();
    const user = new User(name, context, page, recorder);
    await page.goto(url);
    return user;
  }

  async create({ passphrase = '', passkey = false } = {}): Promise<this> {
    const { page } = this;
    await page.getByRole('button', { name: 'Create an account' }).click();
    await page.getByLabel('Your name').fill(this.name);
    if (passphrase !== '' || passkey) await page.getByText('Protect this browser with a passphrase').click();
    if (passphrase !== '') await page.getByLabel('Passphrase for this browser').fill(passphrase);
    if (passkey) {
      await page.getByRole('button', { name: 'Use a passkey' }).click();
      await page.getByText('The passkey is there').waitFor();
    }
    await page.getByRole('button', { name: 'Next' }).click();
    this.id = (await page.getByTestId('own-id').textContent()) ?? '';
    await page.getByRole('button', { name: 'Show the phrase' }).first().click();
    await page.locator('.phrase__words li').first().waitFor();
    const words = await page.locator('.phrase__words li').allTextContents();
    this.phrase = words.join(' ');
    await page.getByRole('button', { name: 'I have written it down' }).click();
    const asked = page.locator('label', { hasText: /^Word \d+$/ });
    await asked.first().waitFor();
    for (const label of await asked.allTextContents()) {
      await page.getByLabel(label, { exact: true }).fill(words[Number(label.slice(5)) - 1] ?? '');
    }
    await page.getByRole('button', { name: 'Check' }).click();
    await this.online();
    return this;
  }

  async restore(phrase: string): Promise<this> {
    const { page } = this;
    await page.getByRole('button', { name: 'I have a recovery phrase' }).click();
    await page.getByLabel('Recovery phrase').fill(phrase);
    await page.getByRole('button', { name: 'Restore', exact: true }).click();
    await this.online();
    return this;
  }

  async online(): Promise<void> {
    await this.page.getByText('Connected over 3 hops').waitFor();
  }

  /** Begins a conversation with an id. */
  async begin(id: string): Promise<void> {
    await this.page.getByRole('button', { name: 'New conversation' }).first().click();
    await this.page.getByLabel('Account id or name', { exact: true }).fill(id);
    await this.page.getByRole('button', { name: 'Begin' }).click();
    await this.page.getByRole('textbox', { name: 'Message' }).waitFor();
  }

  async open(name: string): Promise<void> {
    await this.page.locator('.sidebar .row', { hasText: name }).first().click();
  }

  async accept(name: string): Promise<void> {
    await this.page.getByRole('button', { name: /^Requests/ }).click();
    await this.page.locator('.pane .row', { hasText: name }).click();
    await this.page.getByRole('button', { name: 'Accept' }).click();
  }

  async write(text: string): Promise<void> {
    const box = this.page.getByRole('textbox', { name: 'Message' });
    await box.fill(text);
    await box.press('Enter');
  }

  /** A message with this text is in the open conversation. */
  async sees(text: string): Promise<void> {
    await this.page.locator('.message', { hasText: text }).first().waitFor();
  }

  /** The mark at a message of ours says one of these. */
  async marked(text: string, mark: RegExp): Promise<void> {
    const message = this.page.locator('.message--mine', { hasText: text }).first();
    await message.getByRole('button', { name: mark }).waitFor();
  }

  async leave(): Promise<void> {
    await this.context.close();
    await this.recorder.stop();
  }
}
