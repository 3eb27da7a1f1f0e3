// SPDX-License-Identifier: MIT
// Deploys the contracts of a network, on anvil or any EVM chain (spec/chain §4.2). Each step is kept in deployment.json
// before the next begins; run again, it checks what is there and does only what is missing.
import { mkdirSync } from 'node:fs';
import {
  type Abi,
  type Account,
  createPublicClient,
  createWalletClient,
  encodeAbiParameters,
  encodeDeployData,
  getContractAddress,
  http,
  keccak256,
  type PublicClient,
  toBytes,
  type WalletClient,
  zeroAddress,
} from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import type { Hex } from './chain-view.ts';
import * as contributionPools from './contracts/generated/ContributionPools.ts';
import * as registryLens from './contracts/generated/RegistryLens.ts';
import * as rewardPool from './contracts/generated/RewardPool.ts';
import * as serviceNodeRegistry from './contracts/generated/ServiceNodeRegistry.ts';
import * as sessionToken from './contracts/generated/SessionToken.ts';
import * as timelockController from './contracts/generated/TimelockController.ts';
import {
  CONTRACT_ROLES,
  type ContractRole,
  type Deployment,
  DeploymentError,
  type DeploymentFile,
  finishedDeployment,
  readDeploymentFile,
  writeDeploymentFile,
} from './deployment.ts';
import { hexOf } from './packed.ts';
import { type NetworkPreset, PRESETS, type PresetName } from './presets.ts';
import { domainSeparator, voteDigest } from './votes.ts';

export interface DeployOptions {
  /** URL of the JSON-RPC endpoint. */
  rpc: string;
  /** Pays, holds the tokens, proposes to the timelock. An address: an account that the endpoint itself signs for. */
  signer: { privateKey: Hex } | { address: Hex };
  preset: PresetName | NetworkPreset;
  /** Where deployment.json is kept. Made if it is missing. */
  folder: string;
  /** 'none': no timelock, the parameters stay as they are for ever. Default: timelock. */
  governance?: 'timelock' | 'none';
  /** May pause registrations. Default: the deployer. */
  guardian?: Hex;
  /** May register before `registrationOpenAt`, without a limit on the rate. */
  genesisOperators?: readonly Hex[];
  /** Unix seconds. Default 0: open to all at once. */
  registrationOpenAt?: number;
  /** 'block' only for development chains with one validator (spec/chain §4.7). */
  seedMode?: 'reveal' | 'block';
  token?: { name: string; symbol: string };
  /** Told before each transaction and check. */
  onStep?: (step: string) => void;
}

interface Artifact {
  readonly abi: Abi;
  readonly bytecode: Hex;
  readonly deployedBytecode: Hex;
  readonly immutableReferences: readonly { start: number; length: number }[];
}

const ARTIFACTS: Readonly<Record<ContractRole, Artifact>> = {
  timelock: timelockController,
  token: sessionToken,
  pool: rewardPool,
  pools: contributionPools,
  registry: serviceNodeRegistry,
  lens: registryLens,
};
/** Ours: how long a transaction may take. */
const RECEIPT_TIMEOUT_MS = 180_000;

/**
 * Idempotent: a finished deployment is checked and returned. Takes some ten transactions.
 * @throws DeploymentError; what the endpoint answers comes as viem's errors
 */
export async function deployNetwork(options: DeployOptions): Promise<Deployment> {
  const deployer = new Deployer(options);
  return deployer.run();
}

class Deployer {
  readonly #options: DeployOptions;
  readonly #preset: NetworkPreset;
  readonly #account: Account | Hex;
  readonly #address: Hex;
  readonly #public: PublicClient;
  readonly #wallet: WalletClient;

