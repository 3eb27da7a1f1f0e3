// SPDX-License-Identifier: AGPL-3.0-or-later
// The chain of a devnet: anvil with the contracts of the local preset, operators with tokens, and a registration for each
// node. In the folder `chain` of the network:
//
//   state.json        the chain, written by anvil        deployment.json   where the contracts are
//   ready.json        written last: all nodes are registered
//
// While a devnet is off, time goes on for its chain; at the next start the epochs in between have passed without reveals.
// What cannot be read, or is too old, is made anew; the same keys in the same order then lead to the same first swarms.
//
// Registrations take effect two epochs later (spec/chain §4.8). Nobody wants to wait a minute for his devnet: the chain
// begins with a clock that is slow by a little more than that, and is set right when all nodes are registered. Nothing else
// differs from a network that is deployed and left alone for two epochs.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Anvil, AnvilError, startAnvil } from '@allium/chain/anvil';
import { type ChainNetwork, type EpochView, epochAt, epochStart, type Hex } from '@allium/chain/chain-view';
import { deployNetwork } from '@allium/chain/deploy';
import { type Deployment, networkOf, readDeployment } from '@allium/chain/deployment';
import { ChainFollower } from '@allium/chain/follower';
import { PRESETS } from '@allium/chain/presets';
import { RegistryHistory } from '@allium/chain/registry-history';
import { StakeSession } from '@allium/chain/stake/session';
import { approve, register, transfer } from '@allium/chain/stake/transactions';
import { systemClock, systemEnv } from '@allium/net/system-env';
import { delay } from '@allium/protocol/env';
import { swarmIdHex } from '@allium/protocol/swarm';
import { DevnetError, type NodeLayout } from '../layout.ts';
import { prepareRegistrations } from './prepare.ts';

interface DevChainOptions {
  /** Of the network; the chain is kept in `chain` below it. */
  readonly folder: string;
  readonly port: number;
  readonly nodes: readonly NodeLayout[];
  /** Told what is being done. */
  readonly onStep?: (step: string) => void;
}

/** How a start found the chain. */
type ChainOrigin = 'new' | 'found' | 'replaced';

/** A registration as a devnet makes it. */
interface DevRegistration {
  readonly node: NodeLayout;
  readonly nodeId: number;
  readonly operator: Hex;
}

interface Ready {
  readonly version: 1;
  /** Operator of each node, in the order of the nodes. */
  readonly operators: readonly Hex[];
}

const PRESET = PRESETS.local;
const REQUIREMENT = PRESET.params.stakingRequirement;

// Ours.
const NODES_PER_OPERATOR = 3;
/** An operator has so many stakes more than it needs, for those who want to play. */
const SPARE_STAKES = 10n;
/** A block when nothing happens: a chain without new blocks counts as standing still after 20 s. */
const BLOCK_SECONDS = 5;
const STATE_SECONDS = 30;
/** The slow clock of the beginning: two epochs, the reveal window, `confirm`, and the time between start and deployment. */
const LEAD_SECONDS = 2 * PRESET.epochLength + PRESET.revealWindow + PRESET.timings.confirm + 5;
/** So long only the operators of the devnet may register, without a limit per epoch. */
const GENESIS_SECONDS = LEAD_SECONDS + 20;
/** What a voting key gets for gas, in wei. */
const GAS_MONEY = 10n ** 19n;
/** After a longer sleep each node would have to go through too many epochs in which nothing happened. */
const MAX_ABSENCE_SECONDS = 7 * 86_400;
const REQUEST_TIMEOUT_MS = 30_000;
const PORT_TRIES = 20;
const PORT_WAIT_MS = 250;

export class DevChain implements AsyncDisposable {
  readonly url: string;
  readonly deployment: Deployment;
  /** Path of deployment.json, for nodes and commands. */
  readonly deploymentFile: string;
  readonly origin: ChainOrigin;
  readonly registrations: readonly DevRegistration[];
  /** The view of an observer who belongs to nobody. */
  readonly view: ChainFollower;
  readonly history: RegistryHistory;
  readonly #anvil: Anvil;
  readonly #sessions = new Map<Hex, Promise<StakeSession>>();

  private constructor(
    anvil: Anvil,
    folder: string,
    facts: { deployment: Deployment; origin: ChainOrigin; registrations: readonly DevRegistration[] },
  ) {
    this.#anvil = anvil;
    this.url = anvil.url;
    this.deployment = facts.deployment;
    this.deploymentFile = join(folder, 'deployment.json');
    this.origin = facts.origin;
    this.registrations = facts.registrations;
    this.view = new ChainFollower(
      { network: networkOf(facts.deployment), endpoints: [anvil.url] },
      systemEnv(),
    );
    this.history = new RegistryHistory(anvil.url, facts.deployment);
  }

