// SPDX-License-Identifier: AGPL-3.0-or-later
// Nodes that read the chain through an endpoint, as operators configure them.
import { writeFileSync } from 'node:fs';
import { type ChainNetwork, epochStart } from '@allium/chain/chain-view';
import { freePorts } from '@allium/net/free-ports';
import { systemEnv } from '@allium/net/system-env';
import { until } from '@allium/net/testing/until';
import { randomBytes } from '@allium/protocol/crypto';
import { expect, test } from 'vitest';
import { EventWriter, NETWORK } from '../../../chain/test/support/event-writer.ts';
import { FakeEndpoint } from '../../../chain/test/support/fake-endpoint.ts';
import { type ServiceNodeOptions, serviceNodeOptions } from '../../src/config.ts';
import { examine } from '../../src/doctor.ts';
import { openChain } from '../../src/membership/open-chain.ts';
import { ServiceNode } from '../../src/service-node.ts';
import { TempFolder } from '../support/temp-folder.ts';
import { http } from '../support/test-network.ts';

function deployment({ chainId, registry, deploymentBlock, t0, preset }: ChainNetwork): string {
  const address = (digit: string) => `0x${digit.repeat(40)}`;
  return JSON.stringify({
    version: 1,
    chainId,
    preset,
    deployer: address('d'),
    contracts: { token: address('1'), pool: address('2'), pools: address('3'), registry, lens: address('5') },
    deploymentBlock: Number(deploymentBlock),
    t0,
    complete: true,
  });
}

test('nodes follow an endpoint, and know their network after a restart without it', async () => {
  // In epoch 4, well after its beginning.
  const network: ChainNetwork = { ...NETWORK, t0: Math.floor(Date.now() / 1000) - 4 * 30 - 10 };
  const writer = new EventWriter(network);
  const seeds = [randomBytes(32), randomBytes(32)];
  writer.pass(1);
  for (const seed of seeds) writer.register({ seed });
  for (let epoch = 2; epoch <= 4; epoch++) {
    writer.passTo(epochStart(network, epoch) + 1);
    writer.reveal();
  }
  writer.passTo(Math.floor(Date.now() / 1000));
  await using endpoint = await FakeEndpoint.open(writer);
  const ports = await freePorts(4);
  const folders = seeds.map(() => new TempFolder());
  const nodes = seeds.map((seed, i) => {
    const folder = folders[i]!;
    writeFileSync(folder.file('node.key'), Buffer.from(seed).toString('hex'), { mode: 0o600 });
    const file = new URL(`file://${folder.file('deployment.txt')}`);
    writeFileSync(file, deployment(network));
    return { folder, file: folder.file('deployment.txt') };
  });
  const optionsOf = (i: number, peers: readonly string[]) =>
    serviceNodeOptions({
      dataDir: nodes[i]!.folder.path,
      bindHost: '127.0.0.1',
      httpsPort: ports[2 * i]!,
      omqPort: ports[2 * i + 1]!,
      chainRpc: [endpoint.url],
      chainDeployment: nodes[i]!.file,
      peerTests: 'off',
      peers,
    });
  const service = (i: number, peers: readonly string[]) => new ServiceNode(optionsOf(i, peers), systemEnv());
  const list = async (i: number) => {
    const body = '{"jsonrpc":"2.0","id":0,"method":"get_service_nodes"}';
    return (await http(ports[2 * i]!, 'POST', '/json_rpc', body)).json.result.service_node_states;
  };
  const isKnown = (state: { public_ip?: string }) => state.public_ip !== undefined;

  const first = service(0, []);
  await using second = service(1, [`127.0.0.1:${ports[1]}:${first.ed25519Hex}`]);
  await first.start();
  await second.start();
  await until(async () => {
    return (await list(0)).filter(isKnown).length === 2 && (await list(1)).filter(isKnown).length === 2;
  }, 'addresses');
  const before = await list(0);
  expect(before.map((state: { swarm: string }) => state.swarm)).not.toContain('ffffffffffffffff');
  const findings = await examine(optionsOf(0, []), systemEnv(), [
    'node list',
    'membership',
    'https port',
    'clock',
  ]);
  expect(findings.map(({ ok, text }) => ok || text)).toEqual([true, true, true, true]);
  expect(findings[0]?.text).toContain('2 nodes, 2 of them with an address');
  await first.stop();
  endpoint.isDown = true;
  await using again = service(0, []);
  const begun = again.start();
  await until(async () => {
    try {
      const after = await list(0);
      return after.length === 2 && after.every(isKnown);
    } catch {
      return false;
    }
  }, 'the list of before');
  await begun;
  await again.stop();
  await second.stop();
  for (const folder of folders) folder[Symbol.dispose]();
});

const options = (values: Partial<ServiceNodeOptions>) =>
  serviceNodeOptions({ chainRpc: ['http://127.0.0.1:1'], ...values });

test.each<[string, Partial<ServiceNodeOptions>, RegExp]>([
  ['a list as well', { networkFile: 'list.json' }, /both --network-file and --chain-rpc/],
  ['no deployment', {}, /--chain-deployment/],
  [
    'a deployment that is not there',
    { chainDeployment: '/nowhere/deployment.json' },
    /cannot read .*--chain-deployment/,
  ],
])('%s is refused in words', async (_name, values, text) => {
  await expect(openChain(options(values), systemEnv())).rejects.toThrow(text);
});

test('the voting key comes from its file, and its text is never told', async () => {
  using folder = new TempFolder();
  const chainDeployment = folder.file('deployment.json');
  writeFileSync(chainDeployment, deployment(NETWORK));
  const open = (values: Partial<ServiceNodeOptions> = {}) =>
    openChain(options({ dataDir: folder.path, chainDeployment, ...values }), systemEnv());
  expect((await open()).writer).toBeUndefined();
  // The well-known first account of development chains.
  const key = 'ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80';
  writeFileSync(folder.file('voting.key'), `0x${key}\n`);
  const { writer, votingKey } = await open();
  expect(writer?.address).toBe('0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266');
  expect(votingKey).toEqual(Uint8Array.from(Buffer.from(key, 'hex')));
  await expect(open({ votingKeyFile: folder.file('none') })).rejects.toThrow(/does not exist/);
  for (const text of ['', key.slice(1), `${key.slice(1)}g`, '0'.repeat(64), 'f'.repeat(64)]) {
    writeFileSync(folder.file('voting.key'), text);
    const refusal = await open().catch((error: Error) => error.message);
    expect(refusal).toMatch(/does not hold a voting key/);
    if (text.length > 1) expect(refusal).not.toContain(text.slice(1, 20));
  }
});

test('a deployment that is none is refused in words', async () => {
  using folder = new TempFolder();
  const file = folder.file('deployment.json');
  writeFileSync(file, '{}');
  await expect(openChain(options({ chainDeployment: file }), systemEnv())).rejects.toThrow(
    /not a deployment/,
  );
});
