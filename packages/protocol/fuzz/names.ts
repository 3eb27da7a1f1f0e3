// SPDX-License-Identifier: MIT
// Fuzz targets: names of accounts, as people type them and as nodes answer for them. A target throws on a bug only.
import type { FuzzTarget } from '../../../scripts/fuzz.ts';
import { toBinary, toHex, utf8 } from '../src/bytes.ts';
import { parseJson } from '../src/codec/json.ts';
import { ParseError } from '../src/errors.ts';
import { accountIdOf } from '../src/identity/account-id.ts';
import {
  openNameValue,
  parseNameAnswer,
  parseSessionName,
  sealNameValue,
} from '../src/identity/session-name.ts';

const NAME = parseSessionName('alice');
const ID = accountIdOf(new Uint8Array(32).fill(9));
const { encrypted, nonce } = sealNameValue(NAME, ID);
const ANSWER = { encrypted_value: toHex(encrypted), nonce: toHex(nonce) };

function refusing(run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
  }
}

export const targets: Record<string, FuzzTarget> = {
  sessionName: {
    seeds: ['alice', 'A-b_9', '-', 'x'.repeat(64)].map(utf8),
    run: (input) =>
      refusing(() => {
        const name = parseSessionName(toBinary(input));
        if (parseSessionName(name) !== name) throw new Error('a name that is not its own lower case');
      }),
  },
  nameAnswer: {
    seeds: [ANSWER, {}, { encrypted_value: null }, { encrypted_value: ANSWER.encrypted_value }].map((json) =>
      utf8(JSON.stringify(json)),
    ),
    run: (input) =>
      refusing(() => {
        const value = parseNameAnswer(parseJson(toBinary(input)));
        // Without a nonce opening takes a second by design.
        if (value?.nonce === undefined) return;
        const id = openNameValue(NAME, value);
        if (id !== undefined && id !== ID) throw new Error('a value of another account opens');
      }),
  },
};
