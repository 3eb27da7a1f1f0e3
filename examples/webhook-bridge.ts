// SPDX-License-Identifier: MIT
// Messages in and out of an account over HTTP: POST /messages sends, and what arrives is posted to a webhook.
//   ALLIUM_SEED=https://… ALLIUM_PHRASE='thirteen words' ALLIUM_FOLDER=bridge BRIDGE_TOKEN=… WEBHOOK_SECRET=… \
//     WEBHOOK_URL=https://example.org/hook npx -c 'node examples/webhook-bridge.ts'
// docs/guides/bots.md tells both forms. A message that arrives is done when the webhook has answered with 2xx: until then the
// account's storage is the queue, so that neither a webhook that is down nor a kill of this program loses one.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Client } from '@allium/client';
import { ClientError } from '@allium/client/errors';
import { openClient } from '@allium/client/node';
import type { StoredMessage } from '@allium/client/storage';
import { AddressRules } from '@allium/net/address-rules';
import { Account } from '@allium/protocol/account';
import { settings } from './settings.ts';

const MAX_BODY_BYTES = 64 * 1024;
/** Requests that wait for the network at once; the next one is told to come back. */
const MAX_PENDING = 64;
const MAX_KEYS = 10_000;
const ANSWER_MS = 10_000;
const LONGEST_PAUSE_MS = 5 * 60_000;

export interface BridgeOptions {
  /** Closed with the bridge. */
  readonly client: Client;
  readonly webhook: string;
  /** Of the signature that the webhook checks. */
  readonly secret: string;
  /** What callers of this server show. */
  readonly token: string;
  /** Default 127.0.0.1 and any free port. */
  readonly host?: string;
  readonly port?: number;
  /** The webhook may be on this machine or in its private network. */
  readonly allowPrivate?: boolean;
  /** The pause after the first failure; it doubles. Default 1 s. */
  readonly firstPauseMs?: number;
  /** A message that the webhook does not take for so long is given up. Default 24 h. */
  readonly giveUpMs?: number;
  readonly log?: (line: string) => void;
}

export interface Bridge extends AsyncDisposable {
  readonly url: string;
}

