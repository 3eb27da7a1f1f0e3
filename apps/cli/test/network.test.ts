// SPDX-License-Identifier: AGPL-3.0-or-later
// The admin's tool: two of three admins make, sign and change a list.
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toHex } from '@allium/protocol/bytes';
import { ed25519KeyPair, randomBytes } from '@allium/protocol/crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { withAdminKey } from '../src/admin-key.ts';
import { runCommandLine } from '../src/program.ts';

let folder: string;
let output: string;
const write = process.stdout.write;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'allium-network-test-'));
  output = '';
  process.stdout.write = ((text: string) => {
    output += text;
    return true;
  }) as typeof write;
});
afterEach(() => {
  process.stdout.write = write;
  delete process.env.ALLIUM_PASSPHRASE_FILE;
  rmSync(folder, { recursive: true, force: true });
});

const at = (name: string) => join(folder, name);

/** Runs in this process; returns standard output. @throws what the command throws */
async function network(...args: string[]): Promise<string> {
  output = '';
  await runCommandLine(['network', ...args]);
  return output.trim();
}

async function shown(file: string, ...more: string[]) {
  output = '';
  const code = await runCommandLine(['network', 'show', file, '--json', ...more]);
  return {
    code,
    ...(JSON.parse(output) as { version: number; nodes: unknown[]; signed: string[]; problem?: string }),
  };
}

const newNode = (index: number) => {
  const key = toHex(ed25519KeyPair(randomBytes(32)).publicKey);
  return { key, spec: `${key}@203.0.113.${index + 1}:22021:22020` };
};

async function threeAdmins() {
  const admins: string[] = [];
  for (const name of ['a', 'b', 'c']) admins.push(await network('key', at(name), '--no-passphrase'));
  return admins;
}

describe('a list of three admins, of whom two decide', () => {
  test('is made, signed, changed and signed again', async () => {
    const admins = await threeAdmins();
    const nodes = Array.from({ length: 14 }, (_, index) => newNode(index));
    const adminFlags = admins.flatMap((admin) => ['--admin', admin]);
    const nodeFlags = nodes.flatMap(({ spec }) => ['--node', spec]);
    await network('create', at('1.json'), ...adminFlags, '--threshold', '2', ...nodeFlags, '--key', at('a'));
    expect(await shown(at('1.json'))).toMatchObject({ code: 1, problem: '1 more signatures are needed' });
    expect(await network('sign', at('1.json'), '--key', at('b'))).toContain('2 of 2');
    const first = await shown(at('1.json'));
    expect(first).toMatchObject({ code: 0, version: 1 });
    expect(first.signed).toHaveLength(2);
    expect(new Set((first.nodes as { swarm: string }[]).map((node) => node.swarm)).size).toBe(2);

    const joiner = newNode(20);
    await network('add', at('2.json'), '--from', at('1.json'), '--node', joiner.spec);
    expect(await shown(at('2.json'), '--trusted', at('1.json'))).toMatchObject({ code: 1 });
    await network('sign', at('2.json'), '--key', at('c'));
    await network('sign', at('2.json'), '--key', at('b'));
    const second = await shown(at('2.json'), '--trusted', at('1.json'));
    expect(second).toMatchObject({ code: 0, version: 2 });
    expect(second.nodes).toHaveLength(15);

    await network('remove', at('3.json'), '--from', at('2.json'), '--node', joiner.key, '--key', at('a'));
    const third = await shown(at('3.json'), '--trusted', at('2.json'));
    expect(third).toMatchObject({ code: 1, version: 3 });
    expect(third.nodes).toHaveLength(14);
    expect((await shown(at('1.json'), '--trusted', at('2.json'))).problem).toContain('not greater');
  });

  test('takes the swarms from the admin when he names them', async () => {
    const [admin = ''] = await threeAdmins();
    const flags = [1, 2, 3].flatMap((i) => [
      '--node',
      `${newNode(i).spec}/${i === 3 ? 'f000000000000000' : '7'}`,
    ]);
    await network('create', at('1.json'), '--admin', admin, ...flags);
    const { nodes } = await shown(at('1.json'));
    expect((nodes as { swarm: string }[]).map((node) => node.swarm).sort()).toEqual([
      '0000000000000007',
      '0000000000000007',
      'f000000000000000',
    ]);
  });

  test('refuses the signature of a stranger', async () => {
    const [admin = ''] = await threeAdmins();
    await network('create', at('1.json'), '--admin', admin, '--node', newNode(1).spec);
    await expect(network('sign', at('1.json'), '--key', at('b'))).rejects.toThrow('is no admin of this list');
  });

  test.each([
    ['a name', 'example.org:22021:22020'],
    ['no port', '203.0.113.7:22021'],
    ['a port that is too large', '203.0.113.7:22021:222020'],
    ['port 0', '203.0.113.7:0:22020'],
  ])('refuses a node with %s', async (_, address) => {
    const [admin = ''] = await threeAdmins();
    const node = `${newNode(1).key}@${address}`;
    await expect(network('create', at('1.json'), '--admin', admin, '--node', node)).rejects.toThrow();
  });

  test('refuses files that are no lists', async () => {
    writeFileSync(at('broken.json'), '{"mode":"static"');
    await expect(network('show', at('broken.json'))).rejects.toThrow('broken.json');
    await expect(network('show', at('absent.json'))).rejects.toThrow('there is no such file');
  });
});

describe('an admin key', () => {
  test('is readable by its owner only and never overwritten', async () => {
    await network('key', at('key'), '--no-passphrase');
    expect(statSync(at('key')).mode & 0o777).toBe(0o600);
    await expect(network('key', at('key'), '--no-passphrase')).rejects.toThrow('never overwritten');
  });

  test('opens with its passphrase and no other', async () => {
    writeFileSync(at('right'), 'correct horse\n');
    writeFileSync(at('wrong'), 'battery staple\n');
    process.env.ALLIUM_PASSPHRASE_FILE = at('right');
    const key = await network('key', at('key'));
    expect(JSON.parse(readFileSync(at('key'), 'utf8')).protection.kdf).toBe('argon2id');
    await network('create', at('1.json'), '--admin', key, '--node', newNode(1).spec);
    process.env.ALLIUM_PASSPHRASE_FILE = at('wrong');
    await expect(network('sign', at('1.json'), '--key', at('key'))).rejects.toThrow('wrong passphrase');
    process.env.ALLIUM_PASSPHRASE_FILE = at('right');
    expect(await network('sign', at('1.json'), '--key', at('key'))).toContain('1 of 1');
  });

  test('is wiped after use, also when that fails', async () => {
    const key = await network('key', at('key'), '--no-passphrase');
    const pair = await withAdminKey(at('key'), {}, (lent) => {
      expect(toHex(lent.publicKey)).toBe(key);
      expect(lent.secretKey.some((byte) => byte !== 0)).toBe(true);
      return lent;
    });
    expect(pair.secretKey.every((byte) => byte === 0)).toBe(true);
    let kept: Uint8Array = new Uint8Array();
    const failing = withAdminKey(at('key'), {}, ({ secretKey }) => {
      kept = secretKey;
      throw new Error('on purpose');
    });
    await expect(failing).rejects.toThrow('on purpose');
    expect(kept).toEqual(new Uint8Array(64));
  });
});
