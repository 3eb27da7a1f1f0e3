// SPDX-License-Identifier: MIT
// The state machine where the vectors are silent: what is ours, what goes wrong, and configs of many parts.
import { describe, expect, test } from 'vitest';
import { blake2b, ed25519KeyPair } from '#crypto';
import { concat, fromBinary, toBinary, utf8 } from '../../src/bytes.ts';
import { Config, type ConfigOptions, ConfigState } from '../../src/config/config.ts';
import type { ConfigValue } from '../../src/config/data.ts';
import {
  decryptConfig,
  encryptConfig,
  packPlaintext,
  padConfig,
  unpackPlaintext,
} from '../../src/config/encryption.ts';
import {
  type ConfigMessage,
  EMPTY_VERSION,
  parseMessage,
  serializeVersion,
} from '../../src/config/message.ts';
import { parsePiece, splitConfig } from '../../src/config/multipart.ts';
import { ParseError } from '../../src/errors.ts';

const NOW = 1_767_225_600_000;
const DAY = 86_400_000;
const KEY = new Uint8Array(32).fill(7);
const refusal = (code: string) => expect.objectContaining({ name: 'ConfigError', code });

const make = (options: Partial<ConfigOptions> = {}) =>
  new Config({ domain: 'Test', keys: [KEY], ...options });
const reload = (config: Config, options: Partial<ConfigOptions> = {}) =>
  make({ ...options, dump: config.dump(NOW) });
const seal = (plaintext: Uint8Array) => encryptConfig(padConfig(plaintext), KEY, 'Test');
const push = (config: Config) => {
  const { messages, ...rest } = config.push(NOW);
  return { ...rest, data: messages[0] as Uint8Array };
};
function open(data: Uint8Array): ConfigMessage {
  const unpacked = unpackPlaintext(decryptConfig(data, [KEY], 'Test') as Uint8Array);
  if (unpacked.kind !== 'message') throw new Error('not a message');
  return parseMessage(unpacked.plaintext);
}
/** A version that is stored under a hash on the swarm, and the config that is at rest with it. */
function stored(value: string): { config: Config; data: Uint8Array; hash: string } {
  const config = make();
  config.set(['n'], value);
  const { seqno, data } = push(config);
  config.confirm(seqno, [value]);
  return { config, data, hash: value };
}

