// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ed25519KeyPair, ed25519Sign, sha256 } from '#crypto';
import { concat, fromHex, fromUtf8, toHex, utf8 } from '../../src/bytes.ts';
import { ParseError } from '../../src/errors.ts';
import {
  acceptStaticList,
  addNodes,
  changeStaticList,
  countSignatures,
  createStaticList,
  encodeStaticList,
  membershipOf,
  type NewStaticList,
  parseStaticList,
  removeNodes,
  type StaticList,
  type StaticNodeInput,
  signStaticList,
  staticHeight,
  staticListDigest,
} from '../../src/membership/static-list.ts';
import { runAssignment } from '../../src/swarm/assignment.ts';

const admins = [1, 2, 3].map((byte) => ed25519KeyPair(new Uint8Array(32).fill(byte + 100)));
const adminKeys = admins.map((admin) => toHex(admin.publicKey));
const stranger = ed25519KeyPair(new Uint8Array(32).fill(99));
const nodeKeys = Array.from({ length: 30 }, (_, index) =>
  toHex(ed25519KeyPair(sha256(utf8(`node ${index}`))).publicKey),
);

function node(index: number, swarmId?: bigint): StaticNodeInput {
  return {
    ed25519Hex: nodeKeys[index] as string,
    host: `203.0.113.${index + 1}`,
    httpsPort: 22021,
    omqPort: 22020,
    ...(swarmId !== undefined && { swarmId }),
  };
}

const nodes = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => node(from + index));
const NOW = 1_800_000_000;
const validity = { issued: NOW, expires: NOW + 86_400 };

function list(change: Partial<NewStaticList> = {}): StaticList {
  return createStaticList({
    network: 'cd'.repeat(16),
    admins: adminKeys,
    threshold: 2,
    nodes: nodes(0, 3),
    ...validity,
    ...change,
  });
}

const signedBy = (unsigned: StaticList, ...indexes: number[]) =>
  indexes.reduce((signed, index) => signStaticList(signed, admins[index] ?? stranger), unsigned);

const swarmSizes = ({ nodes: placed }: StaticList) => {
  const sizes = new Map<bigint, number>();
  for (const { swarmId } of placed) sizes.set(swarmId, (sizes.get(swarmId) ?? 0) + 1);
  return [...sizes.values()].sort();
};

