// SPDX-License-Identifier: AGPL-3.0-or-later
// The bridge of the examples between a devnet and a web server that fails, lies and comes back.
import { spawnSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openClient } from '@allium/client/node';
import { until } from '@allium/net/testing/until';
import { Account } from '@allium/protocol/account';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type BridgeOptions, startBridge } from '../../../examples/webhook-bridge.ts';
import { Devnet } from '../src/devnet.ts';

let net: Devnet;
let folder: string;
let hook: Hook;

/** A webhook that answers as it is told. */
class Hook {
  readonly requests: { headers: IncomingHttpHeaders; body: string; status: number }[] = [];
  status = 200;
  readonly #server: Server;

  constructor() {
    this.#server = createServer(async (request, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      const { status } = this;
      this.requests.push({ headers: request.headers, body, status });
      response.writeHead(status, { location: '/elsewhere' }).end('x'.repeat(1_000_000));
    });
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook`;
  }

  taken(): string[] {
    return this.requests.filter(({ status }) => status === 200).map(({ body }) => JSON.parse(body).text);
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'allium-bridge-test-'));
  net = await Devnet.start({ nodes: 14 });
  hook = new Hook();
  await hook.start();
});
afterAll(async () => {
  hook.stop();
  await net.stop();
  rmSync(folder, { recursive: true, force: true });
});

const TOKEN = 'a token of the test';
const SECRET = 'a secret of the test';
const account = Account.create();

async function bridge(change: Partial<BridgeOptions> = {}) {
  const client = await openClient({ account, folder: join(folder, 'bridge'), seeds: [net.seed] });
  const log: string[] = [];
  const options = {
    client,
    webhook: hook.url,
    secret: SECRET,
    token: TOKEN,
    allowPrivate: true,
    firstPauseMs: 20,
  };
  return { running: await startBridge({ ...options, log: (line) => log.push(line), ...change }), log };
}

const person = () => openClient({ account: Account.create(), seeds: [net.seed] });

function ask(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${url}/messages`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKEN}`, ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

test('messages go in and out; a webhook that is down gets them later, signed, in order, also after a restart', async () => {
  await using ann = await person();
  hook.status = 503;
  const first = await bridge();
  await ann.conversation(account.id).send('one');
  await until(() => hook.requests.length >= 3);
  expect(hook.taken()).toEqual([]);
  const { headers, body } = hook.requests[0]!;
  const signature = createHmac('sha256', SECRET).update(`${headers['x-allium-time']}.${body}`).digest('hex');
  expect(headers['x-allium-signature']).toBe(`sha256=${signature}`);
  expect(JSON.parse(body)).toMatchObject({ from: ann.id, text: 'one', timestamp: expect.any(Number) });

  // Stopped while the webhook is down: nothing counts as had.
  await first.running[Symbol.asyncDispose]();
  await ann.conversation(account.id).send('two');
  hook.status = 200;
  const { running } = await bridge();
  await using _ = running;
  await until(() => hook.taken().length === 2);
  expect(hook.taken()).toEqual(['one', 'two']);

  const answered = await ask(running.url, { to: ann.id, text: 'from the web' }, { 'idempotency-key': 'k1' });
  expect(answered.status).toBe(200);
  const told = await answered.json();
  expect(told).toMatchObject({ timestamp: expect.any(Number), of: 7 });
  expect(
    await (await ask(running.url, { to: ann.id, text: 'again' }, { 'idempotency-key': 'k1' })).json(),
  ).toEqual(told);
  for await (const { text, timestamp } of ann.messages()) {
    expect({ text, timestamp }).toMatchObject({ text: 'from the web', timestamp: told.timestamp });
    break;
  }
});

test('a webhook that refuses gets a message once; redirects are not followed', async () => {
  await using ann = await person();
  const { running, log } = await bridge();
  await using _ = running;
  for (const status of [400, 302]) {
    hook.requests.length = 0;
    hook.status = status;
    await ann.conversation(account.id).send(`refused with ${status}`);
    await until(() => log.length > 0);
    expect(hook.requests).toHaveLength(1);
    expect(hook.requests[0]?.headers['x-allium-id']).toMatch(/^05[0-9a-f]{64}\.\d+$/);
    log.length = 0;
  }
  hook.status = 200;
});

test('callers without the token, wrong requests, and webhooks into the private network are refused', async () => {
  const { running } = await bridge();
  await using _ = running;
  const statuses = await Promise.all([
    ask(running.url, { to: account.id, text: 'x' }, { authorization: 'Bearer wrong' }),
    ask(running.url, 'no json'),
    ask(running.url, { to: 'nobody', text: 'x' }),
    ask(running.url, { to: account.id, text: '' }),
    ask(running.url, 'x'.repeat(70_000)),
    fetch(`${running.url}/elsewhere`, { headers: { authorization: `Bearer ${TOKEN}` } }),
    fetch(`${running.url}/health`),
  ]);
  expect(statuses.map(({ status }) => status)).toEqual([401, 400, 400, 400, 413, 404, 200]);
  expect(await statuses[6].json()).toEqual({ status: expect.any(String) });
  const mine = await fetch(`${running.url}/health`, { headers: { authorization: `Bearer ${TOKEN}` } });
  expect(await mine.json()).toMatchObject({ id: account.id });

  const options = { client: {} as BridgeOptions['client'], secret: SECRET, token: TOKEN };
  for (const webhook of [
    'http://example.org/',
    'ftp://example.org/',
    'https://user:word@example.org/',
    'nonsense',
  ]) {
    await expect(startBridge({ ...options, webhook })).rejects.toThrow(TypeError);
  }
});

test('a webhook whose name leads into the private network gets nothing', async () => {
  await using ann = await person();
  const before = hook.requests.length;
  const port = new URL(hook.url).port;
  const { running, log } = await bridge({
    webhook: `https://localhost:${port}/`,
    allowPrivate: false,
    giveUpMs: 1,
  });
  await using _ = running;
  await ann.conversation(account.id).send('secret');
  await until(() => log.length > 0);
  expect(log[0]).toContain('not a public address');
  expect(hook.requests).toHaveLength(before);
});

