// SPDX-License-Identifier: AGPL-3.0-or-later
// Histories are taken along by hand: export, import, kill, passphrases, wipe. No network is needed.
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openAccountStorage } from '@allium/client/node/account-storage';
import type { StoredMessage } from '@allium/client/storage';
import { Account } from '@allium/protocol/account';
import type { AccountId } from '@allium/protocol/account-id';
import { afterAll, expect, test } from 'vitest';
import { Shell } from './shell.ts';
import { jsonLines } from './two-people.ts';

const folder = mkdtempSync(join(tmpdir(), 'allium-history-test-'));
const SECRET = 'attack at dawn';
const FRIEND = `05${'b'.repeat(64)}` as AccountId;
const archivePassphrase = join(folder, 'archive-passphrase');
writeFileSync(archivePassphrase, 'of the archive\n');
const shellFor = (home: string) =>
  new Shell({ ALLIUM_HOME: join(folder, home), ALLIUM_ARCHIVE_PASSPHRASE_FILE: archivePassphrase });
const shells: Shell[] = [];
afterAll(() => {
  for (const shell of shells) shell.dispose();
  rmSync(folder, { recursive: true, force: true });
});

function message(number: number): StoredMessage {
  const text = `${SECRET} ${number} <b>&</b>`;
  return {
    sender: FRIEND,
    timestamp: 1e12 + number,
    conversation: FRIEND,
    text,
    state: 'received',
    handled: true,
  };
}

/** A home with one account that has messages. */
async function homeWith(name: string, messages: number) {
  const shell = shellFor(name);
  shells.push(shell);
  const made = await shell.run('account', 'new', '--account', 'main', '--no-passphrase', '--json');
  const account = Account.fromPhrase(JSON.parse(made.stdout).phrase);
  const place = join(folder, name, 'accounts', 'main');
  const storage = openAccountStorage(join(place, 'messages'), account);
  await storage.write({ messages: Array.from({ length: messages }, (_, at) => message(at)) });
  await storage.close();
  return { shell, account, place };
}

test('an archive with the secret makes the account anew, and both ends show one state', async () => {
  const { shell, account } = await homeWith('old', 300);
  const out = join(folder, 'backup.allium');
  const written = await shell.run('export', '--out', out, '--with-secret');
  expect(written).toMatchObject({ code: 0 });
  expect(written.stdout).toContain('300 messages');
  const state = /State {5}([0-9a-f]{64})/.exec(written.stdout)?.[1];
  expect(state).toBeDefined();
  expect(readFileSync(out).includes(SECRET)).toBe(false);
  const again = await shell.run('export', '--out', out);
  expect(again).toMatchObject({ code: 1 });
  expect(again.stderr).toContain('--force');

  const other = shellFor('new');
  shells.push(other);
  const bare = await other.run('import', out, '--no-passphrase', '--json');
  expect(bare.code).toBe(0);
  expect(JSON.parse(bare.stdout)).toMatchObject({ added: 300, equal: true, state });
  expect(JSON.parse((await other.run('account', 'show', '--json')).stdout).id).toBe(account.id);
  expect(JSON.parse((await other.run('import', out, '--json')).stdout)).toMatchObject({
    added: 0,
    known: 300,
  });

  truncateSync(out, 400);
  expect(await other.run('import', out)).toMatchObject({
    code: 1,
    stderr: /too early.*; nothing of it is in the account: copy it again$/m,
  });
  expect((await other.run('import', archivePassphrase)).stderr).toContain('no archive');
  expect((await other.run('import', join(folder, 'none'))).stderr).toContain('no such file');
});

test('of an archive that was cut it is told how much was read, and the rest can follow', async () => {
  const { shell, account } = await homeWith('long', 8_000);
  const out = join(folder, 'long.allium');
  expect((await shell.run('export', '--out', out, '--with-secret')).code).toBe(0);
  const whole = readFileSync(out);
  const other = shellFor('cut');
  shells.push(other);
  writeFileSync(out, whole.subarray(0, whole.length - 10));
  const cut = await other.run('import', out, '--no-passphrase');
  expect(cut.code).toBe(1);
  const read =
    /; ([\d,]+) messages of it are read into the account: copy it again and repeat with --resume$/m;
  const count = Number(read.exec(cut.stderr)?.[1]?.replaceAll(',', ''));
  expect(count).toBeGreaterThan(0);
  const storage = openAccountStorage(join(folder, 'cut', 'accounts', 'main', 'messages'), account);
  expect(await storage.lastPlace()).toBe(count);
  await storage.close();
  writeFileSync(out, whole);
  const rest = await other.run('import', out, '--resume', '--json');
  expect(JSON.parse(rest.stdout)).toMatchObject({ added: 8_000, equal: true });
});

