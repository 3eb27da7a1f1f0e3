// SPDX-License-Identifier: AGPL-3.0-or-later
// Chain life: a network of processes on a development chain lives through what a network on a chain has to live through, in
// under three minutes from the deployment: silence, decommission, return, deregistration, rewards, an exit, killed
// submitters, a restart of everything, a lost disk. Nodes decide all of it by themselves; a step counts only when its events
// were read from the chain.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { epochAt, STATE_NUMBERS } from '@allium/chain/chain-view';
import { PRESETS } from '@allium/chain/presets';
import type { HistoryEntry } from '@allium/chain/registry-history';
import { tokens } from '@allium/chain/stake/amounts';
import { StakeError } from '@allium/chain/stake/error';
import { requestExit, withdrawStake } from '@allium/chain/stake/transactions';
import { systemClock } from '@allium/net/system-env';
import { toHex } from '@allium/protocol/bytes';
import { delay } from '@allium/protocol/env';
import { AlliumError } from '@allium/protocol/errors';
import { reasonCodes } from '@allium/protocol/membership/reasons';
import { swarmIdHex } from '@allium/protocol/swarm';
import { swarmMapDigest } from '@allium/protocol/swarm/assignment';
import { type ProcessDevnet, type ProcessNode, startProcessDevnet } from '../process-devnet.ts';
import type { DevChain } from './dev-chain.ts';
import { claimAll, readLedger } from './ledger.ts';
import { askForList, digestOf } from './node-list.ts';
import { StoredMessages } from './stored-messages.ts';

/** A step that was not seen, or figures that do not agree. */
class ChainLifeError extends AlliumError<'not_seen' | 'wrong_figures'> {
  override readonly name = 'ChainLifeError';
}

interface ChainLifeResult {
  readonly steps: number;
  readonly seconds: number;
  /** From a node's silence to its decommission, by node. */
  readonly silence: readonly { readonly seconds: number; readonly epochs: number }[];
}

// Ours.
const NODES = 14;
const ACCOUNTS = 12;
const MESSAGES_PER_ACCOUNT = 4;
const SUBMITTERS = 2;
const POLL_MS = 300;
const STEP_LIMIT_SECONDS = 120;
const BEFORE_GRACE_SECONDS = 2;
/** What a node cannot make anew: its operator has a copy. */
const BACKED_UP = new Set(['node.key', 'voting.key', 'beacon.json']);

const PRESET = PRESETS.local;
const NAMES = Object.fromEntries(Object.entries(STATE_NUMBERS).map(([name, number]) => [number, name]));

export async function runChainLife(print: (line: string) => void): Promise<ChainLifeResult> {
  const folder = mkdtempSync(join(tmpdir(), 'allium-chain-life-'));
  const life = new ChainLife(folder, print);
  try {
    const result = await life.run();
    await life.end();
    rmSync(folder, { recursive: true, force: true });
    return result;
  } catch (error) {
    await life.end();
    print(`Chain and nodes are left in ${folder}`);
    throw error;
  }
}

class ChainLife {
  readonly #folder: string;
  readonly #print: (line: string) => void;
  readonly #began = performance.now();
  readonly #messages = new StoredMessages();
  readonly #silence: { seconds: number; epochs: number }[] = [];
  #net: ProcessDevnet | undefined;
  #steps = 0;

  constructor(folder: string, print: (line: string) => void) {
    this.#folder = folder;
    this.#print = print;
  }

