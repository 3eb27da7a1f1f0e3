// SPDX-License-Identifier: AGPL-3.0-or-later
// The attacker of `lab -- flood`, a process of its own that gives way to all others: it shares the machine with the node
// that it attacks, and the node, not the scheduler, is to be measured. Loopback only.
import { setPriority } from 'node:os';
import { fromHex } from '@allium/protocol/bytes';
import { type Assault, ATTACKS } from './attacks.ts';

const LEAST_PRIORITY = 19;

const [name, host = '', port, omqPort, publicKey = '', addresses = ''] = process.argv.slice(2);
if (!host.startsWith('127.')) throw new Error('only nodes on loopback are attacked');
setPriority(LEAST_PRIORITY);

const attack = ATTACKS.find((each) => each.name === name);
if (attack === undefined) throw new Error(`no attack ${name}`);
const abort = new AbortController();
const assault: Assault = {
  target: { host, port: Number(port), omqPort: Number(omqPort), publicKey: fromHex(publicKey, 32) },
  addresses: addresses.split(','),
  signal: abort.signal,
  tried: 0,
};
process.on('disconnect', () => process.exit(0));
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send?.({ tried: assault.tried, cpuSeconds: (user + system) / 1e6 });
});
await attack.run(assault);
