// SPDX-License-Identifier: AGPL-3.0-or-later
// What somebody types is an account id or a name; an id with an error is never asked of the network as a name.
import { NameError } from '@allium/client/network/names';
import { Account } from '@allium/protocol/account';
import { expect, test } from 'vitest';
import { find } from '../src/worker/find.ts';

const { id } = Account.create();
const nobody = async (): Promise<never> => {
  throw new Error('the network was asked');
};

test.each([
  id,
  `  ${id}\n`,
  id.toUpperCase(),
  `https://example.org/#/chat/${id}`,
  `write to me: ${id}, please`,
])('an id is found without the network: %s', async (text) => {
  expect(await find(text, nobody)).toEqual({ id });
});

test.each(['', '  ', id.slice(0, -1), `${id}0`, id.slice(0, 30)])(
  'what looks like an id and is none is refused: %s',
  async (text) => {
    await expect(find(text, nobody)).rejects.toMatchObject({ code: 'invalid_recipient' });
  },
);

test('a name is asked of the network as it was typed, and told with the account', async () => {
  const asked: string[] = [];
  const resolve = async (name: string) => {
    asked.push(name);
    return id;
  };
  expect(await find(' Alice ', resolve)).toEqual({ id, name: 'Alice' });
  expect(asked).toEqual(['Alice']);
});

test('that nobody has a name is told apart from that nodes differ', async () => {
  const fail = (code: 'not_found' | 'disagree') => async (): Promise<never> => {
    throw new NameError(code, 'as nodes say');
  };
  await expect(find('alice', fail('not_found'))).rejects.toMatchObject({ code: 'name_unknown' });
  await expect(find('alice', fail('disagree'))).rejects.toMatchObject({ code: 'disagree' });
});