  async run(): Promise<ChainLifeResult> {
    await this.#deploy();
    const [away, lost, leaving] = this.#oneSwarm();
    await this.#messages.store(this.#chain, this.#nodes, ACCOUNTS, MESSAGES_PER_ACCOUNT);
    this.#step(`${this.#messages.count} messages stored, each by its whole swarm`);
    const silentAt = systemClock.now() / 1000;
    await Promise.all([away.kill(), lost.kill()]);
    this.#say(`nodes ${away.name} and ${lost.name} fall silent (SIGKILL)`);
    const exit = this.#exit(leaving);
    exit.catch(() => {}); // is awaited below
    await Promise.all([this.#outage(away, silentAt), this.#removal(lost, silentAt), exit, this.#epochs()]);
    await this.#rebalanced([lost, leaving]);
    await this.#rewards([lost, leaving]);
    await this.#restart(away);
    const seconds = (performance.now() - this.#began) / 1000;
    return { steps: this.#steps, seconds, silence: this.#silence };
  }

  async end(): Promise<void> {
    this.#messages.close();
    await this.#net?.stop();
  }

  get #chain(): DevChain {
    return this.#net?.chain as DevChain;
  }

  get #nodes(): readonly ProcessNode[] {
    return this.#net?.nodes ?? [];
  }

  async #deploy(): Promise<void> {
    await this.#start();
    const registered = await this.#seen(
      `${NODES} registrations`,
      ({ name }) => name === 'NodeRegistered',
      NODES,
    );
    const { t0, deployment } = { t0: this.#chain.network.t0, deployment: this.#chain.deployment };
    const lead = Math.round(this.#sinceStart() - (systemClock.now() / 1000 - t0));
    this.#step(
      `contracts deployed (registry ${deployment.registry}), ${registered.length} nodes registered by ${this.#chain.operators.length} operators ` +
        `and in ${this.#chain.epochView.swarms.size} swarms; the chain's clock was ${-lead} s slow until then`,
    );
  }

  /** Three nodes of one swarm: what happens to them hits the same messages. */
  #oneSwarm(): [ProcessNode, ProcessNode, ProcessNode] {
    const swarm = this.#nodes[0]?.swarm;
    // Not the first ones, which others ask at their start.
    const members = this.#nodes.filter((node) => node.swarm === swarm);
    return members.slice(-3) as [ProcessNode, ProcessNode, ProcessNode];
  }

