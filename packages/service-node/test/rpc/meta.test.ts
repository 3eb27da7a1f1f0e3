// SPDX-License-Identifier: AGPL-3.0-or-later
// biome-ignore-all lint/suspicious/noThenProperty: `then` is a member of the wire format
// spec/storage-server §8.1: batch, sequence, ifelse; also the methods without account, and the OMQ carrier.
import { decodeBtDict, encodeBt } from '@allium/protocol/bencode';
import { decodeActiveNodes } from '@allium/protocol/storage/active-nodes';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestAccount } from '../support/test-account.ts';
import { type Answer, TestNetwork } from '../support/test-network.ts';

let net: TestNetwork;
beforeAll(async () => {
  net = await TestNetwork.start({ swarms: [3] });
});
afterAll(() => net[Symbol.asyncDispose]());

const text = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString();

describe('batch and sequence', () => {
  test('two authenticated stores in one batch', async () => {
    const account = TestAccount.raw();
    const requests = ['a', 'b'].map((data) => ({
      method: 'store',
      params: account.store(data, { namespace: 42 }),
    }));
    const { status, json } = await net.node(0).rpc('batch', { requests });
    expect(status).toBe(200);
    expect(Object.keys(json)).toEqual(['results']);
    expect(json.results).toMatchObject([
      { code: 200, body: { hash: account.hash('a', 42) } },
      { code: 200, body: { hash: account.hash('b', 42) } },
    ]);
  });

  test('the same as a bt dict over OMQ, with raw bytes both ways', async () => {
    const account = TestAccount.raw();
    const timestamp = Date.now();
    const requests = ['a', 'b'].map((data) => ({
      method: 'store',
      params: {
        data: Buffer.from(data),
        namespace: 42,
        pubkey: account.id,
        signature: account.signRaw('store', 42, timestamp),
        timestamp,
        ttl: 60_000,
      },
    }));
    const reply = await net.omq(net.node(0), 'storage.batch', [encodeBt({ requests })]);
    expect(reply).toHaveLength(1);
    const results = decodeBtDict(reply[0]!).get('results') as Map<string, unknown>[];
    for (const [i, result] of results.entries()) {
      expect(result.get('code')).toBe(200);
      const body = result.get('body') as Map<string, never>;
      expect(text(body.get('hash'))).toBe(account.hash('ab'[i]!, 42));
      const swarm = body.get('swarm') as unknown as Map<string, Map<string, Uint8Array>>;
      for (const entry of swarm.values()) expect(entry.get('signature')).toHaveLength(64);
    }
  });

  test('a sequence runs strictly in order, through the whole swarm', async () => {
    const account = TestAccount.session();
    const timestamp = Date.now();
    const requests = [
      { method: 'store', params: account.store('one') },
      { method: 'retrieve', params: account.retrieve() },
      { method: 'store', params: account.store('two') },
      {
        method: 'delete_all',
        params: { ...account.params, timestamp, signature: account.sign('delete_all', timestamp) },
      },
      { method: 'retrieve', params: account.retrieve() },
    ];
    const { json } = await net.node(1).rpc('sequence', { requests });
    const bodies = json.results.map(({ body }: { body: unknown }) => body);
    expect(json.results.map(({ code }: { code: number }) => code)).toEqual([200, 200, 200, 200, 200]);
    expect(bodies[1].messages).toMatchObject([{ hash: account.hash('one') }]);
    const both = [account.hash('one'), account.hash('two')].sort();
    for (const entry of Object.values(bodies[3].swarm)) expect(entry).toHaveProperty('deleted', both);
    expect(bodies[4].messages).toEqual([]);
  });

  test('a failure ends a sequence, but not a batch', async () => {
    const account = TestAccount.session();
    const requests = [
      { method: 'store', params: account.store('x', { namespace: 33, signed: false }) },
      { method: 'retrieve', params: account.retrieve() },
    ];
    const failed = { code: 401, body: 'store: signature required to store to namespace 33' };
    expect((await net.node(0).rpc('sequence', { requests })).json.results).toEqual([failed]);
    const { results } = (await net.node(0).rpc('batch', { requests })).json;
    expect(results).toMatchObject([failed, { code: 200, body: { messages: [], more: false } }]);
  });

  test.each([
    ['no requests', {}, 'Invalid batch request: no valid "requests" field'],
    ['an empty list', { requests: [] }, 'Invalid batch request: no valid "requests" field'],
    [
      'too many',
      { requests: Array(21).fill({ method: 'info', params: {} }) },
      'Invalid batch request: subrequest limit exceeded',
    ],
    ['no objects', { requests: [1] }, 'Invalid batch request: requests must be objects'],
    [
      'no params',
      { requests: [{ method: 'info' }] },
      'Invalid batch request: subrequests must have method/params keys',
    ],
    [
      'unknown methods',
      { requests: [{ method: 'fly', params: {} }] },
      'Invalid batch subrequest: invalid method "fly"',
    ],
    [
      'batches in batches',
      { requests: [{ method: 'batch', params: {} }] },
      'Invalid batch subrequest: subrequests may not contain meta-requests',
    ],
    [
      'ifelse in batches',
      { requests: [{ method: 'ifelse', params: { if: { hf_at_least: [1] } } }] },
      'Invalid batch subrequest: subrequests may not contain meta-requests',
    ],
  ])('%s', async (_, params, message) => {
    const answer = await net.node(0).rpc('batch', params);
    expect(answer).toMatchObject({ status: 400, text: `invalid request: ${message}` });
  });
});

