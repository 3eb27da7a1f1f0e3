// SPDX-License-Identifier: AGPL-3.0-or-later
// A gateway on loopback before one service node that is made of functions, and browsers by hand.
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { createCertificate } from '@allium/net/certificate';
import { type HttpsRequest, type HttpsResponse, HttpsServer } from '@allium/net/https-server';
import { systemEnv } from '@allium/net/system-env';
import { fromUtf8 } from '@allium/protocol/bytes';
import {
  Assembly,
  ENTRY_PROTOCOL,
  type EntryFrame,
  GATEWAY_SOCKET_PATH,
  parseEntryFrame,
  requestFrames,
} from '@allium/protocol/onion/entry';
import { expect } from 'vitest';
import { type ClientOptions, WebSocket } from 'ws';
import { Gateway, type GatewayOptions } from '../../src/gateway/gateway.ts';

export const GUARD = 'a1'.repeat(32);
export const certificate = createCertificate();

export interface World extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly port: number;
  /** What the node was asked, but for the list. */
  readonly asked: HttpsRequest[];
  /** Bodies of questions to it as a seed. */
  readonly questions: string[];
  /** What it answers. */
  answer: (request: HttpsRequest) => HttpsResponse | Promise<HttpsResponse>;
  /** Addresses in its list. */
  nodes: { key: string; host: string; port: number }[];
  isSeed: boolean;
}

export async function world(options: Partial<GatewayOptions> = {}, port?: number): Promise<World> {
  const asked: HttpsRequest[] = [];
  const questions: string[] = [];
  const node = new HttpsServer(
    {
      ...{ host: '127.0.0.1', port: 0, ...certificate },
      handler(request) {
        if (request.path !== '/json_rpc') {
          asked.push(request);
          return made.answer(request);
        }
        if (!made.isSeed) return { status: 503 };
        questions.push(fromUtf8(request.body));
        return { status: 200, headers: { 'content-type': 'application/json' }, body: listOf(made.nodes) };
      },
    },
    systemEnv(),
  );
  const { port: nodePort } = await node.start();
  const gateway = new Gateway(
    {
      ...{ port: 0, network: 'local', allows: () => true },
      seeds: [{ url: `https://127.0.0.1:${nodePort}` }],
      ...options,
    },
    systemEnv(),
  );
  const made: World = {
    gateway,
    port: 0,
    asked,
    questions,
    answer: ({ body }) => ({ status: 200, body: body.slice().reverse() }),
    nodes: [{ key: GUARD, host: '127.0.0.1', port: port ?? nodePort }],
    isSeed: true,
    async [Symbol.asyncDispose]() {
      await gateway.stop();
      await node.stop();
    },
  };
  const started = await gateway.start();
  return Object.assign(made, { port: started.port });
}

function listOf(nodes: World['nodes']): string {
  const states = nodes.map(({ key, host, port }) => ({
    ...{ pubkey_ed25519: key, pubkey_x25519: 'b2'.repeat(32), public_ip: host, storage_port: port },
    ...{ requested_unlock_height: 0, height: 1 },
  }));
  return JSON.stringify({ jsonrpc: '2.0', id: '0', result: { service_node_states: states, height: 1 } });
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export function ask(
  port: number,
  path: string,
  options: RequestOptions & { body?: Uint8Array | string } = {},
): Promise<Answer> {
  const { body, ...rest } = options;
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      { host: '127.0.0.1', port, path, method: body === undefined ? 'GET' : 'POST', agent: false, ...rest },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks),
          }),
        );
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

/** A browser's WebSocket, with what came over it. */
export class Browser {
  readonly ws: WebSocket;
  readonly frames: EntryFrame[] = [];
  readonly #assemblies = new Map<number, Assembly>();
  readonly #answers = new Map<number, Uint8Array>();
  closedWith: number | undefined;

  private constructor(ws: WebSocket) {
    this.ws = ws;
    ws.on('message', (data: Buffer) => this.#take(parseEntryFrame(new Uint8Array(data))));
    ws.on('error', () => {});
    ws.on('close', (code) => {
      this.closedWith = code;
    });
  }

  /** Rejects with the status of a refusal. */
  static open(port: number, options: ClientOptions = {}): Promise<Browser> {
    return new Promise((resolve, reject) => {
      const ws = new WebSocket(`ws://127.0.0.1:${port}${GATEWAY_SOCKET_PATH}`, ENTRY_PROTOCOL, options);
      const browser = new Browser(ws);
      ws.once('open', () => resolve(browser));
      ws.once('unexpected-response', (_, response) => reject(new Error(String(response.statusCode))));
      ws.once('error', reject);
    });
  }

  send(id: number, body: Uint8Array, node = GUARD): void {
    for (const frame of requestFrames(id, node, body)) this.ws.send(frame);
  }

  #take(frame: EntryFrame): void {
    this.frames.push(frame);
    if (frame.kind === 'answer') this.#assemblies.set(frame.id, new Assembly(frame.size));
    if (frame.kind !== 'answer' && frame.kind !== 'part') return;
    const assembly = this.#assemblies.get(frame.id)!;
    assembly.add(frame.bytes);
    if (assembly.isComplete) this.#answers.set(frame.id, assembly.take());
  }

  /** The whole answer to one envelope. */
  async answer(id: number): Promise<Uint8Array> {
    await expect.poll(() => this.#answers.get(id), { interval: 5 }).toBeDefined();
    return this.#answers.get(id)!;
  }

  async failure(id: number): Promise<string> {
    const find = () => this.frames.find((frame) => frame.kind === 'failure' && frame.id === id);
    await expect.poll(find, { interval: 5 }).toBeDefined();
    const found = find();
    return found?.kind === 'failure' ? found.code : '';
  }

  async closed(): Promise<number> {
    await expect.poll(() => this.closedWith, { interval: 5 }).toBeDefined();
    return this.closedWith!;
  }
}
