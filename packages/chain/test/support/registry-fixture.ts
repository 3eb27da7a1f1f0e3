// SPDX-License-Identifier: MIT
// A deployed network with registered nodes whose keys the test holds.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { utf8 } from '@allium/protocol/bytes';
import { ed25519KeyPair } from '@allium/protocol/crypto';
import { type Abi, encodeDeployData } from 'viem';
import type { Hex, StateAction } from '../../src/chain-view.ts';
import * as poolsArtifact from '../../src/contracts/generated/ContributionPools.ts';
import * as lensArtifact from '../../src/contracts/generated/RegistryLens.ts';
import * as poolArtifact from '../../src/contracts/generated/RewardPool.ts';
import * as registryArtifact from '../../src/contracts/generated/ServiceNodeRegistry.ts';
import * as tokenArtifact from '../../src/contracts/generated/SessionToken.ts';
import { type DeployOptions, deployNetwork } from '../../src/deploy.ts';
import type { Deployment } from '../../src/deployment.ts';
import { hexOf, keccak256 } from '../../src/packed.ts';
import { type NetworkPreset, PRESETS } from '../../src/presets.ts';
import { signRegistration } from '../../src/registration.ts';
import { domainSeparator, signDigest, voteDigest, votingAddress } from '../../src/votes.ts';
import { type Contract, Evm } from './evm.ts';

export const DEPLOYER_KEY = '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80';
export const DEPLOYER = '0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266';
export const TOKEN = 10n ** 9n;
/** Long enough for a test, and made in no time. */
const BEACON_LINKS = 64;

/** A node's keys, of a number that the test chooses. */
export interface NodeKeys {
  readonly operator: Hex;
  readonly votingSecret: Uint8Array;
  readonly votingKey: Hex;
  readonly ed25519Seed: Uint8Array;
  /** Links of its beacon chain, the anchor last. */
  readonly links: readonly Uint8Array[];
}

export interface Vote {
  index: number;
  reasons: number;
  r: Hex;
  vs: Hex;
}

export interface VoteOptions {
  /** Default: the newest that can vote. */
  epoch?: number;
  stateNonce?: number;
  reasons?: number;
  /** How many votes. Default: the threshold. */
  count?: number;
}

/** The state of a node as the lens tells it; numbers up to 40 bits come as numbers. */
export interface LensNode {
  operator: Hex;
  slot: number;
  state: number;
  stateNonce: number;
  registeredAt: number;
  activeSince: number;
  decommissionedAt: number;
  credit: number;
  unlockAt: number;
  lockedUntil: number;
  decommissionCount: number;
  flags: number;
  ed25519: Hex;
  reward: bigint;
  accSnap: bigint;
  stake: bigint;
  reasonsAll: number;
  reasonsAny: number;
  payableAt: number;
  penalty: bigint;
  beaconAnchor: Hex;
}

export function nodeKeys(number: number): NodeKeys {
  const secret = (purpose: string) => keccak256(utf8(`${purpose} ${number}`));
  const votingSecret = secret('voting');
  const links = [secret('beacon')];
  while (links.length < BEACON_LINKS) links.push(keccak256(links.at(-1) as Uint8Array));
  return {
    operator: addressNamed(`operator ${number}`),
    votingSecret,
    votingKey: votingAddress(votingSecret),
    ed25519Seed: secret('identity'),
    links,
  };
}

/** Somebody without a key: anvil sends in his name. */
export function addressNamed(name: string): Hex {
  return hexOf(keccak256(utf8(name)).subarray(12));
}

export class RegistryFixture implements AsyncDisposable {
  readonly evm: Evm;
  readonly deployment: Deployment;
  readonly preset: NetworkPreset;
  readonly registry: Contract;
  readonly token: Contract;
  readonly pool: Contract;
  readonly pools: Contract;
  readonly lens: Contract;
  readonly #folder: string | undefined;
  /** By lower-case address of the voting key. */
  readonly #votingSecrets = new Map<string, Uint8Array>();

  private constructor(evm: Evm, deployment: Deployment, preset: NetworkPreset, folder: string | undefined) {
    this.evm = evm;
    this.deployment = deployment;
    this.preset = preset;
    this.#folder = folder;
    this.registry = { address: deployment.registry, abi: registryArtifact.abi as Abi };
    this.token = { address: deployment.token, abi: tokenArtifact.abi as Abi };
    this.pool = { address: deployment.pool, abi: poolArtifact.abi as Abi };
    this.pools = { address: deployment.pools, abi: poolsArtifact.abi as Abi };
    this.lens = { address: deployment.lens, abi: lensArtifact.abi as Abi };
    evm.errorAbis.push(this.registry.abi, this.pools.abi, this.pool.abi, this.token.abi);
  }