test('plain formats are for everybody, and say so', async () => {
  const { shell } = await homeWith('plain', 5);
  const html = join(folder, 'history.html');
  const done = await shell.run('export', '--format', 'html', '--out', html);
  expect(done).toMatchObject({ code: 0 });
  expect(done.stderr).toContain('not encrypted');
  const page = readFileSync(html, 'utf8');
  expect(page).toContain(`${SECRET} 4 &#60;b&#62;`);
  expect(page).not.toContain('<b>');
  const lines = join(folder, 'history.jsonl');
  const conversation = ['--conversation', FRIEND];
  expect((await shell.run('export', '--format', 'jsonl', '--out', lines, ...conversation)).code).toBe(0);
  expect(readFileSync(lines, 'utf8').trimEnd().split('\n')).toHaveLength(6);
  expect((await shell.run('export', '--format', 'html', '--resume')).code).toBe(2);
  expect((await shell.run('export', '--conversation', 'x')).code).toBe(2);
  const nowhere = await shell.run('export', '--format', 'jsonl', '--out', '/proc/no/where');
  expect(nowhere).toMatchObject({ code: 2, stderr: /cannot write into \/proc\/no/ });
});

test('plain formats go through a pipe too; what is no archive is told before a passphrase is asked for', async () => {
  const { shell } = await homeWith('pipe', 3);
  const piped = await shell.run('export', '--format', 'jsonl', '--out', '-');
  expect(piped).toMatchObject({ code: 0, stderr: /not encrypted/ });
  const texts = jsonLines(piped.stdout).flatMap(({ text }) => (text === undefined ? [] : [text]));
  expect(texts).toHaveLength(3);
  expect(await shell.run('export', '--out', '-')).toMatchObject({ code: 2, stdout: '' });
  const lines = join(folder, 'lines.jsonl');
  writeFileSync(lines, piped.stdout);
  const asked = new Shell({ ALLIUM_HOME: join(folder, 'pipe') });
  shells.push(asked);
  expect(await asked.run('import', lines)).toMatchObject({
    code: 1,
    stderr: /this is no archive of Allium: only/,
  });
});

test('protection changes without touching messages, and a wipe leaves nothing', async () => {
  const { shell, account, place } = await homeWith('kept', 3);
  const key = join(folder, 'kept.key');
  const [one, two] = [join(folder, 'one'), join(folder, 'two')];
  writeFileSync(one, 'first passphrase\n');
  writeFileSync(two, 'second passphrase\n');
  const protect = (env: Record<string, string>, ...args: string[]) => {
    const changed = new Shell({ ALLIUM_HOME: join(folder, 'kept'), ...env });
    shells.push(changed);
    return changed.run(...args);
  };
  const change = ['account', 'passphrase'];
  expect(readdirSync(place)).toContain('account.phrase');
  expect((await protect({ ALLIUM_NEW_PASSPHRASE_FILE: one }, ...change)).code).toBe(0);
  expect(readdirSync(place)).not.toContain('account.phrase');
  const wrong = { ALLIUM_PASSPHRASE_FILE: two, ALLIUM_NEW_PASSPHRASE_FILE: two };
  expect((await protect(wrong, ...change)).stderr).toContain('passphrase is wrong');
  const byKey = await protect({ ALLIUM_PASSPHRASE_FILE: one }, ...change, '--new-key-file', key);
  expect(byKey).toMatchObject({ code: 0 });
  expect((await protect({}, 'account', 'show', '--phrase')).stderr).toContain('--key-file');
  const shown = await protect({}, 'account', 'show', '--phrase', '--json', '--key-file', key);
  expect(JSON.parse(shown.stdout).phrase).toBe(account.phrase());
  const lines = join(folder, 'kept.jsonl');
  const out = await protect({ ALLIUM_KEY_FILE: key }, 'export', '--format', 'jsonl', '--out', lines);
  expect([out.code, readFileSync(lines, 'utf8').trimEnd().split('\n').length]).toEqual([0, 4]);

  const refused = await shell.feed('main2\n', 'account', 'wipe');
  expect(refused).toMatchObject({ code: 1 });
  expect(existsSync(place)).toBe(true);
  const wiped = await shell.feed('main\n', 'account', 'wipe', '--json');
  expect(JSON.parse(wiped.stdout)).toMatchObject({ id: account.id });
  expect(readdirSync(join(folder, 'kept', 'accounts'))).toEqual([]);
});
