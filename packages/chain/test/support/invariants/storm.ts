// SPDX-License-Identifier: MIT
// Random calls of everything that the contracts offer, by everybody, right and wrong, at random times, with the
// invariants of spec/chain §5.4 held against each block. The same seed makes the same calls.
import { seededRandom } from '@allium/protocol/env';
import { type Abi, decodeEventLog, decodeFunctionResult, encodeDeployData, encodeFunctionData } from 'viem';
import type { Hex, StateAction } from '../../../src/chain-view.ts';
import { hexOf } from '../../../src/packed.ts';
import { type NetworkPreset, PRESETS } from '../../../src/presets.ts';
import type { Contract } from '../evm.ts';
import * as probe from '../generated/Probe.ts';
import * as successor from '../generated/Successor.ts';
import { DEPLOYER, type NodeKeys, nodeKeys, RegistryFixture, TOKEN } from '../registry-fixture.ts';
import { type Look, lookCall, readLook, type SeenNode } from './look.ts';
import { type Happened, InvariantWatch, type SeenQuorum } from './watch.ts';

const ACTORS = 10;
const KEYS = 24;
const CALLS_PER_BLOCK = 50;
const ZERO = `0x${'00'.repeat(20)}` as const;
const DAY = 86_400;
const [ACTIVE, DECOMMISSIONED, DEREGISTERED, EXITED] = [2, 3, 4, 5];

const PRESET: NetworkPreset = {
  ...PRESETS.local,
  payCap: PRESETS.local.totalSupply / 1000n,
  params: { ...PRESETS.local.params, maxContributors: 4, quorumSize: 5, deactivationBps: 3000 },
};

export interface Tally {
  accepted: number;
  refused: number;
}

interface Call {
  readonly from: Hex;
  readonly to: Contract;
  readonly name: string;
  readonly args: readonly unknown[];
}

interface BlockReceipt {
  readonly status: Hex;
  readonly transactionHash: Hex;
  readonly logs: readonly { address: Hex; topics: [Hex, ...Hex[]]; data: Hex }[];
}

/** Uniform numbers from a seed. */
function randomFrom(seed: number) {
  const { unit, below } = seededRandom(seed);
  return {
    unit,
    below,
    chance: (p: number) => unit() < p,
    pick: <T>(list: readonly T[]): T | undefined => list[below(list.length)],
    amount: (n: bigint) => (BigInt(below(2 ** 30)) * n) / 2n ** 30n,
  };
}

export interface StormOptions {
  /** Creation code in place of ours; to show that a broken registry is found. */
  registryBytecode?: Hex;
}

export class Storm implements AsyncDisposable {
  /** By the name of the function. */
  readonly tally = new Map<string, Tally>();
  watch: InvariantWatch;
  readonly net: RegistryFixture;
  readonly #probe: Contract;
  readonly #successor: Contract;
  readonly #actors: Hex[];
  readonly #keys: NodeKeys[];
  readonly #secrets = new Map<string, Uint8Array>();
  /** anchor → its pre-image. */
  readonly #links = new Map<Hex, Hex>();
  readonly #lookData: Hex;
  #random = randomFrom(0);
  #clean: Hex = '0x';
  #happened = nothing();
  /** Node whose turn to reveal it is; 0: nobody's. */
  #proposer = 0;
  readonly #nonces = new Map<Hex, number>();
  #quorums = new Map<string, SeenQuorum & { keys: readonly Hex[] }>();