describe('edits', () => {
  test('what changes nothing leaves no trace', () => {
    const { config } = stored('a');
    config.dump(NOW);
    config.set(['n'], 'a');
    config.erase(['x', 'y']);
    config.removeFromSet(['n'], 1);
    config.set(['empty'], new Map());
    config.set(['set'], new Set());
    expect([config.state, config.needsDump]).toEqual([ConfigState.clean, false]);
    expect(() => config.set([], 1)).toThrow(refusal('bad_value'));
    expect(() => config.set(['n'], 1.5)).toThrow(refusal('bad_value'));
    expect(() => config.set(['n'], 2n ** 63n)).toThrow(refusal('bad_value'));
  });

  test('an emptied set or dict goes, with the dicts around it', () => {
    const config = make();
    config.addToSet(['d', 'e', 's'], 1);
    config.set(['d', 'e', 'x'], 1);
    config.removeFromSet(['d', 'e', 's'], 1);
    expect(config.get('d', 'e', 's')).toBeUndefined();
    config.erase(['d', 'e', 'x']);
    expect(config.get('d')).toBeUndefined();
    config.set(['n'], 'text');
    config.set(['n', 'below'], 1);
    expect(config.get('n')).toEqual(new Map([['below', 1]]));
  });

  test('what others would not read is not written', () => {
    const config = make();
    config.set(
      ['a'],
      new Map<string, ConfigValue>([
        ['empty', new Map([['too', new Set()]])],
        ['n', 1],
      ]),
    );
    expect(config.get('a')).toEqual(new Map([['n', 1]]));
    config.set(['b'], new Map([['empty', new Set()]]));
    expect(config.get('b')).toBeUndefined();
    expect(() => config.set(['c'], 'zwölf €')).toThrow(refusal('bad_value'));
    expect(() => config.set(['€'], 1)).toThrow(refusal('bad_value'));
    const untouched = make();
    expect(() => untouched.set(['€'], 1)).toThrow(refusal('bad_value'));
    expect(untouched.needsPush).toBe(false);
    expect(() => config.set(['c'], new Map([['x', 0.5]]))).toThrow(refusal('bad_value'));
    expect(make().merge([{ hash: 'h', data: push(config).data }], NOW).accepted).toEqual(['h']);
  });

  test('values that were handed in can be changed afterwards', () => {
    const config = make();
    const set = new Set<number>([1]);
    config.set(['s'], set);
    set.add(2);
    expect(config.get('s')).toEqual(new Set([1]));
    const { data } = push(config);
    config.addToSet(['s'], 3);
    expect(open(data).data.get('s')).toEqual(new Set([1]));
  });

  test('an edit of what waits makes a version of its own', () => {
    const config = make();
    config.set(['n'], 'a');
    const first = push(config);
    config.set(['n'], 'b');
    config.confirm(first.seqno, ['late']);
    expect([config.state, config.seqno, config.currentHashes]).toEqual([ConfigState.dirty, 2, []]);
    expect(open(push(config).data).history.map(({ seqno }) => seqno)).toEqual([0, 1]);
  });

  test('members of newer clients are kept by edits and dropped by merges', () => {
    const config = make();
    const data = seal(utf8('d1:#i1e1:$3:abc1:&d1:ai1ee1:<le1:=de1:[i5ee'));
    config.merge([{ hash: 'h', data }], NOW);
    config.set(['b'], 2);
    const next = push(config).data;
    expect([...open(next).unknown]).toEqual([
      ['$', '3:abc'],
      ['[', 'i5e'],
    ]);
    config.merge(
      [
        { hash: 'x', data: stored('x').data },
        { hash: 'y', data: seal(utf8('d1:#i2e1:&d1:ci1ee1:<le1:=d1:c0:ee')) },
      ],
      NOW,
    );
    expect(open(push(config).data).unknown.size).toBe(0);
  });
});

