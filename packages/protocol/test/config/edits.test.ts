// SPDX-License-Identifier: MIT
// What a device has edited and is not known to be stored: told, and found again when others were too far ahead. And what
// our own clients keep in the configs besides what the specification has.
import { describe, expect, test } from 'vitest';
import { ContactsConfig } from '../../src/config/contacts.ts';
import { UserProfileConfig } from '../../src/config/user-profile.ts';
import { Account } from '../../src/identity/account.ts';

const NOW = 1_767_225_600_000;
const DAY = 86_400_000;
const ACCOUNT = Account.fromSeed(new Uint8Array(16).fill(1));
const BOB = Account.fromSeed(new Uint8Array(16).fill(2)).id;

describe('edits that are not known to be stored', () => {
  const edited = () => {
    const config = new UserProfileConfig(ACCOUNT);
    config.setName('mine', 1);
    return config;
  };

  test('are told until they are confirmed', () => {
    const config = edited();
    expect(config.edits().map(({ path }) => path)).toEqual([['n'], ['t']]);
    const { seqno } = config.push(NOW);
    expect(config.edits()).toHaveLength(2);
    config.confirm(seqno, ['h']);
    expect(config.edits()).toEqual([]);
  });

  test('are told as lost when others were too far ahead, and can be made again', () => {
    const config = edited();
    const other = new UserProfileConfig(ACCOUNT);
    for (let i = 1; i <= 8; i++) {
      other.setNoteToSelfPriority(i);
      other.confirm(other.push(NOW).seqno, [`o${i}`]);
    }
    const [data] = other.push(NOW).messages;
    const edits = config.edits();
    expect(config.merge([{ hash: 'o8', data: data! }], NOW)).toMatchObject({
      changed: true,
      overtaken: true,
    });
    expect(config.name).toBe('');
    config.redo(edits);
    expect([config.name, config.noteToSelfPriority, config.needsPush]).toEqual(['mine', 8, true]);
    expect(config.seqno).toBe(9);
  });

  test('are not lost when they are merged, nor when the others have them', () => {
    const config = edited();
    const other = new UserProfileConfig(ACCOUNT);
    other.setNoteToSelfPriority(1);
    const [theirs] = other.push(NOW).messages;
    expect(config.merge([{ hash: 'o', data: theirs! }], NOW).overtaken).toBeUndefined();
    expect([config.name, config.edits().length]).toEqual(['mine', 2]);
    const [merged] = config.push(NOW).messages;
    other.merge([{ hash: 'm', data: merged! }], NOW);
    other.setNoteToSelfPriority(2);
    const [next] = other.push(NOW).messages;
    // Stored, though nobody has told this device so.
    expect(config.merge([{ hash: 'n', data: next! }], NOW).overtaken).toBeUndefined();
    expect([config.name, config.noteToSelfPriority, config.edits()]).toEqual(['mine', 2, []]);
  });
});

describe('members of our own', () => {
  test('when a conversation was erased is shared, and forgotten when no message can be left', () => {
    const config = new ContactsConfig(ACCOUNT);
    config.setErasedAt(BOB, NOW);
    expect([config.erasedAt(BOB), [...config.erased()]]).toEqual([NOW, [{ id: BOB, at: NOW }]]);
    expect(config.contact(BOB)).toBeUndefined();
    const other = new ContactsConfig(ACCOUNT);
    other.merge([{ hash: 'h', data: config.push(NOW).messages[0]! }], NOW);
    expect(other.erasedAt(BOB)).toBe(NOW);
    other.setContact({ id: BOB, name: 'Bob' });
    other.push(NOW + 46 * DAY);
    expect([other.erasedAt(BOB), other.contact(BOB)?.name]).toEqual([undefined, 'Bob']);
  });

  test('settings that only our clients know', () => {
    const config = new UserProfileConfig(ACCOUNT);
    expect(config.setting('typing')).toBeUndefined();
    config.setSetting('typing', 0);
    const other = new UserProfileConfig(ACCOUNT, config.dump(NOW));
    expect(other.setting('typing')).toBe(0);
  });
});

test('what others changed is not undone by what this device still remembers of the versions before', () => {
  const [ours, theirs, others] = [1, 2, 3].map(() => new UserProfileConfig(ACCOUNT)) as [
    UserProfileConfig,
    UserProfileConfig,
    UserProfileConfig,
  ];
  let now = 1_800_000_000_000;
  const push = (from: UserProfileConfig, to: readonly UserProfileConfig[]) => {
    const { seqno, messages } = from.push(now++);
    from.confirm(seqno, [`v${seqno}`]);
    for (const config of to) config.merge([{ hash: `v${seqno}`, data: messages[0]! }], now++);
    return seqno;
  };
  others.set(['N'], 'first');
  expect(push(others, [ours, theirs])).toBe(1);
  // It is to be merged with what the others come to meanwhile.
  theirs.set(['N'], 'second');
  for (let i = 2; i <= 5; i++) {
    others.set(['x'], i);
    push(others, i < 5 ? [ours] : [ours, theirs]);
  }
  expect(push(theirs, [others])).toBe(6);
  ours.set(['y'], 1);
  expect(ours.seqno).toBe(6);
  for (let i = 7; i <= 8; i++) {
    others.set(['x'], i);
    expect(push(others, i < 8 ? [] : [ours])).toBe(i);
  }
  expect([ours.get('N'), ours.get('x'), ours.get('y')]).toEqual(['second', 8, 1]);
});

test('an edit that was made many versions ago is not undone by a version beside the one that has it', () => {
  // Whichever of the two has the greater hash.
  for (let variant = 0; variant < 8; variant++) {
    const [ours, first, second] = [1, 2, 3].map(() => new UserProfileConfig(ACCOUNT)) as [
      UserProfileConfig,
      UserProfileConfig,
      UserProfileConfig,
    ];
    let now = 1_800_000_000_000;
    const data = new Map<number, Uint8Array>();
    const push = (from: UserProfileConfig) => {
      const { seqno, messages } = from.push(now++);
      from.confirm(seqno, [`v${seqno}`]);
      data.set(seqno, messages[0]!);
      return seqno;
    };
    const take = (to: UserProfileConfig, seqno: number, name = `v${seqno}`) =>
      to.merge([{ hash: name, data: data.get(seqno)! }], now++);
    first.set(['N'], 'old');
    first.set(['gone'], 'still here');
    first.set(['set'], new Set(['a', 'b']));
    push(first);
    take(ours, 1);
    // Offline.
    ours.set(['N'], 'new');
    ours.erase(['gone']);
    ours.removeFromSet(['set'], 'a');
    ours.addToSet(['set'], 'c');
    for (let i = 2; i <= 6; i++) {
      first.set(['x'], i * 100 + variant);
      push(first);
    }
    for (let i = 2; i <= 6; i++) take(second, i);
    second.set(['y'], variant);
    expect(take(ours, 6).overtaken).toBeUndefined();
    expect([ours.seqno, second.seqno]).toEqual([7, 7]);
    ours.set(['z'], 1);
    // What the set was changed by before is said beside it.
    ours.addToSet(['set'], 'd');
    push(ours);
    take(second, 7, 'of ours');
    expect(second.get('N')).toBe('new');
    expect(second.get('gone')).toBeUndefined();
    expect(second.get('set')).toEqual(new Set(['b', 'c', 'd']));
    expect([second.get('x'), second.get('y'), second.get('z')]).toEqual([600 + variant, variant, 1]);
  }
});