describe('ifelse', () => {
  const info = { method: 'info', params: {} };
  const ask = async (params: object) => (await net.node(0).rpc('ifelse', params)).json;

  test.each([
    ['hf_at_least', [21, 2], true],
    ['hf_at_least', [21, 3], false],
    ['hf_at_least', 21, true],
    ['hf_before', [22], true],
    ['hf_before', [21, 2], false],
    ['v_at_least', [2, 8, 0], true],
    ['v_before', [2, 11, 1], true],
    ['v_before', [2, 11], false],
    ['height_at_least', 1, true],
    ['height_before', 1, false],
  ])('%s %j is %s', async (name, value, condition) => {
    const result = await ask({ if: { [name]: value }, then: info });
    expect(result).toMatchObject({ condition, hf: [21, 2], v: [2, 11, 0] });
    expect(result.height).toBeGreaterThan(14_000_000);
    expect(result).not.toHaveProperty('t');
    if (condition) expect(result.result).toMatchObject({ code: 200, body: { version: [2, 11, 0] } });
    else expect(result).not.toHaveProperty('result');
  });

  test('conditions are joined by and; else is the other branch', async () => {
    const both = { hf_at_least: [1], hf_before: [2] };
    expect(await ask({ if: both, else: info })).toMatchObject({ condition: false, result: { code: 200 } });
  });

  test('five levels deep, ending in a batch', async () => {
    let branch: object = { method: 'batch', params: { requests: [info, info] } };
    for (let level = 0; level < 5; level++) {
      branch = { method: 'ifelse', params: { if: { hf_at_least: [1] }, then: branch } };
    }
    let result = (await net.node(0).rpc('ifelse', (branch as { params: object }).params)).json;
    for (let level = 0; level < 4; level++) result = result.result.body;
    expect(result.result.body.results).toHaveLength(2);
  });

  test.each([
    ['no condition object', { then: info }, 'no valid "if" field'],
    ['no condition', { if: {}, then: info }, 'must specify at least one "if" condition'],
    ['no branch', { if: { hf_at_least: [1] } }, 'at least one of "then"/"else" required'],
  ])('%s', async (_, params, message) => {
    const answer = await net.node(0).rpc('ifelse', params);
    expect(answer).toMatchObject({
      status: 400,
      text: `invalid request: Invalid ifelse request: ${message}`,
    });
  });
});

