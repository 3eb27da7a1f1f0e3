// SPDX-License-Identifier: AGPL-3.0-or-later
// Names on a network of real nodes, asked for over three hops.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openClient } from '@allium/client/node';
import { Account } from '@allium/protocol/account';
import { afterAll, expect, test } from 'vitest';
import { Devnet } from '../src/devnet.ts';

const folder = mkdtempSync(join(tmpdir(), 'allium-names-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('a name, and who it is not; a network without names says so', async () => {
  const bob = Account.create();
  const namesFile = join(folder, 'names.json');
  writeFileSync(namesFile, JSON.stringify({ bob: bob.id }));
  await using net = await Devnet.start({ node: { namesFile } });
  const options = { network: 'local', receive: false } as const;
  await using alice = await openClient({ account: Account.create(), seeds: [net.seed], ...options });
  expect(await alice.resolve('Bob')).toBe(bob.id);
  await expect(alice.resolve('carol')).rejects.toMatchObject({ code: 'not_found' });

  await using bare = await Devnet.start({ nodes: 5 });
  await using carol = await openClient({ account: Account.create(), seeds: [bare.seed], ...options });
  await expect(carol.resolve('bob')).rejects.toMatchObject({ code: 'not_served' });
});
