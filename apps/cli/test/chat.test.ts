// SPDX-License-Identifier: AGPL-3.0-or-later
// Two terminals: accounts, sending, listening, exit codes, on the shell's own node.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Devnet } from '@allium/lab';
import { until } from '@allium/net/testing/until';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Shell } from './shell.ts';
import { LAUNCHER } from './system-node.ts';
import { TwoPeople } from './two-people.ts';

let people: TwoPeople;
let net: Devnet;
let folder: string;
let shell: Shell;
let ann: string;
let ben: string;

beforeAll(async () => {
  people = await TwoPeople.sitDown({ nodes: 14 });
  ({
    net,
    folder,
    shell,
    ids: { ann, ben },
  } = people);
});
afterAll(() => people[Symbol.asyncDispose]());

describe('chat', () => {
  test('a message goes from one terminal to the other', async () => {
    const listener = shell.start('listen', '--account', 'ben', '--json');
    await until(() => listener.stderr.includes('Listening'));
    const sent = await shell.run('send', '--account', 'ann', '--json', ben, 'hello ben');
    expect(sent).toMatchObject({ code: 0 });
    expect(JSON.parse(sent.stdout)).toMatchObject({ stored: true, id: ben, members: 7, of: 7 });
    await until(() => listener.lines.length > 0);
    expect(JSON.parse(listener.lines[0]!)).toMatchObject({ from: ann, text: 'hello ben' });
    const second = await shell.run('listen', '--account', 'ben');
    expect(second.code).toBe(1);
    expect(second.stderr).toMatch(/process \d+ listens for account ben already/);
    listener.child.kill('SIGINT');
    expect((await listener.ended()).code).toBe(0);
  });

  test('a message for somebody who is away is there when he listens; text may come from a pipe', async () => {
    expect((await shell.feed('line one\nline two\n', 'send', '--account', 'ann', ben, '-')).code).toBe(0);
    const { code, stdout } = await shell.run(
      'listen',
      '--account',
      'ben',
      '--json',
      '--count',
      '1',
      '--timeout',
      '90',
    );
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ from: ann, text: 'line one\nline two' });
    // It was printed once and will not be printed again.
    const again = await shell.run('listen', '--account', 'ben', '--json', '--count', '1', '--timeout', '3');
    expect(again).toMatchObject({ code: 1, stdout: '' });
  });

  test('escape sequences of a stranger do not reach the terminal', async () => {
    await shell.run('send', '--account', 'ann', ben, 'red \u001b[31malert\u0007');
    const { stdout } = await shell.run('listen', '--account', 'ben', '--count', '1', '--timeout', '90');
    expect(stdout).toContain('red \ufffd[31malert\ufffd');
    expect(stdout).not.toContain('\u001b');
  });

  test('path shows three hops, health asks every node', async () => {
    const path = await shell.run('path', '--account', 'ann', '--json');
    expect(path.code).toBe(0);
    const { paths } = JSON.parse(path.stdout) as { paths: { hops: { ed25519: string }[] }[] };
    const known = net.nodes.map((node) => node.ed25519);
    expect(paths.length).toBeGreaterThan(0);
    for (const { hops } of paths) {
      expect(hops).toHaveLength(3);
      for (const hop of hops) expect(known).toContain(hop.ed25519);
    }
    const health = await shell.run('health', '--json');
    expect(health.code).toBe(0);
    expect(JSON.parse(health.stdout)).toMatchObject({ failed: 0 });
    expect(JSON.parse(health.stdout).nodes).toHaveLength(14);
  });
});

test('a list is checked against what is trusted, and refused when that is asked for and it cannot be', async () => {
  const plain = await shell.run('path', '--account', 'ann', '--json');
  expect(JSON.parse(plain.stdout).trust).toMatchObject({ state: 'unverified', reason: 'no_anchor' });
  const refused = await shell.run('path', '--account', 'ann', '--require-verified');
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  expect(refused.stderr).toMatch(/nothing to check the node list against.*--trust.*--chain-rpc/);

  const file = join(folder, 'anchor.json');
  const saved = await shell.run('network', 'anchor', file, '--json');
  expect(JSON.parse(saved.stdout)).toMatchObject({ file, kind: 'static_list' });
  expect((await shell.run('network', 'anchor', file)).stderr).toContain('exists');
  const trusting = ['--trust', file, '--require-verified', '--json'];
  const path = await shell.run('path', '--account', 'ann', ...trusting);
  expect(JSON.parse(path.stdout).trust).toMatchObject({ state: 'verified', by: 'static_list', version: 1 });
  const health = await shell.run('health', ...trusting);
  expect(JSON.parse(health.stdout)).toMatchObject({
    total: 14,
    active: 14,
    healthy: false,
    trust: { state: 'verified' },
  });
  expect(await shell.run('health', '--trust', LAUNCHER)).toMatchObject({ code: 2 });
});

