// SPDX-License-Identifier: AGPL-3.0-or-later
import { encodeSeedRequest } from '@allium/protocol/storage/service-node-list';
import { describe, expect, test } from 'vitest';
import { ask, Browser, GUARD, world } from './support.ts';

const ONION = `/v1/onion/${GUARD}`;
const BODY = new Uint8Array([1, 2, 3]);

describe('envelopes', () => {
  test('by POST: the guard gets the body and nothing of the browser', async () => {
    await using made = await world();
    const { status, headers, body } = await ask(made.port, ONION, {
      body: BODY,
      headers: {
        ...{ cookie: 'a=b', origin: 'https://app.example', referer: 'https://app.example/chat' },
        ...{ 'user-agent': 'Browser/1', 'x-forwarded-for': '9.9.9.9', 'accept-language': 'de' },
      },
    });
    expect([status, [...body]]).toEqual([200, [3, 2, 1]]);
    expect(headers['access-control-allow-origin']).toBe('*');
    expect(headers['set-cookie']).toBeUndefined();
    expect(headers.server).toBeUndefined();
    const [seen] = made.asked;
    expect([seen?.method, seen?.path, [...(seen?.body ?? [])]]).toEqual(['POST', '/onion_req/v2', [1, 2, 3]]);
    const told = Object.keys(seen?.headers ?? {}).sort();
    expect(told).toEqual(['connection', 'content-length', 'host'].sort());
  });

  test('over a WebSocket: many at once, answered as they come', async () => {
    await using made = await world();
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    made.answer = async ({ body }) => {
      if (body[0] === 1) await held;
      return { status: body[0] === 1 ? 200 : 421, body };
    };
    const browser = await Browser.open(made.port);
    browser.send(1, new Uint8Array([1]));
    browser.send(2, new Uint8Array(200_000).fill(2));
    expect((await browser.answer(2)).length).toBe(200_000);
    expect(browser.frames.find((frame) => frame.kind === 'answer')).toMatchObject({ id: 2, status: 421 });
    expect(made.gateway.numbers.pending).toBe(1);
    release();
    expect([...(await browser.answer(1))]).toEqual([1]);
    await expect.poll(() => made.gateway.numbers.bufferedBytes).toBe(0);
    browser.ws.close();
  });

  test('a status of the guard is passed on; a failure of ours is marked', async () => {
    await using made = await world({ timeoutMs: 200 });
    made.answer = () => ({ status: 502, body: 'Next node not found' });
    const theirs = await ask(made.port, ONION, { body: BODY });
    expect([theirs.status, theirs.headers['x-entry-failure']]).toEqual([502, undefined]);
    made.answer = () => new Promise(() => {});
    const ours = await ask(made.port, ONION, { body: BODY });
    expect([ours.status, ours.headers['x-entry-failure']]).toEqual([504, 'timeout']);
    expect(ours.headers['access-control-expose-headers']).toContain('x-entry-failure');
  });

  test('a browser that goes takes its envelope along', async () => {
    await using made = await world();
    const signals: AbortSignal[] = [];
    made.answer = ({ signal }) => {
      signals.push(signal);
      return new Promise(() => {});
    };
    const browser = await Browser.open(made.port);
    browser.send(1, BODY);
    await expect.poll(() => signals.length).toBe(1);
    browser.ws.terminate();
    await expect.poll(() => signals[0]?.aborted).toBe(true);
    const leaving = new AbortController();
    const single = ask(made.port, ONION, { body: BODY, signal: leaving.signal }).catch(() => 'left');
    await expect.poll(() => signals.length).toBe(2);
    leaving.abort();
    expect(await single).toBe('left');
    await expect.poll(() => signals[1]?.aborted).toBe(true);
    await expect.poll(() => made.gateway.numbers.pending).toBe(0);
    expect(made.gateway.numbers.envelopes.get('cancelled')).toBe(2);
  });

  test('a cancelled one is given up, the connection goes on', async () => {
    await using made = await world();
    const signals: AbortSignal[] = [];
    made.answer = ({ signal, body }) => {
      signals.push(signal);
      return body[0] === 9 ? { status: 200, body } : new Promise(() => {});
    };
    const browser = await Browser.open(made.port);
    browser.send(1, BODY);
    await expect.poll(() => signals.length).toBe(1);
    browser.ws.send(new Uint8Array([3, 1, 0, 0, 0]));
    await expect.poll(() => signals[0]?.aborted).toBe(true);
    browser.send(1, new Uint8Array([9]));
    expect([...(await browser.answer(1))]).toEqual([9]);
    browser.ws.close();
  });
});

