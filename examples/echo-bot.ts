// SPDX-License-Identifier: MIT
// A bot that answers every message with its own text:
//   ALLIUM_SEED=https://127.0.0.1:… ALLIUM_PHRASE='thirteen words' ALLIUM_FOLDER=bot npx -c 'node examples/echo-bot.ts'
// Without a phrase it makes a new account; without a folder it forgets with the process.
import { openClient } from '@allium/client/node';
import { Account } from '@allium/protocol/account';
import { settings } from './settings.ts';

const { ALLIUM_SEED: seed, ALLIUM_PHRASE: phrase, ALLIUM_FOLDER: folder } = settings('ALLIUM_SEED');
const account = phrase === undefined ? Account.create() : Account.fromPhrase(phrase);
await using client = await openClient({ account, seeds: [seed], ...(folder && { folder }) });
await client.ready();
console.log(`echo bot ${client.id}`);
for await (const { sender, text } of client.messages())
  await client.conversation(sender).send(text).catch(console.error);
