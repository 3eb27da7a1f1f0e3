// SPDX-License-Identifier: AGPL-3.0-or-later
// The chat without a terminal: keys in, a screen out, two people over a devnet.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@allium/client';
import { openClient } from '@allium/client/node';
import { Devnet } from '@allium/lab';
import { systemEnv } from '@allium/net/system-env';
import { until } from '@allium/net/testing/until';
import { Account } from '@allium/protocol/account';
import { type FileServer, startFileServer } from '@allium/servers/files';
import { renderToString } from 'ink';
import { createElement } from 'react';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { widthOf } from '../../src/chat/cells.ts';
import { ChatController } from '../../src/chat/controller.ts';
import { type Key, pasteText, pressKey } from '../../src/chat/press.ts';
import { ChatStore } from '../../src/chat/store.ts';
import { Screen } from '../../src/chat/view/app.ts';

let net: Devnet;
let files: FileServer;
let folder: string;

/** A chat as its user has it: sees the screen, presses keys. */
class Person implements AsyncDisposable {
  readonly client: Client;
  readonly store: ChatStore;
  readonly controller: ChatController;
  hasQuit = false;

  private constructor(client: Client, columns: number, rows: number) {
    this.client = client;
    this.store = new ChatStore(client);
    this.controller = new ChatController(
      this.store,
      { columns, rows },
      {
        quit: () => {
          this.hasQuit = true;
        },
      },
    );
  }

  static async sitsDown(columns = 80, rows = 24): Promise<Person> {
    const { url, ed25519Hex } = files;
    const account = Account.create();
    const client = await openClient({ account, seeds: [net.seed], fileServers: [{ url, ed25519Hex }] });
    const person = new Person(client, columns, rows);
    await person.store.start();
    return person;
  }

  get screen(): string {
    const { columns } = this.controller.state();
    return renderToString(createElement(Screen, { controller: this.controller }), { columns });
  }

  keys(...all: (string | Key)[]): void {
    for (const key of all) {
      if (typeof key === 'string') pressKey(this.controller, key, {});
      else pressKey(this.controller, '', key);
    }
  }

  async sees(text: string): Promise<void> {
    await until(() => this.screen.includes(text), `"${text}" on the screen`, {
      state: () => this.screen,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.controller.stop();
    this.store.stop();
    await this.client.close();
  }
}

const ENTER: Key = { return: true };
const UP: Key = { upArrow: true };
const DOWN: Key = { downArrow: true };
const ESC: Key = { escape: true };

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'allium-chat-ui-test-'));
  net = await Devnet.start({ nodes: 14, node: { relayExemptRanges: ['127.0.0.0/8'] } });
  files = await startFileServer({ folder: join(folder, 'files'), port: 0 }, systemEnv());
});
afterAll(async () => {
  await files.stop();
  await net.stop();
  rmSync(folder, { recursive: true, force: true });
});

test('two people: a request, answers, reactions, deletion, delivery, an unread count', async () => {
  await using ann = await Person.sitsDown();
  await using ben = await Person.sitsDown(120, 40);
  expect(ann.screen).toContain('No conversations yet');

  // Ann writes to somebody new, in two lines.
  ann.keys('n', ben.client.id, ENTER);
  await ann.sees('The first message to');
  ann.keys('hello ben', { return: true, meta: true }, 'it is me', ENTER);
  await ann.sees('✓');
  expect(ann.screen).toMatch(/hello ben *\n.*it is me/);

  // Ben is asked, reads it, accepts.
  await ben.sees('1 asks to write');
  ben.keys(ENTER);
  await ben.sees('writing accepts the request');
  ben.keys(ESC, 'a');
  await until(() => ben.store.snapshot().requests.length === 0);
  expect(ben.store.snapshot().conversations).toHaveLength(1);

  // He answers that very message; Ann sees what he answers.
  ben.keys(ENTER);
  await until(() => ben.controller.state().focus === 'compose');
  ben.keys(UP, 'r');
  expect(ben.screen).toContain('answer to');
  ben.keys('who are you?', ENTER);
  await ann.sees('│ You: hello ben');
  expect(ann.screen).toContain('who are you?');

  // A reaction, and its taking back.
  ann.keys(UP, 'e', '1', ESC);
  await ben.sees('👍 1');
  ann.keys(UP, 'e', '1', ESC);
  await until(() => !ben.screen.includes('👍 1'));

  // What Ann sent has been delivered; the details say where it is.
  await ann.sees('✓✓');
  ann.keys(UP, UP, ENTER);
  expect(ann.screen).toMatch(/Stored\s+by \d+ of 7 members/);
  expect(ann.screen).toMatch(/Delivered\s+\d/);
  ann.keys(ESC, ESC);

  // A message is taken back.
  ann.keys('a mistake', ENTER);
  await ben.sees('a mistake');
  await until(() => ann.store.snapshot().open?.messages.at(-1)?.state === 'sent');
  ann.keys(UP, 'd', 'e', ESC);
  await ben.sees('This message was deleted.');

  // What comes while Ben is elsewhere is counted and shown.
  ben.keys(ESC);
  ann.keys('are you there?', ENTER);
  await ben.sees('1 unread');
  ben.keys(ENTER);
  await until(() => !ben.screen.includes('1 unread'));
  ben.keys(ESC, 'u');
  await until(() => ben.store.snapshot().conversations[0]?.isMarkedUnread === true);

  // A look at it for less than reading takes: marked as unread, it stays so.
  const isMarked = async () => (await ben.client.conversation(ann.client.id).state()).isMarkedUnread;
  ben.keys(ENTER);
  await until(() => ben.controller.state().focus === 'compose');
  ben.keys(ESC, 'u');
  await until(async () => (await isMarked()) === true);
  await sleep(500);
  expect(await isMarked()).toBe(true);
});

