// SPDX-License-Identifier: MIT
// The invariants 1 to 14 of spec/chain §5.4, held against what a registry and its neighbours are and were.
import { earned, entitlement, type Look, type QueueEntry, type SeenNode } from './look.ts';

/** Events of one block, as far as the invariants need them. */
export interface Happened {
  readonly stateChanges: readonly {
    readonly nodeId: number;
    readonly state: number;
    readonly epoch: number;
  }[];
  readonly accrued: bigint;
  /** In how many steps. */
  readonly accruals: number;
  /** What others than the registry gave to the reward pool, and penalties. */
  readonly given: bigint;
  /** Values that were set in this block. */
  readonly deactivationBps: readonly number[];
  readonly rates: readonly (readonly [num: bigint, den: bigint])[];
  readonly creditMax: readonly number[];
}

export interface SeenQuorum {
  readonly nodeId: number;
  readonly epoch: number;
  readonly nodeIds: readonly number[];
  readonly threshold: number;
}

export interface Times {
  readonly t0: number;
  readonly epochLength: number;
}

const [ACTIVE, DECOMMISSIONED, DEREGISTERED] = [2, 3, 4];
const YEAR = 31_536_000n;

export class InvariantWatch {
  /** Each begins with the number of its invariant. */
  readonly findings: string[] = [];
  checks = 0;
  readonly #times: Times;
  #before: Look | undefined;
  #accrued = 0n;
  #accruals = 0;
  #creditMax = 0;
  #slotCounts = new Map<number, number>();
  #quorums = new Map<string, string>();
  #decommissions = new Map<number, number>();
  #bps = new Map<number, number>();

  constructor(times: Times) {
    this.#times = times;
  }

  #epoch(seconds: number): number {
    return Math.floor((seconds - this.#times.t0) / this.#times.epochLength);
  }

  #expect(number: number, holds: boolean, what: string): void {
    if (!holds) this.findings.push(`${number}. ${what}`);
  }

  /** `happened`: since the look before, all at that look's second. */
  see(look: Look, happened: Happened): void {
    this.checks++;
    this.#accruals += happened.accruals;
    this.#tokens(look);
    this.#counts(look);
    this.#slots(look);
    this.#queues(look);
    this.#accrued += happened.accrued;
    const claimed = sum(look.nodes.flatMap(({ contributors }) => contributors.map((one) => one.claimed)));
    const unclaimed = sum(look.nodes.map((node) => unpaid(node, look.accPerNode)));
    this.#expect(
      7,
      claimed + unclaimed <= this.#accrued,
      `${claimed} + ${unclaimed} of ${this.#accrued} released`,
    );
    this.#creditMax = Math.max(this.#creditMax, look.params.creditMax, ...happened.creditMax);
    for (const { nodeId, credit } of look.nodes)
      this.#expect(13, credit <= this.#creditMax, `credit of node ${nodeId}: ${credit}`);
    if (this.#before !== undefined) this.#changes(this.#before, look, happened);
    this.#before = look;
  }

  /** Quorums that can be voted on, asked for at the time of the newest look. */
  seeQuorums(quorums: readonly SeenQuorum[]): void {
    for (const { nodeId, epoch, nodeIds, threshold } of quorums) {
      const what = `quorum of node ${nodeId} in epoch ${epoch}: ${nodeIds.join()}, ${threshold}`;
      const key = `${nodeId}/${epoch}`;
      const before = this.#quorums.get(key) ?? what;
      this.#quorums.set(key, what);
      this.#expect(9, before === what, `${what}; before: ${before}`);
      const q = nodeIds.length;
      this.#expect(10, !nodeIds.includes(nodeId) && new Set(nodeIds).size === q, what);
      if (threshold > 0)
        this.#expect(10, 2 * threshold > q && q - threshold < threshold && threshold <= q, what);
    }
  }

