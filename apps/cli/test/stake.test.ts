// SPDX-License-Identifier: AGPL-3.0-or-later
// A stake from the contracts to its return, by the commands as people type them, on a development chain.
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Anvil, startAnvil } from '@allium/chain/anvil';
import { sealKeystore } from '@allium/chain/keystore';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { runCommandLine } from '../src/program.ts';
import { Shell } from './shell.ts';

/** Accounts of the development chain, which signs for them. */
const DEPLOYER = '0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266';
const ALICE = '0x70997970c51812dc3a010c7d01b50e0d17dc79c8';
const BOB = '0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc';
const CAROL = '0x90f79bf6eb2c4f870365e785982e1f101e93b906';

let anvil: Anvil;
let folder: string;
let output: string;
const write = process.stdout.write;
const { env } = process;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'allium-stake-'));
  anvil = await startAnvil();
  process.env = { ...env, ALLIUM_CHAIN_RPC: anvil.url, ALLIUM_CHAIN_DEPLOYMENT: join(folder, 'net') };
  process.env.ALLIUM_KEYSTORE = '';
  process.env.ALLIUM_PASSPHRASE_FILE = '';
});
afterAll(async () => {
  process.env = env;
  await anvil?.stop();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  output = '';
  process.stdout.write = ((text: string) => {
    output += text;
    return true;
  }) as typeof write;
});
afterEach(() => {
  process.stdout.write = write;
});

