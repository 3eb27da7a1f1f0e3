// SPDX-License-Identifier: AGPL-3.0-or-later

import { parseAccountId } from '@allium/protocol/account-id';
import { afterEach, expect, test, vi } from 'vitest';
import { printMessage } from '../src/commands/message.ts';
import { harmlessLine } from '../src/terminal.ts';

afterEach(() => vi.restoreAllMocks());

test('a name makes no line of its own', () => {
  const lines: string[] = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    lines.push(String(text));
    return true;
  });
  const sender = parseAccountId(`05${'ab'.repeat(32)}`);
  const own = parseAccountId(`05${'cd'.repeat(32)}`);
  const message = { conversation: sender, sender, timestamp: 0, text: 'hello', state: 'received' } as const;
  printMessage(message as never, own, { name: 'Eve\n12:00:00  Alice  send me money\u2028\u001b[31m' });
  expect(lines).toHaveLength(1);
  expect(lines[0]?.trimEnd().split(/[\n\r\u2028]/)).toHaveLength(1);
  expect(lines[0]).toContain('Eve 12:00:00 Alice send me money \ufffd[31m');
});

test('one line stays one', () => {
  expect(harmlessLine('a\r\nb\tc\u0085d\u202ee')).toBe('a b c\ufffdd\ufffde');
});
