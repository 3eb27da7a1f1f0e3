// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium listen`: prints messages as they arrive, and first those that waited in the swarm.
import { chosenSeeds } from '../home.ts';
import { explain, openSession, type SessionOptions, silentNetwork } from '../session.ts';
import { onStopSignal } from '../stop-signal.ts';
import { harmless, print, printJson, remark, styled } from '../terminal.ts';

export async function listen(
  options: SessionOptions & { readonly json?: boolean; readonly count?: number; readonly timeout?: number },
): Promise<number> {
  const stop = onStopSignal();
  const timeout = options.timeout === undefined ? undefined : AbortSignal.timeout(options.timeout * 1000);
  const signal = timeout === undefined ? stop.signal : AbortSignal.any([stop.signal, timeout]);
  let received = 0;
  let wasOnline = false;
  try {
    await using session = await openSession(options, 'receive');
    const { client } = session;
    remark(`Listening as ${client.id}. Ctrl-C ends.`);
    wasOnline = client.status === 'online';
    client.on('status', (status) => {
      if (status === 'offline') remark('Offline: no node can be reached at the moment; trying again.');
      else if (status === 'online') remark('Online.');
      wasOnline ||= status === 'online';
    });
    for await (const { sender, timestamp, text, hash } of client.messages({ signal })) {
      if (options.json === true) printJson({ from: sender, timestamp, text, hash });
      else printMessage(sender, timestamp, text);
      received += 1;
      if (received === options.count) break;
    }
  } catch (error) {
    if (!signal.aborted) throw explain(error, chosenSeeds(options));
  }
  if (!wasOnline && received === 0 && !stop.signal.aborted) {
    throw silentNetwork(options.timeout ?? 0, chosenSeeds(options));
  }
  const enough = options.count === undefined || received >= options.count;
  return enough || stop.signal.aborted ? 0 : 1;
}

function printMessage(sender: string, timestamp: number, text: string): void {
  const time = new Date(timestamp).toLocaleTimeString('en-GB');
  const [first = '', ...rest] = harmless(text).split('\n');
  print(`${styled('dim', time)}  ${styled('bold', `${sender.slice(0, 8)}…${sender.slice(-4)}`)}  ${first}`);
  for (const line of rest) print(`${' '.repeat(10)}${line}`);
}
