// SPDX-License-Identifier: MIT
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromUtf8, utf8 } from '../../src/bytes.ts';
import { type Json, type JsonObject, parseJson } from '../../src/codec/json.ts';
import { ParseError } from '../../src/errors.ts';
import {
  decodeJsonRpc,
  decodeJsonRpcAnswer,
  encodeSeedRequest,
  jsonRpcError,
  jsonRpcResult,
  type ListedNode,
  parseServiceNodeList,
  parseServiceNodeQuery,
  SERVICE_NODE_METHODS,
  serviceNodeListJson,
} from '../../src/storage/service-node-list.ts';

const key = (n: number) => n.toString(16).padStart(64, '0');
const node = (n: number, more: Partial<ListedNode> = {}): ListedNode => ({
  ed25519Hex: key(n),
  x25519Hex: key(n + 1000),
  host: `10.0.0.${n}`,
  httpsPort: 22_000 + n,
  omqPort: 23_000 + n,
  swarmId: 2n ** 63n + BigInt(n),
  active: true,
  version: [2, 11, 0],
  ...more,
});
const network = {
  height: 123,
  blockHash: 'ab'.repeat(32),
  members: [
    node(1),
    node(2),
    node(3, { active: false, swarmId: 2n ** 64n - 1n }),
    node(4, { host: '0.0.0.0', httpsPort: 0, omqPort: 0 }),
  ],
};
/** Always the last of those left. */
const last = { below: (below: number) => below - 1 };

function answer(params: Json): JsonObject {
  return parseJson(serviceNodeListJson(network, parseServiceNodeQuery(params), last)) as JsonObject;
}
const states = (params: Json) => answer(params).service_node_states as JsonObject[];
const keys = (params: Json) =>
  states(params).map((state) => Number.parseInt(state.pubkey_ed25519 as string, 16));

describe('the list of a node', () => {
  test('without parameters: everything that is known, with exact swarm ids', () => {
    expect(answer({})).toMatchObject({
      height: 123,
      target_height: 123,
      block_hash: 'ab'.repeat(32),
      hardfork: 21,
      snode_revision: 2,
      status: 'OK',
    });
    expect(states({})[0]).toEqual({
      service_node_pubkey: key(1),
      pubkey_ed25519: key(1),
      pubkey_x25519: key(1001),
      requested_unlock_height: 0,
      active: true,
      funded: true,
      swarm_id: 9223372036854775809n,
      swarm: '8000000000000001',
      storage_server_version: [2, 11, 0],
      public_ip: '10.0.0.1',
      storage_port: 22_001,
      storage_lmq_port: 23_001,
    });
    expect(parseServiceNodeQuery(undefined)).toMatchObject({ activeOnly: false, limit: 0 });
    expect(keys({})).toEqual([1, 2, 3, 4]);
  });

  test('what the node that answers found out by its tests, where it makes any', () => {
    const tests = (key: string) => ({
      reachable: !key.startsWith('0000') || Number.parseInt(key, 16) !== 2,
      firstUnreachable: 1_700_000_100,
      lastUnreachable: 1_700_000_200,
      lastReachable: 1_700_000_000,
      answers: [6, 2] as const,
      clocks: [5, 1] as const,
    });
    const ask = (params: Json) =>
      (
        parseJson(
          serviceNodeListJson({ ...network, testsOf: tests }, parseServiceNodeQuery(params), last),
        ) as JsonObject
      ).service_node_states as JsonObject[];
    expect(ask({ limit: 0 })[1]).toMatchObject({
      storage_server_reachable: false,
      storage_server_first_unreachable: 1_700_000_100,
      storage_server_last_unreachable: 1_700_000_200,
      storage_server_last_reachable: 1_700_000_000,
      quorumnet_tests: [6, 2],
      timesync_tests: [5, 1],
    });
    expect(ask({ fields: ['storage_server_reachable'] })).toEqual(
      [true, false, true, true].map((storage_server_reachable) => ({ storage_server_reachable })),
    );
    expect(states({ fields: ['storage_server_reachable'] })).toEqual([{}, {}, {}, {}]);
  });

  test('a node whose address is unknown has none', () => {
    expect(Object.keys(states({})[3]!).filter((name) => /ip|port|version/.test(name))).toEqual([]);
  });

  test('active nodes, chosen nodes', () => {
    expect(keys({ active_only: true })).toEqual([1, 2, 4]);
    expect(keys({ service_node_pubkeys: [key(3), key(10).toUpperCase(), key(1)] })).toEqual([1, 3]);
    expect(keys({ service_node_pubkeys: [] })).toEqual([1, 2, 3, 4]);
  });

  test('limits: so many at random, or all of them shuffled', () => {
    expect(keys({ limit: 0 })).toEqual([1, 2, 3, 4]);
    expect(keys({ limit: 2 })).toEqual([4, 1]);
    expect(keys({ limit: 9 })).toEqual([4, 1, 2, 3]);
    expect(keys({ limit: -1 })).toEqual([4, 1, 2, 3]);
  });

  test.each<[Json, string[]]>([
    [
      ['height', 'public_ip'],
      ['height', 'public_ip'],
    ],
    [{ height: true, public_ip: true, swarm: false }, ['height', 'public_ip']],
    [
      ['all', '-swarm', '-height'],
      ['block_hash', 'public_ip'],
    ],
    [
      ['-swarm', '-height'],
      ['block_hash', 'public_ip'],
    ],
    [[], ['block_hash', 'height', 'public_ip', 'swarm']],
    [null, ['block_hash', 'height', 'public_ip', 'swarm']],
  ])('fields %j filter both levels', (fields, expected) => {
    const result = answer({ fields });
    const [first] = result.service_node_states as JsonObject[];
    const names = ['block_hash', 'height', 'public_ip', 'swarm'].filter(
      (name) => name in result || name in first!,
    );
    expect(names).toEqual(expected);
    expect(result.status).toBe('OK');
  });

  test('polling: nothing new, or the list', () => {
    expect(answer({ poll_block_hash: 'ab'.repeat(32) })).toEqual({ unchanged: true, status: 'OK' });
    expect(answer({ poll_block_hash: 'cd'.repeat(32) })).toMatchObject({ unchanged: false, height: 123 });
    expect(answer({ poll_block_hash: '' })).not.toHaveProperty('unchanged');
  });

  test.each<Json>([
    5,
    [],
    { limit: 1.5 },
    { limit: '5' },
    { active_only: 1 },
    { poll_block_hash: 5 },
    { fields: 'all' },
    { fields: [5] },
    { fields: new Array(201).fill('x') },
    { service_node_pubkeys: 'x' },
    { service_node_pubkeys: [5] },
  ])('%j is refused', (params) => {
    expect(() => parseServiceNodeQuery(params)).toThrow(ParseError);
  });
});

