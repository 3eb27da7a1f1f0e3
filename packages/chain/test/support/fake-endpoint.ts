// SPDX-License-Identifier: MIT
// A JSON-RPC endpoint that serves a chain written by an `EventWriter`, and can be made to fail in every way that real
// ones do.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { concat, u32be, wordOf } from '@allium/protocol/bytes';
import { encodeAbiParameters, encodeEventTopics } from 'viem/utils';
import { type Hex, STATE_NUMBERS } from '../../src/chain-view.ts';
import { abi } from '../../src/contracts/generated/IServiceNodeRegistry.ts';
import type { RegistryEvent } from '../../src/events.ts';
import { hexNumber } from '../../src/json-rpc.ts';
import { hexOf, keccak256 } from '../../src/packed.ts';
import { PARAMETER_KEYS } from '../../src/parameters.ts';
import type { EventWriter } from './event-writer.ts';

type Json = Record<string, unknown>;

export class FakeEndpoint implements AsyncDisposable {
  writer: EventWriter;
  /** Blocks from this one on have other hashes than on an endpoint with another branch. */
  branchFrom = Number.POSITIVE_INFINITY;
  /** Newest blocks that it does not have yet. */
  lag = 0;
  isDown = false;
  chainId = 31337;
  /** Leaves logs out, or tells them differently. */
  falsify: (logs: Json[]) => Json[] = (logs) => logs;
  /** Answers with this text in place of its own. */
  answer: string | undefined;
  /** Refuses ranges that hold more logs. */
  maxLogs = Number.POSITIVE_INFINITY;
  tellsTimes = true;
  readonly requests: { method: string; params: unknown[] }[] = [];
  readonly #server: Server;

  constructor(writer: EventWriter) {
    this.writer = writer;
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        if (this.isDown) return void request.socket.destroy();
        const body = JSON.parse(Buffer.concat(chunks).toString());
        const results = Array.isArray(body) ? body.map((one) => this.#handle(one)) : this.#handle(body);
        response.setHeader('content-type', 'application/json');
        response.end(this.answer ?? JSON.stringify(results));
      });
    });
  }

  static async open(writer: EventWriter): Promise<FakeEndpoint> {
    const endpoint = new FakeEndpoint(writer);
    await new Promise<void>((resolve) => endpoint.#server.listen(0, '127.0.0.1', resolve));
    return endpoint;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get head(): number {
    return this.writer.block - this.lag;
  }

  count(method: string): number {
    return this.requests.filter((request) => request.method === method).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  hashOf(block: number): Hex {
    return hexOf(keccak256(u32be(block), u32be(block >= this.branchFrom ? 1 : 0)));
  }

  #handle({ id, method, params }: { id: number; method: string; params: unknown[] }): Json {
    this.requests.push({ method, params });
    const answer = { jsonrpc: '2.0', id };
    if (method === 'eth_chainId') return { ...answer, result: hexNumber(this.chainId) };
    if (method === 'eth_call') {
      const { epochSeconds, revealSeconds, t0 } = this.writer.network;
      const words = [0, 0, 0, 0, 0, epochSeconds, revealSeconds, t0, 0, 0].map(wordOf);
      return { ...answer, result: hexOf(concat(...words)) };
    }
    if (method === 'eth_getBlockByNumber') return { ...answer, result: this.#block(params[0] as string) };
    if (method === 'eth_getLogs') {
      const filter = params[0] as { fromBlock: string; toBlock: string };
      const logs = this.#logs(Number(filter.fromBlock), Number(filter.toBlock));
      if (logs.length <= this.maxLogs) return { ...answer, result: this.falsify(logs) };
      return {
        ...answer,
        error: { code: -32005, message: `query returned more than ${this.maxLogs} results` },
      };
    }
    return { ...answer, error: { code: -32601, message: 'the method does not exist' } };
  }

  #block(tag: string): Json | null {
    const number = tag === 'latest' ? this.head : Number(tag);
    if (number > this.head) return null;
    const timestamp = this.writer.times[number] as number;
    return {
      number: hexNumber(number),
      hash: this.hashOf(number),
      parentHash: this.hashOf(number - 1),
      timestamp: hexNumber(timestamp),
    };
  }

  #logs(from: number, to: number): Json[] {
    return this.writer.events
      .filter(({ block }) => block >= from && block <= Math.min(to, this.head))
      .map((event) => ({
        address: this.writer.network.registry,
        ...encodeEvent(event),
        blockNumber: hexNumber(event.block),
        blockHash: this.hashOf(event.block),
        logIndex: hexNumber(event.logIndex),
        ...(this.tellsTimes && { blockTimestamp: hexNumber(event.timestamp) }),
      }));
  }
}

const NAMES: Record<RegistryEvent['type'], string> = {
  registered: 'NodeRegistered',
  membership: 'MembershipChanged',
  state: 'StateChanged',
  seed: 'SeedRevealed',
  votingKey: 'VotingKeyChanged',
  payable: 'PayableChanged',
  exitRequested: 'ExitRequested',
  beneficiary: 'BeneficiaryChanged',
  parameter: 'ParamChanged',
  minimumVersion: 'MinimumVersion',
};

function argumentsOf(event: RegistryEvent): Json {
  switch (event.type) {
    case 'registered':
      return {
        ...event,
        ed25519: `0x${event.ed25519Hex}`,
        edSig0: `0x${event.signatureHex.slice(0, 64)}`,
        edSig1: `0x${event.signatureHex.slice(64)}`,
      };
    case 'state':
      return { ...event, state: STATE_NUMBERS[event.state], epoch: 0 };
    case 'seed':
      return { ...event, pre: event.preimage };
    case 'minimumVersion': {
      const [major, minor, patch] = event.version;
      return { major, minor, patch };
    }
    case 'votingKey':
      return { ...event, key: event.votingKey };
    case 'payable':
      return { ...event, payable_: event.payable };
    case 'exitRequested':
      return { ...event, by: `0x${'00'.repeat(20)}` };
    case 'parameter':
      return { ...event, key: PARAMETER_KEYS.indexOf(event.key) };
    default:
      return { ...event };
  }
}

/** As the registry's compiler writes it. */
export function encodeEvent(event: RegistryEvent): { topics: Hex[]; data: Hex } {
  const item = abi.find((one) => one.type === 'event' && one.name === NAMES[event.type]);
  if (item?.type !== 'event') throw new Error(`the ABI lacks ${NAMES[event.type]}`);
  const args = argumentsOf(event);
  const topics = encodeEventTopics({ abi: [item], args } as never) as Hex[];
  const inputs = item.inputs.filter((input) => !input.indexed);
  return {
    topics,
    data: encodeAbiParameters(inputs as never, inputs.map((input) => args[input.name]) as never),
  };
}
