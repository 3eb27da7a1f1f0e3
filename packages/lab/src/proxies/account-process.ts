// SPDX-License-Identifier: AGPL-3.0-or-later
// Two accounts in a process of their own, for `lab -- proxies`: one writes to the other. Arguments: seeds separated by commas, the
// proxy or "none", seconds. Prints one line of JSON.
import { openClient } from '@allium/client/node';
import { Account } from '@allium/protocol/account';

export interface AccountReport {
  /** Until both had a path; undefined: never. */
  readonly readyMs?: number;
  /** From one to the other, the first message and the median of those after it. */
  readonly firstMs?: number;
  readonly medianMs?: number;
  /** Code of the error that ended it. */
  readonly error?: string;
  readonly message?: string;
}

const MESSAGES = 10;

const [seeds = '', proxy = 'none', seconds = '60'] = process.argv.slice(2);
const signal = AbortSignal.timeout(Number(seconds) * 1000);

async function open() {
  return openClient({
    account: Account.create(),
    network: 'local',
    seeds: seeds.split(','),
    ...(proxy !== 'none' && { proxy }),
  });
}

async function report(): Promise<AccountReport> {
  const began = performance.now();
  await using alice = await open();
  await using bob = await open();
  try {
    await Promise.all([alice.ready({ signal }), bob.ready({ signal })]);
    const readyMs = Math.round(performance.now() - began);
    const times: number[] = [];
    for (let i = 0; i < MESSAGES; i += 1) {
      const sentAt = performance.now();
      const arrived = (async () => {
        for await (const message of bob.messages({ signal })) {
          if (message.text === `message ${i}`) return;
        }
      })();
      await alice.conversation(bob.id).send(`message ${i}`, { signal });
      await arrived;
      signal.throwIfAborted();
      times.push(Math.round(performance.now() - sentAt));
    }
    const [firstMs = 0, ...others] = times;
    return { readyMs, firstMs, medianMs: others.sort((a, b) => a - b)[others.length >> 1] ?? 0 };
  } catch (error) {
    const { code, message } = error as { code?: unknown; message: string };
    return { error: typeof code === 'string' ? code : (alice.health().lastError ?? 'timeout'), message };
  }
}

process.stdout.write(`${JSON.stringify(await report())}\n`);
process.exit(0);