/** @throws TypeError for a webhook that is no https URL (http: on this machine or in a private network) */
export async function startBridge(options: BridgeOptions): Promise<Bridge> {
  const { client, host = '127.0.0.1', port = 0, log = console.error } = options;
  const webhook = checkWebhook(options);
  const end = new AbortController();
  const outgoing = new Outgoing(client);
  const server = createServer((request, response) => {
    answer(request, response, options, outgoing).catch((error) => {
      log(`a request failed: ${error}`);
      if (!response.headersSent) reply(response, 500, { error: 'internal' });
    });
  });
  server.requestTimeout = ANSWER_MS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const forwarding = (async () => {
    for await (const message of client.messages({ signal: end.signal })) {
      await forward(message, webhook, options, end.signal);
    }
  })().catch((error) => {
    if (!end.signal.aborted) log(`messages are not forwarded any more: ${error}`);
  });
  return {
    url: `http://${host}:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      // First: what is not forwarded yet must not count as had.
      const closed = client.close();
      end.abort();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await forwarding;
      await closed;
    },
  };
}

// --- HTTP in, message out ---------------------------------------------------------------------------------------------

/** Sends each key once, as long as it is remembered. */
class Outgoing {
  readonly #client: Client;
  readonly #known = new Map<string, Promise<object>>();
  #pending = 0;

  constructor(client: Client) {
    this.#client = client;
  }

  get isFull(): boolean {
    return this.#pending >= MAX_PENDING;
  }

  send(to: string, text: string, key: string | undefined): Promise<object> {
    const known = key === undefined ? undefined : this.#known.get(key);
    if (known !== undefined) return known;
    const sending = this.#send(to, text);
    if (key !== undefined) {
      this.#known.set(key, sending);
      // What failed may be tried again under the same key.
      sending.catch(() => this.#known.delete(key));
      const [oldest] = this.#known.keys();
      if (this.#known.size > MAX_KEYS && oldest !== undefined) this.#known.delete(oldest);
    }
    return sending;
  }

  async #send(to: string, text: string): Promise<object> {
    this.#pending++;
    try {
      const { hash, timestamp, stored, of } = await this.#client.conversation(to).send(text);
      return { hash, timestamp, stored, of };
    } finally {
      this.#pending--;
    }
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: BridgeOptions,
  outgoing: Outgoing,
): Promise<void> {
  if (request.method === 'GET' && request.url === '/health') {
    const { id, status } = options.client;
    // Whose account it is tells nobody without the token.
    return reply(response, 200, { ...(isAllowed(request, options.token) && { id }), status });
  }
  if (!isAllowed(request, options.token)) return reply(response, 401, { error: 'unauthorized' });
  if (request.url !== '/messages') return reply(response, 404, { error: 'not_found' });
  if (request.method !== 'POST') return reply(response, 405, { error: 'method' });
  if (outgoing.isFull) {
    response.setHeader('retry-after', '5');
    return reply(response, 503, { error: 'busy' });
  }
  const body = await readBody(request);
  if (body === undefined) return reply(response, 413, { error: 'too_large' });
  const { to, text } = parse(body);
  if (typeof to !== 'string' || typeof text !== 'string') {
    return reply(response, 400, { error: 'expected {"to":"05…","text":"…"}' });
  }
  const key = request.headers['idempotency-key'];
  try {
    reply(response, 200, await outgoing.send(to, text, Array.isArray(key) ? key[0] : key));
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    const isTheirs = ['invalid_recipient', 'empty', 'too_long'].includes(error.code);
    reply(response, isTheirs ? 400 : 502, { error: error.code, message: error.message });
  }
}

function isAllowed(request: IncomingMessage, token: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(request.headers.authorization ?? ''), digest(`Bearer ${token}`));
}

async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parse(body: string): Record<string, unknown> {
  try {
    return (JSON.parse(body) as Record<string, unknown> | null) ?? {};
  } catch {
    return {};
  }
}

function reply(response: ServerResponse, status: number, value: object): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}

// --- Message in, HTTP out ---------------------------------------------------------------------------------------------

/** Until the webhook has it, refuses it for good, or the time is over. */
async function forward(
  message: StoredMessage,
  webhook: URL,
  options: BridgeOptions,
  end: AbortSignal,
): Promise<void> {
  const { firstPauseMs = 1_000, giveUpMs = 24 * 3_600_000, log = console.error } = options;
  const { sender, timestamp, text, hash, quote } = message;
  const body = JSON.stringify({ from: sender, timestamp, text, hash, ...(quote && { replyTo: quote }) });
  const began = performance.now();
  for (let pause = firstPauseMs; !end.aborted; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
    const result = await post(webhook, body, `${sender}.${timestamp}`, options, end).catch(
      (error: Error) => error,
    );
    if (result === 'taken') return;
    // A webhook that says 4xx will say so again.
    if (result === 'refused' || performance.now() - began > giveUpMs) {
      log(`a message was given up: ${result instanceof Error ? result.message : result}`);
      return;
    }
    await sleep(pause / 2 + Math.random() * pause, end);
  }
  // Not done: the message comes again at the next start.
  end.throwIfAborted();
}

async function post(
  webhook: URL,
  body: string,
  id: string,
  { secret, allowPrivate = false }: BridgeOptions,
  end: AbortSignal,
): Promise<'taken' | 'refused' | 'later'> {
  const { hostname } = webhook;
  // Resolved once, checked, and connected to just that: a name may answer differently the next time.
  const { address, family } = await lookup(hostname.replace(/^\[(.*)\]$/, '$1'));
  if (!allowPrivate && !new AddressRules().allows(address)) {
    throw new Error(`the webhook is at ${address}, which is not a public address`);
  }
  const time = String(Math.floor(Date.now() / 1000));
  const signature = createHmac('sha256', secret).update(`${time}.${body}`).digest('hex');
  const send = webhook.protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const request = send(
      webhook,
      {
        method: 'POST',
        signal: AbortSignal.any([end, AbortSignal.timeout(ANSWER_MS)]),
        lookup: (_name, options, found) =>
          options.all ? found(null, [{ address, family }]) : found(null, address, family),
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          'x-allium-id': id,
          'x-allium-time': time,
          'x-allium-signature': `sha256=${signature}`,
        },
      },
      (response) => {
        const { statusCode: status = 0 } = response;
        // Redirects are not followed, and what it says is not read.
        response.destroy();
        if (status >= 200 && status < 300) resolve('taken');
        else resolve(status >= 500 || [408, 425, 429].includes(status) ? 'later' : 'refused');
      },
    );
    request.once('error', reject);
    request.end(body);
  });
}

function checkWebhook({
  webhook,
  allowPrivate = false,
}: Pick<BridgeOptions, 'webhook' | 'allowPrivate'>): URL {
  const url = new URL(webhook);
  if (url.protocol !== 'https:' && !(allowPrivate && url.protocol === 'http:')) {
    throw new TypeError('the webhook must be an https URL');
  }
  if (url.username !== '' || url.password !== '')
    throw new TypeError('no password belongs into the URL of the webhook');
  return url;
}

function sleep(ms: number, end: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    end.addEventListener('abort', () => resolve(clearTimeout(timer)), { once: true });
  });
}

if (import.meta.main) {
  const { ALLIUM_SEED, ALLIUM_PHRASE, ALLIUM_FOLDER, WEBHOOK_URL, WEBHOOK_SECRET, BRIDGE_TOKEN, ...more } =
    settings('ALLIUM_SEED', 'ALLIUM_FOLDER', 'WEBHOOK_URL', 'WEBHOOK_SECRET', 'BRIDGE_TOKEN');
  const allowPrivate = more.WEBHOOK_PRIVATE === '1';
  try {
    checkWebhook({ webhook: WEBHOOK_URL, allowPrivate });
  } catch (error) {
    console.error(`WEBHOOK_URL: ${(error as Error).message}`);
    process.exit(2);
  }
  const account = ALLIUM_PHRASE === undefined ? Account.create() : Account.fromPhrase(ALLIUM_PHRASE);
  await using client = await openClient({ account, folder: ALLIUM_FOLDER, seeds: [ALLIUM_SEED] });
  await using bridge = await startBridge({
    client,
    webhook: WEBHOOK_URL,
    secret: WEBHOOK_SECRET,
    token: BRIDGE_TOKEN,
    port: Number(more.BRIDGE_PORT ?? 8200),
    allowPrivate,
  });
  console.log(`bridge of ${client.id} at ${bridge.url}`);
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
}