describe('what goes wrong is said', () => {
  test.each([
    ['an account id that is none', ['send', '--account', 'ann', '05abc', 'text'], 2, '66 hex digits'],
    ['an empty text', ['send', '--account', 'ann', `05${'1'.repeat(64)}`, ''], 2, 'empty'],
    [
      'an account that there is not',
      ['send', '--account', 'zoe', `05${'1'.repeat(64)}`, 'x'],
      2,
      'there are ann, ben',
    ],
    ['no account named', ['listen'], 2, '--account NAME'],
    ['a seed that is no address', ['health', '--seed', 'nowhere'], 2, 'is not the URL of a seed'],
    ['a seed that does not answer', ['health', '--seed', 'https://127.0.0.1:1'], 1, 'Is the network running'],
    [
      'a file that is not there',
      ['health', '--trust', '/nowhere/list.json'],
      2,
      'cannot read /nowhere/list.json (--trust): there is no such file',
    ],
    ['an option of no command', ['send', '--bogus'], 2, 'Try "allium send --help"'],
  ])('%s', async (_, args, code, sentence) => {
    const ended = await shell.run(...args);
    expect(ended).toMatchObject({ code, stdout: '' });
    expect(ended.stderr).toContain(sentence);
  });

  test('a network that never answers: said after a second, named in the end, and no success', async () => {
    const args = ['--account', 'ann', '--seed', 'http://127.0.0.1:1', '--timeout', '2'];
    const { code, stderr } = await shell.run('listen', ...args);
    expect(code).toBe(1);
    expect(stderr).toContain('asking http://127.0.0.1:1 for the nodes of the network');
    expect(stderr).toMatch(/no usable path within 2 s.*is https:\/\/127\.0\.0\.1:1 meant\?/);
  });

  test('a message that could not be stored: code 1, and JSON says why', async () => {
    const args = ['--seed', 'https://127.0.0.1:1', '--account', 'ann', '--timeout', '5', '--json'];
    // A client that has never seen a network cannot send.
    const lonely = new Shell({ ALLIUM_HOME: join(folder, 'lonely') });
    await lonely.run('account', 'new', '--account', 'ann', '--no-passphrase');
    const { code, stdout } = await lonely.run('send', ...args, ben, 'hello');
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ stored: false, reason: expect.any(String) });
  });
});

describe('accounts', () => {
  test('are protected by a passphrase that never shows in the list of processes', async () => {
    const passphrase = 'correct horse battery';
    writeFileSync(join(folder, 'pass'), `${passphrase}\n`, { mode: 0o600 });
    const secret = new Shell({
      ALLIUM_HOME: join(folder, 'secret'),
      ALLIUM_PASSPHRASE_FILE: join(folder, 'pass'),
    });
    const made = JSON.parse((await secret.run('account', 'new', '--json')).stdout) as {
      id: string;
      phrase: string;
    };
    expect(made.phrase.split(' ')).toHaveLength(13);
    const file = readFileSync(join(folder, 'secret', 'accounts', 'main', 'account.json'), 'utf8');
    for (const word of [...made.phrase.split(' '), passphrase]) expect(file).not.toContain(word);
    const shown = await secret.run('account', 'show', '--phrase', '--json');
    expect(JSON.parse(shown.stdout)).toMatchObject({ id: made.id, phrase: made.phrase, encrypted: true });
    writeFileSync(join(folder, 'pass'), 'something else\n');
    expect(await secret.run('account', 'show', '--phrase')).toMatchObject({ code: 1, stdout: '' });
    const without = new Shell({ ALLIUM_HOME: join(folder, 'secret') });
    const asked = await without.run('account', 'show', '--phrase');
    expect(asked.code).toBe(1);
  });

  test('come back from their recovery phrase, read from standard input', async () => {
    const { phrase } = JSON.parse(
      (await shell.run('account', 'show', '--account', 'ann', '--phrase', '--json')).stdout,
    );
    const other = new Shell({ ALLIUM_HOME: join(folder, 'other') });
    const restored = await other.feed(
      `${phrase}\n`,
      'account',
      'restore',
      '--account',
      'x',
      '--no-passphrase',
      '--json',
    );
    expect(JSON.parse(restored.stdout)).toEqual({ name: 'x', id: ann });
    const twice = ['account', 'restore', '--account', 'z', '--no-passphrase', '--offline'];
    const refused = await other.feed(`${phrase}\n`, ...twice);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(
      /this account is here already, as "x": use --account x\. --again makes "z"/,
    );
    expect((await other.feed(`${phrase}\n`, ...twice, '--again')).code).toBe(0);
    expect((await other.run('account', 'wipe', '--account', 'z', '--yes')).code).toBe(0);
    const wrong = await other.feed(
      'one two three\n',
      'account',
      'restore',
      '--account',
      'y',
      '--no-passphrase',
    );
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain('no recovery phrase');
    expect(JSON.parse((await other.run('account', 'list', '--json')).stdout)).toHaveLength(1);
  });

  test('work beside one that is damaged', async () => {
    const broken = join(folder, 'beside', 'accounts', 'broken');
    mkdirSync(broken, { recursive: true });
    writeFileSync(join(broken, 'account.json'), '{');
    const beside = new Shell({ ALLIUM_HOME: join(folder, 'beside') });
    expect((await beside.run('account', 'new', '--account', 'good', '--no-passphrase')).code).toBe(0);
    expect((await beside.run('account', 'show', '--account', 'good')).code).toBe(0);
    expect(await beside.run('account', 'show', '--account', 'broken')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('damaged'),
    });
    const list = await beside.run('account', 'list');
    expect(list).toMatchObject({
      code: 1,
      stdout: /^05[0-9a-f]{64} {2}good\n$/,
      stderr: /account broken: .*damaged/,
    });
    expect(await beside.run('listen', '--seed', 'https://127.0.0.1:1')).toMatchObject({
      code: 2,
      stderr: /broken \(damaged\), good/,
    });
  });

  test('are never overwritten', async () => {
    const again = await shell.run('account', 'new', '--account', 'ann', '--no-passphrase');
    expect(again.code).toBe(1);
    expect(again.stderr).toContain('already');
  });
});
