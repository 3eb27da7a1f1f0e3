// SPDX-License-Identifier: MIT
// Fuzz targets: what endpoints answer, and the snapshot file. A target throws only on a bug.
import { fromUtf8, utf8 } from '@allium/protocol/bytes';
import type { FuzzTarget } from '../../../scripts/fuzz.ts';
import { ChainError } from '../src/chain-error.ts';
import { FieldReader } from '../src/fields.ts';
import { ChainFold } from '../src/fold.ts';
import { encodeSnapshot, parseBody } from '../src/fold-snapshot.ts';
import { readAnswers, readBlock, readLog } from '../src/json-rpc.ts';
import { initialParameters } from '../src/parameters.ts';
import { PRESETS } from '../src/presets.ts';
import { isNeeded, readEvent } from '../src/registry-logs.ts';
import { EventWriter, NETWORK } from '../test/support/event-writer.ts';
import { encodeEvent } from '../test/support/fake-endpoint.ts';

const reader = new FieldReader('bad_answer', 'the answer');

/** `run`, with the errors that bad input may cause taken off. */
function target(seeds: readonly string[], run: (input: Uint8Array) => void): FuzzTarget {
  return {
    seeds: seeds.map((seed) => utf8(seed)),
    run(input) {
      try {
        run(input);
      } catch (error) {
        if (!(error instanceof ChainError)) throw error;
      }
    },
  };
}

const newFold = () =>
  new ChainFold(NETWORK, ChainFold.genesis(NETWORK, initialParameters(PRESETS.local.params)));

/** Near the deployment: a leap over years is allowed, and takes seconds. */
const timeOf = (seconds = NETWORK.t0) => Math.min(seconds, NETWORK.t0 + 10_000);

const writer = new EventWriter();
writer.pass(1);
for (let n = 0; n < 3; n++) writer.register();
writer.pass(70);
writer.reveal();
writer.decommission(2);
writer.emit({ type: 'payable', nodeId: 1, payable: true });
writer.emit({ type: 'parameter', key: 'quorum', value: 2569n, fromEpoch: 9 });
writer.emit({ type: 'minimumVersion', version: [1, 2, 3] });
writer.emit({ type: 'exitRequested', nodeId: 1, unlockAt: writer.now + 60 });
writer.changeVotingKey(1, `0x${'ab'.repeat(20)}`);

const answerOf = (result: unknown) => JSON.stringify({ jsonrpc: '2.0', id: 1, result });
const logs = writer.events.map((event) => ({
  address: NETWORK.registry,
  ...encodeEvent(event),
  blockNumber: `0x${event.block.toString(16)}`,
  blockHash: event.blockHash,
  logIndex: `0x${event.logIndex.toString(16)}`,
  blockTimestamp: `0x${event.timestamp.toString(16)}`,
}));
const block = {
  number: '0x10',
  hash: `0x${'11'.repeat(32)}`,
  parentHash: `0x${'22'.repeat(32)}`,
  timestamp: '0x6553f100',
};

const folded = newFold();
for (const event of writer.events) folded.apply(event);
const snapshot = encodeSnapshot(NETWORK, folded.state());

export const targets: Record<string, FuzzTarget> = {
  'rpc-block': target([answerOf(block), answerOf(null), '[]'], (input) => {
    const [answer] = readAnswers(reader, 'endpoint', input, [1]);
    const read = readBlock(reader, answer);
    if (read !== undefined && !Number.isSafeInteger(read.number)) throw new Error('a block without a number');
  }),
  'rpc-error': target(
    ['{"jsonrpc":"2.0","id":1,"error":{"code":3,"message":"execution reverted","data":"0x08c379a0"}}'],
    (input) => {
      readAnswers(reader, 'endpoint', input, [1]);
    },
  ),
  'registry-log': target(
    logs.map((log) => answerOf([log])),
    (input) => {
      const [answer] = readAnswers(reader, 'endpoint', input, [1]);
      for (const value of reader.array(answer, 'it', 100)) {
        const log = readLog(reader, value);
        if (isNeeded(log)) newFold().apply(readEvent(log, timeOf(log.timestamp)));
      }
    },
  ),
  'registry-history': target([answerOf(logs)], (input) => {
    const [answer] = readAnswers(reader, 'endpoint', input, [1]);
    const fold = newFold();
    for (const value of reader.array(answer, 'it', 100)) {
      const log = readLog(reader, value);
      if (isNeeded(log)) fold.apply(readEvent(log, timeOf(log.timestamp)));
    }
  }),
  'chain-snapshot': target([snapshot.slice(snapshot.indexOf('\n') + 1, -1)], (input) => {
    let text: string;
    try {
      text = fromUtf8(input);
    } catch {
      return;
    }
    // What is accepted can be gone on with.
    const fold = new ChainFold(NETWORK, parseBody(NETWORK, text));
    fold.passTime(timeOf(fold.cursor.timestamp));
    fold.state();
  }),
};
