// SPDX-License-Identifier: MIT
// A network of service nodes in memory behind the transport port: onions are really opened layer by layer, requests are
// really parsed and verified, answers are really signed; only sockets and disks are missing. Each node has knobs with
// which tests break it.
import { fromHex, fromUtf8, toHex, utf8 } from '@allium/protocol/bytes';
import {
  ed25519KeyPair,
  ed25519PublicKeyToX25519,
  ed25519SecretKeyToX25519,
  ed25519Sign,
} from '@allium/protocol/crypto';
import type { KeyPair } from '@allium/protocol/crypto/provider';
import {
  type Clock,
  delay,
  type Transport,
  TransportError,
  type TransportRequest,
  type TransportResponse,
} from '@allium/protocol/env';
import { type Json, parseJson } from '@allium/protocol/json';
import { messageHashText } from '@allium/protocol/message-hash';
import { openLayer, type ReceivedEncType } from '@allium/protocol/onion/layer';
import { parseEntry, parseLayer, sealFinalReply } from '@allium/protocol/onion/request';
import { decodeJsonBody } from '@allium/protocol/storage/request-reader';
import {
  type AccountPubkey,
  type ExpireRequest,
  type OxendRequest,
  RequestError,
  type RetrieveRequest,
  type StorageRequest,
  type StoreRequest,
} from '@allium/protocol/storage/requests';
import { swarmEntry, toJsonResult } from '@allium/protocol/storage/response-writer';
import { nodeSignedText, verifyRequest } from '@allium/protocol/storage/signatures';

const HOP_MS = 5;

export interface Kept {
  /** Default 0. */
  readonly namespace?: number;
  readonly hash: string;
  readonly timestamp: number;
  readonly expiration: number;
  readonly data: Uint8Array;
}
interface Reply {
  readonly status: number;
  readonly body: string;
}

export class FakeNode {
  readonly ed25519Key: Uint8Array;
  readonly ed25519Hex: string;
  readonly x25519Hex: string;
  readonly host: string;
  readonly httpsPort: number;
  readonly omqPort = 1;
  readonly ed25519: KeyPair;
  readonly x25519: KeyPair;
  swarm = 0;
  /** Its uptime proof as base64, for those who ask seeds for it. */
  proof: string | undefined;
  /** Who runs it; undefined: the list does not say. */
  operator: string | undefined;
  /** By account. */
  readonly mailbox = new Map<string, Kept[]>();

  // Knobs.
  /** Refuses connections; a hop before it answers 504. */
  isDead = false;
  /** Takes requests and never answers. */
  isSilent = false;
  /** It takes so much longer, as guard. */
  slowMs = 0;
  /** Its clock is wrong by so much. */
  skew = 0;
  /** It knows `wait` (spec/storage-server §2.9.2). */
  canWait = false;
  /** It knows the word, and never waits. */
  isFull = false;
  /** Answers that it holds. */
  held = 0;
  readonly #arrival = new Set<() => void>();
  /** Keys that it does not know as next hops. */
  readonly strangers = new Set<string>();
  /** What it answers in place of its real answer to a request for which it is the destination. */
  answer: ((request: StorageRequest, real: Reply) => Reply | undefined) | undefined;
  /** What it answers as guard or hop, in the clear, in place of doing its work. */
  hopAnswer: (() => Reply | undefined) | undefined;

  constructor(index: number, host: string) {
    const seed = new Uint8Array(32).fill(index + 1);
    this.ed25519 = ed25519KeyPair(seed);
    this.ed25519Key = this.ed25519.publicKey;
    this.ed25519Hex = toHex(this.ed25519Key);
    this.x25519 = {
      publicKey: ed25519PublicKeyToX25519(this.ed25519Key)!,
      secretKey: ed25519SecretKeyToX25519(this.ed25519.secretKey),
    };
    this.x25519Hex = toHex(this.x25519.publicKey);
    this.host = host;
    this.httpsPort = 20_000 + index;
  }