  constructor(options: DeployOptions) {
    this.#options = options;
    this.#preset = typeof options.preset === 'string' ? PRESETS[options.preset] : options.preset;
    const { signer } = options;
    this.#account = 'privateKey' in signer ? privateKeyToAccount(signer.privateKey) : signer.address;
    const address = typeof this.#account === 'string' ? this.#account : this.#account.address;
    this.#address = address.toLowerCase() as Hex;
    // Receipts are asked for so often on a chain of our own machine, where blocks come at once.
    const local = /^https?:\/\/(127\.|localhost|\[::1\])/.test(options.rpc);
    const common = { transport: http(options.rpc), pollingInterval: local ? 20 : 1000, cacheTime: 0 };
    this.#public = createPublicClient(common);
    this.#wallet = createWalletClient(common);
  }

  async run(): Promise<Deployment> {
    const { folder, governance = 'timelock' } = this.#options;
    mkdirSync(folder, { recursive: true });
    const chainId = await this.#public.getChainId();
    const file: DeploymentFile = readDeploymentFile(folder) ?? {
      version: 1,
      chainId,
      preset: this.#preset.name,
      deployer: this.#address,
      contracts: {},
      epochLength: this.#preset.epochLength,
      revealWindow: this.#preset.revealWindow,
      complete: false,
    };
    if (file.chainId !== chainId) throw otherNetwork(`chain ${file.chainId}, the endpoint serves ${chainId}`);
    if (file.preset !== this.#preset.name) throw otherNetwork(`a deployment of the preset ${file.preset}`);
    const { epochLength, revealWindow } = this.#preset;
    const lengths = [file.epochLength ?? epochLength, file.revealWindow ?? revealWindow];
    if (String(lengths) !== String([epochLength, revealWindow])) {
      throw otherNetwork(`a deployment with epochs and reveal windows of ${lengths.join(' and ')} s`);
    }
    if (file.deployer !== this.#address) throw otherNetwork(`a deployment by ${file.deployer}`);

    for (const role of CONTRACT_ROLES) {
      if (role === 'timelock' && governance === 'none') continue;
      await this.#ensureContract(role, file);
    }
    await this.#ensureFinished(file);
    await this.#checkSettings(file);
    if (!file.complete || file.epochLength === undefined) {
      // The settings were found on chain just now.
      Object.assign(file, { epochLength, revealWindow, complete: true });
      writeDeploymentFile(folder, file);
    }
    return finishedDeployment(file);
  }

  async #ensureContract(role: ContractRole, file: DeploymentFile): Promise<void> {
    const known = file.contracts[role];
    const code = known === undefined ? undefined : await this.#public.getCode({ address: known });
    if (known !== undefined && code !== undefined) {
      this.#options.onStep?.(`${role}: ${known} is there`);
      checkCode(role, known, code);
    } else {
      if (known !== undefined && file.complete) {
        throw new DeploymentError(
          'code_differs',
          `no contract at ${known} (${role}): the chain was reset; remove deployment.json to deploy anew`,
        );
      }
      await this.#deploy(role, file);
    }
    if (role === 'registry' && file.deploymentBlock === undefined) await this.#findBlock(file);
  }

  async #deploy(role: ContractRole, file: DeploymentFile): Promise<void> {
    const { abi, bytecode } = ARTIFACTS[role];
    const nonce = await this.#public.getTransactionCount({ address: this.#address, blockTag: 'pending' });
    const address = getContractAddress({ from: this.#address, nonce: BigInt(nonce) }).toLowerCase() as Hex;
    this.#options.onStep?.(`${role}: deploying to ${address}`);
    // Kept before it is sent: whatever happens then, the next run finds the contract or its absence.
    file.contracts[role] = address;
    writeDeploymentFile(this.#options.folder, file);
    const data = encodeDeployData({ abi, bytecode, args: this.#constructorArgs(role, file) });
    const receipt = await this.#send({ data, nonce }, `the deployment of ${role}`);
    if (role === 'registry') {
      file.deploymentBlock = Number(receipt.blockNumber);
      const block = await this.#public.getBlock({ blockNumber: receipt.blockNumber });
      file.t0 = Number(block.timestamp);
    }
    writeDeploymentFile(this.#options.folder, file);
    const code = (await this.#public.getCode({ address })) ?? '0x';
    checkCode(role, address, code);
  }

  #constructorArgs(role: ContractRole, file: DeploymentFile): unknown[] {
    const { contracts } = file;
    const preset = this.#preset;
    const { token = { name: 'Session Token', symbol: 'SESH' } } = this.#options;
    const governor = contracts.timelock ?? zeroAddress;
    switch (role) {
      case 'timelock':
        // Proposed and executed by the deployer, who hands the roles on; no administrator beside the timelock itself.
        return [BigInt(preset.timelockDelay), [this.#address], [this.#address], zeroAddress];
      case 'token':
        return [token.name, token.symbol, preset.totalSupply, this.#address];
      case 'pool':
        return [contracts.token, governor, preset.payCap];
      case 'pools':
        return [contracts.token];
      case 'registry':
        return [this.#config(file), preset.params, this.#options.genesisOperators ?? []];
      case 'lens':
        return [contracts.registry];
    }
  }

  #config(file: DeploymentFile) {
    const { guardian, registrationOpenAt, seedMode } = this.#options;
    return {
      token: file.contracts.token,
      rewardPool: file.contracts.pool,
      contributionPools: file.contracts.pools,
      governor: file.contracts.timelock ?? zeroAddress,
      guardian: guardian ?? this.#address,
      epochLength: this.#preset.epochLength,
      revealWindow: this.#preset.revealWindow,
      t0: 0,
      registrationOpenAt: registrationOpenAt ?? 0,
      seedMode: seedMode === 'block' ? 1 : 0,
    };
  }

  /** Of a registry whose transaction was sent in a run that did not live to see it mined: the first block with code. */
  async #findBlock(file: DeploymentFile): Promise<void> {
    const address = file.contracts.registry as Hex;
    let low = 0n;
    let high = await this.#public.getBlockNumber();
    while (low < high) {
      const middle = (low + high) / 2n;
      const code = await this.#public.getCode({ address, blockNumber: middle });
      if (code === undefined) low = middle + 1n;
      else high = middle;
    }
    file.deploymentBlock = Number(low);
    file.t0 = Number((await this.#public.getBlock({ blockNumber: low })).timestamp);
    writeDeploymentFile(this.#options.folder, file);
  }

  /** What is done once, after all contracts are there. */
  async #ensureFinished(file: DeploymentFile): Promise<void> {
    const { registry, pool, pools, token } = file.contracts as Record<ContractRole, Hex>;
    for (const [name, address, abi] of [
      ['pool', pool, rewardPool.abi],
      ['pools', pools, contributionPools.abi],
    ] as const) {
      const bound = await this.#public.readContract({
        address,
        abi: abi as typeof rewardPool.abi,
        functionName: 'registry',
      });
      if (bound === zeroAddress) {
        this.#options.onStep?.(`${name}: binding to the registry`);
        await this.#write(address, abi as Abi, 'bind', [registry], `binding ${name}`);
      } else if (bound.toLowerCase() !== registry) {
        throw new DeploymentError('wrong_setting', `${name} ${address} belongs to the registry ${bound}`);
      }
    }
    if (file.complete) return;
    const held = await this.#public.readContract({
      address: token,
      abi: sessionToken.abi,
      functionName: 'balanceOf',
      args: [pool],
    });
    const missing = this.#preset.poolShare - held;
    if (missing > 0n) {
      this.#options.onStep?.('pool: moving the rewards there');
      await this.#write(token, sessionToken.abi, 'transfer', [pool, missing], 'filling the pool');
    }
  }

  /** The values that the code holds, which the comparison of the code leaves out. */
  async #checkSettings(file: DeploymentFile): Promise<void> {
    this.#options.onStep?.('checking the settings of the contracts');
    const { registry, pool, pools, token, lens } = file.contracts as Record<ContractRole, Hex>;
    const read = (address: Hex, abi: Abi, functionName: string, args: unknown[] = []) =>
      this.#public.readContract({ address, abi, functionName, args });
    const governor = file.contracts.timelock ?? zeroAddress;
    const { token: names = { name: 'Session Token' } } = this.#options;
    const vote = { nodeId: 1, action: 1, epoch: 2, stateNonce: 3, reasons: 4 } as const;
    const tokenDomain = keccak256(
      encodeAbiParameters(
        [
          { type: 'bytes32' },
          { type: 'bytes32' },
          { type: 'bytes32' },
          { type: 'uint256' },
          { type: 'address' },
        ],
        [
          keccak256(
            toBytes('EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)'),
          ),
          keccak256(toBytes(names.name)),
          keccak256(toBytes('1')),
          BigInt(file.chainId),
          token,
        ],
      ),
    );
    const checks: [string, unknown, unknown][] = [
      ['pool.token', await read(pool, rewardPool.abi, 'token'), token],
      ['pool.governor', await read(pool, rewardPool.abi, 'governor'), governor],
      ['pool.deployer', await read(pool, rewardPool.abi, 'deployer'), this.#address],
      ['pools.token', await read(pools, contributionPools.abi, 'token'), token],
      ['pools.deployer', await read(pools, contributionPools.abi, 'deployer'), this.#address],
      ['lens.registry', await read(lens, registryLens.abi, 'registry'), registry],
      ['token.DOMAIN_SEPARATOR', await read(token, sessionToken.abi, 'DOMAIN_SEPARATOR'), tokenDomain],
      [
        'registry.voteDigest',
        await read(registry, serviceNodeRegistry.abi, 'voteDigest', Object.values(vote)),
        hexOf(voteDigest(domainSeparator(file.chainId, registry), vote)),
      ],
    ];
    const config = (await read(registry, serviceNodeRegistry.abi, 'config')) as Record<string, unknown>;
    for (const [key, value] of Object.entries({ ...this.#config(file), t0: file.t0 })) {
      checks.push([`registry.${key}`, config[key], value]);
    }
    const plain = (value: unknown) => String(value).toLowerCase();
    for (const [name, found, expected] of checks) {
      if (plain(found) !== plain(expected)) {
        throw new DeploymentError(
          'wrong_setting',
          `${name} is ${plain(found)} on chain, not ${plain(expected)}`,
        );
      }
    }
  }

  async #write(address: Hex, abi: Abi, functionName: string, args: unknown[], what: string): Promise<void> {
    const { request } = await this.#public.simulateContract({
      address,
      abi,
      functionName,
      args,
      account: this.#account,
    });
    const hash = await this.#wallet.writeContract({ ...request, chain: null });
    await this.#receipt(hash, what);
  }

  async #send(transaction: { data: Hex; nonce: number }, what: string) {
    const hash = await this.#wallet.sendTransaction({ ...transaction, account: this.#account, chain: null });
    return this.#receipt(hash, what);
  }

  async #receipt(hash: Hex, what: string) {
    const receipt = await this.#public.waitForTransactionReceipt({ hash, timeout: RECEIPT_TIMEOUT_MS });
    if (receipt.status !== 'success') {
      throw new DeploymentError('reverted', `${what} failed in transaction ${hash}`);
    }
    return receipt;
  }
}

function otherNetwork(what: string): DeploymentError {
  return new DeploymentError('other_network', `the folder holds ${what}: use another folder`);
}

/** @throws DeploymentError `code_differs` */
function checkCode(role: ContractRole, address: Hex, code: Hex): void {
  const { deployedBytecode, immutableReferences } = ARTIFACTS[role];
  if (blank(code, immutableReferences) === deployedBytecode) return;
  throw new DeploymentError(
    'code_differs',
    `the code at ${address} is not that of ${role} in this version of the software`,
  );
}

/** With zeros at the places of immutable values. */
function blank(code: Hex, places: Artifact['immutableReferences']): Hex {
  let text: string = code;
  for (const { start, length } of places) {
    const from = 2 + start * 2;
    text = text.slice(0, from) + '0'.repeat(length * 2) + text.slice(from + length * 2);
  }
  return text as Hex;
}