describe('what a browser begins with', () => {
  test('preflight of any page is allowed, without credentials', async () => {
    await using made = await world();
    const { status, headers } = await ask(made.port, ONION, {
      method: 'OPTIONS',
      headers: { origin: 'https://a.example', 'access-control-request-method': 'POST' },
    });
    expect(status).toBe(204);
    expect(headers['access-control-allow-origin']).toBe('*');
    expect(headers['access-control-allow-headers']).toBe('content-type');
    expect(headers['access-control-allow-credentials']).toBeUndefined();
  });

  test('the network, its list, and whether the gateway works', async () => {
    const fileServers = [{ url: 'http://files.example', ed25519Hex: 'cc'.repeat(32) }];
    const entries = [{ url: 'https://node.example:22021', ed25519Hex: 'dd'.repeat(32) }];
    await using made = await world({ fileServers, entries, networkId: 'ab12' });
    const info = JSON.parse((await ask(made.port, '/v1/network')).body.toString());
    expect(info).toEqual({
      ...{ version: 1, network: 'local', id: 'ab12', nodes: 1 },
      file_servers: [{ url: 'http://files.example', ed25519_key: 'cc'.repeat(32) }],
      entries: [{ url: 'https://node.example:22021', ed25519_key: 'dd'.repeat(32) }],
    });
    const list = JSON.parse((await ask(made.port, '/v1/nodes')).body.toString());
    expect(list.result.service_node_states[0].pubkey_ed25519).toBe(GUARD);
    const health = await ask(made.port, '/health');
    expect([health.status, JSON.parse(health.body.toString())]).toEqual([
      200,
      { ok: true, nodes: 1, list_age_seconds: 0 },
    ]);
  });

  test('seeds are asked once for many browsers', async () => {
    await using made = await world();
    const before = made.questions.length;
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => ask(made.port, '/json_rpc', { body: encodeSeedRequest() })),
    );
    expect(answers.every(({ body }) => body.includes(GUARD))).toBe(true);
    expect(made.questions.length - before).toBe(1);
  });

  test('only questions about the list are passed on', async () => {
    await using made = await world();
    const before = made.questions.length;
    const call = (method: string, params: unknown) =>
      ask(made.port, '/json_rpc', { body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }) });
    for (const [method, params, code] of [
      ['get_info', {}, -32601],
      ['stop_daemon', {}, -32601],
      ['get_membership_certificate', { epoch: 'x' }, -32600],
      ['get_service_nodes', { service_node_pubkeys: ['a'.repeat(3_000)] }, -32600],
    ] as const) {
      const { body } = await call(method, params);
      expect(JSON.parse(body.toString()).error.code).toBe(code);
    }
    expect((await ask(made.port, '/json_rpc', { body: '{' })).body.toString()).toContain('-32700');
    expect((await call('get_service_nodes', 'x'.repeat(5_000))).status).toBe(413);
    expect(made.questions.length).toBe(before);
    // Different questions cost: they are limited.
    const statuses = [];
    for (let i = 0; i < 60; i++)
      statuses.push((await call('get_membership_certificate', { epoch: i })).status);
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThan(10);
    expect(made.questions.length - before).toBeLessThan(50);
  });

  test('without a list it says so, goes on asking, and works once there is one', async () => {
    await using made = await world({ seeds: [{ url: 'https://127.0.0.1:9' }] });
    expect(made.gateway.trouble).toBeDefined();
    expect((await ask(made.port, '/health')).status).toBe(503);
    const { status, headers } = await ask(made.port, ONION, { body: BODY });
    expect([status, headers['x-entry-failure']]).toEqual([503, 'no_list']);
    expect((await ask(made.port, '/json_rpc', { body: encodeSeedRequest() })).status).toBe(502);
  });

  test('seeds that are silent for a while do not take the list away', async () => {
    await using made = await world({ seedsEveryMs: 20 });
    made.isSeed = false;
    const { listedAt } = made.gateway.numbers;
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(made.gateway.numbers).toMatchObject({ nodes: 1 });
    expect((await ask(made.port, ONION, { body: BODY })).status).toBe(200);
    made.isSeed = true;
    await expect.poll(() => made.gateway.numbers.listedAt).not.toBe(listedAt);
  });
});

test('a stop answers what is under way, refuses what is new, and says good-bye', async () => {
  await using made = await world();
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  made.answer = async ({ body }) => {
    await held;
    return { status: 200, body };
  };
  const browser = await Browser.open(made.port);
  browser.send(1, BODY);
  await expect.poll(() => made.asked.length).toBe(1);
  const stopped = made.gateway.stop();
  browser.send(2, BODY);
  expect(await browser.failure(2)).toBe('busy');
  release();
  expect((await browser.answer(1)).length).toBe(3);
  await stopped;
  expect(await browser.closed()).toBe(1001);
  expect(browser.frames.map(({ kind }) => kind)).toEqual(['failure', 'answer']);
});