describe('the file', () => {
  test('is JSON with sorted keys and no blanks, as the specification draws it', () => {
    const single = list({ admins: adminKeys.slice(0, 1), threshold: 1, nodes: nodes(0, 1) });
    const signed = signedBy(single, 0);
    const sig = signed.signatures[0]?.signature;
    expect(fromUtf8(encodeStaticList(signed))).toBe(
      `{"admins":["${adminKeys[0]}"],"expires":1800086400,"issued":1800000000,"mode":"static",` +
        `"network":"${'cd'.repeat(16)}",` +
        `"nodes":[{"ip":"203.0.113.1","pk":"${nodeKeys[0]}","shp":22021,"sop":22020,"swarm":"0000000000000000"}],` +
        `"signatures":[{"pk":"${adminKeys[0]}","sig":"${sig}"}],"threshold":1,"version":1}`,
    );
  });

  test('is hashed and signed without its signatures', () => {
    const unsigned = list();
    const text = fromUtf8(encodeStaticList(unsigned));
    const hashed = sha256(utf8(text.replace('"signatures":[],', '')));
    expect(staticListDigest(unsigned)).toEqual(hashed);
    expect(staticListDigest(signedBy(unsigned, 0, 1))).toEqual(hashed);
    const signature = ed25519Sign(concat(utf8('SN-STATIC-v1'), hashed), admins[0]?.secretKey as Uint8Array);
    expect(signedBy(unsigned, 0).signatures).toEqual([{ admin: adminKeys[0], signature: toHex(signature) }]);
  });

  test('is read as it was written, in any order of making and signing', () => {
    const arbitrary = fc.record({
      admins: fc.shuffledSubarray(adminKeys, { minLength: 1 }),
      nodes: fc.shuffledSubarray(nodes(0, 30), { minLength: 1 }),
      signers: fc.shuffledSubarray([0, 1, 2]),
      host: fc.constantFrom('10.1.2.3', '2001:db8::7'),
      swarms: fc.option(fc.bigInt(0n, 2n ** 64n - 2n), { nil: undefined }),
    });
    fc.assert(
      fc.property(arbitrary, ({ signers, host, swarms, ...facts }) => {
        const placed = facts.nodes.map((each) => ({
          ...each,
          host,
          ...(swarms !== undefined && { swarmId: swarms }),
        }));
        const made = signedBy(list({ ...facts, threshold: 1, nodes: placed }), ...signers);
        const bytes = encodeStaticList(made);
        expect(parseStaticList(bytes)).toEqual(made);
        expect(encodeStaticList(parseStaticList(bytes))).toEqual(bytes);
      }),
      { numRuns: 30 },
    );
  });

  test('may end with a line end', () => {
    const bytes = encodeStaticList(list());
    expect(parseStaticList(concat(bytes, utf8('\n')))).toEqual(list());
    expect(() => parseStaticList(concat(bytes, utf8('\n\n')))).toThrow(ParseError);
  });

  const good = fromUtf8(encodeStaticList(signedBy(list(), 0, 1)));
  const [firstKey = '', secondKey = ''] = list().nodes.map((each) => each.ed25519Hex);
  test.each<[string, (text: string) => string]>([
    ['nothing', () => ''],
    ['no JSON', (text) => text.slice(0, -1)],
    ['null', () => 'null'],
    ['a list', () => '[]'],
    ['blanks', (text) => text.replace(',', ', ')],
    ['a line end in front', (text) => `\n${text}`],
    [
      'another order of members',
      (text) => text.replace('"mode":"static",', '').replace('{', '{"mode":"static",'),
    ],
    ['an unknown member', (text) => text.replace('"mode"', '"more":1,"mode"')],
    ['a member twice', (text) => text.replace('"mode"', '"issued":1800000000,"mode"')],
    ['an escape where none is needed', (text) => text.replace('static', '\\u0073tatic')],
    ['another mode', (text) => text.replace('static', 'chain')],
    ['a number with a fraction', (text) => text.replace('"version":1', '"version":1.5')],
    ['a number written otherwise', (text) => text.replace('"version":1', '"version":1e0')],
    ['version zero', (text) => text.replace('"version":1', '"version":0')],
    ['a version beyond 32 bits', (text) => text.replace('"version":1', '"version":4294967296')],
    ['a version that is text', (text) => text.replace('"version":1', '"version":"1"')],
    ['an end before the issue', (text) => text.replace('1800086400', '1800000000')],
    ['no threshold', (text) => text.replace('"threshold":2', '"threshold":0')],
    ['a threshold that nobody can meet', (text) => text.replace('"threshold":2', '"threshold":4')],
    ['upper-case digits', (text) => text.replace(firstKey, firstKey.toUpperCase())],
    ['a node twice', (text) => text.replace(secondKey, firstKey)],
    ['a short key', (text) => text.replace(firstKey, firstKey.slice(2))],
    ['an address that is a name', (text) => text.replace('203.0.113.1', 'a.example')],
    ['an address written otherwise', (text) => text.replace('203.0.113.1', '203.0.113.01')],
    ['port zero', (text) => text.replace('"shp":22021', '"shp":0')],
    ['a port beyond 16 bits', (text) => text.replace('"sop":22020', '"sop":65536')],
    ['ports without address', (text) => text.replace('203.0.113.1"', '0.0.0.0"')],
    ['a short swarm', (text) => text.replace('"swarm":"0000000000000000"', '"swarm":"0"')],
    ['the swarm that is none', (text) => text.replace('0000000000000000', 'ffffffffffffffff')],
    ['a swarm that is a number', (text) => text.replace('"swarm":"0000000000000000"', '"swarm":0')],
    ['a short network', (text) => text.replace('cdcd', 'cd')],
    ['no nodes', (text) => text.replace(/"nodes":\[.*?\]/, '"nodes":[]')],
    ['no admins', (text) => text.replace(/"admins":\[.*?\]/, '"admins":[]')],
    ['a signature that is no hex', (text) => text.replace(/"sig":"../, '"sig":"zz')],
    ['a short signature', (text) => text.replace(/"sig":"../, '"sig":"')],
    ['signatures that are none', (text) => text.replace(/"signatures":\[.*?\]/, '"signatures":[1]')],
  ])('is refused: %s', (_, spoil) => {
    const spoiled = spoil(good);
    expect(spoiled).not.toBe(good);
    expect(() => parseStaticList(utf8(spoiled))).toThrow(ParseError);
  });

  test('is bounded in size and in everything that it lists', () => {
    expect(() => parseStaticList(new Uint8Array(4 * 1024 * 1024 + 1).fill(0x20))).toThrow(ParseError);
    const many = `[${'0,'.repeat(10_000)}0]`;
    expect(() => parseStaticList(utf8(good.replace(/"nodes":\[.*?\]/, `"nodes":${many}`)))).toThrow(
      /a list of 10001/,
    );
    expect(() => parseStaticList(utf8(good.replace(/"admins":\[.*?\]/, `"admins":${many}`)))).toThrow(
      /a list of 10001/,
    );
    expect(() => parseStaticList(utf8('['.repeat(1_000_000)))).toThrow(ParseError);
  });

  test('with any change is refused with a ParseError, or is another list', () => {
    const bytes = utf8(good);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 0x20, max: 0x7e }), (at, byte) => {
        const spoiled = bytes.slice();
        spoiled[at] = byte;
        try {
          const parsed = parseStaticList(spoiled);
          expect(fromUtf8(encodeStaticList(parsed))).toBe(fromUtf8(spoiled));
        } catch (error) {
          expect(error).toBeInstanceOf(ParseError);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('making a list', () => {
  test('sorts, makes keys lower case and draws a network', () => {
    const upper = nodes(0, 3).map((each) => ({ ...each, ed25519Hex: each.ed25519Hex.toUpperCase() }));
    const made = list({ admins: adminKeys.map((key) => key.toUpperCase()), nodes: upper });
    expect(made).toEqual(list());
    expect(made.nodes.map((each) => each.ed25519Hex)).toEqual(nodeKeys.slice(0, 3).sort());
    expect(made.admins).toEqual([...adminKeys].sort());
    const facts = { admins: adminKeys, threshold: 1, nodes: nodes(0, 1), ...validity };
    const networks = [createStaticList(facts).network, createStaticList(facts).network];
    expect(networks[0]).toMatch(/^[0-9a-f]{32}$/);
    expect(networks[0]).not.toBe(networks[1]);
  });

  test('puts thirteen nodes into one swarm and fourteen into two, by the seed of the specification', () => {
    expect(swarmSizes(list({ nodes: nodes(0, 13) }))).toEqual([13]);
    const made = list({ nodes: nodes(0, 14) });
    expect(swarmSizes(made)).toEqual([7, 7]);
    const keys = nodeKeys.slice(0, 14).sort();
    const hash = sha256(concat(...keys.map((key) => fromHex(key)), Uint8Array.of(0, 0, 0, 1)));
    const seed = new DataView(hash.buffer, hash.byteOffset).getBigUint64(0, true);
    const { swarms } = runAssignment(new Map(), keys, seed);
    for (const [id, members] of swarms) {
      for (const key of members) {
        expect(made.nodes.find((each) => each.ed25519Hex === key)?.swarmId).toBe(id);
      }
    }
    expect(membershipOf(made).seed).toEqual(hash);
  });

  test('takes swarms by hand, of all nodes or of none', () => {
    const byHand = Array.from({ length: 10 }, (_, index) => node(index, BigInt(index % 2) << 63n));
    expect(swarmSizes(list({ nodes: byHand }))).toEqual([5, 5]);
    expect(() => list({ nodes: [node(0, 1n), node(1)] })).toThrow(ParseError);
  });

  test.each<[string, Partial<NewStaticList>]>([
    ['a node twice', { nodes: [node(0), node(1), node(0)] }],
    ['no node', { nodes: [] }],
    ['a name as address', { nodes: [{ ...node(0), host: 'a.example' }] }],
    ['port zero', { nodes: [{ ...node(0), httpsPort: 0 }] }],
    ['no swarm by hand', { nodes: [node(0, 2n ** 64n - 1n)] }],
    ['a swarm below zero', { nodes: [node(0, -1n)] }],
    ['no admin', { admins: [] }],
    ['an admin twice', { admins: [adminKeys[0] as string, adminKeys[0] as string] }],
    ['a short admin key', { admins: ['abcd'], threshold: 1 }],
    ['threshold zero', { threshold: 0 }],
    ['a threshold beyond the admins', { threshold: 4 }],
    ['an end before the issue', { expires: NOW }],
    ['a network that is no hex', { network: 'network' }],
  ])('refuses %s', (_, change) => {
    expect(() => list(change)).toThrow(ParseError);
  });

  test('allows an address that is not known yet', () => {
    const unknown = { ...node(0), host: '0.0.0.0', httpsPort: 0, omqPort: 0 };
    expect(list({ nodes: [unknown] }).nodes[0]).toMatchObject(unknown);
  });
});

describe('changing a list', () => {
  const later = { issued: NOW + 10, expires: NOW + 90_000 };

  test('adding goes on from the swarms there are, with the seed of the new version', () => {
    const first = signedBy(list({ nodes: nodes(0, 13) }), 0, 1);
    const second = addNodes(first, nodes(13, 14), later);
    expect(second).toMatchObject({ version: 2, network: first.network, threshold: 2, ...later });
    expect(second.signatures).toEqual([]);
    expect(swarmSizes(second)).toEqual([7, 7]);
    const keys = nodeKeys.slice(0, 14).sort();
    const hash = sha256(concat(...keys.map((key) => fromHex(key)), Uint8Array.of(0, 0, 0, 2)));
    const seed = new DataView(hash.buffer, hash.byteOffset).getBigUint64(0, true);
    const current = new Map([[0n, nodeKeys.slice(0, 13)]]);
    const { swarms } = runAssignment(current, [nodeKeys[13] as string], seed);
    for (const { ed25519Hex, swarmId } of second.nodes) expect(swarms.get(swarmId)).toContain(ed25519Hex);
  });

  test('removing goes on too, and the last swarm stays', () => {
    const first = list({ nodes: nodes(0, 14) });
    const second = removeNodes(first, nodeKeys.slice(0, 10), later);
    expect(second.nodes.map((each) => each.ed25519Hex)).toEqual(nodeKeys.slice(10, 14).sort());
    expect(swarmSizes(second)).toEqual([4]);
  });

  test('with the same nodes nobody moves, whatever the swarms are', () => {
    const odd = list({ nodes: [node(0, 1n), node(1, 2n), node(2, 3n)] });
    const moved = { ...node(1), host: '198.51.100.7', httpsPort: 443 };
    const next = changeStaticList(odd, { ...later, update: [moved], threshold: 1 });
    expect(next.threshold).toBe(1);
    expect(next.nodes.map(({ swarmId }) => swarmId)).toEqual(odd.nodes.map(({ swarmId }) => swarmId));
    expect(next.nodes.find((each) => each.ed25519Hex === nodeKeys[1])).toEqual({ ...moved, swarmId: 2n });
  });

  test('by hand, those who stay do not move', () => {
    const first = list({ nodes: [node(0, 1n), node(1, 1n), node(2, 9n)] });
    const added = changeStaticList(first, { ...later, add: [node(3, 9n)] });
    expect(swarmSizes(added)).toEqual([2, 2]);
    const removed = changeStaticList(added, { ...later, remove: [nodeKeys[0] as string], byHand: true });
    expect(swarmSizes(removed)).toEqual([1, 2]);
    expect(() => changeStaticList(first, { ...later, add: [node(3)], byHand: true })).toThrow(ParseError);
  });

  test('other admins can be named', () => {
    const next = changeStaticList(list(), { ...later, admins: [toHex(stranger.publicKey)], threshold: 1 });
    expect(next.admins).toEqual([toHex(stranger.publicKey)]);
    // The threshold in force is more than one admin can meet.
    expect(() => changeStaticList(list(), { ...later, admins: [toHex(stranger.publicKey)] })).toThrow(
      ParseError,
    );
  });

  test('what is not there cannot be removed or updated, what is there not added', () => {
    expect(() => removeNodes(list(), [nodeKeys[9] as string], later)).toThrow(ParseError);
    expect(() => changeStaticList(list(), { ...later, update: [node(9)] })).toThrow(ParseError);
    expect(() => addNodes(list(), [node(0)], later)).toThrow(ParseError);
    expect(() => removeNodes(list(), nodeKeys.slice(0, 3), later)).toThrow(ParseError);
  });
});

describe('a candidate', () => {
  const trusted = signedBy(list({ threshold: 2 }), 0, 1);
  const next = addNodes(trusted, [node(5)], { issued: NOW, expires: NOW + 100 });
  const refused = (reason: string) => ({ accepted: false, reason });

  test('replaces the list held when enough admins of that list signed it', () => {
    expect(acceptStaticList(signedBy(next, 0, 1), trusted, NOW)).toEqual({ accepted: true });
    expect(acceptStaticList(signedBy(next, 2, 0, 1), trusted, NOW)).toEqual({ accepted: true });
    const skipped = changeStaticList(next, { issued: NOW, expires: NOW + 100 });
    expect(acceptStaticList(signedBy(skipped, 1, 2), trusted, NOW)).toEqual({ accepted: true });
  });

  test('needs that many different admins', () => {
    for (const signers of [[], [0], [0, 0], [0, 9], [9]]) {
      const signed = signedBy(next, ...signers);
      expect(acceptStaticList(signed, trusted, NOW)).toEqual(refused('too_few_signatures'));
    }
  });

  test('is not judged by the admins that it names itself', () => {
    const usurped = changeStaticList(trusted, {
      issued: NOW,
      expires: NOW + 100,
      admins: [toHex(stranger.publicKey)],
      threshold: 1,
    });
    const byItself = signStaticList(usurped, stranger);
    expect(acceptStaticList(byItself, trusted, NOW)).toEqual(refused('too_few_signatures'));
    // Handed over by the admins in force, the new one decides from then on.
    const handedOver = signedBy(usurped, 0, 2);
    expect(acceptStaticList(handedOver, trusted, NOW)).toEqual({ accepted: true });
    const after = changeStaticList(handedOver, { issued: NOW, expires: NOW + 100 });
    expect(acceptStaticList(signStaticList(after, stranger), handedOver, NOW)).toEqual({ accepted: true });
    expect(acceptStaticList(signedBy(after, 0, 1), handedOver, NOW)).toEqual(refused('too_few_signatures'));
  });

  test('with signatures of another list, or with its content changed, has none', () => {
    const signed = signedBy(next, 0, 1);
    const stolen = {
      ...changeStaticList(next, { issued: NOW, expires: NOW + 99 }),
      signatures: signed.signatures,
    };
    expect(acceptStaticList(stolen, trusted, NOW)).toEqual(refused('too_few_signatures'));
    expect(countSignatures(signed, adminKeys)).toBe(2);
    expect(countSignatures(stolen, adminKeys)).toBe(0);
  });

  test('must be of the same network, newer and not expired', () => {
    const other = signedBy({ ...next, network: '00'.repeat(16) }, 0, 1);
    expect(acceptStaticList(other, trusted, NOW)).toEqual(refused('other_network'));
    const signed = signedBy(next, 0, 1);
    expect(acceptStaticList(trusted, signed, NOW)).toEqual(refused('older'));
    expect(acceptStaticList(signed, trusted, NOW + 99)).toEqual({ accepted: true });
    expect(acceptStaticList(signed, trusted, NOW + 100)).toEqual(refused('expired'));
  });

  test('of the same version is the same or in conflict, by its content', () => {
    const signed = signedBy(next, 0, 1);
    expect(acceptStaticList(signedBy(next, 1, 2), signed, NOW)).toEqual(refused('same'));
    const conflicting = signedBy(addNodes(trusted, [node(6)], { issued: NOW, expires: NOW + 100 }), 0, 1);
    expect(acceptStaticList(conflicting, signed, NOW)).toEqual(refused('conflict'));
  });

  test('with a node key that is no key is refused', () => {
    const bad = { ...node(7), ed25519Hex: '02'.padEnd(64, '0') };
    const candidate = signedBy(addNodes(trusted, [bad], { issued: NOW, expires: NOW + 100 }), 0, 1);
    expect(acceptStaticList(candidate, trusted, NOW)).toEqual(refused('bad_node_key'));
    expect(() => membershipOf(candidate)).toThrow(ParseError);
  });
});

test('a second signature of one admin takes the place of the first', () => {
  const signed = signedBy(list(), 0, 1, 0);
  expect(signed.signatures.map(({ admin }) => admin)).toEqual([adminKeys[0], adminKeys[1]].sort());
});

test('the membership says what the list says', () => {
  const made = list({ nodes: nodes(0, 14) });
  const membership = membershipOf(made);
  expect(membership.epoch).toBe(1);
  expect(membership.height).toBe(15_000_000);
  expect(staticHeight(NOW + 119)).toBe(15_000_000);
  expect(staticHeight(NOW + 120)).toBe(15_000_001);
  expect(membership.blockHash).toBe(toHex(staticListDigest(made)));
  expect(membership.members.map((member) => member.ed25519Hex)).toEqual(nodeKeys.slice(0, 14).sort());
  for (const each of made.nodes) {
    const member = membership.byEd25519.get(each.ed25519Hex);
    expect(member).toMatchObject({ ...each, active: true });
    expect(membership.swarms.get(each.swarmId)).toContain(member);
  }
  expect(membership.swarmIds).toHaveLength(2);
});