describe('the list as a client reads it', () => {
  const read = (change: JsonObject): unknown[] => [
    ...parseServiceNodeList({ service_node_states: [{ ...states({})[0]!, ...change }] }).nodes,
  ];
  const first = {
    ed25519Hex: key(1),
    x25519Hex: key(1001),
    host: '10.0.0.1',
    httpsPort: 22_001,
    omqPort: 23_001,
    swarmId: 2n ** 63n + 1n,
    requestedUnlockHeight: 0,
    active: true,
    version: [2, 11, 0],
  };

  test('what a node writes', () => {
    const list = parseServiceNodeList(answer({}));
    expect(list).toMatchObject({ unchanged: false, height: 123, blockHash: 'ab'.repeat(32) });
    expect(list.nodes[0]).toEqual(first);
    expect(list.nodes.map((state) => state.host)).toEqual(['10.0.0.1', '10.0.0.2', '10.0.0.3']);
    expect(parseServiceNodeList({ unchanged: true, status: 'OK' })).toMatchObject({
      unchanged: true,
      nodes: [],
    });
  });

  test('only what seeds are asked for', () => {
    const { params } = parseJson(fromUtf8(encodeSeedRequest())) as { params: JsonObject };
    const list = parseServiceNodeList(answer(params));
    expect(list.height).toBe(123);
    expect(list.nodes[0]).toEqual({
      ...first,
      active: undefined,
      omqPort: undefined,
      swarmId: undefined,
      version: undefined,
    });
    expect(list.nodes.length).toBe(2);
  });

  test.each<JsonObject>([
    { public_ip: '0.0.0.0' },
    { public_ip: '255.255.255.255' },
    { storage_port: 0 },
    { storage_port: 70_000 },
    { pubkey_x25519: '' },
    { pubkey_ed25519: null },
  ])('%j is left out', (change) => {
    expect(read(change)).toEqual([]);
  });

  test.each<Json>([
    null,
    [],
    {},
    { service_node_states: {} },
    { service_node_states: [5] },
    { service_node_states: [], height: -1 },
    { service_node_states: [], block_hash: 5 },
  ])('%j is refused', (result) => {
    expect(() => parseServiceNodeList(result)).toThrow(ParseError);
  });

  test('swarm ids that are none', () => {
    for (const swarm_id of [-1, 1.5, 2n ** 64n, '5']) expect(() => read({ swarm_id })).toThrow(ParseError);
    expect(read({ swarm_id: 5 })).toMatchObject([{ swarmId: 5n }]);
  });

  test('any JSON is a list or a ParseError', () => {
    const members = fc.dictionary(fc.constantFrom(...Object.keys(states({})[0]!)), fc.jsonValue());
    const result = fc.oneof(fc.jsonValue(), fc.record({ service_node_states: fc.array(members) }));
    fc.assert(
      fc.property(result, (value) => {
        try {
          parseServiceNodeList(value as Json);
        } catch (error) {
          expect(error).toBeInstanceOf(ParseError);
        }
      }),
    );
  });
});

describe('JSON-RPC', () => {
  test('a call', () => {
    expect(decodeJsonRpc(encodeSeedRequest())).toMatchObject({
      id: '0',
      method: 'get_n_service_nodes',
      params: { active_only: true, fields: { public_ip: true } },
    });
    expect(SERVICE_NODE_METHODS.has('get_n_service_nodes')).toBe(true);
    expect(decodeJsonRpc(utf8('{"method":"x"}'))).toEqual({ id: undefined, method: 'x', params: undefined });
  });

  test.each<[string, number]>([
    ['', -32700],
    ['{', -32700],
    ['[]', -32600],
    ['{}', -32600],
    ['{"method":5}', -32600],
    ['{"method":"x","id":{}}', -32600],
  ])('%j is answered with %i', (body, error) => {
    expect(decodeJsonRpc(utf8(body))).toEqual({ error });
  });

  test('answers', () => {
    expect(jsonRpcResult('0', '{"a":1}')).toBe('{"jsonrpc":"2.0","id":"0","result":{"a":1}}');
    expect(jsonRpcError(undefined, -32601)).toBe(
      '{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"Method not found"}}',
    );
    expect(decodeJsonRpcAnswer(utf8(jsonRpcResult(5, '{"id":18446744073709551615}')))).toEqual({
      id: 18446744073709551615n,
    });
    for (const body of [jsonRpcError(1, -32603), '[]', '', '{"result":null}']) {
      expect(() => decodeJsonRpcAnswer(utf8(body))).toThrow(ParseError);
    }
  });
});
