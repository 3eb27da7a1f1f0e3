// SPDX-License-Identifier: MIT
// One endpoint of an EVM chain, spoken to by JSON-RPC over HTTP. What it answers is foreign: bounded while it arrives,
// checked before it is used.
import { concat, fromUtf8, utf8 } from '@allium/protocol/bytes';
import { ChainError } from './chain-error.ts';
import type { Hex } from './chain-view.ts';
import { FieldReader } from './fields.ts';

// Ours: what one answer may cost.
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;
const MAX_LOGS = 50_000;
const MAX_LOG_DATA_BYTES = 16_384;
const DEFAULT_TIMEOUT_MS = 20_000;
/** Ours: so many requests travel as one; endpoints refuse more than a hundred. */
const BATCH = 50;

export interface RpcBlock {
  readonly number: number;
  readonly hash: Hex;
  readonly parentHash: Hex;
  readonly timestamp: number;
}

export interface RpcLog {
  readonly address: Hex;
  readonly topics: readonly Hex[];
  readonly data: Hex;
  readonly block: number;
  readonly blockHash: Hex;
  readonly logIndex: number;
  /** Not told by all endpoints. */
  readonly timestamp: number | undefined;
  /** Hash of its transaction; of no use to the fold. */
  readonly transaction?: Hex;
}

export type BlockTag = 'latest' | 'safe' | 'finalized';

interface Call {
  readonly method: string;
  readonly params: readonly unknown[];
}

export class RpcEndpoint {
  /** Without credentials and path, which may hold a key: for logs and messages. */
  readonly name: string;
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #timeoutMs: number;
  #lastId = 0;

