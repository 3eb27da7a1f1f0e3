// SPDX-License-Identifier: AGPL-3.0-or-later
import type { StoredMessage } from '@allium/client/storage';
import type { AccountId } from '@allium/protocol/account-id';
import { expect, test } from 'vitest';
import { rowsOf } from '../../src/chat/rows.ts';

const BEN = `05${'b'.repeat(64)}` as AccountId;
const NOON = new Date(2026, 10, 21, 12).getTime();

const message = (timestamp: number, more: Partial<StoredMessage> = {}): StoredMessage => ({
  sender: BEN,
  timestamp,
  conversation: BEN,
  text: 'hello',
  state: 'received',
  handled: true,
  ...more,
});

test('a day has one divider, also where a timer was set', () => {
  const rows = rowsOf(
    [
      message(NOON - 86_400_000),
      message(NOON),
      message(NOON + 1, { notice: { kind: 'timer' }, text: '' }),
      message(NOON + 2),
      message(NOON + 3, { notice: { kind: 'timer' }, text: '' }),
    ],
    {
      ownId: `05${'a'.repeat(64)}`,
      width: 40,
      titleOf: () => 'Ben',
      readTo: undefined,
      progressOf: () => '',
      find: () => undefined,
      now: NOON + 10,
    },
  );
  const lines = rows.map(({ spans }) => spans.map(({ text }) => text).join(''));
  expect(lines.filter((line) => line.includes(' Today '))).toHaveLength(1);
  expect(lines.filter((line) => line.includes(' Yesterday '))).toHaveLength(1);
  expect(lines.filter((line) => line.includes('Ben let what they send stay'))).toHaveLength(2);
});