  /** Brings the chain up, made anew or as it was left. @throws DevnetError, AnvilError `no_binary` */
  static async start(options: DevChainOptions): Promise<DevChain> {
    const folder = join(options.folder, 'chain');
    const ready = readReady(folder, options.nodes.length);
    return (ready && (await DevChain.#reopen(options, folder, ready))) ?? DevChain.#create(options, folder);
  }

  static async #create(options: DevChainOptions, folder: string): Promise<DevChain> {
    const origin = existsSync(folder) ? 'replaced' : 'new';
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const anvil = await run(options, folder, unixNow() - LEAD_SECONDS);
    try {
      const { deployment, registrations } = await establish(anvil, folder, options);
      await call(anvil.url, 'evm_setTime', [Date.now()]);
      const chain = new DevChain(anvil, folder, { deployment, origin, registrations });
      await chain.#open();
      const operators = registrations.map(({ operator }) => operator);
      writeFileSync(join(folder, 'ready.json'), `${JSON.stringify({ version: 1, operators })}\n`);
      return chain;
    } catch (error) {
      await anvil.stop();
      throw error;
    }
  }

  /** Undefined: what is in the folder does not do. */
  static async #reopen(
    options: DevChainOptions,
    folder: string,
    { operators }: Ready,
  ): Promise<DevChain | undefined> {
    let anvil: Anvil;
    try {
      anvil = await run(options, folder);
    } catch (error) {
      // What a full disk or a broken machine left of the state file.
      if (error instanceof AnvilError && error.code === 'start_failed') return undefined;
      throw error;
    }
    try {
      const deployment = readDeployment(folder);
      const code = await call(anvil.url, 'eth_getCode', [deployment.registry, 'latest']);
      const block = (await call(anvil.url, 'eth_getBlockByNumber', ['latest', false])) as { timestamp: Hex };
      if (code === '0x' || unixNow() - Number(block.timestamp) > MAX_ABSENCE_SECONDS) {
        await anvil.stop();
        return undefined;
      }
      const registrations = options.nodes.map((node, index) => {
        return { node, nodeId: index + 1, operator: operators[index] as Hex };
      });
      const chain = new DevChain(anvil, folder, { deployment, origin: 'found', registrations });
      await chain.#open();
      return chain;
    } catch (error) {
      await anvil.stop();
      throw error;
    }
  }

  get network(): ChainNetwork {
    return this.view.network;
  }

  /** The operators, each once. */
  get operators(): readonly Hex[] {
    return [...new Set(this.registrations.map(({ operator }) => operator))];
  }

  /** Who deployed the contracts and has all tokens that nobody else has. */
  treasury(): Promise<StakeSession> {
    return accounts(this.url).then(([first]) => this.session(first as Hex));
  }

  /** As somebody whose key the development chain holds. */
  session(address: Hex): Promise<StakeSession> {
    let session = this.#sessions.get(address);
    if (session === undefined) {
      session = sessionOf(this.url, this.deployment, address);
      this.#sessions.set(address, session);
    }
    return session;
  }

  /** The epoch in force. */
  get epochView(): EpochView {
    const view = this.view.epochView();
    if (view === undefined) throw new DevnetError('start_failed', 'the chain is not read yet');
    return view;
  }

  /** In hex without padding; empty: in none. */
  swarmOf(ed25519Hex: string): string {
    for (const [id, keys] of this.view.epochView()?.swarms ?? []) {
      if (keys.includes(ed25519Hex)) return swarmIdHex(id);
    }
    return '';
  }

  /** Options of every node of this network, and the addresses that it may ask first. */
  nodeOptions(node: NodeLayout): { chainRpc: string[]; chainDeployment: string; peers: string[] } {
    const others = this.registrations.map((one) => one.node).filter((one) => one !== node);
    const peers = others.slice(0, 3).map((one) => `${one.host}:${one.omqPort}:${one.ed25519}`);
    return { chainRpc: [this.url], chainDeployment: this.deploymentFile, peers };
  }

  async stop(): Promise<void> {
    await this.view.stop();
    await this.#anvil.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** With a block of now, so that nobody takes the chain for one that stands still. */
  async #open(): Promise<void> {
    await call(this.url, 'evm_mine', []);
    await this.view.start();
    // Only on a machine that took very long: the registrations are not in force yet.
    const last = Math.max(...[...this.view.nodes().values()].map(({ registeredAt }) => registeredAt));
    const due = epochStart(this.network, epochAt(this.network, last) + 2);
    const { revealWindow, timings } = PRESET;
    const waitMs = (due + revealWindow + timings.confirm) * 1000 - systemClock.now();
    if (waitMs > 0) await delay(systemClock, waitMs);
    const end = systemClock.now() + REQUEST_TIMEOUT_MS;
    while ((this.view.epochView()?.memberIds.length ?? 0) === 0) {
      if (systemClock.now() > end) throw new DevnetError('start_failed', 'the chain has no members');
      await delay(systemClock, 50);
    }
  }
}

