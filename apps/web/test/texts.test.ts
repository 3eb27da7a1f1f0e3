// SPDX-License-Identifier: AGPL-3.0-or-later
// All languages say the same things, and all errors say what to do.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ArchiveError } from '@allium/client/archive/archive-error';
import type { ClientError } from '@allium/client/errors';
import type { FileTransferCode } from '@allium/client/files/file-transfer-error';
import type { NameError } from '@allium/client/network/names';
import type { StorageError } from '@allium/client/storage';
import type { ConfigError } from '@allium/protocol/config/error';
import type { TransportError } from '@allium/protocol/env';
import { expect, test } from 'vitest';
import { chooseLanguage, errorText, failureText, setLanguage, t } from '../src/i18n/i18n.ts';
import { noticeText } from '../src/views/notice.ts';

const read = (language: string): Record<string, string> =>
  JSON.parse(readFileSync(join(import.meta.dirname, `../src/i18n/${language}.json`), 'utf8'));
const namesIn = (text: string): readonly string[] =>
  [...text.matchAll(/\{\w+\}/g)].map(([name]) => name).sort();

test.each(['de', 'es'])('%s has every text, with the same places for values', (language) => {
  const [en, other] = [read('en'), read(language)];
  expect(Object.keys(other).sort()).toEqual(Object.keys(en).sort());
  for (const [key, text] of Object.entries(other)) {
    expect(text.trim(), key).not.toBe('');
    expect(namesIn(text), key).toEqual(namesIn(en[key]!));
  }
});

test('an error says what happened and what to do: two sentences, or one with both', () => {
  const bare = Object.entries(read('en'))
    .filter(([key]) => key.startsWith('error.'))
    .filter(([, text]) => !/[.;:,] /.test(text))
    .map(([key]) => key);
  // What can only be told.
  expect(bare.sort()).toEqual(['error.message_unknown', 'error.not_found', 'error.not_stored']);
});

test('numbers choose their form, in each language', async () => {
  expect(t('unread', { n: 1 })).toBe('1 unread message');
  expect(t('unread', { n: 1_200 })).toBe('1,200 unread messages');
  await setLanguage('de');
  expect(t('unread', { n: 1_200 })).toBe('1.200 ungelesene Nachrichten');
  await setLanguage('en');
});

test('the first language of the browser that we have is taken', () => {
  expect(chooseLanguage(['fr-CH', 'de-AT', 'es'])).toBe('de');
  expect(chooseLanguage(['fr'])).toBe('en');
});

/** A code that is missing here does not compile. */
const CLIENT_CODES: Readonly<
  Record<
    | ClientError['code']
    | StorageError['code']
    | ArchiveError['code']
    | NameError['code']
    | ConfigError['code']
    | TransportError['code']
    | FileTransferCode,
    true
  >
> = {
  aborted: true,
  approved: true,
  bad_attachment: true,
  bad_certificate: true,
  bad_emoji: true,
  bad_name: true,
  bad_pointer: true,
  bad_request: true,
  bad_response: true,
  bad_search: true,
  bad_timer: true,
  bad_value: true,
  busy: true,
  cannot_resume: true,
  changed: true,
  clock: true,
  closed: true,
  corrupt: true,
  damaged: true,
  disagree: true,
  empty: true,
  empty_passphrase: true,
  exhausted: true,
  failed: true,
  file_lost: true,
  file_refused: true,
  full: true,
  gone: true,
  invalid_recipient: true,
  newer_schema: true,
  no_file_server: true,
  no_key: true,
  no_network: true,
  no_nodes: true,
  no_path: true,
  no_server: true,
  no_swarm: true,
  not_an_archive: true,
  not_failed: true,
  not_found: true,
  not_served: true,
  not_stored: true,
  not_uploaded: true,
  own_account: true,
  proxy_refused: true,
  proxy_unreachable: true,
  read_only: true,
  server_down: true,
  servers_down: true,
  taken: true,
  timeout: true,
  too_few_answers: true,
  too_fast: true,
  too_large: true,
  too_late: true,
  too_long: true,
  truncated: true,
  unauthorized: true,
  under_way: true,
  unreachable: true,
  unsupported: true,
  unverified: true,
  wrong_account: true,
  wrong_key: true,
  wrong_passphrase: true,
};

test.each(['en', 'de', 'es'] as const)(
  'every error of the client says more than “something” (%s)',
  async (language) => {
    await setLanguage(language);
    const general = t('error.unexpected');
    const silent = Object.keys(CLIENT_CODES).filter((code) => errorText(code) === general);
    await setLanguage('en');
    expect(silent).toEqual([]);
  },
);

test('what is said of a message that failed promises nothing that happens by itself', () => {
  const reasons = [
    ...['no_network', 'no_nodes', 'no_path', 'no_swarm', 'not_stored', 'not_uploaded', 'no_file_server'],
    ...['file_refused', 'file_lost', 'clock', 'aborted', 'unreachable'],
  ];
  for (const reason of reasons) {
    expect(failureText(reason), reason).not.toMatch(/by itself/);
    expect(failureText(reason), reason).not.toBe(t('error.unexpected'));
  }
  expect(failureText()).toBe(failureText('not_stored'));
  expect(failureText('no_file_server')).toMatch(/no server for files/);
});

test('so does every error that the app itself makes', () => {
  const folder = join(import.meta.dirname, '../src');
  const codes = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name))
    .flatMap((name) => {
      const source = readFileSync(join(folder, name), 'utf8');
      return [
        ...source.matchAll(/new AppError\(\s*'(\w+)'/g),
        ...source.matchAll(/toast\(\s*'(\w+)',\s*'error'/g),
        ...source.matchAll(/setProblem\(\s*'(\w+)'/g),
      ].map(([, code]) => code ?? '');
    });
  expect(codes.length).toBeGreaterThan(20);
  expect(codes.filter((code) => errorText(code) === t('error.unexpected'))).toEqual([]);
});

test('lines about timers and files name both sides rightly', () => {
  expect(noticeText({ kind: 'timer', seconds: 0 }, undefined)).toContain('what you send stays');
  expect(noticeText({ kind: 'timer', seconds: 0 }, 'Mara')).toBe(
    'Mara turned disappearing messages off: what they send stays',
  );
  expect(noticeText({ kind: 'timer', seconds: 3_600 }, undefined)).toBe(
    'You: what you send disappears after 1 hour',
  );
  expect(noticeText({ kind: 'timer', seconds: 3_600 }, 'Mara')).toBe(
    'Mara: what they send disappears after 1 hour',
  );
  expect(noticeText({ kind: 'media_saved' }, undefined)).toBe('You saved a file');
});