describe('merging', () => {
  test('our own version on the swarm is stored, though its push was never confirmed', () => {
    for (const wasSaved of [true, false]) {
      let config = make();
      config.set(['n'], 'a');
      const before = config.dump(NOW);
      const { data } = push(config);
      config = wasSaved ? reload(config) : make({ dump: before });
      const { changed, accepted } = config.merge([{ hash: 'h', data }], NOW);
      if (wasSaved) {
        expect([config.state, config.currentHashes, changed, accepted]).toEqual([
          ConfigState.clean,
          ['h'],
          false,
          ['h'],
        ]);
        expect(config.push(NOW).obsolete).toEqual([]);
      } else {
        // The dump of a dirty config counts on, so what is stored is its parent.
        expect([config.state, config.push(NOW).obsolete]).toEqual([ConfigState.dirty, ['h']]);
      }
    }
  });

  test('a second copy of the version at hand is kept until there is a next one', () => {
    const { config, data } = stored('a');
    expect(config.merge([{ hash: 'copy', data }], NOW)).toEqual({
      accepted: ['copy'],
      refused: [],
      changed: false,
    });
    expect(config.currentHashes).toEqual(['a', 'copy']);
    expect(config.push(NOW).obsolete).toEqual([]);
    config.set(['n'], 'b');
    expect(config.push(NOW).obsolete).toEqual(['a', 'copy']);
  });

  test('what is not understood is left alone and confuses nothing', () => {
    const { config, data } = stored('b');
    const other = make();
    const foreign = encryptConfig(padConfig(utf8('d')), new Uint8Array(32), 'Test');
    const input = [
      { hash: 'foreign', data: foreign },
      { hash: 'garbage', data: seal(utf8('dgarbage')) },
      { hash: 'future', data: seal(utf8('xfuture')) },
      { hash: 'broken', data: seal(utf8('z(not zstd')) },
      { hash: 'empty', data: seal(new Uint8Array(0)) },
      { hash: 'short', data: new Uint8Array(3) },
      { hash: 'b', data },
    ];
    const result = other.merge(input, NOW);
    expect(result.accepted).toEqual(['b']);
    expect(Object.fromEntries(result.refused.map(({ hash, reason }) => [hash, reason]))).toEqual({
      foreign: 'undecryptable',
      garbage: 'malformed',
      future: 'unknown_type',
      broken: 'malformed',
      empty: 'unknown_type',
      short: 'undecryptable',
    });
    expect([other.get('n'), other.currentHashes]).toEqual(['b', ['b']]);
    expect(other.push(NOW).obsolete).toEqual([]);
    const only = config.merge(input.slice(0, 6), NOW);
    expect([only.accepted, only.changed, config.state]).toEqual([[], false, ConfigState.clean]);
  });

  test('who was away for five versions adopts the newest, edits or not', () => {
    const { config, data } = stored('a');
    const away = make();
    away.merge([{ hash: 'a', data }], NOW);
    away.set(['mine'], 1);
    let last = push(config);
    for (let i = 0; i < 8; i++) {
      config.confirm(last.seqno, [`h${i}`]);
      config.set(['n'], `${i}`);
      last = push(config);
    }
    away.merge([{ hash: 'new', data: last.data }], NOW);
    expect([away.state, away.seqno, away.get('mine')]).toEqual([ConfigState.clean, last.seqno, undefined]);
    expect(away.push(NOW)).toMatchObject({ messages: [last.data], obsolete: ['a'] });
  });

  test('what is obsolete can be deleted without a push, once a newer version is stored', () => {
    const { config, data } = stored('a');
    config.set(['n'], 'b');
    expect(config.takeObsolete()).toEqual([]);
    const next = push(config);
    expect([next.obsolete, config.takeObsolete()]).toEqual([['a'], []]);
    const other = make();
    other.merge(
      [
        { hash: 'b', data: next.data },
        { hash: 'a', data },
      ],
      NOW,
    );
    expect([other.takeObsolete(), other.takeObsolete(), other.needsPush]).toEqual([['a'], [], false]);
  });

  test('without keys nothing goes in or out', () => {
    const config = make({ keys: [] });
    expect(() => config.push(NOW)).toThrow(refusal('no_key'));
    expect(() => config.merge([], NOW)).toThrow(refusal('no_key'));
    const { config: other } = stored('a');
    other.dispose();
    expect(() => other.push(NOW)).toThrow(refusal('no_key'));
  });

  test('an older key still opens, the first one closes', () => {
    const { config, data } = stored('a');
    const newer = new Uint8Array(32).fill(8);
    const other = make({ keys: [newer] });
    expect(other.merge([{ hash: 'a', data }], NOW).refused).toEqual([{ hash: 'a', reason: 'undecryptable' }]);
    other.setKeys([newer, KEY]);
    expect(other.merge([{ hash: 'a', data }], NOW).accepted).toEqual(['a']);
    config.setKeys([KEY, newer], { repush: true });
    expect(config.state).toBe(ConfigState.clean);
    config.setKeys([newer, KEY], { repush: true });
    expect(config.state).toBe(ConfigState.dirty);
    expect(decryptConfig(push(config).data, [newer], 'Test')).toBeDefined();
  });
});