test('settings that are missing or wrong end the examples in a line, without a stack', () => {
  const run = (bot: string, env: Record<string, string>) => {
    const file = join(import.meta.dirname, '../../../examples', `${bot}.ts`);
    const { ALLIUM_SEED, ALLIUM_PHRASE, ALLIUM_FOLDER, ...others } = process.env;
    const { status, stderr } = spawnSync(process.execPath, [file], {
      env: { ...others, ...env },
      encoding: 'utf8',
    });
    expect(stderr.trim().split('\n')).toHaveLength(1);
    return { status, stderr };
  };
  const dead = { ALLIUM_SEED: 'https://127.0.0.1:1' };
  expect(run('echo-bot', {})).toEqual({ status: 2, stderr: expect.stringMatching(/^set ALLIUM_SEED:/) });
  expect(run('echo-bot', dead)).toEqual({
    status: 1,
    stderr: expect.stringMatching(/^no seed gave a node list \(ALLIUM_SEED is https:\/\/127\.0\.0\.1:1/),
  });
  expect(run('echo-bot', { ...dead, ALLIUM_PHRASE: 'not thirteen words' })).toEqual({
    status: 2,
    stderr: expect.stringMatching(/^ALLIUM_PHRASE is no recovery phrase: fewer than 13 words/),
  });
  const rest = { ...dead, ALLIUM_FOLDER: folder, WEBHOOK_SECRET: 'x', BRIDGE_TOKEN: 'y' };
  expect(run('webhook-bridge', rest)).toMatchObject({ status: 2, stderr: /^set WEBHOOK_URL:/ });
  expect(run('webhook-bridge', { ...rest, WEBHOOK_URL: 'ftp://example.org' })).toMatchObject({
    status: 2,
    stderr: /^WEBHOOK_URL: the webhook must be an https URL/,
  });
});
