// SPDX-License-Identifier: MIT
// `npm run invariants [-- --calls N] [--seed S] [--mutants]`: random calls of all functions of the staking contracts on a
// development chain, with the invariants of spec/chain §5.4 held against every block. Exit code 1 with what was found and
// how to see it again. --mutants breaks the registry in several ways, one at a time, and wants each to be found.
import { parseArgs } from 'node:util';
import { Storm } from '../packages/chain/test/support/invariants/storm.ts';
import { compileRegistry } from './compile-contracts.ts';

/** A network is begun anew after so many calls: it stays small, and its parameters wander from the beginning. */
const CALLS_PER_NETWORK = 4000;

/** Faults that nothing but the invariants would show. */
const MUTANTS: { what: string; file: string; from: string; to: string }[] = [
  {
    what: 'a stake can be withdrawn twice',
    file: 'ServiceNodeRegistry.sol',
    from: '        c.withdrawn = true;\n        amount',
    to: '        amount',
  },
  {
    what: 'claims are not booked with the contributor',
    file: 'registry/Rewards.sol',
    from: 'c.claimed += uint96(amount);',
    to: '',
  },
  {
    what: 'claims are not booked with the pool',
    file: 'registry/Rewards.sol',
    from: '_accounting.allocated -= uint128(sum);',
    to: '',
  },
  {
    what: 'who leaves the paid is counted on',
    file: 'registry/Rewards.sol',
    from: '            --_accounting.payableCount;\n',
    to: '',
  },
  {
    what: 'earnings are forgotten at a suspension',
    file: 'registry/Rewards.sol',
    from: 'n.reward = uint128(_earned(n));',
    to: '',
  },
  {
    what: 'registrations count one epoch early',
    file: 'ServiceNodeRegistry.sol',
    from: 'epoch + 2, INF);',
    to: 'epoch + 1, INF);',
  },
  {
    what: 'a suspension ends the membership in the running epoch',
    file: 'ServiceNodeRegistry.sol',
    from: '_endMembership(nodeId, n.slot, epoch + 1);',
    to: '_endMembership(nodeId, n.slot, epoch);',
  },
  {
    what: 'slots are reused at once',
    file: 'registry/RegistryState.sol',
    from: 'SLOT_REST = 3;',
    to: 'SLOT_REST = 0;',
  },
  {
    what: 'removal without grace',
    file: 'ServiceNodeRegistry.sol',
    from: 'if (block.timestamp < graceUntil) revert',
    to: 'if (block.timestamp < n.decommissionedAt) revert',
  },
  {
    what: 'one suspension more than the limit',
    file: 'ServiceNodeRegistry.sol',
    from: '_accounting.decommissions > limit',
    to: '_accounting.decommissions > limit + 1',
  },
  {
    what: 'credit without a maximum',
    file: 'ServiceNodeRegistry.sol',
    from: 'return credit > _params.creditMax ? _params.creditMax : uint32(credit);',
    to: 'return uint32(credit);',
  },
  {
    what: 'queues out of order after a delay was shortened',
    file: 'registry/Rewards.sol',
    from: 'if (previous > time) return previous;',
    to: 'previous;',
  },
  {
    what: 'an exit that never comes due',
    file: 'ServiceNodeRegistry.sol',
    from: 'n.unlockAt = uint40(unlockAt);',
    to: 'n.unlockAt = uint40(unlockAt + 1);',
  },
];

async function storm(calls: number, seed: number): Promise<number> {
  const started = performance.now();
  await using storm = await Storm.start();
  let checks = 0;
  let made = 0;
  for (let network = 0; made < calls; network++) {
    const count = Math.min(CALLS_PER_NETWORK, calls - made);
    const findings = await storm.run(count, seed + network);
    made += count;
    checks += storm.watch.checks;
    const seconds = (performance.now() - started) / 1000;
    process.stderr.write(`\r${made} calls, ${seconds.toFixed(0)} s`);
    if (findings.length === 0) continue;
    console.error(`\nbroken: ${findings.slice(0, 10).join('\n')}`);
    console.error(`again with: npm run invariants -- --calls ${count} --seed ${seed + network}`);
    return 1;
  }
  const seconds = (performance.now() - started) / 1000;
  process.stderr.write('\r');
  let accepted = 0;
  console.log(`${'function'.padEnd(22)}${'accepted'.padStart(10)}${'refused'.padStart(10)}`);
  for (const [name, tally] of [...storm.tally].sort(([a], [b]) => a.localeCompare(b))) {
    accepted += tally.accepted;
    console.log(
      `${name.padEnd(22)}${String(tally.accepted).padStart(10)}${String(tally.refused).padStart(10)}`,
    );
  }
  console.log(
    `${made} random calls (seed ${seed}) and ${storm.calls - made} that take the stakes home: ${accepted} accepted, ` +
      `${storm.calls - accepted} refused, ${checks} checks, ${seconds.toFixed(0)} s: all invariants hold`,
  );
  return 0;
}

async function mutants(calls: number, seed: number): Promise<number> {
  let missed = 0;
  for (const { what, file, from, to } of MUTANTS) {
    const bytecode = compileRegistry((name, text) => {
      if (name !== file) return text;
      if (text.split(from).length !== 2) throw new Error(`${file} does not hold this once: ${from}`);
      return text.replace(from, to);
    });
    await using storm = await Storm.start({ registryBytecode: bytecode });
    let findings: string[] = [];
    for (let network = 0; storm.calls < calls && findings.length === 0; network++) {
      findings = await storm.run(Math.min(CALLS_PER_NETWORK, calls - storm.calls), seed + network);
    }
    if (findings.length === 0) missed++;
    console.log(`${what}: ${findings[0] ?? 'NOT FOUND'} (${storm.calls} calls)`);
  }
  console.log(`${MUTANTS.length - missed} of ${MUTANTS.length} faults found`);
  return missed === 0 ? 0 : 1;
}

const { values } = parseArgs({
  options: {
    calls: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    mutants: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const [calls, seed] = [Number(values.calls), Number(values.seed)];
if (values.help) {
  console.log('npm run invariants -- [--calls N] [--seed S] [--mutants]');
} else if (!Number.isSafeInteger(calls) || calls < 1 || !Number.isSafeInteger(seed)) {
  console.error('--calls and --seed take whole numbers');
  process.exitCode = 2;
} else {
  process.exitCode = values.mutants ? await mutants(calls, seed) : await storm(calls, seed);
}