describe('signed configs', () => {
  const { publicKey: verifyKey, secretKey: signKey } = ed25519KeyPair(new Uint8Array(32).fill(1));
  const admin = { verifyKey, signKey };
  const member = { verifyKey };

  test('members read, and neither edit nor delete', () => {
    const [one, two] = [make(admin), make(member)];
    one.set(['n'], 'a');
    const first = push(one);
    two.merge([{ hash: 'h1', data: first.data }], NOW);
    expect(() => two.set(['n'], 'b')).toThrow(refusal('read_only'));
    expect(() => two.erase(['n'])).toThrow(refusal('read_only'));
    one.confirm(first.seqno, ['h1']);
    one.set(['n'], 'b');
    const second = push(one);
    two.merge([{ hash: 'h2', data: second.data }], NOW);
    expect(two.get('n')).toBe('b');
    expect(reload(two, member).push(NOW)).toMatchObject({ messages: [second.data], obsolete: [] });
    const unsigned = stored('evil');
    expect(two.merge([{ hash: 'e', data: unsigned.data }], NOW).refused).toEqual([
      { hash: 'e', reason: 'malformed' },
    ]);
  });

  test('of two versions of one number, members adopt the greater hash', () => {
    const versions = ['a', 'b'].map((name) => {
      const config = make(admin);
      config.set(['n'], name);
      return push(config).data;
    });
    const greater = versions.toSorted((a, b) => (open(a).hash < open(b).hash ? 1 : -1))[0] as Uint8Array;
    for (const order of [versions, versions.toReversed()]) {
      const config = make(member);
      for (const [i, data] of order.entries()) config.merge([{ hash: `${i}`, data }], NOW);
      expect(config.get('n')).toBe(open(greater).data.get('n'));
    }
  });

  test('an admin who was restarted names the parent that others know', () => {
    const config = make(admin);
    config.set(['n'], 'a');
    const first = push(config);
    config.confirm(first.seqno, ['h']);
    const again = reload(config, admin);
    again.set(['n'], 'b');
    const [, parent] = open(push(again).data).history;
    expect(parent?.hash).toBe(open(first.data).hash);
  });
});