describe('methods without account', () => {
  test('info', async () => {
    const { json } = await net.node(0).rpc('info', {});
    expect(json).toMatchObject({ version: [2, 11, 0], hf: [21, 2] });
    expect(Math.abs(json.timestamp - Date.now())).toBeLessThan(60_000);
    expect(json.t).toBe(json.timestamp);
  });

  test('active_nodes_bin', async () => {
    const answer = await net.node(0).rpc('active_nodes_bin', { active_only: true });
    expect(answer.headers['content-type']).toBe('application/octet-stream');
    const nodes = decodeActiveNodes(answer.bytes);
    expect(nodes.map(({ ed25519Key }) => Buffer.from(ed25519Key).toString('hex')).sort()).toEqual(
      net.nodes.map(({ hex }) => hex).sort(),
    );
    expect(nodes[0]).toMatchObject({ host: '127.0.0.1', swarmId: 0x1234n, version: [2, 11, 0] });
  });

  test('oxend_request gives the node list and refuses the rest', async () => {
    const ask = (endpoint: string, params: object = {}) =>
      net.node(0).rpc('oxend_request', { endpoint, params });
    const { json } = await ask('get_service_nodes', { fields: { pubkey_ed25519: true, storage_port: true } });
    expect(json.result.service_node_states).toHaveLength(3);
    expect(Object.keys(json.result.service_node_states[0]).sort()).toEqual([
      'pubkey_ed25519',
      'storage_port',
    ]);
    expect(await ask('ons_resolve', { type: 0, name_hash: 'x' })).toMatchObject({
      status: 400,
      text: 'Names are not served by this network',
    });
    expect(await ask('get_info')).toMatchObject({
      status: 400,
      text: "invalid request: Invalid oxend endpoint 'get_info'",
    });
  });
});

describe('OMQ', () => {
  const rpc = (method: string, ...parts: string[]) => net.omq(net.node(0), `storage.${method}`, parts);

  test('an empty body, a JSON body, an error', async () => {
    const [info] = await rpc('info');
    expect(JSON.parse(text(info))).toMatchObject({ version: [2, 11, 0] });
    const account = TestAccount.session();
    const [stored] = await rpc('store', JSON.stringify(account.store('over omq')));
    expect(JSON.parse(text(stored)).hash).toBe(account.hash('over omq'));
    const refused = await rpc('retrieve', JSON.stringify({ pubkey: account.id }));
    expect(refused.map(text)).toEqual(['401', 'retrieve: request signature required']);
    expect((await rpc('info', 'x')).map(text)).toEqual(['400', 'invalid body: expected json or bt_dict']);
    expect((await rpc('info', '{}', '{}')).map(text)).toEqual([
      '400',
      'Invalid request: expected 1 message parts, received 2',
    ]);
  });

  test('rpc.get_service_nodes answers anybody with status and JSON', async () => {
    const reply = await net.omq(net.node(1), 'rpc.get_service_nodes', [
      '{"fields":["pubkey_x25519","swarm_id"]}',
    ]);
    expect(text(reply[0])).toBe('200');
    const { service_node_states: states } = JSON.parse(text(reply[1]));
    expect(states).toHaveLength(3);
    expect(states[0]).toEqual({ pubkey_x25519: expect.any(String), swarm_id: 0x1234 });
    expect((await net.omq(net.node(1), 'rpc.get_service_nodes', ['[']))[0]).toEqual(
      new Uint8Array(Buffer.from('400')),
    );
  });

  test('commands between nodes are closed to clients', async () => {
    for (const command of ['sn.ping', 'sn.data', 'sn.storage_cc', 'sn.onion_request', 'service.get_stats']) {
      await expect(net.omq(net.node(0), command, ['x'])).rejects.toMatchObject({ code: 'refused' });
    }
  });
});