  /** Default preset: local. Up to 100 first operators are genesis operators until a second after the deployment. */
  static async deploy(
    options: { preset?: NetworkPreset; flags?: string[] } & Partial<DeployOptions> = {},
  ): Promise<RegistryFixture> {
    const { preset = PRESETS.local, flags, ...rest } = options;
    const evm = await Evm.start({ ...(flags && { flags }) });
    const folder = mkdtempSync(join(tmpdir(), 'allium-registry-'));
    const deployment = await deployNetwork({
      rpc: evm.anvil.url,
      signer: { privateKey: DEPLOYER_KEY },
      folder,
      ...rest,
      preset,
    });
    const block = await evm.rpc<{ timestamp: Hex }>('eth_getBlockByNumber', 'latest', false);
    await evm.goTo(Number(block.timestamp) + 1);
    return new RegistryFixture(evm, deployment, preset, folder);
  }

  /** As `deploy`, with a registry of other code and an account of the test's in place of the timelock. */
  static async deployPlain(options: {
    preset: NetworkPreset;
    flags?: string[];
    registryBytecode?: Hex;
  }): Promise<RegistryFixture> {
    const { preset, flags, registryBytecode = registryArtifact.bytecode } = options;
    const evm = await Evm.start({ ...(flags && { flags }) });
    const make = async (artifact: { abi: unknown; bytecode: Hex }, ...args: unknown[]) => {
      const abi = artifact.abi as Abi;
      const { address } = await evm.deploy(
        DEPLOYER,
        abi,
        encodeDeployData({ abi, bytecode: artifact.bytecode, args }),
      );
      return { address, abi };
    };
    const timelock = addressNamed('governor');
    const token = await make(tokenArtifact, 'Token', 'T', preset.totalSupply, DEPLOYER);
    const pool = await make(poolArtifact, token.address, timelock, preset.payCap);
    const pools = await make(poolsArtifact, token.address);
    const config = {
      token: token.address,
      rewardPool: pool.address,
      contributionPools: pools.address,
      governor: timelock,
      guardian: DEPLOYER,
      epochLength: preset.epochLength,
      revealWindow: preset.revealWindow,
      t0: 0,
      registrationOpenAt: 0,
      seedMode: 0,
    };
    const artifact = { abi: registryArtifact.abi, bytecode: registryBytecode };
    const registry = await make(artifact, config, preset.params, []);
    await evm.send(DEPLOYER, pool, 'bind', registry.address);
    await evm.send(DEPLOYER, pools, 'bind', registry.address);
    await evm.send(DEPLOYER, token, 'transfer', pool.address, preset.poolShare);
    const lens = await make(lensArtifact, registry.address);
    const { t0 } = await evm.read<{ t0: number }>(registry, 'config');
    const deployment: Deployment = {
      chainId: 31337,
      preset: preset.name,
      registry: registry.address,
      token: token.address,
      pool: pool.address,
      pools: pools.address,
      lens: lens.address,
      timelock,
      deploymentBlock: Number(await evm.rpc<Hex>('eth_blockNumber')),
      t0,
      epochLength: preset.epochLength,
      revealWindow: preset.revealWindow,
    };
    return new RegistryFixture(evm, deployment, preset, undefined);
  }

  /** N nodes with one stake each, ids 1 … N, made by genesis operators in epoch 0, members of it from epoch 2 on. */
  static async withNodes(
    count: number,
    options: Parameters<typeof RegistryFixture.deploy>[0] = {},
  ): Promise<RegistryFixture> {
    const operators = Array.from({ length: count }, (_, i) => nodeKeys(i + 1).operator);
    const fixture = await RegistryFixture.deploy({
      genesisOperators: operators,
      registrationOpenAt: 1_900_000_000 + (options.preset ?? PRESETS.local).epochLength,
      ...options,
    });
    for (let number = 1; number <= count; number++) await fixture.register(number);
    return fixture;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.evm.anvil.stop();
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
  }

  // ---- time

  epochStart(epoch: number): number {
    return this.deployment.t0 + epoch * this.preset.epochLength;
  }

  get epoch(): number {
    return Math.floor((this.evm.now - this.deployment.t0) / this.preset.epochLength);
  }

  /** The newest epoch whose quorums can vote now. */
  get votingEpoch(): number {
    const { epoch } = this;
    return this.evm.now >= this.epochStart(epoch) + this.preset.revealWindow ? epoch : epoch - 1;
  }

  /** Into the epoch, by default to the second from which its quorums can vote. */
  async toEpoch(epoch: number, secondsIn: number = this.preset.revealWindow): Promise<void> {
    await this.evm.goTo(this.epochStart(epoch) + secondsIn);
  }

  async nextEpoch(): Promise<void> {
    await this.toEpoch(this.epoch + 1);
  }

  // ---- nodes