/** Anvil in this folder. Waits a little for one that is still writing its state. */
async function run({ port, nodes }: DevChainOptions, folder: string, timestamp?: number): Promise<Anvil> {
  const operators = Math.ceil(nodes.length / NODES_PER_OPERATOR);
  for (let tries = 0; ; tries++) {
    try {
      return await startAnvil({
        port,
        statePath: join(folder, 'state.json'),
        stateIntervalSeconds: STATE_SECONDS,
        blockTimeSeconds: BLOCK_SECONDS,
        accounts: operators + 3,
        ...(timestamp !== undefined && { timestamp }),
      });
    } catch (error) {
      const isTaken = error instanceof AnvilError && /in use/i.test(error.message);
      if (!isTaken || tries === PORT_TRIES) throw error;
      await delay(systemClock, PORT_WAIT_MS);
    }
  }
}

/** Deploys, gives out tokens and registers all nodes. */
async function establish(anvil: Anvil, folder: string, { nodes, onStep = () => {} }: DevChainOptions) {
  const [deployer, ...wallets] = (await accounts(anvil.url)) as [Hex, ...Hex[]];
  const operatorOf = (index: number) => wallets[Math.floor(index / NODES_PER_OPERATOR)] as Hex;
  const operators = [...new Set(nodes.map((_, index) => operatorOf(index)))];
  onStep('deploying the contracts');
  const deployment = await deployNetwork({
    rpc: anvil.url,
    signer: { address: deployer },
    preset: 'local',
    folder,
    genesisOperators: operators,
    registrationOpenAt: unixNow() - LEAD_SECONDS + GENESIS_SECONDS,
  });
  onStep('preparing keys and beacon chains, some ten seconds, once');
  const nowSeconds = unixNow();
  const files = await prepareRegistrations(
    nodes.map(({ folder: dataDir }, index) => ({
      dataDir,
      deployment: join(folder, 'deployment.json'),
      operator: operatorOf(index),
      nowSeconds,
    })),
  );
  onStep('funding operators');
  const treasury = await sessionOf(anvil.url, deployment, deployer);
  const { token, registry } = deployment;
  for (const operator of operators) {
    const own = nodes.filter((_, index) => operatorOf(index) === operator);
    const amount = REQUIREMENT * (BigInt(own.length) + SPARE_STAKES);
    await treasury.send(transfer(token, operator, amount));
    const session = await sessionOf(anvil.url, deployment, operator);
    await session.send(approve(token, registry, 'registry', amount));
  }
  const registrations: DevRegistration[] = [];
  for (const [index, node] of nodes.entries()) {
    onStep(`registering node ${node.name}`);
    const { votingKey, ed25519, signature, beaconAnchor } = files[index]!;
    const operator = operatorOf(index);
    await call(anvil.url, 'anvil_setBalance', [votingKey, `0x${GAS_MONEY.toString(16)}`]);
    const session = await sessionOf(anvil.url, deployment, operator);
    const keys = { ed25519, signature, votingKey, beaconAnchor };
    await session.send(register(registry, { keys, feeBps: 0 }, REQUIREMENT));
    registrations.push({ node, operator, nodeId: index + 1 });
  }
  return { deployment, registrations };
}

function sessionOf(rpc: string, deployment: Deployment, address: Hex): Promise<StakeSession> {
  return StakeSession.open({ rpc, deployment, signer: { kind: 'endpoint', address } });
}

/** Undefined: the chain was not finished, or is that of other nodes. */
function readReady(folder: string, nodes: number): Ready | undefined {
  try {
    const ready = JSON.parse(readFileSync(join(folder, 'ready.json'), 'utf8')) as Ready;
    const isWhole = ready.version === 1 && ready.operators.length === nodes;
    return isWhole && existsSync(join(folder, 'state.json')) ? ready : undefined;
  } catch {
    return undefined;
  }
}

async function accounts(url: string): Promise<Hex[]> {
  return ((await call(url, 'eth_accounts', [])) as string[]).map((one) => one.toLowerCase() as Hex);
}

/** For the methods of a development chain. */
async function call(url: string, method: string, params: readonly unknown[]): Promise<unknown> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
  });
  const { result, error } = (await answer.json()) as { result?: unknown; error?: { message: string } };
  if (error !== undefined) throw new DevnetError('start_failed', `anvil refused ${method}: ${error.message}`);
  return result;
}

function unixNow(): number {
  return Math.floor(Date.now() / 1000);
}
