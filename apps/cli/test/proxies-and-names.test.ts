// SPDX-License-Identifier: AGPL-3.0-or-later
// Names in place of ids, and accounts whose only way out is a proxy, from a shell.
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Devnet } from '@allium/lab';
import { ProxyServer } from '@allium/net/testing/proxy-server';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chosenProxy } from '../src/proxy.ts';
import { Shell } from './shell.ts';

let net: Devnet;
let folder: string;
let shell: Shell;
let bob: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'allium-proxy-test-'));
  const namesFile = join(folder, 'names.json');
  writeFileSync(namesFile, '{}');
  shell = new Shell({ ALLIUM_HOME: join(folder, 'home') });
  bob = JSON.parse(
    (await shell.run('account', 'new', '--account', 'bob', '--no-passphrase', '--json')).stdout,
  ).id;
  await shell.run('account', 'new', '--account', 'ann', '--no-passphrase');
  writeFileSync(namesFile, JSON.stringify({ robert: bob, bob }));
  net = await Devnet.start({ nodes: 5, node: { namesFile } });
  shell = new Shell({ ALLIUM_HOME: join(folder, 'home'), ALLIUM_SEED: net.seed });
});
afterAll(async () => {
  shell.dispose();
  await net.stop();
  rmSync(folder, { recursive: true, force: true });
});

test('a name is resolved, and taken in place of an id; not when an account here is called so', async () => {
  const found = await shell.run('resolve', 'Robert', '--account', 'ann');
  expect(found).toMatchObject({ code: 0, stdout: `${bob}\n` });
  const sent = await shell.run('send', '--account', 'ann', '--json', 'robert', 'hello');
  expect(JSON.parse(sent.stdout)).toMatchObject({ stored: true, id: bob });
  const own = await shell.run('send', '--account', 'ann', 'bob', 'hello');
  expect(own).toMatchObject({ code: 2, stderr: expect.stringContaining(`write its id, ${bob}`) });
  const named = await shell.run('send', '--account', 'ann', '--json', 'name:bob', 'hello');
  expect(JSON.parse(named.stdout)).toMatchObject({ stored: true, id: bob });
});

test('names that are none, nobody, or half an id', async () => {
  const nobody = await shell.run('resolve', 'nobody', '--account', 'ann', '--json');
  expect(nobody.code).toBe(1);
  expect(JSON.parse(nobody.stdout)).toMatchObject({ id: null, reason: /nobody has registered/ });
  for (const [text, reason] of [
    ['a b', /neither an account id/],
    [bob.slice(0, 60), /has 66 hex digits and begins with 05, this one has 60/],
  ] as const) {
    const refused = await shell.run('send', '--account', 'ann', text, 'hello');
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(reason);
  }
});

test('an account keeps its proxy, uses it, and does nothing without it', async () => {
  await using proxy = new ProxyServer({ kind: 'socks5' });
  await proxy.start();
  const secret = proxy.url.replace('//', '//me:secret@');
  const kept = await shell.run('account', 'proxy', secret, '--account', 'ann');
  expect(kept).toMatchObject({ code: 0, stdout: `ann connects through ${proxy.url}, or not at all.\n` });
  const file = join(folder, 'home', 'accounts', 'ann', 'proxy.txt');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect((await shell.run('send', '--account', 'ann', bob, 'through it')).code).toBe(0);
  expect(proxy.asked.length).toBeGreaterThan(0);
  expect(new Set(proxy.asked.map(({ username }) => username))).toEqual(new Set(['me']));

  await proxy.stop();
  const dead = await shell.run('send', '--account', 'ann', '--timeout', '20', bob, 'nowhere');
  expect(dead).toMatchObject({ code: 1, stderr: /the proxy does not answer\. Start it/ });
  expect(dead.stderr).not.toContain('secret');
  // A damaged file is no reason to do without.
  writeFileSync(file, 'socks5://proxy.example.org\n');
  expect(await shell.run('send', '--account', 'ann', bob, 'nowhere')).toMatchObject({
    code: 1,
    stderr: /holds no proxy, so nothing is sent/,
  });
  // Only who says so connects directly.
  expect((await shell.run('send', '--account', 'ann', '--proxy', 'none', bob, 'directly')).code).toBe(0);
  expect((await shell.run('account', 'proxy', 'none', '--account', 'ann')).stdout).toBe(
    'ann connects directly.\n',
  );
  expect(() => readFileSync(file)).toThrow();
});

test('what is no proxy is a wrong option; the chain is not read past a proxy; health goes through', async () => {
  const wrong = await shell.run('send', '--account', 'ann', '--proxy', 'socks4://127.0.0.1:1', bob, 'x');
  expect(wrong).toMatchObject({ code: 2, stderr: /a proxy is socks5:\/\/ or http:\/\// });
  const chainRpc = ['http://127.0.0.1:2'];
  expect(() => chosenProxy({ proxy: 'socks5://127.0.0.1:1', chainRpc })).toThrow(/past the proxy/);
  expect(chosenProxy({ proxy: 'none', chainRpc })).toBeUndefined();
  await using proxy = new ProxyServer({ kind: 'http' });
  await proxy.start();
  expect((await shell.run('health', '--proxy', proxy.url)).code).toBe(0);
  expect(proxy.asked.length).toBeGreaterThanOrEqual(5);
});