  /** @throws ChainError `unreachable` when that is no http or https address */
  constructor(url: string, options: { timeoutMs?: number } = {}) {
    let parsed: URL;
    try {
      parsed = new URL(url);
    } catch {
      throw new ChainError('unreachable', 'a chain endpoint is no URL: write http://… or https://…');
    }
    if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') {
      throw new ChainError('unreachable', `a chain endpoint speaks http or https, not ${parsed.protocol}`);
    }
    // fetch takes no user in the address.
    const user = decodeURIComponent(parsed.username);
    const password = decodeURIComponent(parsed.password);
    this.#headers = user === '' ? {} : { authorization: `Basic ${btoa(`${user}:${password}`)}` };
    parsed.username = '';
    parsed.password = '';
    this.name = parsed.host;
    this.#url = parsed.href;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  async chainId(signal?: AbortSignal): Promise<number> {
    const reader = this.#reader('eth_chainId');
    return reader.quantity(await this.call('eth_chainId', [], signal), 'the chain id');
  }

  async head(tag: BlockTag, signal?: AbortSignal): Promise<RpcBlock> {
    const block = await this.#block(tag, signal);
    if (block === undefined) return this.#reader('eth_getBlockByNumber').fail(`there is no ${tag} block`);
    return block;
  }

  /** Undefined when the chain does not have it. */
  async block(number: number, signal?: AbortSignal): Promise<RpcBlock | undefined> {
    const block = await this.#block(hexNumber(number), signal);
    if (block !== undefined && block.number !== number) {
      this.#reader('eth_getBlockByNumber').fail('it is about another block');
    }
    return block;
  }

  /** Times of blocks, in unix seconds. @throws ChainError `reorganised` when one of them is no longer there */
  async timestamps(
    blocks: readonly { number: number; hash: Hex }[],
    signal?: AbortSignal,
  ): Promise<Map<number, number>> {
    const times = new Map<number, number>();
    for (let from = 0; from < blocks.length; from += BATCH) {
      const part = blocks.slice(from, from + BATCH);
      const calls = part.map(({ number }) => ({
        method: 'eth_getBlockByNumber',
        params: [hexNumber(number), false],
      }));
      for (const [index, answer] of (await this.#exchange(calls, signal)).entries()) {
        const asked = part[index] as { number: number; hash: Hex };
        const block = this.#readBlock(answer);
        if (block?.hash !== asked.hash) {
          throw new ChainError('reorganised', `block ${asked.number} was replaced while it was read`);
        }
        times.set(asked.number, block.timestamp);
      }
    }
    return times;
  }

  /**
   * All logs of a contract in these blocks, ascending.
   * @throws ChainError `too_many_results` or `too_large`: ask for fewer blocks
   */
  async logs(address: Hex, from: number, to: number, signal?: AbortSignal): Promise<RpcLog[]> {
    const filter = { address, fromBlock: hexNumber(from), toBlock: hexNumber(to) };
    const answer = await this.call('eth_getLogs', [filter], signal);
    const reader = this.#reader('eth_getLogs');
    if (Array.isArray(answer) && answer.length > MAX_LOGS) {
      throw new ChainError('too_many_results', `${this.name} answered with ${answer.length} events`);
    }
    const logs = reader.array(answer, 'it', MAX_LOGS).map((log) => readLog(reader, log));
    let before: RpcLog | undefined;
    for (const log of logs) {
      if (log.address !== address) reader.fail('it has a log of another contract');
      if (log.block < from || log.block > to) reader.fail('it has a log of another block');
      if (before !== undefined && !isAfter(log, before)) reader.fail('its logs are out of order');
      before = log;
    }
    return logs;
  }

  /** One request; its result, unread. */
  async call(method: string, params: readonly unknown[], signal?: AbortSignal): Promise<unknown> {
    const [result] = await this.#exchange([{ method, params }], signal);
    return result;
  }

  async #block(tag: string, signal?: AbortSignal): Promise<RpcBlock | undefined> {
    return this.#readBlock(await this.call('eth_getBlockByNumber', [tag, false], signal));
  }

  #readBlock(answer: unknown): RpcBlock | undefined {
    return readBlock(this.#reader('eth_getBlockByNumber'), answer);
  }

  #reader(method: string): FieldReader {
    return new FieldReader('bad_answer', `the answer of ${this.name} to ${method}`);
  }

  /** The results, in the order of the calls. */
  async #exchange(calls: readonly Call[], signal?: AbortSignal): Promise<unknown[]> {
    const requests = calls.map((call) => ({ jsonrpc: '2.0', id: ++this.#lastId, ...call }));
    const bytes = await this.#post(JSON.stringify(requests.length === 1 ? requests[0] : requests), signal);
    const method = calls[0]?.method ?? '';
    return readAnswers(
      this.#reader(method),
      this.name,
      bytes,
      requests.map((request) => request.id),
    );
  }

  async #post(body: string, signal?: AbortSignal): Promise<Uint8Array> {
    const timeout = AbortSignal.timeout(this.#timeoutMs);
    try {
      const response = await fetch(this.#url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...this.#headers },
        body: utf8(body) as Uint8Array<ArrayBuffer>,
        // An endpoint that sends us elsewhere could make us ask our own network.
        redirect: 'error',
        signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      });
      const bytes = await readBounded(response, this.name);
      if (response.status === 429)
        throw new ChainError('rpc_error', `${this.name} says that we ask too often`);
      // Some endpoints tell their errors with a status of 400 or 500 and an answer all the same.
      if (!response.ok && bytes[0] !== 0x7b && bytes[0] !== 0x5b) {
        throw new ChainError('rpc_error', `${this.name} answered with HTTP status ${response.status}`);
      }
      return bytes;
    } catch (error) {
      if (error instanceof ChainError) throw error;
      if (signal?.aborted) throw new ChainError('stopped', 'the request was given up', { cause: error });
      const why = timeout.aborted ? `no answer within ${this.#timeoutMs / 1000} s` : reasonOf(error);
      throw new ChainError('unreachable', `chain endpoint ${this.name}: ${why}`, { cause: error });
    }
  }
}

export function hexNumber(value: number): Hex {
  return `0x${value.toString(16)}`;
}