test('files, new versions of a text, search, timers, names of one’s own', async () => {
  await using ann = await Person.sitsDown();
  await using ben = await Person.sitsDown();
  writeFileSync(join(folder, 'plan.txt'), 'the plan of ann');
  ann.keys('n', ben.client.id, ENTER);
  await until(() => ann.controller.state().focus === 'compose');
  ann.keys('as promised');
  pressKey(ann.controller, 'o', { ctrl: true });
  ann.keys(join(folder, 'nothing.txt'), ENTER);
  // The question stays, with what was typed, until it can be answered.
  await ann.sees('✗ there is no file');
  expect(ann.screen).toContain('nothing.txt');
  pressKey(ann.controller, 'u', { ctrl: true });
  ann.keys(join(folder, 'plan.txt'), ENTER);
  await ann.sees('✓');
  expect(ann.screen).toContain('[file: plan.txt, 15 bytes]');

  await ben.sees('1 asks to write');
  ben.keys(ENTER);
  await ben.sees('[file: plan.txt, 15 bytes]');
  mkdirSync(join(folder, 'saved'));
  ben.keys(UP);
  expect(ben.screen).toMatch(/o save · d delete/);
  expect(ben.screen).not.toContain('E edit');
  ben.keys('o');
  pressKey(ben.controller, 'u', { ctrl: true });
  ben.keys(join(folder, 'saved'), ENTER);
  await ben.sees('Saved as');
  expect(readFileSync(join(folder, 'saved', 'plan.txt'), 'utf8')).toBe('the plan of ann');
  ben.keys(ESC, 'thanks', ENTER);
  await ann.sees('thanks');

  ann.keys('we meet at fife', ENTER);
  await ben.sees('we meet at fife');
  await until(() => ann.store.snapshot().open?.messages.at(-1)?.state === 'sent');
  ann.keys(UP, 'E');
  expect(ann.screen).toContain('new version of: we meet at fife');
  for (let back = 0; back < 4; back++) ann.keys({ backspace: true });
  ann.keys('five', ENTER);
  await ben.sees('we meet at five');
  await ben.sees('edited');
  await until(() => !ben.screen.includes('fife'));

  pressKey(ben.controller, 'f', { ctrl: true });
  ben.keys('meet', ENTER);
  await ben.sees('1 found: meet');
  ben.keys(ENTER);
  await until(() => ben.controller.pickedMessage()?.text === 'we meet at five');
  ben.keys(ESC, ESC, 't', DOWN, ENTER);
  await ann.sees('let what they send disappear 5 minutes');
  ben.keys('c', ENTER, 'n', 'Anna of work', ENTER);
  await ben.sees('Anna of work');
});

test('a draft stays, pins and names are shown, and quitting is asked for', async () => {
  await using ann = await Person.sitsDown(60, 16);
  ann.keys('n', ann.client.id, ENTER);
  await ann.sees('What you write here only your own devices get.');
  ann.keys('first', ENTER);
  await ann.sees('first');
  ann.keys('not yet sent', ESC);
  await ann.sees('Draft: not yet sent');
  ann.keys(ENTER);
  await ann.sees('> not yet sent');
  ann.keys({ tab: true }, 'p');
  await ann.sees('^');
  ann.keys('s', 'n', 'Ann', ENTER);
  await until(() => ann.client.profile.name === 'Ann');
  await until(() => ann.controller.state().overlay === undefined);
  ann.keys('s', 'r');
  await until(() => ann.client.settings.readReceipts);
  await ann.sees('[x] tell what you have read');
  ann.keys(ESC, '?');
  expect(ann.screen).toContain('choose a conversation');
  ann.keys(ESC, '/', 'note', ENTER);
  await until(() => ann.controller.state().focus === 'compose');
  ann.keys(ESC, 'q');
  expect(ann.hasQuit).toBe(true);
});