describe('configs of many parts', () => {
  const noise = (size: number, label = 'x') =>
    toBinary(
      concat(...Array.from({ length: Math.ceil(size / 64) }, (_, i) => blake2b(utf8(`${label}${i}`), 64))),
    );
  const large = (label = 'x') => {
    const config = make();
    config.set(['blob'], noise(200_000, label));
    const { messages, seqno } = config.push(NOW);
    expect(messages).toHaveLength(3);
    return { config, seqno, parts: messages.map((data, i) => ({ hash: `p${i}`, data })) };
  };

  test('parts that come in any order, over restarts, make a whole', () => {
    const { config, parts, seqno } = large();
    let other = make();
    for (const i of [2, 0]) {
      const result = other.merge([parts[i]!], NOW);
      expect(result).toEqual({ accepted: [`p${i}`], refused: [], changed: false });
      expect(other.needsDump).toBe(true);
      other = reload(other);
    }
    expect(other.get('blob')).toBeUndefined();
    expect([other.currentHashes, other.activeHashes(NOW)]).toEqual([[], ['p0', 'p2']]);
    expect(other.merge([parts[0]!, parts[1]!], NOW)).toMatchObject({
      accepted: ['p0', 'p1', 'p2'],
      changed: true,
    });
    expect(other.get('blob')).toEqual(config.get('blob'));
    expect([other.currentHashes, other.activeHashes(NOW)]).toEqual([
      ['p0', 'p1', 'p2'],
      ['p0', 'p1', 'p2'],
    ]);
    // Nothing of it is news any more, neither there nor where it was made.
    expect(other.merge(parts, NOW).changed).toBe(false);
    config.confirm(seqno, ['p0', 'p1', 'p2']);
    expect(reload(config).merge(parts, NOW)).toMatchObject({ accepted: ['p0', 'p1', 'p2'], changed: false });
    other.set(['blob'], 'small');
    expect(other.push(NOW).obsolete).toEqual(['p0', 'p1', 'p2']);
  });

  test('parts whose siblings do not come are forgotten after seven days', () => {
    const { parts } = large();
    const other = make();
    other.merge(parts.slice(0, 2), NOW);
    expect(other.activeHashes(NOW + 7 * DAY - 1)).toEqual(['p0', 'p1']);
    expect(other.activeHashes(NOW + 7 * DAY)).toEqual([]);
    expect(other.merge([parts[2]!], NOW + 7 * DAY).changed).toBe(false);
    expect(other.get('blob')).toBeUndefined();
    expect(other.merge(parts, NOW + 8 * DAY).changed).toBe(true);
  });

  test('a whole is remembered for fourteen days', () => {
    const { parts } = large();
    const other = make();
    other.merge(parts, NOW);
    other.set(['blob'], 'small');
    other.confirm(other.push(NOW).seqno, ['s']);
    expect(other.merge(parts, NOW + 14 * DAY - 1).accepted).toEqual(['p0', 'p1', 'p2']);
    expect(other.activeHashes(NOW + 14 * DAY)).toEqual(['s']);
    expect(other.merge(parts.slice(0, 1), NOW + 15 * DAY).accepted).toEqual(['p0']);
    expect(other.activeHashes(NOW + 15 * DAY)).toEqual(['p0', 's']);
  });

  test('parts that lie are refused', () => {
    const whole = padConfig(
      packPlaintext(
        serializeVersion({ ...EMPTY_VERSION, seqno: 1, data: new Map([['b', noise(100_000)]]) }).plaintext,
        false,
      ),
    );
    const { pieces } = splitConfig(whole);
    const [first, second] = pieces as [Uint8Array, Uint8Array];
    const config = make();
    const give = (hash: string, piece: Uint8Array) =>
      config.merge([{ hash, data: encryptConfig(piece, KEY, 'Test') }], NOW);
    expect(give('a', first).accepted).toEqual(['a']);
    // The count stands at 42.
    const other = Uint8Array.from(second, (byte, i) => (i === 42 ? 3 : byte));
    expect(parsePiece(other)).toMatchObject({ index: 1, count: 3 });
    expect(give('b', other).refused).toEqual([{ hash: 'b', reason: 'malformed' }]);
    const changed = Uint8Array.from(second, (byte, i) => (i === 5000 ? byte ^ 1 : byte));
    expect(give('c', changed).refused).toEqual([{ hash: 'c', reason: 'malformed' }]);
    // That spoiled the set; all of it can come again.
    expect(give('b', second).changed).toBe(false);
    expect(give('a', first)).toMatchObject({ accepted: ['a', 'b'], changed: true });
  });

  test.each([
    ['a short hash', 'ml3:abc1:\x001:\x023:xyze'],
    ['one part only', `ml32:${'h'.repeat(32)}1:\x001:\x013:xyze`],
    ['an index beyond the count', `ml32:${'h'.repeat(32)}1:\x021:\x023:xyze`],
    ['an index of two bytes', `ml32:${'h'.repeat(32)}2:\x00\x001:\x023:xyze`],
    ['no chunk', `ml32:${'h'.repeat(32)}1:\x001:\x020:e`],
    ['one member more', `ml32:${'h'.repeat(32)}1:\x001:\x023:xyzi1ee`],
    ['no list', 'mde'],
    ['nothing', 'm'],
  ])('a part with %s is refused', (_, text) => {
    expect(() => parsePiece(fromBinary(text))).toThrow(ParseError);
  });

  test('bytes after a part do not matter', () => {
    expect(parsePiece(fromBinary(`ml32:${'h'.repeat(32)}1:\x001:\x023:xyze\0\0`)).chunk).toEqual(utf8('xyz'));
  });

  test('what no client would take is not pushed, and can be made smaller', () => {
    const config = make({ compress: false });
    config.set(['blob'], 'x'.repeat(5_000_000));
    expect(() => config.push(NOW)).toThrow(refusal('too_large'));
    expect(config.state).toBe(ConfigState.dirty);
    config.set(['blob'], 'x');
    expect(config.push(NOW).seqno).toBe(1);
  });
});

describe('dumps', () => {
  test('older ones have one hash as text', () => {
    const { config } = stored('a');
    const older = toBinary(config.dump(NOW)).replace('1:(l1:ae', '1:(1:a');
    expect(make({ dump: fromBinary(older) }).currentHashes).toEqual(['a']);
  });

  test.each([
    '',
    'de',
    'd1:!i0ee',
    'd1:!i7e1:$22:d1:#i0e1:&de1:<le1:=deee',
    'd1:!i0e1:$2:dee',
    'd1:!i0e1:$22:d1:#i0e1',
  ])('a broken one is told: %s', (text) => {
    expect(() => make({ dump: utf8(text) })).toThrow(ParseError);
  });
});