  #tokens(look: Look): void {
    const { held, supply, allocated, accPerNode, nodes, funds } = look;
    const stakes = sum(
      nodes.flatMap((node) =>
        node.contributors.map(({ amount, withdrawn }, index) =>
          withdrawn ? 0n : amount - (index === 0 ? node.penalty : 0n),
        ),
      ),
    );
    this.#expect(1, held.registry === stakes, `the registry holds ${held.registry}, stakes are ${stakes}`);
    const waiting = sum(funds.map(({ state, contributed }) => (state === 3 ? 0n : contributed)));
    const brought = sum(funds.map(({ state, members }) => (state === 3 ? 0n : members)));
    this.#expect(
      2,
      held.pools === waiting && waiting === brought,
      `the pools hold ${held.pools}, contributed ${waiting}, by members ${brought}`,
    );
    const unclaimed = sum(nodes.map((node) => unpaid(node, accPerNode)));
    this.#expect(
      3,
      held.pool >= allocated && allocated >= unclaimed,
      `the reward pool holds ${held.pool}, allocated ${allocated}, unclaimed ${unclaimed}`,
    );
    // What rounding leaves over: a unit per step, per time that a node was settled, and per contributor.
    const steps = nodes.map(({ stateNonce, contributors }) => stateNonce + 2 + contributors.length);
    const rounding = BigInt(steps.reduce((a, b) => a + b, this.#accruals));
    this.#expect(
      3,
      allocated - unclaimed <= rounding,
      `allocated ${allocated} is more than ${unclaimed} unclaimed and ${rounding} of rounding`,
    );
    const total = held.registry + held.pools + held.pool + held.others;
    this.#expect(4, total === supply, `balances ${total} of ${supply}`);
    this.#expect(4, supply === (this.#before?.supply ?? supply), `supply ${supply}`);
  }

  #counts({ nodes, payableCount, activeCount }: Look): void {
    const payable = nodes.filter((node) => node.isPayable);
    const active = nodes.filter(({ state }) => state === ACTIVE);
    this.#expect(5, payable.length === payableCount, `${payableCount} payable, flags say ${payable.length}`);
    this.#expect(5, active.length === activeCount, `${activeCount} active, states say ${active.length}`);
    for (const { state, nodeId } of payable)
      this.#expect(5, state === ACTIVE, `node ${nodeId} is paid in state ${state}`);
  }

  #slots(look: Look): void {
    const owners = new Map<number, number>();
    for (const { nodeId, state, slot, slotNodeId } of look.nodes) {
      if (state !== ACTIVE && state !== DECOMMISSIONED) continue;
      this.#expect(8, !owners.has(slot), `slot ${slot} has the nodes ${owners.get(slot)} and ${nodeId}`);
      this.#expect(8, slotNodeId === nodeId, `the slot of node ${nodeId} names ${slotNodeId}`);
      owners.set(slot, nodeId);
    }
    const epoch = this.#epoch(look.time);
    for (const [ahead, count] of look.slotCounts.entries()) {
      const before = this.#slotCounts.get(epoch + ahead) ?? count;
      this.#expect(8, before === count, `S(${epoch + ahead}) was ${before}, is ${count}`);
      this.#slotCounts.set(epoch + ahead, count);
    }
  }

  #queues(look: Look): void {
    const check = (queue: readonly QueueEntry[], name: string) => {
      for (const [index, { time }] of queue.entries()) {
        const previous = queue[index - 1]?.time ?? 0;
        this.#expect(14, time >= previous, `queue ${name}: ${time} after ${previous}`);
        this.#expect(
          14,
          time >= look.lastAccrual,
          `queue ${name}: ${time} waits, accrued up to ${look.lastAccrual}`,
        );
      }
    };
    check(look.payQueue, 'P');
    check(look.exitQueue, 'X');
  }

  #changes(before: Look, now: Look, happened: Happened): void {
    this.#expect(6, now.accPerNode >= before.accPerNode, `accPerNode fell to ${now.accPerNode}`);
    const epoch = this.#epoch(before.time);
    for (const node of now.nodes) {
      const old = before.nodes[node.nodeId - 1];
      const { nodeId } = node;
      if (old === undefined || old.from !== node.from || old.slot !== node.slot) {
        const isOwn = node.slotNodeId === nodeId && (node.state === ACTIVE || node.state === DECOMMISSIONED);
        this.#expect(
          8,
          !isOwn || node.from >= epoch + 2,
          `node ${nodeId} from ${node.from}, written in ${epoch}`,
        );
      }
      if (old === undefined) continue;
      this.#expect(6, node.stateNonce >= old.stateNonce, `stateNonce of node ${nodeId} fell`);
      const w = [earned(old, before.accPerNode), earned(node, now.accPerNode)] as const;
      this.#expect(6, w[1] >= w[0], `earnings of node ${nodeId} fell from ${w[0]} to ${w[1]}`);
      for (const [index, { claimed }] of node.contributors.entries()) {
        this.#expect(
          6,
          claimed >= (old.contributors[index]?.claimed ?? 0n),
          `claimed of node ${nodeId} fell`,
        );
        const owed = [
          entitlement(old, index, before.accPerNode),
          entitlement(node, index, now.accPerNode),
        ] as const;
        this.#expect(6, owed[1] >= owed[0], `entitlement ${index} of node ${nodeId} fell`);
      }
      if (node.state === DEREGISTERED && old.state !== DEREGISTERED) this.#removal(node, before, happened);
    }
    this.#rates(before, now, happened, epoch);
  }

  #removal(node: SeenNode, before: Look, happened: Happened): void {
    const { nodeId, decommissionedAt, credit } = node;
    const { t0, epochLength } = this.#times;
    const grace = before.time - decommissionedAt;
    this.#expect(
      11,
      grace >= Math.max(credit, 2 * epochLength),
      `node ${nodeId} removed after ${grace} s, credit ${credit}`,
    );
    const vote = happened.stateChanges.find((one) => one.nodeId === nodeId && one.state === DEREGISTERED);
    const votedFrom = t0 + (vote?.epoch ?? -1) * epochLength;
    this.#expect(11, votedFrom > decommissionedAt, `node ${nodeId} removed by the epoch of its suspension`);
  }

  #rates(before: Look, now: Look, happened: Happened, epoch: number): void {
    const bps = Math.max(
      this.#bps.get(epoch) ?? 0,
      before.params.deactivationBps,
      now.params.deactivationBps,
      ...happened.deactivationBps,
    );
    this.#bps.set(epoch, bps);
    const suspended = happened.stateChanges.filter(({ state }) => state === DECOMMISSIONED).length;
    const total = (this.#decommissions.get(epoch) ?? 0) + suspended;
    this.#decommissions.set(epoch, total);
    if (suspended > 0) {
      const limit = Math.max(2, Math.ceil((bps * now.activeBase) / 10_000));
      this.#expect(
        12,
        now.counterEpoch === epoch && total <= limit,
        `${total} suspended in epoch ${epoch}, limit ${limit}`,
      );
    }
    const free = before.held.pool - before.allocated + happened.given;
    const dt = BigInt(Math.max(0, before.time - before.lastAccrual));
    const rates: (readonly [bigint, bigint])[] = [
      [before.params.rateNum, before.params.rateDen],
      [now.params.rateNum, now.params.rateDen],
      ...happened.rates,
    ];
    let most = 0n;
    for (const [num, den] of rates) {
      const released = (free * num * dt) / (den * YEAR);
      if (released > most) most = released;
    }
    this.#expect(7, happened.accrued <= most, `released ${happened.accrued}, the formula gives ${most}`);
  }
}

function sum(values: readonly bigint[]): bigint {
  return values.reduce((a, b) => a + b, 0n);
}

function unpaid(node: SeenNode, accPerNode: bigint): bigint {
  return sum(node.contributors.map(({ claimed }, index) => entitlement(node, index, accPerNode) - claimed));
}