  /** Something is new: answers on hold are looked at again. */
  wake(): void {
    for (const look of [...this.#arrival]) look();
  }

  /** Until `wake`, or until the time is over. */
  async nextArrival(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
    this.held++;
    try {
      await new Promise<void>((resolve, reject) => {
        const finish = () => {
          cancel();
          signal.removeEventListener('abort', onAbort);
          this.#arrival.delete(finish);
          resolve();
        };
        const onAbort = () => {
          reject(signal.reason);
          finish();
        };
        const cancel = clock.after(ms, finish);
        signal.addEventListener('abort', onAbort, { once: true });
        this.#arrival.add(finish);
      });
    } finally {
      this.held--;
    }
  }

  inbox(account: string): Kept[] {
    const kept = this.mailbox.get(account) ?? [];
    this.mailbox.set(account, kept);
    return kept;
  }
}

export interface FakeNetworkOptions {
  readonly nodes?: number;
  readonly swarms?: number;
  /** Addresses; default: each node in a /24 of its own. */
  readonly host?: (index: number) => string;
}

export class FakeNetwork implements Transport {
  readonly nodes: readonly FakeNode[];
  readonly seedUrl = 'https://seed.test:1';
  readonly #clock: Clock & { trueNow(): number };
  readonly #swarms: number;
  /** No request leaves this machine. */
  isOffline = false;
  isSeedDown = false;
  /** Instead of the real answer of the seed. */
  seedAnswer: (() => TransportResponse) | undefined;
  /** The results of seeds and nodes for questions about members; undefined: they do not know the question. */
  evidence: ((method: string, params: Json) => string | undefined) | undefined;
  /** Further seeds by origin: the result for a question. */
  readonly otherSeeds = new Map<string, (method: string, params: Json) => string | undefined>();
  /** Servers beyond the network by scheme, host and port; undefined is no answer. */
  readonly servers = new Map<string, (payload: Uint8Array) => Uint8Array | undefined>();
  /** Swarms of accounts that are not where their first digit puts them. */
  readonly swarmOf = new Map<string, number>();
  /** Requests by kind, for tests that count. */
  readonly seen: { kind: 'seed' | 'direct' | 'onion'; node: string }[] = [];
  readonly destinations: { node: string; request: StorageRequest; hops: readonly string[] }[] = [];

  constructor(clock: Clock & { trueNow(): number }, options: FakeNetworkOptions = {}) {
    this.#clock = clock;
    this.#swarms = options.swarms ?? 2;
    const host = options.host ?? ((index: number) => `10.0.${index}.1`);
    this.nodes = Array.from({ length: options.nodes ?? 14 }, (_, index) => new FakeNode(index, host(index)));
    this.nodes.forEach((node, index) => {
      node.swarm = index % this.#swarms;
    });
  }

  /** Puts a message into all mailboxes of an account. */
  deliver(account: string, data: Uint8Array, timestamp: number = this.#clock.trueNow(), namespace = 0): void {
    const hash = messageHashText(fromHex(account), namespace, data);
    for (const member of this.swarm(account)) {
      member
        .inbox(account)
        .push({ namespace, hash, timestamp, expiration: timestamp + 14 * 86_400_000, data });
      member.wake();
    }
  }

  node(ed25519Hex: string): FakeNode {
    return this.nodes.find((node) => node.ed25519Hex === ed25519Hex)!;
  }

  swarmNumber(account: string): number {
    return this.swarmOf.get(account) ?? Number.parseInt(account.slice(2, 10), 16) % this.#swarms;
  }

  swarm(account: string): readonly FakeNode[] {
    const number = this.swarmNumber(account);
    return this.nodes.filter((node) => node.swarm === number);
  }

  /** The result object that seeds give. */
  listJson(nodes: readonly FakeNode[] = this.nodes): string {
    return JSON.stringify({
      service_node_states: nodes.map((node) => ({
        public_ip: node.host,
        storage_port: node.httpsPort,
        pubkey_x25519: node.x25519Hex,
        pubkey_ed25519: node.ed25519Hex,
        requested_unlock_height: 0,
        operator_address: node.operator,
        proof: node.proof,
      })),
      height: 1_000,
      status: 'OK',
    });
  }

  async request(request: TransportRequest): Promise<TransportResponse> {
    request.signal?.throwIfAborted();
    if (this.isOffline) throw new TransportError('no_network', 'no network');
    const timeout = new AbortController();
    const signal =
      request.signal === undefined ? timeout.signal : AbortSignal.any([timeout.signal, request.signal]);
    const cancel = this.#clock.after(request.timeoutMs, () => timeout.abort());
    try {
      return await Promise.race([this.#answer(request, signal), rejectOn(signal)]);
    } catch (error) {
      if (error instanceof TransportError) throw error;
      if (request.signal?.aborted) throw new TransportError('aborted', 'aborted');
      if (timeout.signal.aborted) throw new TransportError('timeout', 'no answer in time');
      throw error;
    } finally {
      cancel();
      timeout.abort();
    }
  }

  async #answer(request: TransportRequest, signal: AbortSignal): Promise<TransportResponse> {
    const { origin, pathname } = new URL(request.url);
    const body = request.body ?? new Uint8Array();
    await delay(this.#clock, HOP_MS, signal);
    if (origin === this.seedUrl) {
      this.seen.push({ kind: 'seed', node: origin });
      if (this.isSeedDown) throw new TransportError('unreachable', 'refused');
      if (this.seedAnswer !== undefined) return this.seedAnswer();
      return seedAnswer(body, (method, params) =>
        method === 'get_n_service_nodes' ? this.listJson() : this.evidence?.(method, params),
      );
    }
    const other = this.otherSeeds.get(origin);
    if (other !== undefined) return seedAnswer(body, other);
    const node = this.nodes.find((other) => origin === `https://${other.host}:${other.httpsPort}`);
    if (node === undefined || node.isDead) throw new TransportError('unreachable', 'refused');
    if (node.isSilent) await silence(signal);
    if (pathname === '/storage_rpc/v1') {
      this.seen.push({ kind: 'direct', node: node.ed25519Hex });
      return respond(await this.#handle(node, body, [], signal));
    }
    if (pathname !== '/onion_req/v2') return respond({ status: 404, body: 'Not Found' });
    this.seen.push({ kind: 'onion', node: node.ed25519Hex });
    if (node.slowMs > 0) await delay(this.#clock, node.slowMs, signal);
    const { ciphertext, ephemeralKey, encType } = parseEntry(body);
    return this.#hop(node, encType, ciphertext, ephemeralKey, [], signal);
  }

  async #hop(
    node: FakeNode,
    encType: ReceivedEncType,
    ciphertext: Uint8Array,
    ephemeralKey: Uint8Array,
    before: readonly string[],
    signal: AbortSignal,
  ): Promise<TransportResponse> {
    const own = node.hopAnswer?.();
    if (own !== undefined) return respond(own);
    const opened = openLayer(encType, ciphertext, ephemeralKey, node.x25519);
    if (opened === undefined) return respond({ status: 400, body: 'Invalid ciphertext' });
    const layer = parseLayer(opened.plaintext);
    if (layer.kind === 'server') {
      const server = this.servers.get(`${layer.protocol}://${layer.host}:${layer.port}`);
      const answer = server?.(layer.payload);
      if (answer === undefined) return respond({ status: 502, body: 'no answer from the server' });
      return { status: 200, headers: {}, body: answer };
    }
    const hops = [...before, node.ed25519Hex];
    if (layer.kind === 'final') {
      const { status, body } = await this.#handle(node, layer.body, before, signal);
      return { status: 200, headers: {}, body: sealFinalReply({ status, body }, layer, opened.replyKey) };
    }
    const next = this.nodes.find((other) => other.ed25519Hex === layer.destination);
    if (next === undefined || node.strangers.has(layer.destination)) {
      return respond({ status: 502, body: `Next node not found: ${layer.destination}` });
    }
    await delay(this.#clock, HOP_MS, signal);
    if (next.isDead) return respond({ status: 504, body: 'Request time out' });
    if (next.isSilent) await silence(signal);
    return this.#hop(next, layer.encType, layer.ciphertext, layer.ephemeralKey, hops, signal);
  }

  async #handle(
    node: FakeNode,
    body: Uint8Array,
    hops: readonly string[],
    signal: AbortSignal,
  ): Promise<Reply> {
    let request: StorageRequest;
    try {
      request = decodeJsonBody(body);
    } catch (error) {
      if (error instanceof RequestError) return { status: 400, body: error.text };
      throw error;
    }
    this.destinations.push({ node: node.ed25519Hex, request, hops });
    let real = this.#execute(node, request);
    const end = this.#clock.monotonic() + (node.canWait && !node.isFull ? longestWait(request) : 0);
    while (
      this.#clock.monotonic() < end &&
      !real.body.includes('"messages":[{') &&
      !/"code":[345]/.test(real.body)
    ) {
      await node.nextArrival(this.#clock, end - this.#clock.monotonic(), signal);
      if (node.isDead) throw new TransportError('unreachable', 'gone');
      real = this.#execute(node, request);
    }
    return node.answer?.(request, real) ?? real;
  }

  #execute(node: FakeNode, request: StorageRequest): Reply {
    const now = this.#clock.trueNow() + node.skew;
    const stamp = { t: now, hf: [21, 2] as const };
    switch (request.method) {
      case 'info':
        return ok({ version: [2, 11, 0], timestamp: now, ...stamp });
      case 'get_swarm':
        return ok(this.#swarmBody(request.account, stamp));
      case 'oxend_request':
        return this.#oxend(request, now);
      case 'batch':
      case 'sequence': {
        const results: string[] = [];
        for (const sub of request.requests) {
          const { status, body } = this.#execute(node, sub);
          const isJson = body.startsWith('{');
          results.push(`{"code":${status},"body":${isJson ? body : JSON.stringify(body)}}`);
          if (request.method === 'sequence' && status !== 200) break;
        }
        return { status: 200, body: `{"results":[${results.join(',')}]}` };
      }
      case 'store':
        return this.#store(node, request, now, stamp);
      case 'delete': {
        const swarm: Record<string, object> = {};
        for (const member of this.swarm(request.account.hex)) {
          const inbox = member.inbox(request.account.hex);
          const deleted = request.messages.filter((hash) => inbox.some((kept) => kept.hash === hash)).sort();
          member.mailbox.set(
            request.account.hex,
            inbox.filter((kept) => !deleted.includes(kept.hash)),
          );
          const signature = ed25519Sign(nodeSignedText(request, { deleted }), member.ed25519.secretKey);
          swarm[member.ed25519Hex] = { deleted, signature };
        }
        return verifyRequest(request)
          ? ok({ swarm, ...stamp })
          : { status: 401, body: 'delete signature verification failed' };
      }
      case 'delete_all': {
        const swarm: Record<string, object> = {};
        for (const member of this.swarm(request.account.hex)) {
          const deleted: Record<string, string[]> = {};
          for (const { namespace = 0, hash } of member.inbox(request.account.hex)) {
            deleted[namespace] = [...(deleted[namespace] ?? []), hash];
          }
          member.mailbox.delete(request.account.hex);
          const signature = ed25519Sign(nodeSignedText(request, { deleted }), member.ed25519.secretKey);
          swarm[member.ed25519Hex] = { deleted, signature };
        }
        return verifyRequest(request)
          ? ok({ swarm, ...stamp })
          : { status: 401, body: 'delete_all signature verification failed' };
      }
      case 'expire':
        return this.#expire(request, stamp);
      case 'retrieve':
        return this.#retrieve(node, request, now, stamp);
      default:
        return { status: 400, body: `no method ${request.method}` };
    }
  }

  /** One time for all messages. */
  #expire(request: ExpireRequest, stamp: object): Reply {
    if (!verifyRequest(request)) return { status: 401, body: 'expire: signature verification failed' };
    const expiry = request.expiries[0]!;
    const swarm: Record<string, object> = {};
    for (const member of this.swarm(request.account.hex)) {
      const updated: string[] = [];
      const unchanged: Record<string, number> = {};
      const kept = member.inbox(request.account.hex).map((message) => {
        if (!request.messages.includes(message.hash)) return message;
        if (request.shorten && message.expiration <= expiry) {
          unchanged[message.hash] = message.expiration;
          return message;
        }
        updated.push(message.hash);
        return { ...message, expiration: expiry };
      });
      member.mailbox.set(request.account.hex, kept);
      const result = { expiry, updated: updated.sort(), unchanged };
      const signature = ed25519Sign(nodeSignedText(request, result), member.ed25519.secretKey);
      swarm[member.ed25519Hex] = { ...result, signature };
    }
    return ok({ swarm, ...stamp });
  }

  #oxend({ endpoint, params }: OxendRequest, now: number): Reply {
    const isList = endpoint === 'get_service_nodes';
    const result = isList ? this.listJson() : this.evidence?.(endpoint, params ?? {});
    return result === undefined
      ? { status: 400, body: 'unknown' }
      : { status: 200, body: `{"result":${result},"t":${now},"hf":[21,2]}` };
  }

  #swarmBody(account: AccountPubkey, stamp: object) {
    const members = this.swarm(account.hex);
    return { snodes: members.map(swarmEntry), swarm: String(this.swarmNumber(account.hex)), ...stamp };
  }

  #store(node: FakeNode, request: StoreRequest, now: number, stamp: object): Reply {
    const { account, namespace, timestamp, expiry, data } = request;
    if (!this.swarm(account.hex).includes(node))
      return { ...ok(this.#swarmBody(account, stamp)), status: 421 };
    if (timestamp > now + 10_000 || expiry < now - 10_000) {
      return { status: 406, body: 'Timestamp error: check your clock' };
    }
    const hash = messageHashText(account.bytes, namespace, data);
    const swarm: Record<string, object> = {};
    for (const member of this.swarm(account.hex)) {
      if (member.isDead || member.isSilent) {
        swarm[member.ed25519Hex] = { failed: true, timeout: true };
        continue;
      }
      const inbox = member.inbox(account.hex);
      const already = inbox.some((kept) => kept.hash === hash);
      if (!already) {
        inbox.push({ namespace, hash, timestamp, expiration: expiry, data });
        member.wake();
      }
      const result = { hash, expiry, ...(already && { already }) };
      const signature = ed25519Sign(nodeSignedText(request, result), member.ed25519.secretKey);
      swarm[member.ed25519Hex] = { ...result, signature };
    }
    return ok({ swarm, hash, ...stamp });
  }

  #retrieve(node: FakeNode, request: RetrieveRequest, now: number, stamp: object): Reply {
    const { account, namespace, lastHash, timestamp = 0 } = request;
    if (!this.swarm(account.hex).includes(node))
      return { ...ok(this.#swarmBody(account, stamp)), status: 421 };
    if (Math.abs(timestamp - now) > 60_000) {
      return { status: 406, body: 'retrieve timestamp too far from current time' };
    }
    if (!verifyRequest(request)) return { status: 401, body: 'retrieve signature verification failed' };
    const inbox = node
      .inbox(account.hex)
      .filter((kept) => (kept.namespace ?? 0) === namespace && kept.expiration > now);
    const after = inbox.findIndex((kept) => kept.hash === lastHash) + 1;
    const page = inbox.slice(after, after + 10);
    const waited = node.canWait && request.wait !== undefined ? { waited: 0 } : {};
    return ok({ messages: page, more: after + 10 < inbox.length, ...waited, ...stamp });
  }
}

function seedAnswer(
  body: Uint8Array,
  result: (method: string, params: Json) => string | undefined,
): TransportResponse {
  const { method, params } = parseJson(fromUtf8(body)) as { method: string; params: Json };
  const text = result(method, params);
  const answer = text === undefined ? '"error":{"code":-32601,"message":"?"}' : `"result":${text}`;
  return {
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: utf8(`{"jsonrpc":"2.0","id":"0",${answer}}`),
  };
}

/** Of the retrieves in a batch. */
function longestWait(request: StorageRequest): number {
  const requests = request.method === 'batch' ? request.requests : [request];
  return Math.max(0, ...requests.map((sub) => (sub.method === 'retrieve' ? (sub.wait ?? 0) : 0)));
}

function ok(result: object): Reply {
  return { status: 200, body: toJsonResult(result) };
}

function respond({ status, body }: Reply): TransportResponse {
  return { status, headers: {}, body: utf8(body) };
}

function rejectOn(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) return reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

function silence(signal: AbortSignal): Promise<never> {
  return rejectOn(signal);
}