  /** Suspended by its quorum, back, reinstated by its quorum. */
  async #outage(node: ProcessNode, silentAt: number): Promise<void> {
    await this.#decommissioned(node, silentAt);
    await node.start();
    this.#say(`node ${node.name} is back`);
    const backAt = systemClock.now() / 1000;
    const event = await this.#state(node, STATE_NUMBERS.active);
    const seconds = event.timestamp - backAt;
    this.#step(
      `node ${node.name} recommissioned ${seconds.toFixed(0)} s after its return ${this.#by(event)}`,
    );
    const { from } = await this.#membership(node, event);
    await this.#until(
      `node ${node.name} is a member again`,
      () => this.#chain.epochView.epoch >= from && node.swarm !== '',
    );
    this.#step(`node ${node.name} is in swarm ${node.swarm} again, from epoch ${from} on`);
  }

  /** Suspended, never back, removed; while the first two who could tell the registry are killed. */
  async #removal(node: ProcessNode, silentAt: number): Promise<void> {
    const decommission = await this.#decommissioned(node, silentAt);
    const record = this.#chain.view.nodes().get(this.#id(node));
    const grace = Math.max(record?.credit ?? 0, PRESET.params.minGrace);
    await this.#at(decommission.timestamp + grace - BEFORE_GRACE_SECONDS);
    const killed = await this.#killSubmitters(node);
    const event = await this.#state(node, STATE_NUMBERS.deregistered);
    const dead = killed.map((one) => this.#chain.view.nodes().get(this.#id(one))?.votingKey);
    if (dead.some((key) => key === event.sender)) {
      throw new ChainLifeError('wrong_figures', 'a killed node submitted');
    }
    this.#step(
      `node ${node.name} deregistered ${(event.timestamp - decommission.timestamp).toFixed(0)} s after its decommission ${this.#by(event)}, ` +
        `though ${killed.map((one) => one.name).join(' and ')} were dead`,
    );
    await Promise.all([...killed.map((one) => one.start()), this.#locked(node)]);
    this.#say(`nodes ${killed.map((one) => one.name).join(' and ')} are back`);
  }

  /** The stake of a deregistered node cannot be taken back before its time. */
  async #locked(node: ProcessNode): Promise<void> {
    const session = await this.#chain.session(this.#operator(node));
    const nodeId = this.#id(node);
    try {
      await session.tryOut([withdrawStake(this.#chain.deployment.registry, nodeId, 0)]);
    } catch (error) {
      if (!(error instanceof StakeError) || error.contractError !== 'Locked') throw error;
      this.#step(`the stake of node ${node.name} is locked: the registry answers "${error.message}"`);
      return;
    }
    throw new ChainLifeError('wrong_figures', 'the stake of a deregistered node is not locked');
  }

  async #exit(node: ProcessNode): Promise<void> {
    const { registry } = this.#chain.deployment;
    const nodeId = this.#id(node);
    const session = await this.#chain.session(this.#operator(node));
    await session.send(requestExit(registry, nodeId, 0));
    const [request] = await this.#seen('the request of an exit', isOf('ExitRequested', nodeId));
    const unlockAt = Number(request?.args.unlockAt);
    const requestedAt = request?.timestamp ?? 0;
    this.#step(
      `node ${node.name} asks to leave: its stake is free in ${unlockAt - requestedAt} s; until then it serves`,
    );
    try {
      await session.tryOut([withdrawStake(registry, nodeId, 0)]);
      throw new ChainLifeError('wrong_figures', 'a stake could be taken back before its time');
    } catch (error) {
      if (!(error instanceof StakeError) || error.code !== 'refused') throw error;
    }
    await this.#at(unlockAt + 1);
    const before = (await session.funds()).tokens;
    await session.send(withdrawStake(registry, nodeId, 0));
    await this.#state(node, STATE_NUMBERS.exited);
    const [withdrawn] = await this.#seen('the return of a stake', isOf('StakeWithdrawn', nodeId));
    const got = (await session.funds()).tokens - before;
    if (got !== PRESET.params.stakingRequirement || withdrawn?.args.amount !== got) {
      throw new ChainLifeError('wrong_figures', `${tokens(got)} tokens came back`);
    }
    this.#step(
      `node ${node.name} exited, ${tokens(got)} tokens paid back ${(withdrawn.timestamp - requestedAt).toFixed(0)} s after the request`,
    );
  }

  /** A seed is revealed by the node whose turn it is. */
  async #epochs(): Promise<void> {
    const [reveal] = await this.#seen('a revealed seed', ({ name }) => name === 'SeedRevealed');
    this.#step(
      `epoch ${String(reveal?.args.epoch)}: node ${this.#name(Number(reveal?.args.nodeId))} reveals the seed`,
    );
  }

  async #rebalanced(gone: readonly ProcessNode[]): Promise<void> {
    await this.#until('those who are out are in no swarm', () => gone.every((node) => node.swarm === ''));
    const lacking = await this.#untilNothing(() => this.#messages.missing(this.#chain, this.#nodes));
    if (lacking.length > 0) throw new ChainLifeError('wrong_figures', `messages lost: ${lacking.join(', ')}`);
    this.#step(
      `swarms rebalanced to ${this.#sizes()}; all ${this.#messages.count} messages are with every member of theirs`,
    );
  }

  async #rewards(finished: readonly ProcessNode[]): Promise<void> {
    const paid = await claimAll(this.#chain);
    const sum = [...paid.values()].reduce((total, one) => total + one, 0n);
    const ledger = await readLedger(this.#chain);
    const { accrued, claimed, allocated, claimable, poolBalance, poolExpected } = ledger;
    const agree = [
      ['paid to the operators and claimed', sum, claimed],
      ['accrued less claimed and allocated', accrued - claimed, allocated],
      ['the pool and what it must hold', poolBalance, poolExpected],
    ] as const;
    for (const [what, one, other] of agree) {
      if (one !== other) throw new ChainLifeError('wrong_figures', `${what} differ: ${one}, ${other}`);
    }
    if (claimed === 0n || claimable > allocated) {
      throw new ChainLifeError('wrong_figures', `claimed ${claimed}, ${claimable} of ${allocated} claimable`);
    }
    // Those earn nothing more: their last unit has been claimed.
    const session = await this.#chain.treasury();
    for (const node of finished) {
      const nodeId = this.#id(node);
      const { reward } = await session.read<{ reward: bigint }>('lens', 'node', nodeId);
      const got = this.#chain.history.entries
        .filter(isOf('RewardsClaimed', nodeId))
        .reduce((total, { args }) => total + (args.amount as bigint), 0n);
      if (got !== reward) {
        throw new ChainLifeError(
          'wrong_figures',
          `node ${node.name} earned ${reward} units, claimed were ${got}`,
        );
      }
    }
    this.#step(
      `${tokens(claimed)} tokens of rewards claimed by ${paid.size} operators: accrued ${accrued} units = claimed ${claimed} + set aside ${allocated}; ` +
        `the pool lost exactly these; ${finished.map((node) => node.name).join(' and ')} have nothing left to claim`,
    );
  }

  /** Everything ends and starts again; one node has lost its disk but for the copies of its keys. */
  async #restart(victim: ProcessNode): Promise<void> {
    const { entries } = this.#chain.history;
    await this.#net?.stop();
    this.#net = undefined;
    for (const name of readdirSync(victim.folder)) {
      if (!BACKED_UP.has(name)) rmSync(join(victim.folder, name), { recursive: true });
    }
    this.#say(`all is stopped, the disk of node ${victim.name} is empty but for its keys`);
    await this.#start();
    if (this.#chain.origin !== 'found') {
      throw new ChainLifeError('wrong_figures', 'the chain was not found again');
    }
    await this.#chain.history.update();
    const again = this.#chain.history.entries;
    if (
      !entries.every(
        ({ transaction, name }, i) => again[i]?.transaction === transaction && again[i]?.name === name,
      )
    ) {
      throw new ChainLifeError('wrong_figures', 'the chain has forgotten something');
    }
    let digests = new Set<string>();
    await this.#until('all nodes have the swarms of the chain', async () => {
      const { swarms } = this.#chain.epochView;
      const lists = await Promise.all(this.#nodes.map((node) => askForList(node).catch(() => undefined)));
      if (!lists.every((list) => list !== undefined)) return false;
      digests = new Set([...lists.map(digestOf), toHex(swarmMapDigest(swarms))]);
      return digests.size === 1;
    });
    const [digest = ''] = digests;
    this.#step(
      `restarted from disk: ${this.#nodes.length} nodes fold the chain to the same swarms, digest ${digest.slice(0, 16)}…`,
    );
    const wiped = this.#nodes.find((node) => node.name === victim.name) as ProcessNode;
    const lacking = await this.#untilNothing(() => this.#messages.missing(this.#chain, this.#nodes, wiped));
    const others = await this.#untilNothing(() => this.#messages.missing(this.#chain, this.#nodes));
    if (lacking.length + others.length > 0) {
      throw new ChainLifeError('wrong_figures', `messages lost: ${[...lacking, ...others].join(', ')}`);
    }
    this.#step(
      `node ${wiped.name} has its list and its messages again; none of ${this.#messages.count} is missing`,
    );
  }

  // What the steps are made of.

  async #start(): Promise<void> {
    this.#net = await startProcessDevnet({
      nodes: NODES,
      folder: this.#folder,
      chain: true,
      rateLimit: false,
      logLevel: 'silent',
    });
  }

  async #decommissioned(node: ProcessNode, silentAt: number): Promise<HistoryEntry> {
    const event = await this.#state(node, STATE_NUMBERS.decommissioned);
    const seconds = event.timestamp - silentAt;
    const { network } = this.#chain;
    const epochs = epochAt(network, event.timestamp) - epochAt(network, silentAt);
    this.#silence.push({ seconds, epochs });
    const reasons = reasonCodes(Number(event.args.reasonsAny)).join(', ');
    this.#step(
      `node ${node.name} decommissioned ${seconds.toFixed(0)} s (${epochs} epochs) after it fell silent (${reasons}) ${this.#by(event)}`,
    );
    return event;
  }

  /** The first ones in the order of the quorum, who would bring its decision to the registry. */
  async #killSubmitters(target: ProcessNode): Promise<ProcessNode[]> {
    const quorum = this.#chain.view.quorumOf(this.#id(target), this.#chain.epochView.epoch);
    const active = (quorum?.members ?? []).filter(
      ({ nodeId }) => this.#chain.view.nodes().get(nodeId)?.state === 'active',
    );
    const members = active.map(({ nodeId }) => this.#node(nodeId));
    const nodes = members
      .filter((node) => node !== undefined && node.pid !== 0)
      .slice(0, SUBMITTERS) as ProcessNode[];
    if (nodes.length < SUBMITTERS) throw new ChainLifeError('not_seen', 'the quorum has no members to kill');
    await Promise.all(nodes.map((node) => node.kill()));
    this.#say(
      `the grace time of node ${target.name} is over soon; ${nodes.map((node) => node.name).join(' and ')}, first in line to submit, are killed`,
    );
    return nodes;
  }

  /** Waits for a change into this state. A node changes into it once in this scenario, and is registered in the first. */
  async #state(node: ProcessNode, state: number): Promise<HistoryEntry> {
    const nodeId = this.#id(node);
    const [event] = await this.#seen(
      `node ${node.name} becoming ${NAMES[state]}`,
      (entry) =>
        isOf('StateChanged', nodeId)(entry) && entry.args.state === state && entry.args.stateNonce !== 0,
    );
    return event as HistoryEntry;
  }

  async #membership(node: ProcessNode, after: HistoryEntry): Promise<{ from: number }> {
    const [event] = await this.#seen(
      `the new membership of node ${node.name}`,
      (entry) => isOf('MembershipChanged', this.#id(node))(entry) && entry.transaction === after.transaction,
    );
    return { from: Number(event?.args.from) };
  }

  /** @throws ChainLifeError `not_seen` */
  async #seen(
    what: string,
    match: (entry: HistoryEntry) => boolean,
    count = 1,
  ): Promise<readonly HistoryEntry[]> {
    let found: readonly HistoryEntry[] = [];
    await this.#until(what, async () => {
      await this.#chain.history.update();
      found = this.#chain.history.entries.filter(match);
      return found.length >= count;
    });
    return found;
  }

  async #until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    const end = systemClock.now() + STEP_LIMIT_SECONDS * 1000;
    while (!(await condition())) {
      if (systemClock.now() > end) {
        throw new ChainLifeError('not_seen', `not seen within ${STEP_LIMIT_SECONDS} s: ${what}`);
      }
      await delay(systemClock, POLL_MS);
    }
  }

  /** What is left when the limit is over. */
  async #untilNothing(look: () => Promise<string[]>): Promise<string[]> {
    let left: string[] = [];
    const end = systemClock.now() + STEP_LIMIT_SECONDS * 1000;
    for (;;) {
      left = await look();
      if (left.length === 0 || systemClock.now() > end) return left;
      await delay(systemClock, POLL_MS);
    }
  }

  /** Unix seconds. */
  async #at(seconds: number): Promise<void> {
    const ms = seconds * 1000 - systemClock.now();
    if (ms > 0) await delay(systemClock, ms);
  }

  #id(node: ProcessNode): number {
    return this.#chain.registrations.find((one) => one.node.name === node.name)?.nodeId ?? 0;
  }

  #operator(node: ProcessNode) {
    const registration = this.#chain.registrations.find((one) => one.node.name === node.name);
    return registration!.operator;
  }

  #node(nodeId: number): ProcessNode | undefined {
    const name = this.#name(nodeId);
    return this.#nodes.find((node) => node.name === name);
  }

  #name(nodeId: number): string {
    return this.#chain.registrations.find((one) => one.nodeId === nodeId)?.node.name ?? String(nodeId);
  }

  /** Whose transaction it was. */
  #by({ sender, args }: HistoryEntry): string {
    const nodes = [...this.#chain.view.nodes().values()];
    const node = nodes.find(({ votingKey }) => votingKey === sender);
    return `by a quorum of epoch ${String(args.epoch)}, submitted by node ${node === undefined ? sender : this.#name(node.nodeId)}`;
  }

  #sizes(): string {
    const swarms = [...this.#chain.epochView.swarms];
    return swarms.map(([id, keys]) => `${keys.length} in ${swarmIdHex(id)}`).join(', ');
  }

  #sinceStart(): number {
    return (performance.now() - this.#began) / 1000;
  }

  #step(text: string): void {
    this.#steps++;
    this.#say(text);
  }

  #say(text: string): void {
    const epoch = this.#net?.chain?.view.epochView()?.epoch;
    const place = epoch === undefined ? '' : `epoch ${epoch}  `;
    this.#print(`${this.#sinceStart().toFixed(1).padStart(6)} s  ${place}${text}`);
  }
}

function isOf(name: HistoryEntry['name'], nodeId: number): (entry: HistoryEntry) => boolean {
  return (entry) => entry.name === name && entry.args.nodeId === nodeId;
}