/** The results of an answer, by the ids of the requests. Exported for the fuzz target. */
export function readAnswers(
  reader: FieldReader,
  name: string,
  bytes: Uint8Array,
  ids: readonly number[],
): unknown[] {
  let json: unknown;
  try {
    json = JSON.parse(fromUtf8(bytes));
  } catch {
    return reader.fail('it is no JSON');
  }
  // A batch that is refused as a whole is answered by one object.
  const answers = Array.isArray(json) ? reader.array(json, 'it', ids.length) : [json];
  const results = new Map<unknown, unknown>();
  for (const answer of answers) {
    const o = reader.object(answer, 'it');
    if (o.error !== undefined && o.error !== null) throw errorOf(reader, name, o.error);
    if (!('result' in o)) reader.fail('it has neither result nor error');
    results.set(o.id, o.result);
  }
  return ids.map((id) => (results.has(id) ? results.get(id) : reader.fail('it is for another request')));
}

/** Undefined for `null`, a block that does not exist. */
export function readBlock(reader: FieldReader, answer: unknown): RpcBlock | undefined {
  if (answer === null) return undefined;
  const o = reader.object(answer, 'it');
  return {
    number: reader.quantity(o.number, 'number'),
    hash: reader.bytes(o.hash, 'hash', 32),
    parentHash: reader.bytes(o.parentHash, 'parentHash', 32),
    timestamp: reader.quantity(o.timestamp, 'timestamp'),
  };
}

export function readLog(reader: FieldReader, value: unknown): RpcLog {
  const o = reader.object(value, 'log');
  // Set where a reorganisation has taken the log back; eth_getLogs never tells such.
  if (o.removed === true) reader.fail('a log was removed');
  return {
    address: reader.bytes(o.address, 'address', 20),
    topics: reader.array(o.topics, 'topics', 4).map((topic) => reader.bytes(topic, 'topic', 32)),
    data: reader.data(o.data, 'data', MAX_LOG_DATA_BYTES),
    block: reader.quantity(o.blockNumber, 'blockNumber'),
    blockHash: reader.bytes(o.blockHash, 'blockHash', 32),
    logIndex: reader.quantity(o.logIndex, 'logIndex'),
    timestamp:
      o.blockTimestamp === undefined || o.blockTimestamp === null
        ? undefined
        : reader.quantity(o.blockTimestamp, 'blockTimestamp'),
    ...(typeof o.transactionHash === 'string' && {
      transaction: reader.bytes(o.transactionHash, 'transactionHash', 32),
    }),
  };
}

function isAfter(a: RpcLog, b: RpcLog): boolean {
  return a.block > b.block || (a.block === b.block && a.logIndex > b.logIndex);
}

// Words by which endpoints say that a range holds too much; there is no code for it.
const TOO_MANY = /too many|more than \d+|limit|range|too large|exceed|response size/i;
const TOO_OFTEN = /rate limit|too many requests|per (second|minute|day)/i;

function errorOf(reader: FieldReader, name: string, value: unknown): ChainError {
  const o = reader.object(value, 'error');
  const text = typeof o.message === 'string' ? o.message.replace(/[^\x20-\x7e]+/g, ' ').slice(0, 200) : '';
  const data = typeof o.data === 'string' && o.data.length < 4096 ? o.data : undefined;
  const isTooMany = TOO_MANY.test(text) && !TOO_OFTEN.test(text);
  const code = isTooMany ? 'too_many_results' : 'rpc_error';
  return new ChainError(code, `${name} refused: ${text || 'without a reason'}`, { cause: data });
}

async function readBounded(response: Response, name: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of response.body ?? []) {
    length += part.length;
    if (length > MAX_ANSWER_BYTES) {
      throw new ChainError('too_large', `${name} answered with more than ${MAX_ANSWER_BYTES >> 20} MiB`);
    }
    parts.push(part);
  }
  return concat(...parts);
}

/** `fetch` hides the reason in the cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  if (code === 'ECONNREFUSED') return 'nothing listens there';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'its name is unknown';
  return code || 'no connection';
}
