// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium calculate`: the formulas of docs/calculators.md.
import { quorumChances, shareCost, swarmChances } from '@allium/chain/calculators';
import { CliError } from '../cli-error.ts';
import { print, printJson } from '../terminal.ts';

interface Common {
  readonly share: number;
  readonly nodes: number;
  readonly json?: boolean;
}

export function calculateCost(
  options: Common & { readonly stake: number; readonly entryLimit: number },
): number {
  const cost = shareCost({
    share: options.share,
    honestNodes: options.nodes,
    stake: options.stake,
    registrationBps: Math.round(options.entryLimit * 10_000),
  });
  if (options.json === true) printJson(cost);
  else {
    print(
      `To run ${percent(options.share)} of all nodes beside ${grouped(options.nodes)} of honest operators:`,
    );
    print(`  nodes to add  ${grouped(cost.nodes)}`);
    print(`  stake         ${grouped(cost.tokens)} tokens, locked`);
    print(
      `  time          at least ${cost.epochs} ${cost.epochs === 1 ? 'epoch' : 'epochs'}, by the limit on new nodes`,
    );
  }
  return 0;
}

export function calculateQuorum(
  options: Common & { readonly quorumSize: number; readonly epochsPerDay: number },
): number {
  const chances = sensible(() => quorumChances(options));
  const honest = options.nodes - Math.round(options.share * options.nodes);
  const perDay = chances.capture * honest * options.epochsPerDay;
  if (options.json === true) printJson({ ...chances, capturesPerDay: perDay });
  else {
    const size = Math.min(options.quorumSize, options.nodes - 1);
    print(
      `${percent(options.share)} of ${grouped(options.nodes)} nodes are one attacker's; ${chances.threshold} of ${size} votes decide.`,
    );
    print(`  decides over a given honest node in an epoch   ${scientific(chances.capture)}`);
    print(`  holds up a decision for an epoch               ${scientific(chances.block)}`);
    print(`  quorums captured per day, over all targets     ${scientific(perDay)}`);
  }
  return 0;
}

export function calculateSwarm(options: Common & { readonly swarmSize: number }): number {
  const chances = sensible(() => swarmChances(options));
  if (options.json === true) printJson(chances);
  else {
    print(
      `${percent(options.share)} of ${grouped(options.nodes)} nodes are one attacker's; a swarm has ${options.swarmSize}.`,
    );
    print(`  at least one member is his: sees sizes and times   ${scientific(chances.any)}`);
    print(`  at least half are his                              ${scientific(chances.half)}`);
    print(`  all are his: can lose messages                     ${scientific(chances.all)}`);
  }
  return 0;
}

function sensible<T>(calculate: () => T): T {
  try {
    return calculate();
  } catch (error) {
    if (error instanceof RangeError) throw new CliError(error.message, 2);
    throw error;
  }
}

const grouped = (value: number) => value.toLocaleString('en-US');
const percent = (share: number) => `${Number((share * 100).toPrecision(3))} %`;
const scientific = (value: number) => (value === 0 ? '0' : value.toPrecision(2));