  registration(keys: NodeKeys, overrides: Record<string, unknown> = {}): Record<string, unknown> {
    const pair = ed25519KeyPair(keys.ed25519Seed);
    const anchor = hexOf(keys.links.at(-1) as Uint8Array);
    const signature = signRegistration(
      {
        chainId: this.deployment.chainId,
        registry: this.deployment.registry,
        operator: keys.operator,
        votingKey: keys.votingKey,
        beaconAnchor: anchor,
      },
      pair.secretKey,
    );
    return {
      ed25519: hexOf(pair.publicKey),
      edSig0: hexOf(signature.subarray(0, 32)),
      edSig1: hexOf(signature.subarray(32)),
      votingKey: keys.votingKey,
      beaconAnchor: anchor,
      feeBps: 1000,
      beneficiary: keys.operator,
      ...overrides,
    };
  }

  /** Lets the voting key be found by drawVotes. */
  know(keys: NodeKeys): NodeKeys {
    this.#votingSecrets.set(keys.votingKey, keys.votingSecret);
    return keys;
  }

  /** Gives tokens and lets the spender take them. */
  async provide(holder: Hex, amount: bigint, spender: Hex): Promise<void> {
    await this.evm.fund(holder);
    await this.evm.send(DEPLOYER, this.token, 'transfer', holder, amount);
    await this.evm.send(holder, this.token, 'approve', spender, amount);
  }

  /** Registers the node of this number alone; returns its id. */
  async register(number: number, overrides: Record<string, unknown> = {}): Promise<number> {
    const keys = this.know(nodeKeys(number));
    await this.provide(keys.operator, this.preset.params.stakingRequirement, this.registry.address);
    const receipt = await this.evm.send(
      keys.operator,
      this.registry,
      'register',
      this.registration(keys, overrides),
    );
    const event = this.evm.events(receipt, this.registry).find(({ name }) => name === 'NodeRegistered');
    return event?.args.nodeId as number;
  }

  node(nodeId: number): Promise<LensNode> {
    return this.evm.read<LensNode>(this.lens, 'node', nodeId);
  }

  async slotOf(nodeId: number): Promise<{ key: Hex; nodeId: number; from: number; until: number }> {
    const { slot } = await this.node(nodeId);
    const [key, id, from, until] = await this.evm.read<[Hex, number, number, number]>(
      this.lens,
      'slotAt',
      slot,
    );
    return { key, nodeId: id, from, until };
  }

  balance(holder: Hex): Promise<bigint> {
    return this.evm.read<bigint>(this.token, 'balanceOf', holder);
  }

  // ---- votes

  async quorum(nodeId: number, epoch = this.votingEpoch) {
    const [nodeIds, keys, threshold] = await this.evm.read<[number[], Hex[], number]>(
      this.registry,
      'quorumOf',
      nodeId,
      epoch,
    );
    return { nodeIds, keys: keys.map((key) => key.toLowerCase() as Hex), threshold };
  }

  /** The votes of the first members of the real quorum. */
  async drawVotes(nodeId: number, action: StateAction, options: VoteOptions = {}): Promise<Vote[]> {
    const epoch = options.epoch ?? this.votingEpoch;
    const { keys, threshold } = await this.quorum(nodeId, epoch);
    const stateNonce = options.stateNonce ?? (await this.node(nodeId)).stateNonce;
    const reasons = options.reasons ?? (action === 2 ? 0 : 1);
    return keys.slice(0, options.count ?? threshold).map((key, index) => {
      const secret = this.#votingSecrets.get(key);
      if (secret === undefined) throw new Error(`no key for the voter ${key}`);
      return this.sign({ nodeId, action, epoch, stateNonce, reasons }, index, secret);
    });
  }

  sign(
    vote: { nodeId: number; action: StateAction; epoch: number; stateNonce: number; reasons: number },
    index: number,
    secret: Uint8Array,
  ): Vote {
    const domain = domainSeparator(this.deployment.chainId, this.deployment.registry);
    const signature = signDigest(voteDigest(domain, vote), secret);
    return {
      index,
      reasons: vote.reasons,
      r: hexOf(signature.subarray(0, 32)),
      vs: hexOf(signature.subarray(32)),
    };
  }

  /** Draws, signs and submits. @throws Revert */
  async change(nodeId: number, action: StateAction, options: VoteOptions = {}) {
    const epoch = options.epoch ?? this.votingEpoch;
    const votes = await this.drawVotes(nodeId, action, options);
    const stateNonce = options.stateNonce ?? (await this.node(nodeId)).stateNonce;
    return this.evm.send(
      DEPLOYER,
      this.registry,
      'submitStateChange',
      nodeId,
      action,
      epoch,
      stateNonce,
      votes,
    );
  }

  // ---- beacon

  /** The pre-image with which this node can reveal now; undefined without an anchor. */
  async preimageOf(nodeId: number): Promise<Hex | undefined> {
    const { beaconAnchor, operator } = await this.node(nodeId);
    for (let number = 1; number <= 200; number++) {
      const keys = nodeKeys(number);
      if (keys.operator !== operator.toLowerCase()) continue;
      const index = keys.links.findIndex((link) => hexOf(link) === beaconAnchor);
      return index > 0 ? hexOf(keys.links[index - 1] as Uint8Array) : undefined;
    }
    return undefined;
  }
}
