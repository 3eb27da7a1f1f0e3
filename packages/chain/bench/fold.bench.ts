// SPDX-License-Identifier: MIT
// The fold of a large network from its deployment on, a restart from the snapshot, and the swarm algorithm on a network
// that is there at once. `npm run bench -- fold`
import { u32be } from '@allium/protocol/bytes';
import { runAssignment } from '@allium/protocol/swarm/assignment';
import { epochStart } from '../src/chain-view.ts';
import { draw, quorumSeed } from '../src/draw.ts';
import { ChainFold } from '../src/fold.ts';
import { encodeSnapshot, parseSnapshot } from '../src/fold-snapshot.ts';
import { hexOf, keccak256 } from '../src/packed.ts';
import { initialParameters } from '../src/parameters.ts';
import { PRESETS } from '../src/presets.ts';
import { EventWriter, NETWORK } from '../test/support/event-writer.ts';

const NODES = 10_000;
const EPOCHS = 1000;

/** Ten registrations per epoch, one suspension, one return, a reveal in most epochs. */
function history(): EventWriter {
  const writer = new EventWriter();
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    writer.passTo(epochStart(NETWORK, epoch) + 1);
    writer.reveal();
    writer.pass(NETWORK.revealSeconds);
    for (let n = 0; n < NODES / EPOCHS; n++) writer.register();
    if (epoch > 2) writer.decommission(1 + ((epoch * 7) % (writer.nodes.length - 20)));
    if (epoch > 4) writer.recommission(1 + (((epoch - 2) * 7) % (writer.nodes.length - 40)));
  }
  writer.passTo(epochStart(NETWORK, EPOCHS) + NETWORK.revealSeconds);
  return writer;
}

const row = (what: string, ms: number, more = '') =>
  console.log(`${what.padEnd(52)} ${ms.toFixed(ms < 10 ? 2 : 0).padStart(8)} ms  ${more}`);

export async function run(): Promise<void> {
  const writer = history();
  const before = process.memoryUsage();
  const cpuBefore = process.cpuUsage();
  let started = performance.now();
  const fold = new ChainFold(NETWORK, ChainFold.genesis(NETWORK, initialParameters(PRESETS.local.params)));
  for (const event of writer.events) fold.apply(event);
  fold.passTime(writer.now);
  const ms = performance.now() - started;
  const cpu = process.cpuUsage(cpuBefore);
  const { rss, heapUsed } = process.memoryUsage();
  const mib = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
  const view = fold.views.at(-1);
  row(
    `fold of ${fold.records.length} registrations, ${(view?.epoch ?? 0) + 1} epochs`,
    ms,
    `of processors ${Math.round((cpu.user + cpu.system) / 1000)} ms; ${writer.events.length} events, ${view?.swarms.size} swarms`,
  );
  console.log(
    `memory: heap +${mib(heapUsed - before.heapUsed)}, whole process ${mib(rss)} (events included)`,
  );

  const state = fold.state();
  started = performance.now();
  const text = encodeSnapshot(NETWORK, state);
  row('snapshot written', performance.now() - started, mib(text.length));
  started = performance.now();
  parseSnapshot(NETWORK, text);
  row('snapshot read', performance.now() - started);

  const keys = Array.from({ length: NODES }, (_, n) => hexOf(keccak256(u32be(n))).slice(2));
  started = performance.now();
  const { swarms } = runAssignment(new Map(), keys, 1n);
  row(`swarm algorithm, ${NODES} nodes at once`, performance.now() - started, `${swarms.size} swarms`);
  started = performance.now();
  runAssignment(swarms, [hexOf(keccak256(u32be(NODES))).slice(2)], 2n);
  row(`swarm algorithm, one node joins ${NODES}`, performance.now() - started);

  const rounds = 1000;
  const { slots } = state;
  started = performance.now();
  for (let target = 1; target <= rounds; target++) {
    const seed = quorumSeed(view?.seed as Uint8Array, target);
    draw({ seed, slots, slotCount: slots.length, epoch: view?.epoch ?? 0, skipNode: target, want: 10 });
  }
  row(`quorum of one target among ${slots.length} slots`, (performance.now() - started) / rounds);
}
