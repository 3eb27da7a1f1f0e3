// SPDX-License-Identifier: MIT
// Deployment: once, again, after an interruption, over a tampered contract (spec/chain §4.2); the development chain
// itself; and that the generated modules belong to the sources.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { contractSourcesHash } from '../../../scripts/compile-contracts.ts';
import { startAnvil } from '../src/anvil.ts';
import * as registryModule from '../src/contracts/generated/ServiceNodeRegistry.ts';
import { deployNetwork } from '../src/deploy.ts';
import { networkOf, parseDeploymentFile, readDeployment } from '../src/deployment.ts';
import { PRESETS } from '../src/presets.ts';
import { Evm } from './support/evm.ts';
import { DEPLOYER, DEPLOYER_KEY } from './support/registry-fixture.ts';

let evm: Evm;
let folder: string;
let clean: `0x${string}`;
let steps: string[] = [];

beforeAll(async () => {
  evm = await Evm.start();
  clean = await evm.snapshot();
});
afterAll(() => evm?.anvil.stop());
beforeEach(async () => {
  clean = await evm.revert(clean);
  folder = mkdtempSync(join(tmpdir(), 'allium-deploy-'));
  steps = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const deploy = (options: Partial<Parameters<typeof deployNetwork>[0]> = {}) =>
  deployNetwork({
    rpc: evm.anvil.url,
    signer: { privateKey: DEPLOYER_KEY },
    preset: 'local',
    folder,
    onStep: (step) => steps.push(step),
    ...options,
  });

test('the generated modules are those of the contracts beside them (their compilation: npm run contracts -- --check)', () => {
  expect(registryModule.sourceHash).toBe(contractSourcesHash());
});

test('the registry stays below the size of spec/chain §4.26', () => {
  expect((registryModule.deployedBytecode.length - 2) / 2).toBeLessThanOrEqual(23_000);
});

test('a second run finds everything there and sends nothing', async () => {
  const first = await deploy();
  const block = await evm.rpc('eth_blockNumber');
  expect(await deploy()).toEqual(first);
  expect(await evm.rpc('eth_blockNumber')).toBe(block);
  expect(readDeployment(folder)).toEqual(first);
});

test('an account of the endpoint can deploy, and without a timelock nobody governs', async () => {
  const deployment = await deploy({ signer: { address: DEPLOYER }, governance: 'none', seedMode: 'block' });
  expect(deployment.timelock).toBeUndefined();
  const registry = { address: deployment.registry, abi: registryModule.abi };
  expect(await evm.read(registry, 'config')).toMatchObject({
    governor: `0x${'00'.repeat(20)}`,
    seedMode: 1,
    t0: deployment.t0,
  });
  await evm.goTo(deployment.t0 + 31);
  const receipt = await evm.send(DEPLOYER, registry, 'record');
  expect(evm.events(receipt, registry)[0]).toMatchObject({
    name: 'SeedRevealed',
    args: { epoch: 1, nodeId: 0 },
  });
});

test('wherever a deployment stops, the next run goes on from there', async () => {
  for (let stopAt = 1; stopAt <= 9; stopAt++) {
    clean = await evm.revert(clean);
    rmSync(folder, { recursive: true, force: true });
    let count = 0;
    const interrupted = deploy({
      onStep: () => {
        count += 1;
        if (count === stopAt) throw new Error('killed');
      },
    });
    await expect(interrupted).rejects.toThrow('killed');
    if (existsSync(folder) && stopAt > 1) expect(() => readDeployment(folder)).toThrow(/interrupted/);
    const deployment = await deploy();
    expect(Object.values(deployment)).not.toContain(undefined);
    // Nothing was deployed twice: six contracts, two bindings, one transfer.
    expect(Number(await evm.rpc('eth_getTransactionCount', DEPLOYER, 'latest'))).toBe(9);
  }
});

test('the block of a registry whose transaction was sent but not seen mined is found again', async () => {
  const deployment = await deploy();
  const path = join(folder, 'deployment.json');
  const { deploymentBlock: _, t0: __, ...file } = JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(path, JSON.stringify({ ...file, complete: false }));
  expect(await deploy()).toEqual(deployment);
});

test('other code at an address, another preset and another chain are refused', async () => {
  const { token, registry } = await deploy();
  await expect(deploy({ preset: 'test' })).rejects.toMatchObject({ code: 'other_network' });
  await expect(deploy({ seedMode: 'block' })).rejects.toMatchObject({ code: 'wrong_setting' });
  const code = await evm.rpc<string>('eth_getCode', registry, 'latest');
  await evm.rpc('anvil_setCode', registry, `${code.slice(0, -2)}ff`);
  await expect(deploy()).rejects.toMatchObject({ code: 'code_differs' });
  await evm.rpc('anvil_setCode', registry, code);
  await evm.rpc('anvil_setCode', token, '0x');
  await expect(deploy()).rejects.toThrow(/the chain was reset/);
  await using other = await startAnvil({ chainId: 4242 });
  await expect(deploy({ rpc: other.url })).rejects.toMatchObject({ code: 'other_network' });
});

test('a damaged deployment.json is named as such', () => {
  const good = {
    version: 1,
    chainId: 1,
    preset: 'local',
    deployer: DEPLOYER,
    contracts: {},
    complete: false,
  };
  expect(parseDeploymentFile(JSON.stringify(good))).toEqual(good);
  for (const change of [
    { version: 2 },
    { preset: 'toString' },
    { contracts: { registry: '0x12' } },
    { contracts: { other: DEPLOYER } },
    { contracts: null },
    { t0: -1 },
    { epochLength: 30 },
    { revealWindow: 6 },
    { epochLength: 30, revealWindow: 0 },
    { epochLength: 30, revealWindow: 8 },
    { epochLength: 30.5, revealWindow: 6 },
    { epochLength: 2 ** 32, revealWindow: 6 },
    { complete: 'yes' },
  ]) {
    expect(() => parseDeploymentFile(JSON.stringify({ ...good, ...change }))).toThrow(/not a deployment/);
  }
  expect(() => parseDeploymentFile('{')).toThrow(/not JSON/);
  expect(() => parseDeploymentFile('null')).toThrow(/not a deployment/);
});

test('the lengths of epochs are those of the deployment, not of the preset whose name it bears', async () => {
  const preset = { ...PRESETS.local, epochLength: 28, revealWindow: 7 };
  const deployment = await deploy({ preset });
  expect(networkOf(deployment)).toMatchObject({ epochSeconds: 28, revealSeconds: 7, preset: 'local' });
  expect(readDeployment(folder)).toEqual(deployment);
  await expect(deploy()).rejects.toThrow(/epochs and reveal windows of 28 and 7 s/);

  // A file of before they were written down.
  const path = join(folder, 'deployment.json');
  const { epochLength: _, revealWindow: __, ...before } = JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(path, JSON.stringify(before));
  expect(networkOf(readDeployment(folder))).toMatchObject({ epochSeconds: 30, revealSeconds: 6 });
  await expect(deploy()).rejects.toMatchObject({ code: 'wrong_setting' });
  expect(await deploy({ preset })).toEqual(deployment);
  expect(readDeployment(folder)).toEqual(deployment);
});

test('anvil keeps its state over a stop, and says what is wrong when it cannot start', async () => {
  const statePath = join(folder, 'chain.json');
  const first = await startAnvil({ statePath, chainId: 777 });
  const call = async (url: string, method: string, ...params: unknown[]) => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    return ((await response.json()) as { result: unknown }).result;
  };
  await call(first.url, 'anvil_mine', '0x7');
  await expect(startAnvil({ port: first.port })).rejects.toMatchObject({ code: 'start_failed' });
  await first.stop();
  await first.stop();
  await using second = await startAnvil({ statePath, chainId: 777 });
  expect(await call(second.url, 'eth_blockNumber')).toBe('0x7');
});

test('anvil ends when the process that started it is killed', async () => {
  const script = `const { startAnvil } = await import(${JSON.stringify(join(import.meta.dirname, '../src/anvil.ts'))});
    console.log((await startAnvil()).processId); setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(parent.stdout, 'data');
  const processId = Number(String(line));
  expect(process.kill(processId, 0)).toBe(true);
  parent.kill('SIGKILL');
  await expect.poll(() => isRunning(processId), { interval: 20 }).toBe(false);
});

function isRunning(processId: number): boolean {
  try {
    return process.kill(processId, 0);
  } catch {
    return false;
  }
}
