// SPDX-License-Identifier: MIT
import { utf8 } from '@allium/protocol/bytes';
import { type Transport, TransportError, type TransportRequest } from '@allium/protocol/env';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fetchFromSeeds, readBundledList } from '../../src/network/bootstrap.ts';
import { FakeNetwork } from '../fake-network.ts';
import { TestClock, testEnv } from '../test-clock.ts';

const never = new AbortController().signal;

function make(answer: (url: string, request: TransportRequest) => Promise<string>) {
  const clock = new TestClock();
  const requests: TransportRequest[] = [];
  const transport: Transport = {
    async request(request) {
      requests.push(request);
      const body = utf8(await answer(request.url, request));
      return { status: 200, headers: { 'content-type': 'application/json' }, body };
    },
  };
  return { clock, requests, deps: { transport, env: testEnv(clock) } };
}

const network = new FakeNetwork(new TestClock(), { nodes: 3 });
const GOOD = `{"jsonrpc":"2.0","id":"0","result":${network.listJson()}}`;
const refuse = () => Promise.reject(new TransportError('unreachable', 'refused'));

test('all seeds are asked at once with the exact request; the first answer wins and the others are given up', async () => {
  const { clock, requests, deps } = make((url, { signal }) =>
    url.includes('slow')
      ? new Promise((_, reject) => signal!.addEventListener('abort', () => reject(signal!.reason)))
      : Promise.resolve(GOOD),
  );
  const pins = { publicKey: 'x', certificate: 'y' };
  const seeds = [{ url: 'https://slow' }, { url: 'https://good/', pins }, { url: 'https://slow2' }];
  const { nodes } = await clock.run(fetchFromSeeds(seeds, never, deps));
  expect(nodes.map((node) => node.ed25519Hex)).toEqual(network.nodes.map((node) => node.ed25519Hex));
  expect(requests.map(({ url }) => url)).toEqual([
    'https://slow/json_rpc',
    'https://good/json_rpc',
    'https://slow2/json_rpc',
  ]);
  expect(requests[1]).toMatchObject({ timeoutMs: 5_000, pins });
  expect(JSON.parse(new TextDecoder().decode(requests[1]!.body))).toMatchObject({
    method: 'get_n_service_nodes',
    params: { active_only: true, fields: { public_ip: true, pubkey_ed25519: true, storage_port: true } },
  });
  expect(requests[0]!.signal!.aborted).toBe(true);
});

test('four rounds, with pauses of 1, 2 and 4 s', async () => {
  const { clock, requests, deps } = make(refuse);
  const start = clock.monotonic();
  await expect(
    clock.run(fetchFromSeeds([{ url: 'https://a' }, { url: 'https://b' }], never, deps)),
  ).rejects.toMatchObject({ code: 'no_nodes' });
  expect(requests).toHaveLength(8);
  expect(clock.monotonic() - start).toBe(7_000);
});

test('without a network nothing is repeated', async () => {
  const { clock, requests, deps } = make(() => Promise.reject(new TransportError('no_network', 'none')));
  await expect(clock.run(fetchFromSeeds([{ url: 'https://a' }], never, deps))).rejects.toMatchObject({
    code: 'no_network',
  });
  expect(requests).toHaveLength(1);
});

test('whatever a seed says, the result is a list or a typed error', async () => {
  const bodies = fc.oneof(
    fc.string(),
    fc.json(),
    fc.json().map((result) => `{"jsonrpc":"2.0","id":"0","result":${result}}`),
    fc
      .array(fc.record({ public_ip: fc.anything(), storage_port: fc.anything(), pubkey_x25519: fc.string() }))
      .map((states) => JSON.stringify({ result: { service_node_states: states, height: 1 } })),
  );
  await fc.assert(
    fc.asyncProperty(bodies, async (body) => {
      const { clock, deps } = make(() => Promise.resolve(body));
      const result = await clock.run(
        fetchFromSeeds([{ url: 'https://a' }], never, deps).catch((error: unknown) => error),
      );
      if (result instanceof Error) expect(result).toMatchObject({ name: 'ClientError', code: 'no_nodes' });
    }),
    { numRuns: 60 },
  );
});

test('of a bundled list those are left out whose stake has run out by now, and those without address', () => {
  const list = JSON.parse(network.listJson());
  list.service_node_states[0].requested_unlock_height = 1_010;
  list.service_node_states[1].public_ip = '0.0.0.0';
  const bundled = { json: JSON.stringify(list), takenAt: 1_000_000 };
  const keys = (now: number) => readBundledList(bundled, now).map((node) => node.ed25519Hex);
  const [first, , third] = network.nodes.map((node) => node.ed25519Hex);
  expect(keys(1_000_000)).toEqual([first, third]);
  expect(keys(1_000_000 + 9 * 120_000)).toEqual([first, third]);
  expect(keys(1_000_000 + 10 * 120_000)).toEqual([third]);
});
