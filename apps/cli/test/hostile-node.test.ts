// SPDX-License-Identifier: AGPL-3.0-or-later
// What a node says must not steer the terminal of the person who asked.
import { createCertificate } from '@allium/net/certificate';
import { HttpsServer } from '@allium/net/https-server';
import { systemEnv } from '@allium/net/system-env';
import { expect, test } from 'vitest';
import { Shell } from './shell.ts';

const EVIL = 'red \u001b[31m \u009b31m\u0007';
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not come through
const CONTROL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/;

const JSON_TYPE = { 'content-type': 'application/json' };

test.each([
  ['a version', 200, { version: [EVIL, 1, 0], t: 1 }, 0],
  ['an error', 500, EVIL, 1],
])('%s with escape sequences', async (_, status, answer, code) => {
  let port = 0;
  const node = () => ({
    pubkey_ed25519: '11'.repeat(32),
    pubkey_x25519: '22'.repeat(32),
    public_ip: '127.0.0.1',
    storage_port: port,
  });
  await using server = new HttpsServer(
    {
      host: '127.0.0.1',
      port: 0,
      ...createCertificate(),
      handler: ({ path }) =>
        path === '/json_rpc'
          ? {
              status: 200,
              headers: JSON_TYPE,
              body: JSON.stringify({ result: { service_node_states: [node()] } }),
            }
          : { status, body: typeof answer === 'string' ? answer : JSON.stringify(answer) },
    },
    systemEnv(),
  );
  ({ port } = await server.start());
  const shell = new Shell({});
  const seed = `https://127.0.0.1:${port}`;
  const forPeople = await shell.run('health', '--seed', seed);
  expect(forPeople.code).toBe(code);
  expect(forPeople.stdout).toContain('red \ufffd[31m');
  expect(forPeople.stdout).not.toMatch(CONTROL);
  const forPrograms = await shell.run('health', '--seed', seed, '--json');
  expect(forPrograms.stdout).not.toMatch(CONTROL);
  expect(JSON.stringify(JSON.parse(forPrograms.stdout))).toContain('\u009b31m');
});
