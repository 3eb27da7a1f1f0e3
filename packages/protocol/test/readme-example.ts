// SPDX-License-Identifier: MIT
// The example of README.md, word for word; readme.node.test.ts holds the two together and runs it.
import { Account } from '@allium/protocol/account';
import { fromUtf8, utf8 } from '@allium/protocol/bytes';
import { ed25519Verify, sealedBoxSeal } from '@allium/protocol/crypto';

const alice = Account.create();
const phrase = alice.phrase(); // 13 words; whoever has them is Alice
const sameAlice = Account.fromPhrase(phrase);

const signature = alice.sign(utf8('retrieve1700000000123'));
const sealed = sealedBoxSeal(utf8('only for Alice'), alice.x25519Key);

export const shown = `${alice}`; // Account(05ab…12cd): no printer shows more
export const isSigned = ed25519Verify(signature, utf8('retrieve1700000000123'), alice.ed25519Key);
export const opened = fromUtf8(sameAlice.openSealedBox(sealed)!);

alice.dispose(); // wipes the keys