describe('HTTPS', () => {
  const plain = ({ status, text, headers }: Answer) => ({ status, text, type: headers['content-type'] });

  test('the ping of testers names the node', async () => {
    const node = net.node(0);
    const answer = await node.post('/ping_test/v1', '');
    expect(answer).toMatchObject({ status: 200, text: '' });
    expect(answer.headers['x-oxen-snode-pubkey']).toBe(Buffer.from(node.hex, 'hex').toString('base64'));
  });

  test('get_stats', async () => {
    const { http } = await import('../support/test-network.ts');
    const answer = await http(net.node(0).httpsPort, 'GET', '/get_stats/v1');
    expect(answer).toMatchObject({ status: 200, json: { version: '2.11.0' } });
  });

  test('other paths and methods', async () => {
    const { http } = await import('../support/test-network.ts');
    expect(plain(await net.node(0).post('/nothing?x=1', 'body'))).toEqual({
      status: 404,
      text: 'POST /nothing Not Found',
      type: 'text/plain',
    });
    expect((await http(net.node(0).httpsPort, 'GET', '/storage_rpc/v1')).status).toBe(404);
  });

  test.each([
    ['no JSON', '{', 'invalid json'],
    ['no method', '{"params":{}}', 'invalid json: no `method` field'],
    ['a method that is no text', '{"method":1,"params":{}}', 'invalid json: no `method` field'],
    ['no params', '{"method":"info"}', 'invalid json: no `params` field'],
    ['params that are no object', '{"method":"info","params":1}', 'invalid json: no `params` field'],
    ['an unknown method', '{"method":"fly","params":{}}', 'no method fly'],
    ['a name of every object', '{"method":"constructor","params":{}}', 'no method constructor'],
  ])('%s', async (_, body, message) => {
    expect(plain(await net.node(0).post('/storage_rpc/v1', body))).toEqual({
      status: 400,
      text: message,
      type: 'text/plain',
    });
  });

  test('long polling is gone, a body of more than 10 MiB is too large', async () => {
    const poll = await net.node(0).post('/storage_rpc/v1', '{}', { 'x-loki-long-poll': '1' });
    expect(plain(poll)).toMatchObject({
      status: 410,
      text: 'long polling is no longer supported, client upgrade required',
    });
    const large = await net.node(0).post('/storage_rpc/v1', Buffer.alloc(10_485_761));
    expect(plain(large)).toMatchObject({ status: 413, text: 'Request body too large' });
    expect((await net.node(0).rpc('info', {})).status).toBe(200);
  });

  test('JSON-RPC of seeds', async () => {
    const ask = async (body: object | string) =>
      (await net.node(0).post('/json_rpc', typeof body === 'string' ? body : JSON.stringify(body))).json;
    const fields = {
      public_ip: true,
      storage_port: true,
      pubkey_x25519: true,
      pubkey_ed25519: true,
      height: true,
    };
    const params = { active_only: true, fields };
    for (const method of ['get_n_service_nodes', 'get_service_nodes', 'get_all_service_nodes']) {
      const answer = await ask({ jsonrpc: '2.0', id: '7', method, params });
      expect(answer).toMatchObject({ jsonrpc: '2.0', id: '7' });
      expect(answer.result.service_node_states).toHaveLength(3);
      expect(answer.result.service_node_states[0]).toMatchObject({ public_ip: '127.0.0.1' });
    }
    expect(
      (await ask({ method: 'get_n_service_nodes', params: { limit: 2 } })).result.service_node_states,
    ).toHaveLength(2);
    const full = (await ask({ method: 'get_service_nodes' })).result;
    expect(full).toMatchObject({ hardfork: 21, snode_revision: 2, status: 'OK' });
    const unchanged = await ask({
      method: 'get_service_nodes',
      params: { poll_block_hash: full.block_hash },
    });
    expect(unchanged.result.unchanged).toBe(true);
    expect(unchanged.result).not.toHaveProperty('service_node_states');
    expect((await ask('{')).error.code).toBe(-32700);
    expect((await ask('[]')).error.code).toBe(-32600);
    expect((await ask({ id: 1, method: 'stop_daemon' })).error.code).toBe(-32601);
    expect((await ask({ id: 1, method: 'get_service_nodes', params: { limit: 'x' } })).error.code).toBe(
      -32600,
    );
  });
});
