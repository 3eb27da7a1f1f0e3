// SPDX-License-Identifier: MIT
// Names of accounts, as nodes know them: agreeing, lying, silent, without names at all.
import { Account } from '@allium/protocol/account';
import { toHex } from '@allium/protocol/bytes';
import type { Json } from '@allium/protocol/json';
import { nameHash, parseSessionName, sealNameValue } from '@allium/protocol/session-name';
import { afterEach, expect, test } from 'vitest';
import { World } from '../world.ts';

const ALICE = Account.fromSeed(new Uint8Array(16).fill(1));
const BOB = Account.fromSeed(new Uint8Array(16).fill(2));
const MALLORY = Account.fromSeed(new Uint8Array(16).fill(3));
const NAME = parseSessionName('bob');

let world: World;
afterEach(() => world.end());

function entryOf(account: Account, name = NAME): { encrypted_value: string; nonce: string } {
  const { encrypted, nonce } = sealNameValue(name, account.id);
  return { encrypted_value: toHex(encrypted), nonce: toHex(nonce) };
}

/** A client on a network whose nodes know that `bob` is Bob, and so is each of `others`. */
async function open({ nodes, others = [] }: { nodes?: number; others?: readonly string[] } = {}) {
  world = new World(nodes === undefined ? {} : { nodes });
  const names = new Map<string, object>(
    [NAME, ...others.map(parseSessionName)].map((name) => [nameHash(name), entryOf(BOB, name)]),
  );
  world.network.evidence = (method, params) => {
    if (method !== 'ons_resolve') return undefined;
    const { type, name_hash } = params as { type: Json; name_hash: string };
    return JSON.stringify(type === 0 ? (names.get(name_hash) ?? {}) : {});
  };
  const client = await world.open(ALICE);
  const asked = () =>
    world.network.destinations.filter(
      ({ request }) => request.method === 'oxend_request' && request.endpoint === 'ons_resolve',
    );
  const resolve = (name: string) => world.clock.run(client.resolve(name));
  return { client, asked, resolve, nodes: world.network.nodes };
}

/** Some nodes answer questions for names in another way. */
function some(count: number, result: Json | undefined) {
  for (const node of world.network.nodes.slice(0, count)) {
    node.answer = (request) => {
      if (request.method !== 'oxend_request' || request.endpoint !== 'ons_resolve') return undefined;
      return result === undefined
        ? { status: 500, body: 'no' }
        : { status: 200, body: JSON.stringify({ result, t: 1, hf: [21, 2] }) };
    };
  }
}

test('three nodes are asked for the hash, over different onions, once for a while', async () => {
  const { asked, resolve, client } = await open();
  expect(await resolve('Bob')).toBe(BOB.id);
  expect(asked()).toHaveLength(3);
  expect(new Set(asked().map(({ node }) => node)).size).toBe(3);
  for (const { request, hops } of asked()) {
    expect(request).toMatchObject({ params: { type: 0, name_hash: nameHash(NAME) } });
    expect(JSON.stringify(request)).not.toContain('bob');
    expect(hops).toHaveLength(3);
  }
  expect(await resolve('bob')).toBe(BOB.id);
  expect(asked()).toHaveLength(3);
  await world.clock.pass(6 * 60_000);
  expect(await resolve('bob')).toBe(BOB.id);
  expect(asked()).toHaveLength(6);
  // Another account does not profit from it.
  const other = await world.open(MALLORY);
  expect(await world.clock.run(other.resolve('bob'))).toBe(BOB.id);
  expect(asked()).toHaveLength(9);
  expect(await world.clock.run(client.resolve(BOB.id.toUpperCase()))).toBe(BOB.id);
  expect(asked()).toHaveLength(9);
});

test('what nobody registered is not found, and asked for anew each time', async () => {
  const { asked, resolve } = await open();
  for (const _ of [1, 2]) await expect(resolve('carol')).rejects.toMatchObject({ code: 'not_found' });
  expect(asked()).toHaveLength(6);
});

test('no name is asked for that is none', async () => {
  const { asked, resolve } = await open();
  for (const text of ['', '-bob', 'bob!', '05ab', 'b\u00f6b', '\u212abob', 'x'.repeat(65)]) {
    if (text === '05ab') continue; // a name like any other
    await expect(resolve(text)).rejects.toMatchObject({ name: 'NameError', code: 'bad_name' });
  }
  expect(asked()).toEqual([]);
});

test('nodes that lie among three: no account rather than a wrong one', async () => {
  // Any three of the four are of both kinds.
  const { resolve } = await open({ nodes: 4 });
  some(2, entryOf(MALLORY));
  await expect(resolve('bob')).rejects.toMatchObject({ code: 'disagree' });
  some(2, {});
  await expect(resolve('bob')).rejects.toMatchObject({ code: 'disagree' });
});

test('nodes that are silent, or talk nonsense, are replaced by others', async () => {
  const nonsense = [
    undefined,
    null,
    [],
    { encrypted_value: 'zz' },
    { encrypted_value: '00'.repeat(40_000) },
  ].map((answer, i) => ({ answer, name: `bob${i}` }));
  // As many as are asked at most; what was found is not asked for again, so each has a name of its own.
  const { resolve } = await open({ nodes: 9, others: nonsense.map(({ name }) => name) });
  for (const { answer, name } of nonsense) {
    some(6, answer);
    expect(await resolve(name)).toBe(BOB.id);
  }
});

test('fewer than three voices are none', async () => {
  const { resolve, nodes } = await open();
  some(nodes.length - 2, undefined);
  await expect(resolve('bob')).rejects.toMatchObject({ code: 'too_few_answers' });
});

test('all agree on what is no account', async () => {
  const { resolve, nodes } = await open();
  some(nodes.length, { encrypted_value: '00'.repeat(49), nonce: '00'.repeat(24) });
  await expect(resolve('bob')).rejects.toMatchObject({ code: 'not_found' });
});

test('a network without names', async () => {
  const { resolve } = await open();
  world.network.evidence = undefined;
  await expect(resolve('bob')).rejects.toMatchObject({ code: 'not_served', message: /account id/ });
});

test('waiting can be ended', async () => {
  const { client, nodes } = await open();
  await world.clock.run(client.ready());
  for (const node of nodes) node.isSilent = true;
  const abort = new AbortController();
  const asked = client.resolve('bob', { signal: abort.signal });
  abort.abort(new Error('enough'));
  await expect(asked).rejects.toThrow();
  for (const node of nodes) node.isSilent = false;
});
