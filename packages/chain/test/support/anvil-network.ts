// SPDX-License-Identifier: MIT
// A registry on a development chain, with nodes whose keys the test holds.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { u32be } from '@allium/protocol/bytes';

import { ed25519KeyPair } from '@allium/protocol/crypto';
import type { KeyPair } from '@allium/protocol/crypto/provider';
import {
  type Account,
  createPublicClient,
  createTestClient,
  createWalletClient,
  http,
  parseEther,
} from 'viem';
import { mnemonicToAccount } from 'viem/accounts';
import { foundry } from 'viem/chains';
import { type Anvil, startAnvil } from '../../src/anvil.ts';
import { type ChainNetwork, epochStart, type Hex } from '../../src/chain-view.ts';
import * as lensArtifact from '../../src/contracts/generated/RegistryLens.ts';
import * as registryArtifact from '../../src/contracts/generated/ServiceNodeRegistry.ts';
import * as tokenArtifact from '../../src/contracts/generated/SessionToken.ts';
import { deployNetwork } from '../../src/deploy.ts';
import { networkOf } from '../../src/deployment.ts';
import { hexOf, keccak256 } from '../../src/packed.ts';
import { signRegistration } from '../../src/registration.ts';
import { votingAddress } from '../../src/votes.ts';

const MNEMONIC = 'test test test test test test test test test test test junk';
const ZERO = `0x${'00'.repeat(20)}` as const;

export interface AnvilNode {
  readonly nodeId: number;
  readonly keys: KeyPair;
  readonly votingSecret: Uint8Array;
  /** Links of its beacon chain, the anchor last. */
  readonly links: Uint8Array[];
}

export class AnvilNetwork implements AsyncDisposable {
  readonly anvil: Anvil;
  readonly network: ChainNetwork;
  readonly nodes: AnvilNode[] = [];
  readonly #operator: Account;
  readonly #lens: Hex;

  private constructor(anvil: Anvil, network: ChainNetwork, operator: Account, lens: Hex) {
    this.#lens = lens;
    this.anvil = anvil;
    this.network = network;
    this.#operator = operator;
  }

  /** Blocks are made by transactions only, and by `passTo`. */
  static async start(): Promise<AnvilNetwork> {
    const anvil = await startAnvil();
    const operator = mnemonicToAccount(MNEMONIC);
    const folder = mkdtempSync(join(tmpdir(), 'allium-registry-'));
    const { privateKey } = operator.getHdKey();
    const deployment = await deployNetwork({
      rpc: anvil.url,
      signer: { privateKey: hexOf(privateKey as Uint8Array) },
      preset: 'local',
      folder,
      governance: 'none',
    });
    rmSync(folder, { recursive: true });
    const { registry, token } = deployment;
    const network = networkOf(deployment);
    const started = new AnvilNetwork(anvil, network, operator, deployment.lens);
    const approve = { abi: tokenArtifact.abi, functionName: 'approve', args: [registry, 10n ** 17n] };
    await started.#clients.wallet.writeContract({ address: token, ...approve } as never);
    return started;
  }

  get #clients() {
    return clientsOf(this.anvil, this.#operator);
  }

  get test() {
    return this.#clients.test;
  }

  async now(): Promise<number> {
    return Number((await this.#clients.reader.getBlock()).timestamp);
  }

  /** Mines one block at this time, unix seconds. */
  async passTo(seconds: number): Promise<void> {
    await this.test.setNextBlockTimestamp({ timestamp: BigInt(seconds) });
    await this.test.mine({ blocks: 1 });
  }

  async passToEpoch(epoch: number, seconds = 0): Promise<void> {
    await this.passTo(epochStart(this.network, epoch) + seconds);
  }

  /** Sends as the operator; blocks follow at once. */
  async send(functionName: string, args: unknown[]): Promise<void> {
    const call = { address: this.network.registry, abi: registryArtifact.abi, functionName, args };
    const hash = await this.#clients.wallet.writeContract(call as never);
    const { status } = await this.#clients.reader.waitForTransactionReceipt({ hash });
    if (status !== 'success') throw new Error(`${functionName} was refused`);
  }

  async read<T>(functionName: string, args: unknown[]): Promise<T> {
    const call = { address: this.network.registry, abi: registryArtifact.abi, functionName, args };
    return (await this.#clients.reader.readContract(call as never)) as T;
  }

  /** What a transaction offers per gas at first: twice the base fee and the tip. */
  async usualPrice(): Promise<bigint> {
    const { baseFeePerGas } = await this.#clients.reader.getBlock();
    return 2n * (baseFeePerGas ?? 0n) + (await this.#clients.reader.estimateMaxPriorityFeePerGas());
  }

  async priceOf(hash: Hex): Promise<bigint> {
    return (await this.#clients.reader.getTransaction({ hash })).maxFeePerGas ?? 0n;
  }

  async readLens<T>(functionName: string, args: unknown[]): Promise<T> {
    const call = { address: this.#lens, abi: lensArtifact.abi, functionName, args };
    return (await this.#clients.reader.readContract(call as never)) as T;
  }

  async register(validSignature = true): Promise<AnvilNode> {
    const nodeId = this.nodes.length + 1;
    const keys = ed25519KeyPair(keccak256(u32be(nodeId)));
    const votingSecret = keccak256(u32be(nodeId), u32be(1));
    const links = [keccak256(votingSecret, u32be(2))];
    while (links.length < 8) links.push(keccak256(links.at(-1) as Uint8Array));
    const votingKey = votingAddress(votingSecret);
    const beaconAnchor = hexOf(links.at(-1) as Uint8Array);
    const facts = { ...this.network, operator: this.#operator.address, votingKey, beaconAnchor };
    const signature = signRegistration(facts, keys.secretKey);
    if (!validSignature) signature[0] = (signature[0] as number) ^ 1;
    const registration = {
      ed25519: hexOf(keys.publicKey),
      edSig0: hexOf(signature.subarray(0, 32)),
      edSig1: hexOf(signature.subarray(32)),
      votingKey,
      beaconAnchor,
      feeBps: 0,
      beneficiary: ZERO,
    };
    await this.send('register', [registration]);
    await this.test.setBalance({ address: votingKey, value: parseEther('1') });
    const node = { nodeId, keys, votingSecret, links };
    this.nodes.push(node);
    return node;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.anvil.stop();
  }
}

function clientsOf(anvil: Anvil, account: Account) {
  const transport = http(anvil.url, { retryCount: 0 });
  return {
    reader: createPublicClient({ chain: foundry, transport, pollingInterval: 20 }),
    wallet: createWalletClient({ chain: foundry, transport, account }),
    test: createTestClient({ chain: foundry, mode: 'anvil', transport }),
  };
}