  private constructor(net: RegistryFixture, probeContract: Contract, successorContract: Contract) {
    this.net = net;
    this.#probe = probeContract;
    this.#successor = successorContract;
    this.#actors = Array.from({ length: ACTORS }, (_, i) => nodeKeys(i + 1).operator);
    this.#keys = Array.from({ length: KEYS }, (_, i) => nodeKeys(i + 1));
    for (const { votingKey, votingSecret, links } of this.#keys) {
      this.#secrets.set(votingKey, votingSecret);
      for (const [i, link] of links.slice(1).entries())
        this.#links.set(hexOf(link), hexOf(links[i] as Uint8Array));
    }
    const { registry, pools, token, pool } = net;
    const holders: Hex[] = [...this.#actors, DEPLOYER, successorContract.address];
    this.#lookData = lookCall({
      registry: registry.address,
      pools: pools.address,
      token: token.address,
      rewardPool: pool.address,
      holders,
    });
    this.watch = this.#newWatch();
  }

  static async start(options: StormOptions = {}): Promise<Storm> {
    const flags = ['--gas-limit', '100000000000', '--base-fee', '0'];
    const net = await RegistryFixture.deployPlain({ preset: PRESET, flags, ...options });
    const deploy = async (artifact: { abi: unknown; bytecode: Hex }, args: unknown[]) => {
      const abi = artifact.abi as Abi;
      return net.evm.deploy(DEPLOYER, abi, encodeDeployData({ abi, bytecode: artifact.bytecode, args }));
    };
    const storm = new Storm(net, await deploy(probe, []), await deploy(successor, [net.token.address]));
    for (const actor of storm.#actors) {
      await net.provide(actor, 3000n * TOKEN, net.registry.address);
      await net.evm.send(actor, net.token, 'approve', net.registry.address, 10n ** 18n);
      await net.evm.send(actor, net.token, 'approve', net.pools.address, 10n ** 18n);
    }
    await net.evm.fund(net.deployment.timelock as Hex);
    await net.evm.rpc('evm_setAutomine', false);
    storm.#clean = await net.evm.snapshot();
    return storm;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.net[Symbol.asyncDispose]();
  }

  #newWatch(): InvariantWatch {
    return new InvariantWatch({ t0: this.net.deployment.t0, epochLength: PRESET.epochLength });
  }

  get calls(): number {
    let calls = 0;
    for (const { accepted, refused } of this.tally.values()) calls += accepted + refused;
    return calls;
  }

  /** From a fresh network: so many random calls, then everybody takes home what is his. */
  async run(calls: number, seed: number, andHome = true): Promise<string[]> {
    this.#clean = await this.net.evm.revert(this.#clean);
    await this.net.evm.rpc('evm_setAutomine', false);
    this.#random = randomFrom(seed);
    this.watch = this.#newWatch();
    this.#happened = nothing();
    this.#quorums.clear();
    this.#nonces.clear();
    const end = this.calls + calls;
    if (this.#random.chance(0.7)) {
      const named = {
        from: this.net.deployment.timelock as Hex,
        to: this.net.registry,
        name: 'nameSuccessor',
      };
      await this.#send([{ ...named, args: [this.#successor.address] }]);
    }
    while (this.calls < end && this.watch.findings.length === 0) {
      await this.#passTime();
      const look = await this.look();
      await this.#send(await this.#invent(look, Math.min(CALLS_PER_BLOCK, end - this.calls)));
    }
    if (andHome && this.watch.findings.length === 0) await this.#goHome();
    return this.watch.findings;
  }

  /** Looks at everything, and holds the invariants against it. */
  async look(): Promise<Look> {
    const { evm } = this.net;
    const call = { to: this.#probe.address, data: this.#lookData, gas: '0x174876e800' };
    const look = readLook(await evm.rpc<Hex>('eth_call', call, 'latest'));
    this.watch.see(look, this.#happened);
    this.#happened = nothing();
    return look;
  }

  async #passTime(): Promise<void> {
    const { net } = this;
    const { below, unit } = this.#random;
    const dice = unit();
    if (dice < 0.5) await net.evm.pass(below(6));
    else if (dice < 0.85) await net.toEpoch(net.epoch + 1, below(PRESET.revealWindow + 3));
    else if (dice < 0.96) await net.toEpoch(net.epoch + 1 + below(5), below(PRESET.epochLength));
    else if (dice < 0.985) await net.evm.pass(below(DAY));
    else await net.evm.pass(below(20 * DAY));
  }

  // ---- calls

  async #invent(look: Look, count: number): Promise<Call[]> {
    const voted = await this.#ask(look);
    const calls: Call[] = [];
    while (calls.length < count) {
      const call = this.#one(look, voted);
      if (call !== undefined) calls.push(call);
    }
    return calls;
  }

  #one(look: Look, voted: readonly (SeenQuorum & { keys: readonly Hex[] })[]): Call | undefined {
    const { below, chance, pick, amount } = this.#random;
    const { registry, pools, token, pool, deployment } = this.net;
    const timelock = deployment.timelock as Hex;
    const actor = pick(this.#actors) as Hex;
    const other = pick(this.#actors) as Hex;
    const node = pick(look.nodes);
    const index = node === undefined ? 0 : below(node.contributors.length);
    const staker = node?.contributors[index]?.staker ?? actor;
    /** Mostly who may, sometimes anybody. */
    const by = (who: Hex) => (chance(0.9) ? who : actor);
    const call = (from: Hex, to: Contract, name: string, ...args: unknown[]): Call => ({
      from,
      to,
      name,
      args,
    });
    const id = node?.nodeId ?? below(3);
    const inState = (state: number) => look.funds.flatMap((one, i) => (one.state === state ? [i + 1] : []));
    const poolIn = (state: number) =>
      (chance(0.8) ? pick(inState(state)) : undefined) ?? 1 + below(look.funds.length + 1);
    const unfinished = look.nodes.filter(({ state }) => state === ACTIVE || state === DECOMMISSIONED).length;
    const dice = below(100);
    if (dice < 6)
      return unfinished > 30 ? undefined : call(actor, registry, 'register', this.#registration(actor));
    if (dice < 9) {
      const reserved = chance(0.3) ? [{ staker: other, amount: amount(60n * TOKEN) + 15n * TOKEN }] : [];
      const own = chance(0.2) ? look.params.requirement : amount(80n * TOKEN) + 20n * TOKEN;
      return unfinished > 30
        ? undefined
        : call(actor, pools, 'open', this.#registration(actor), reserved, chance(0.4), own);
    }
    if (dice < 19) {
      const more = amount(70n * TOKEN) + TOKEN;
      return call(actor, pools, 'contribute', poolIn(1), more, other, chance(0.8), chance(0.1) ? more : 0n);
    }
    if (dice < 22) return call(actor, pools, 'withdraw', poolIn(chance(0.5) ? 4 : 1));
    if (dice < 24) return call(actor, pools, 'cancel', poolIn(1));
    if (dice < 26) return call(actor, pools, 'finalize', poolIn(2));
    if (dice < 27) return call(actor, pools, 'releaseReservation', poolIn(1), other);
    if (dice < 28) return call(actor, pools, 'setBeneficiary', poolIn(1), other);
    if (dice < 48) return this.#vote(look, voted);
    if (dice < 52) return this.#reveal(look);
    if (dice < 55) return call(actor, registry, 'poke', below(12));
    if (dice < 67) {
      const more = pick(look.nodes.filter(({ contributors }) => contributors[0]?.staker === staker));
      const entries = [{ nodeId: id, index: chance(0.95) ? index : 9 }];
      if (more !== undefined && chance(0.6)) entries.push({ nodeId: more.nodeId, index: 0 });
      return call(by(staker), registry, 'claim', entries);
    }
    if (dice < 72) return call(by(staker), registry, 'requestExit', id, index);
    if (dice < 79) {
      const gone = pick(look.nodes.filter(({ state }) => state === DEREGISTERED || state === EXITED)) ?? node;
      const place = gone === undefined ? 0 : below(gone.contributors.length);
      return call(
        by(gone?.contributors[place]?.staker ?? actor),
        registry,
        'withdrawStake',
        gone?.nodeId ?? 1,
        place,
      );
    }
    if (dice < 82) {
      const key = chance(0.9) ? (pick(this.#keys) as NodeKeys).votingKey : ZERO;
      return call(by(node?.operator ?? actor), registry, 'setVotingKey', id, key);
    }
    if (dice < 83) return call(by(staker), registry, 'setBeneficiary', id, index, other);
    if (dice < 86) return call(by(staker), registry, 'agreeToMigrate', id, index, this.#successor.address);
    if (dice < 89) return call(by(node?.operator ?? actor), registry, 'migrate', id, '0x');
    if (dice < 91.5) return this.#govern(chance(0.8) ? timelock : actor);
    if (dice < 92) return call(chance(0.5) ? DEPLOYER : actor, registry, 'pauseRegistrations', below(100));
    if (dice < 93) return call(chance(0.7) ? DEPLOYER : actor, registry, 'resumeRegistrations');
    if (dice < 94) {
      const target = chance(0.9) ? this.#successor.address : ZERO;
      // Named anew rarely: each time the notice begins again.
      return chance(0.2) ? call(by(timelock), registry, 'nameSuccessor', target) : undefined;
    }
    if (dice < 95) return call(by(timelock), pool, 'setPayCap', amount(10n ** 15n));
    if (dice < 97) return call(DEPLOYER, token, 'transfer', pool.address, amount(1000n * TOKEN));
    if (dice < 98) return call(actor, token, 'transfer', other, amount(100n * TOKEN));
    if (dice < 99) return call(actor, pool, 'pay', actor, amount(TOKEN));
    return call(actor, registry, 'registerPooled', actor, this.#registration(actor), []);
  }

  #registration(operator: Hex) {
    const { chance, pick } = this.#random;
    const keys = pick(this.#keys) as NodeKeys;
    const { votingKey, links } = keys;
    const link = links[chance(0.1) ? 1 : links.length - 1] as Uint8Array;
    return {
      ed25519: hexOf(keys.ed25519Seed),
      edSig0: hexOf(keys.ed25519Seed),
      edSig1: hexOf(keys.ed25519Seed),
      votingKey,
      beaconAnchor: chance(0.05) ? (`0x${'00'.repeat(32)}` as const) : hexOf(link),
      feeBps: pick([0, 1, 333, 1000, 10_000, 10_000, 10_001]),
      beneficiary: chance(0.5) ? operator : ZERO,
    };
  }

  /** Quorums of nodes that are to be voted on, for this epoch or the one before, and those that were seen lately. */
  async #ask(look: Look): Promise<(SeenQuorum & { keys: readonly Hex[] })[]> {
    const { net } = this;
    const { below, pick, chance } = this.#random;
    const newest = net.votingEpoch;
    const wanted = new Set<string>();
    for (const [key, { epoch }] of this.#quorums) {
      if (epoch + 1 < net.epoch) this.#quorums.delete(key);
      else if (chance(0.2)) wanted.add(key);
    }
    const alive = look.nodes.filter(({ state }) => state === ACTIVE || state === DECOMMISSIONED);
    for (let n = 0; n < 6; n++) {
      const node = pick(alive);
      const epoch = newest - below(2);
      if (node !== undefined && epoch >= 0 && epoch + 1 >= net.epoch) wanted.add(`${node.nodeId}/${epoch}`);
    }
    const { address, abi } = net.registry;
    const requests = [...wanted].map((key) => {
      const data = encodeFunctionData({ abi, functionName: 'quorumOf', args: key.split('/').map(Number) });
      return ['eth_call', { to: address, data }, 'latest'] as const;
    });
    const turn = encodeFunctionData({ abi, functionName: 'proposerOf', args: [net.epoch] });
    const answers = await net.evm.rpcBatch<Hex>([
      ...requests,
      ['eth_call', { to: address, data: turn }, 'latest'],
    ]);
    this.#proposer = Number(BigInt(answers.at(-1) as Hex));
    const quorums = [...wanted].map((key, i) => {
      const [nodeId, epoch] = key.split('/').map(Number) as [number, number];
      const result = decodeFunctionResult({ abi, functionName: 'quorumOf', data: answers[i] as Hex });
      const [nodeIds, keys, threshold] = result as [number[], Hex[], number];
      return { nodeId, epoch, nodeIds, threshold, keys: keys.map((one) => one.toLowerCase() as Hex) };
    });
    for (const quorum of quorums) this.#quorums.set(`${quorum.nodeId}/${quorum.epoch}`, quorum);
    this.watch.seeQuorums(quorums);
    return quorums;
  }

  #vote(look: Look, voted: readonly (SeenQuorum & { keys: readonly Hex[] })[]): Call | undefined {
    const { below, chance, pick } = this.#random;
    const quorum = pick(voted);
    const node = quorum && look.nodes[quorum.nodeId - 1];
    if (quorum === undefined || node === undefined || quorum.threshold === 0) return undefined;
    const { nodeId, epoch } = quorum;
    const actions: StateAction[] = node.state === ACTIVE ? [1] : [2, 3];
    const action = chance(0.95) ? (pick(actions) as StateAction) : ((1 + below(3)) as StateAction);
    const stateNonce = chance(0.95) ? node.stateNonce : node.stateNonce + 1;
    const count = chance(0.95) ? quorum.threshold : below(quorum.keys.length + 1);
    const votes = quorum.keys.slice(0, count).map((key, index) => {
      const secret = this.#secrets.get(key);
      if (secret === undefined) throw new Error(`no key for the voter ${key}`);
      return this.net.sign({ nodeId, action, epoch, stateNonce, reasons: 1 + below(7) }, index, secret);
    });
    const broken = pick(votes);
    if (broken !== undefined && chance(0.05)) broken.index = below(6);
    const said = chance(0.98) ? epoch : epoch + 1;
    const args = [nodeId, action, said, stateNonce, votes];
    return { from: pick(this.#actors) as Hex, to: this.net.registry, name: 'submitStateChange', args };
  }

  /** Mostly by the one whose turn it is. */
  #reveal(look: Look): Call | undefined {
    const anchors = look.nodes
      .filter(({ state }) => state === ACTIVE)
      .map(({ anchor }) => this.#links.get(anchor));
    const turn = this.#links.get(look.nodes[this.#proposer - 1]?.anchor ?? '0x');
    const pre = (this.#random.chance(0.7) ? turn : this.#random.pick(anchors)) ?? `0x${'11'.repeat(32)}`;
    return { from: DEPLOYER, to: this.net.registry, name: 'reveal', args: [pre] };
  }

  #govern(from: Hex): Call {
    const { below, pick } = this.#random;
    const choices: [key: number, values: bigint[]][] = [
      [0, [100n * TOKEN, 80n * TOKEN, 120n * TOKEN]],
      [1, [4n, 10n, 2n]],
      [2, [60n, 90n, 30n]],
      [3, [90n, 200n]],
      [4, [20n, 500n, 501n]],
      [5, [20n, 5n, 60n]],
      [6, [20n, 100n]],
      [7, [60n, 10n]],
      [8, [60n, 30n]],
      [9, [600n, 300n, 59n]],
      [10, [(1n << 16n) | 30n, (1n << 16n) | 5n]],
      [11, [60n, 100n, 59n]],
      [12, [(151n << 32n) | 1000n, (1n << 32n) | 2n, 1n]],
      [13, [(5n << 8n) | 3n, (7n << 8n) | 4n, (4n << 8n) | 3n]],
      [14, [3000n, 10_000n, 100n]],
      [15, [10_000n, 500n]],
    ];
    const [key, values] = choices[below(choices.length)] as [number, bigint[]];
    return { from, to: this.net.registry, name: 'setParam', args: [key, pick(values)] };
  }

  // ---- sending

  async #send(calls: readonly Call[]): Promise<void> {
    const { evm, registry, token, pool } = this.net;
    // Numbered by us: requests of one batch are worked on side by side.
    const senders = [...new Set(calls.map(({ from }) => from))].filter((from) => !this.#nonces.has(from));
    const counts = await evm.rpcBatch<Hex>(
      senders.map((from) => ['eth_getTransactionCount', from, 'latest'] as const),
    );
    for (const [i, from] of senders.entries()) this.#nonces.set(from, Number(counts[i]));
    const requests = calls.map(({ from, to, name, args }) => {
      const data = encodeFunctionData({ abi: to.abi, functionName: name, args });
      const number = this.#nonces.get(from) as number;
      this.#nonces.set(from, number + 1);
      const nonce: Hex = `0x${number.toString(16)}`;
      const transaction = { from, to: to.address, data, nonce, gas: '0x300000', gasPrice: '0x0' };
      return ['eth_sendTransaction', transaction] as const;
    });
    const hashes = await evm.rpcBatch<Hex>(requests);
    await evm.rpc('evm_setNextBlockTimestamp', evm.now);
    await evm.rpc('evm_mine');
    const receipts = await evm.rpc<BlockReceipt[]>('eth_getBlockReceipts', 'latest');
    const byHash = new Map(receipts.map((receipt) => [receipt.transactionHash, receipt]));
    const happened = nothing();
    for (const [i, { name }] of calls.entries()) {
      const receipt = byHash.get(hashes[i] as Hex);
      if (receipt === undefined) throw new Error(`the block has no receipt for ${name}`);
      const tally = this.tally.get(name) ?? { accepted: 0, refused: 0 };
      this.tally.set(name, tally);
      if (receipt.status === '0x1') tally.accepted++;
      else tally.refused++;
      for (const log of receipt.logs) {
        const contract = [registry, token].find(({ address }) => address === log.address);
        if (contract === undefined) continue;
        const { abi } = contract;
        const event: { eventName?: string; args?: unknown } = decodeEventLog({
          abi,
          data: log.data,
          topics: log.topics,
        });
        note(happened, event.eventName ?? '', (event.args ?? {}) as Record<string, unknown>, pool.address);
      }
    }
    this.#happened = happened;
  }

  // ---- the end

  /** spec/chain §5.3 "nobody can lock": whatever has happened, the owners alone get all stakes out. */
  async #goHome(): Promise<void> {
    const { net } = this;
    const everybody = (look: Look, name: string, ids: (node: SeenNode) => boolean): Call[] =>
      look.nodes
        .filter(ids)
        .flatMap(({ nodeId, contributors }) =>
          contributors.flatMap(({ staker, withdrawn }, index) =>
            withdrawn ? [] : [{ from: staker, to: net.registry, name, args: [nodeId, index] }],
          ),
        );
    let look = await this.look();
    const pools = look.funds.flatMap((_, i) =>
      this.#actors.map((from) => ({ from, to: net.pools, name: 'cancel', args: [i + 1] })),
    );
    await this.#send(pools);
    look = await this.look();
    const out = look.funds.flatMap((_, i) =>
      this.#actors.map((from) => ({ from, to: net.pools, name: 'withdraw', args: [i + 1] })),
    );
    await this.#send(out);
    await net.evm.pass(DAY);
    look = await this.look();
    await this.#send(
      everybody(look, 'requestExit', ({ state }) => state === ACTIVE || state === DECOMMISSIONED),
    );
    await net.evm.pass(61 * DAY);
    await this.look();
    const work: Call = { from: DEPLOYER, to: net.registry, name: 'poke', args: [100] };
    await this.#send(Array.from({ length: 10 }, () => work));
    look = await this.look();
    await this.#send(everybody(look, 'withdrawStake', () => true));
    look = await this.look();
    if (look.held.registry !== 0n)
      this.watch.findings.push(`nobody can lock: the registry keeps ${look.held.registry}`);
    if (look.held.pools !== 0n)
      this.watch.findings.push(`nobody can lock: the pools keep ${look.held.pools}`);
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] };

function nothing(): Mutable<Happened> {
  return {
    stateChanges: [],
    accrued: 0n,
    accruals: 0,
    given: 0n,
    deactivationBps: [],
    rates: [],
    creditMax: [],
  };
}

function note(happened: Mutable<Happened>, event: string, args: Record<string, unknown>, pool: Hex): void {
  if (event === 'StateChanged') happened.stateChanges.push(args as never);
  else if (event === 'Accrued') {
    happened.accrued += args.amount as bigint;
    happened.accruals++;
  } else if (event === 'Transfer' && (args.to as string).toLowerCase() === pool)
    happened.given += args.value as bigint;
  else if (event === 'ParamChanged') {
    const value = args.value as bigint;
    if (args.key === 14) happened.deactivationBps.push(Number(value));
    if (args.key === 9) happened.creditMax.push(Number(value));
    if (args.key === 12) happened.rates.push([value >> 32n, value & 0xffffffffn]);
  }
}
