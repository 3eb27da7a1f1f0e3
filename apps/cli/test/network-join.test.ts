// SPDX-License-Identifier: AGPL-3.0-or-later
// Into a network by the text of an invitation, its QR code, a signed list, and a friend's list of nodes.
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Devnet } from '@allium/lab';
import { decodeQR } from 'qr/decode.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Shell } from './shell.ts';

let net: Devnet;
let folder: string;
let first: Shell;
let friend: Shell;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'allium-join-test-'));
  first = new Shell({ ALLIUM_HOME: join(folder, 'first') });
  friend = new Shell({ ALLIUM_HOME: join(folder, 'friend') });
  net = await Devnet.start({ nodes: 5 });
});
afterAll(async () => {
  first.dispose();
  friend.dispose();
  await net.stop();
  rmSync(folder, { recursive: true, force: true });
});

const state = async (shell: Shell) => JSON.parse((await shell.run('health', '--json')).stdout).trust.state;

test('from the signed list to an invitation, to a friend who can check the list too', async () => {
  const list = join(folder, 'net.json');
  copyFileSync(net.networkFile, list);
  const joined = await first.run('network', 'join', list, '--json');
  expect(JSON.parse(joined.stdout)).toMatchObject({
    verified: true,
    vouched: /signed by 1 of 1 administrators/,
  });
  expect(await state(first)).toBe('verified');

  const shown = await first.run('network', 'show', '--qr', '--name', 'Our Club');
  expect(shown.code).toBe(0);
  const invitation = /^allium:join\?\S+$/m.exec(shown.stdout)?.[0] ?? '';
  expect(scan(shown.stdout)).toBe(invitation);

  const accepted = await friend.run('network', 'join', invitation);
  expect(accepted).toMatchObject({ code: 0, stdout: /Commands now use Our Club of https:/ });
  expect(await state(friend)).toBe('verified');
  // Handed on once more it is the same.
  expect(JSON.parse((await friend.run('network', 'show', '--json')).stdout)).toMatchObject({
    name: 'Our Club',
    trust: 'admins',
  });

  // An administrator that somebody exchanged vouches for nothing.
  const forged = invitation.replace(/admin=[0-9a-f]{64}/, `admin=${'ab'.repeat(32)}`);
  await friend.run('network', 'join', forged);
  expect(await state(friend)).not.toBe('verified');
  // What was trusted goes with the network that it belonged to.
  await friend.run(
    'network',
    'use',
    net.seed,
    '--file-server',
    `https://files.example.org#${'ab'.repeat(32)}`,
  );
  expect(JSON.parse((await friend.run('network', 'show', '--json')).stdout)).toMatchObject({
    trust: null,
    fileServers: ['https://files.example.org'],
    invitation: /files=https:\/\/files\.example\.org%23abab/,
  });
});

test("a friend's list of nodes gives seeds, and no trust", async () => {
  const nodes = net.nodes.map(({ host, port, ed25519, x25519 }) => ({
    public_ip: host,
    storage_port: port,
    pubkey_ed25519: ed25519,
    pubkey_x25519: x25519,
  }));
  const file = join(folder, 'nodes.json');
  writeFileSync(file, JSON.stringify({ service_node_states: nodes, height: 1 }));
  const joined = await friend.run('network', 'join', file, '--json');
  const told = JSON.parse(joined.stdout);
  expect(told).toMatchObject({ verified: false, vouched: /nobody has signed this list/ });
  expect([...told.seeds].sort()).toEqual(net.nodes.map(({ url }) => url).sort());
  expect(await state(friend)).not.toBe('verified');
});

test.each([
  ['allium:join?v=9', /of another version/],
  ['allium:join?v=1&seed=file:///etc/passwd', /no address of a seed/],
  ['/nowhere/at/all', /neither an invitation/],
])('%s is refused', async (text, reason) => {
  const refused = await first.run('network', 'join', text);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(reason);
});

test('a file that is nothing of this is refused', async () => {
  const file = join(folder, 'nothing.json');
  for (const text of ['', '[]', '{"service_node_states":[]}', 'x'.repeat(100)]) writeFileSync(file, text);
  expect(await first.run('network', 'join', file)).toMatchObject({
    code: 1,
    stderr: /is neither an invitation/,
  });
});

/** What a camera would read from the terminal: blank is dark. */
function scan(output: string): string {
  const rows = output
    .split('\n')
    .filter((line) => /^[█▀▄ ]{20,}$/.test(line))
    .flatMap((line) => [
      [...line].map((sign) => sign === '▄' || sign === ' '),
      [...line].map((sign) => sign === '▀' || sign === ' '),
    ]);
  const scale = 4;
  const [width, height] = [rows[0]!.length, rows.length];
  const data = new Uint8Array(width * height * scale * scale * 4).fill(255);
  for (let y = 0; y < height * scale; y++) {
    for (let x = 0; x < width * scale; x++) {
      if (!rows[Math.floor(y / scale)]![Math.floor(x / scale)]) continue;
      data.fill(0, 4 * (y * width * scale + x), 4 * (y * width * scale + x) + 3);
    }
  }
  return decodeQR({ width: width * scale, height: height * scale, data });
}