test('hostile texts and names neither steer the terminal nor leave their place, at any size', async () => {
  await using ann = await Person.sitsDown();
  await using eve = await Person.sitsDown();
  const name = `\x1b]0;owned\x07\u202eevil${'e\u0301'.repeat(20)}`;
  await eve.client.setProfile({ name });
  const texts = [
    '\x1b[2J\x1b[1;1Howned\u009b31m',
    '\u202egnitirw\u2066',
    '👨‍👩‍👧'.repeat(30),
    `a${'\u0301'.repeat(500)}b`,
    '漢'.repeat(150),
    'مرحبا بالعالم '.repeat(10),
    'x'.repeat(1_500),
  ];
  for (const text of texts) await eve.client.conversation(ann.client.id).send(text);
  await ann.sees('1 asks to write');
  for (const [columns, rows] of [
    [80, 24],
    [120, 40],
    [40, 12],
    [24, 8],
    [10, 3],
  ] as const) {
    ann.controller.resize(columns, rows);
    ann.keys(ESC, ENTER);
    await until(() => ann.controller.state().focus === 'compose');
    for (let page = 0; page < 8; page++) {
      const { screen } = ann;
      expect(screen).not.toMatch(/(?!\n)\p{Cc}|[\u200e\u200f\u202a-\u202e\u2066-\u2069\u200d]/u);
      const lines = screen.split('\n');
      expect(lines.length).toBeLessThanOrEqual(Math.max(rows, 3));
      for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(columns);
      ann.keys({ pageUp: true });
    }
    ann.keys({ ctrl: true, end: true });
    ann.keys({ tab: true });
  }
});

test('a wrong answer keeps the question; pastes and chords are no commands', async () => {
  await using ann = await Person.sitsDown();
  const half = ann.client.id.slice(0, 40);
  ann.keys('n', half, ENTER);
  await ann.sees('✗ ');
  expect(ann.controller.state().overlay).toMatchObject({ kind: 'prompt', draft: { text: half } });
  // What is typed next goes on with the answer.
  ann.keys(ann.client.id.slice(40), ENTER);
  await until(() => ann.controller.state().focus === 'compose');
  expect(ann.controller.state().overlay).toBeUndefined();
  ann.keys('a note', ENTER);
  await until(() => ann.controller.listed().items.length > 0);
  const chords = () => {
    for (const letter of 'qnsciphmutbfkjxdeorE') {
      if (!'cxg'.includes(letter)) pressKey(ann.controller, letter, { ctrl: true });
      pressKey(ann.controller, letter, { meta: true });
    }
  };
  for (const focus of ['select', 'list'] as const) {
    ann.controller.change({ focus: 'compose' });
    ann.keys(focus === 'select' ? UP : ESC);
    await until(() => ann.controller.state().focus === focus);
    const before = ann.controller.state();
    chords();
    expect(ann.controller.state()).toEqual(before);
  }
  pasteText(ann.controller, 'nqu');
  await ann.sees('Nothing is being written here');
  expect(ann.controller.state()).toMatchObject({ focus: 'list', overlay: undefined });
  expect(ann.hasQuit).toBe(false);
});

test('keys that come at once, and pastes of several lines', async () => {
  await using ann = await Person.sitsDown();
  ann.keys(`n`, `${ann.client.id}\r`);
  await until(() => ann.controller.state().focus === 'compose');
  ann.keys('typed ahead\r');
  await ann.sees('typed ahead');
  pasteText(ann.controller, 'line one\r\nline two\x1b[31m');
  expect(ann.controller.state().draft.text).toBe('line one\nline two[31m');
  ann.keys({ ctrl: true });
  pressKey(ann.controller, 'u', { ctrl: true });
  expect(ann.controller.state().draft.text).toBe('line one\n');
  ann.keys(DOWN, ENTER);
  await until(() => ann.store.snapshot().open?.messages.length === 2);
  ann.keys({ escape: true });
  // The list is read anew a moment after what changed in it.
  await until(() => ann.controller.listed().items.length > 0);
  // Too long: said, and nothing is lost.
  ann.keys(ENTER);
  await until(() => ann.controller.state().focus === 'compose');
  pasteText(ann.controller, 'x'.repeat(2_001));
  expect(ann.screen).toContain('2001 of 2000 characters');
  ann.keys(ENTER);
  await ann.sees('at most 2000 characters');
  expect(ann.controller.state().draft.text).toHaveLength(2_001);
});