const at = (name: string) => join(folder, name);
/** Runs `line`; words in it have no spaces. */
async function run(line: string): Promise<number> {
  output = '';
  return runCommandLine(line.split(' '));
}
// biome-ignore lint/suspicious/noExplicitAny: the JSON of many commands, judged by the assertions
async function json(line: string): Promise<any> {
  expect(await run(`${line} --json`)).toBe(0);
  return JSON.parse(output);
}
async function rpc(method: string, ...params: unknown[]): Promise<unknown> {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
  const response = await fetch(anvil.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  return ((await response.json()) as { result: unknown }).result;
}
async function pass(seconds: number): Promise<void> {
  await rpc('evm_increaseTime', seconds);
  await rpc('evm_mine');
}
/** In whole or parts of atomic units. */
const holds = async (address: string) => BigInt((await json(`stake status --wallet ${address}`)).tokens);
const registration = (operator: string, name: string) =>
  run(
    `node registration --operator ${operator} --chain-deployment ${at('net/deployment.json')} --data-dir ${at(name)} --out ${at(`${name}.json`)}`,
  );

test('contracts are deployed once; a second run checks them and sends nothing', async () => {
  const line = `chain deploy --preset local --rpc-signer ${DEPLOYER} --folder ${at('net')} --yes`;
  const first = await json(line);
  const block = await rpc('eth_blockNumber');
  expect(await json(line)).toEqual(first);
  expect(await rpc('eth_blockNumber')).toBe(block);
  expect(await json('chain show')).toMatchObject({
    registry: first.registry,
    activeNodes: 0,
    registrations: 0,
  });
  expect(await run('chain show')).toBe(0);
  expect(output).toMatch(/stake +100 tokens, of at most 10 contributors/);
});

test('a node is registered by its file; a dry run of it sends nothing', async () => {
  expect(await run(`stake send 200 ${ALICE} --rpc-signer ${DEPLOYER} --yes`)).toBe(0);
  expect(await registration(ALICE, 'n1')).toBe(0);
  const register = `stake register ${at('n1.json')} --rpc-signer ${ALICE}`;
  const block = await rpc('eth_blockNumber');
  const plan = await json(`${register} --dry-run`);
  expect(plan.sent).toBe(false);
  expect(plan.steps.map((step: { function: string }) => step.function)).toEqual(['approve', 'register']);
  expect(plan.steps.every((step: { gas: string }) => Number(step.gas) > 20_000)).toBe(true);
  expect(await rpc('eth_blockNumber')).toBe(block);

  const done = await json(`${register} --yes`);
  expect(done.transactions[1].outcomes).toContainEqual(
    expect.objectContaining({ event: 'NodeRegistered', nodeId: 1 }),
  );
  expect(await holds(ALICE)).toBe(100n * 10n ** 9n);
});

test('what cannot succeed is refused before anything is spent', async () => {
  const block = await rpc('eth_blockNumber');
  await expect(run(`stake register ${at('n1.json')} --rpc-signer ${ALICE} --yes`)).rejects.toThrow(
    'registered already, as node 1',
  );
  await expect(run(`stake register ${at('n1.json')} --rpc-signer ${BOB} --yes`)).rejects.toThrow(
    /names the operator 0x7099.*this wallet is 0x3c44/,
  );
  expect(await registration(BOB, 'n3')).toBe(0);
  await expect(run(`stake register ${at('n3.json')} --rpc-signer ${BOB} --yes`)).rejects.toThrow(
    'holds 0 tokens, 100 are needed',
  );
  const text = readFileSync(at('n3.json'), 'utf8');
  writeFileSync(at('forged.json'), text.replace(BOB, CAROL));
  await expect(run(`stake register ${at('forged.json')} --rpc-signer ${CAROL} --yes`)).rejects.toThrow(
    'signature',
  );
  const deployment = readFileSync(at('net/deployment.json'), 'utf8');
  writeFileSync(at('other.json'), deployment.replace('"chainId": 31337', '"chainId": 1'));
  await expect(
    run(`stake exit 1 --rpc-signer ${ALICE} --chain-deployment ${at('other.json')} --yes`),
  ).rejects.toThrow('serves chain 31337, the contracts are on chain 1');
  await expect(run(`stake exit 1 --rpc-signer ${BOB} --yes`)).rejects.toThrow('no share in node 1');
  await expect(run(`stake set-voting-key 1 ${BOB} --rpc-signer ${BOB} --yes`)).rejects.toThrow(
    'only the operator of this node may do that',
  );
  await expect(run(`stake exit 1 --rpc-signer ${ALICE}`)).rejects.toThrow('nobody can be asked here');
  await expect(run('stake status --wallet 0x12')).rejects.toMatchObject({ exitCode: 2 });
  await expect(run(`stake status --wallet ${ALICE} --chain-rpc http://127.0.0.1:9`)).rejects.toThrow(
    'the chain endpoint 127.0.0.1:9 cannot be reached',
  );
  expect(await rpc('eth_blockNumber')).toBe(block);
});

test('"chain use" remembers endpoint and contracts; seeds stay', async () => {
  const { ALLIUM_CHAIN_RPC, ALLIUM_CHAIN_DEPLOYMENT, ALLIUM_HOME } = process.env;
  try {
    process.env.ALLIUM_HOME = at('home');
    await run('network use https://127.0.0.1:22021');
    expect(await run(`chain use --chain-rpc ${anvil.url} --chain-deployment ${at('net')}`)).toBe(0);
    process.env.ALLIUM_CHAIN_RPC = '';
    process.env.ALLIUM_CHAIN_DEPLOYMENT = '';
    expect(await json('chain show')).toMatchObject({ activeNodes: 1 });
    expect(JSON.parse(readFileSync(at('home/settings.json'), 'utf8'))).toMatchObject({
      seeds: ['https://127.0.0.1:22021'],
      chainRpc: anvil.url,
    });
    process.env.ALLIUM_HOME = at('elsewhere');
    await expect(run('chain show')).rejects.toThrow('no contracts chosen');
    await expect(run('chain use')).rejects.toMatchObject({ exitCode: 2 });
  } finally {
    process.env = { ...process.env, ALLIUM_CHAIN_RPC, ALLIUM_CHAIN_DEPLOYMENT };
    if (ALLIUM_HOME === undefined) delete process.env.ALLIUM_HOME;
    else process.env.ALLIUM_HOME = ALLIUM_HOME;
  }
});

test('a wrong passphrase opens no wallet; the right one signs', async () => {
  const key = Buffer.from('59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d', 'hex');
  writeFileSync(at('wallet.json'), sealKeystore(key, 'right passphrase', { n: 1024, r: 8, p: 1 }));
  writeFileSync(at('passphrase'), 'wrong passphrase\n');
  process.env.ALLIUM_PASSPHRASE_FILE = at('passphrase');
  const line = `stake set-beneficiary ${BOB} --node 1 --keystore ${at('wallet.json')} --yes`;
  await expect(run(line)).rejects.toThrow('does not open this keystore');
  writeFileSync(at('passphrase'), 'right passphrase\n');
  expect(await run(line)).toBe(0);
  expect(output).toContain(`Rewards now go to ${BOB}.`);
  await run(`stake set-beneficiary ${ALICE} --node 1 --keystore ${at('wallet.json')} --yes`);
});

test('a pool that two others fill becomes a node', async () => {
  for (const address of [BOB, CAROL]) {
    expect(await run(`stake send 200 ${address} --rpc-signer ${DEPLOYER} --yes`)).toBe(0);
  }
  expect(await registration(ALICE, 'n2')).toBe(0);
  const open = `stake register ${at('n2.json')} --pool --fee 10 --rpc-signer ${ALICE} --yes`;
  await expect(run(`${open} --amount 20`)).rejects.toThrow('at least a quarter of the stake: 25 tokens');
  expect(await run(`${open} --amount 25 --reserve ${BOB}=25`)).toBe(0);
  expect(output).toContain('Pool 1 is open; it fills at 100 tokens.');
  expect(await run(`stake status --wallet ${BOB}`)).toBe(0);
  expect(output).toContain('25 tokens are reserved for you: allium stake contribute 1 25');
  expect(await json('stake pools')).toMatchObject([{ poolId: 1, least: '6250000000', most: '50000000000' }]);
  expect(await json(`stake pools --wallet ${BOB}`)).toMatchObject([
    { least: '25000000000', most: '75000000000' },
  ]);
  await expect(run(`stake contribute 1 20 --rpc-signer ${BOB} --yes`)).rejects.toThrow(
    'takes 25 to 75 tokens',
  );
  expect(await run(`stake contribute 1 25 --rpc-signer ${BOB} --yes`)).toBe(0);
  expect(await json(`stake contribute 1 50 --rpc-signer ${CAROL} --dry-run`)).toMatchObject({
    steps: [
      { function: 'approve' },
      { function: 'contribute', arguments: { poolId: '1', amount: '50000000000' } },
    ],
  });
  await expect(run(`stake contribute 1 60 --rpc-signer ${CAROL} --yes`)).rejects.toThrow(
    'only 50 tokens are missing',
  );
  await expect(run(`stake withdraw --pool 1 --rpc-signer ${BOB} --yes`)).rejects.toThrow(
    /possible from 20.* on/,
  );
  expect(await run(`stake contribute 1 60 --part --rpc-signer ${CAROL} --yes`)).toBe(0);
  expect(output).toContain('Pool 1 is now node 2.');
  expect(await holds(CAROL)).toBe(150n * 10n ** 9n);
});

test('the explorer shows the nodes and how they came', async () => {
  const shell = new Shell({ ALLIUM_HOME: at('home') });
  try {
    const explorer = shell.start(
      'explorer',
      '--chain-rpc',
      anvil.url,
      '--chain-deployment',
      at('net'),
      '--port',
      '0',
    );
    await expect.poll(() => explorer.stdout).toContain('http://');
    const url = /http:\/\/\S+/.exec(explorer.stdout)![0];
    const events = (await (await fetch(`${url}/api/events`)).json()) as { type: string; node_id: number }[];
    expect(events.map(({ type, node_id }) => `${type} ${node_id}`)).toEqual(['register 2', 'register 1']);
    const nodes = (await (await fetch(`${url}/api/service_nodes`)).json()) as {
      chain: { node_id: number };
    }[];
    expect(nodes.map(({ chain }) => chain)).toEqual([
      expect.objectContaining({ node_id: 1, operator: ALICE, valid: true, fee_percent: 0 }),
      expect.objectContaining({ node_id: 2, operator: ALICE, valid: true, fee_percent: 10 }),
    ]);
    explorer.child.kill('SIGTERM');
    expect((await explorer.ended()).code).toBe(0);
  } finally {
    shell.dispose();
  }
});

test('rewards are told, claimed to the last unit, and reach the beneficiaries', async () => {
  await expect(run(`stake claim --rpc-signer ${ALICE} --yes`)).rejects.toThrow('nothing to claim yet');
  await pass(3600);
  const { nodes } = await json(`stake status --wallet ${BOB}`);
  expect(nodes).toHaveLength(1);
  expect(BigInt(nodes[0].shares[1].claimable)).toBeGreaterThan(0n);
  expect(nodes[0]).toMatchObject({ nodeId: 2, state: 'active', feeBps: 1000 });

  const before = await holds(ALICE);
  const done = await json(`stake claim --rpc-signer ${ALICE} --yes`);
  const events = done.transactions[0].outcomes.filter(
    ({ event }: { event: string }) => event === 'RewardsClaimed',
  );
  expect(events.map(({ nodeId }: { nodeId: number }) => nodeId)).toEqual([1, 2]);
  const { nodes: now } = await json(`stake status --wallet ${ALICE}`);
  const claimed = now.map(({ shares }: { shares: { claimed: string }[] }) => BigInt(shares[0]!.claimed));
  expect((await holds(ALICE)) - before).toBe(claimed[0] + claimed[1]);
  // Of the second node Alice has a tenth as the fee, and a quarter of the rest; Carol half of the rest.
  const whole = now[1].shares.map((share: { claimed: string; claimable: string }) =>
    Number(BigInt(share.claimed) + BigInt(share.claimable)),
  );
  expect(whole[0] / whole[1]).toBeCloseTo((0.1 + 0.9 / 4) / (0.9 / 4), 6);
  expect(whole[2] / whole[1]).toBeCloseTo(2, 6);
});

test('an exit pays back after its time, not before', async () => {
  await expect(run(`stake withdraw --node 1 --rpc-signer ${ALICE} --yes`)).rejects.toThrow(
    '"allium stake exit 1" first',
  );
  expect(await run(`stake exit 1 --rpc-signer ${ALICE} --yes`)).toBe(0);
  expect(output).toMatch(/Node 1 leaves at 20.*; until then it goes on working and earning\./);
  await expect(run(`stake exit 1 --rpc-signer ${ALICE} --yes`)).rejects.toThrow('has been asked for already');
  await expect(run(`stake withdraw --node 1 --rpc-signer ${ALICE} --yes`)).rejects.toThrow('locked until');
  await pass(61);
  const before = await holds(ALICE);
  expect(await run(`stake withdraw --node 1 --rpc-signer ${ALICE} --yes`)).toBe(0);
  expect(output).toContain('100 tokens came back from node 1.');
  expect((await holds(ALICE)) - before).toBe(100n * 10n ** 9n);
  await expect(run(`stake withdraw --node 1 --rpc-signer ${ALICE} --yes`)).rejects.toThrow(
    'paid back already',
  );
  expect(await run(`stake status --wallet ${ALICE}`)).toBe(0);
  expect(output).toMatch(/Node 1 +has left/);
});

test('a pool that is given up pays back', async () => {
  expect(
    await run(`stake register ${at('n3.json')} --pool --fee 0 --amount 30 --rpc-signer ${BOB} --yes`),
  ).toBe(0);
  const before = await holds(BOB);
  await expect(run(`stake withdraw --pool 2 --rpc-signer ${BOB} --yes`)).rejects.toThrow(
    '"allium stake cancel 2"',
  );
  await expect(run(`stake cancel 2 --rpc-signer ${CAROL} --yes`)).rejects.toThrow('only the operator');
  await expect(run(`stake finalize 2 --rpc-signer ${BOB} --yes`)).rejects.toThrow('the pool is still open');
  expect(await run(`stake cancel 2 --rpc-signer ${BOB} --yes`)).toBe(0);
  expect(await run(`stake withdraw --pool 2 --rpc-signer ${BOB} --yes`)).toBe(0);
  expect((await holds(BOB)) - before).toBe(30n * 10n ** 9n);
});

test('a node prepares its registration without losing the keys it has', async () => {
  const file = () => JSON.parse(readFileSync(at('n1.json'), 'utf8')) as Record<string, string>;
  const first = file();
  expect(statSync(at('n1/voting.key')).mode & 0o077).toBe(0);
  expect(await registration(BOB, 'n1')).toBe(0);
  expect(output).toContain(`for the operator ${BOB}`);
  expect(file()).toMatchObject({ ed25519: first.ed25519, votingKey: first.votingKey, operator: BOB });
  expect(file().beaconAnchor).not.toBe(first.beaconAnchor);
  const line = `node registration --chain-deployment ${at('net/deployment.json')} --data-dir ${at('n1')}`;
  await expect(run(line)).rejects.toMatchObject({ exitCode: 2 });
  await expect(run(`${line} --operator 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD`)).rejects.toThrow('slip');
  await expect(run(`node registration --operator ${BOB} --data-dir ${at('n1')}`)).rejects.toThrow(
    '--chain-deployment',
  );
});
