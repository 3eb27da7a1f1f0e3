// SPDX-License-Identifier: AGPL-3.0-or-later
// Metrics of a node that votes (spec/chain §4.19).
import type { Counter, Gauge, Registry } from 'prom-client';
import type { GovernanceFigures } from './governance.ts';

const WEI_PER_ETHER = 1e18;

export function registerGovernance(
  registry: Registry,
  { Counter: CounterOf, Gauge: GaugeOf }: { Counter: typeof Counter; Gauge: typeof Gauge },
  { governance }: { governance: () => GovernanceFigures | undefined },
): void {
  const registers = [registry];
  const counter = (name: string, help: string, value: (figures: GovernanceFigures) => number) =>
    new CounterOf({
      name,
      help,
      registers,
      collect() {
        const figures = governance();
        this.reset();
        if (figures !== undefined) this.inc(value(figures));
      },
    });
  const gauge = (name: string, help: string, value: (figures: GovernanceFigures) => number | undefined) =>
    new GaugeOf({
      name,
      help,
      registers,
      collect() {
        const figures = governance();
        this.set((figures && value(figures)) ?? Number.NaN);
      },
    });
  counter('allium_votes_cast_total', 'Votes of this node', ({ votes }) => votes.cast);
  counter('allium_votes_received_total', 'Votes that came in', ({ votes }) => votes.received);
  counter('allium_votes_invalid_total', 'Votes that came in and were invalid', ({ votes }) => votes.invalid);
  gauge('allium_votes_held', 'Votes that are kept until they are on the chain or dead', (f) => f.votesHeld);
  gauge('allium_quorum_seats', 'Seats of this node in quorums whose votes count', ({ seats }) => seats);
  counter('allium_seeds_revealed_total', 'Turns of this node with a seed', ({ turns }) => turns.revealed);
  counter('allium_seeds_missed_total', 'Turns of this node without one', ({ turns }) => turns.missed);
  gauge('allium_gas_balance_ether', 'Money of the voting key; NaN while unknown', ({ gasBalance }) =>
    gasBalance === undefined ? undefined : Number(gasBalance) / WEI_PER_ETHER,
  );
  gauge('allium_gas_left_days', 'How long that lasts; NaN while unknown', ({ gasDaysLeft }) => gasDaysLeft);
  new CounterOf({
    name: 'allium_decisions_submitted_total',
    help: 'Decisions of quorums that this node tried to bring to the chain, by outcome',
    labelNames: ['outcome'],
    registers,
    collect() {
      this.reset();
      for (const [outcome, count] of governance()?.votes.submitted ?? []) this.inc({ outcome }, count);
    },
  });
}
