// SPDX-License-Identifier: MIT
// Fuzz targets: archives, whose bytes and lines may be anybody's. A target throws on a bug only.
import { utf8 } from '@allium/protocol/bytes';
import { zstdCompress } from '@allium/protocol/zstd';
import type { FuzzTarget } from '../../../scripts/fuzz.ts';
import { ArchiveError } from '../src/archive/archive-error.ts';
import { canonicalJson, SumDigest } from '../src/archive/canonical.ts';
import { openChunk, sealChunk, sealFrame } from '../src/archive/container.ts';
import { readLines } from '../src/archive/import.ts';
import { mergeMessages, mergeRecords } from '../src/archive/merge.ts';
import { readMessage, readRecord } from '../src/archive/records.ts';

const KEY = { id: '00', key: new Uint8Array(32).fill(1) };
const ID = `05${'a'.repeat(64)}`;
const MESSAGE = canonicalJson({
  sender: ID,
  timestamp: 5,
  conversation: ID,
  text: 'hello',
  state: 'sent',
  handled: true,
  hash: 'h',
  quote: { author: ID, timestamp: 4 },
  attachments: [{ contentType: 'image/png', sizeBytes: 5, url: 'http://a/1', key: 'aa' }],
  marks: {
    stored: 1,
    of: 2,
    reactions: [{ by: ID, emoji: 'x', at: 1, on: true }],
    edits: [{ text: 'y', at: 7 }],
  },
});
const RECORDS = [
  {
    kind: 'contact',
    key: ID,
    value: { id: ID, approved: true, approvedMe: false, blocked: false, name: 'n' },
  },
  { kind: 'conversation', key: ID, value: { readTo: 5, pin: 1, draft: 'd' } },
  { kind: 'profile', key: 'own', value: { updatedAtSeconds: 5, name: 'me' } },
  { kind: 'settings', key: 'messaging', value: { readReceipts: true } },
].map(canonicalJson);
const LINES = `about {"account":"${ID}"}\nmessage ${MESSAGE}\nrecord ${RECORDS[0]}\nmedia {"at":0}\nat {}\nend {}\n`;
const text = (input: Uint8Array) => new TextDecoder().decode(input);
const counts = () => ({
  added: 0,
  merged: 0,
  known: 0,
  expired: 0,
  records: 0,
  files: 0,
  unknown: 0,
  refused: 0,
});

function tolerant(run: (input: Uint8Array) => void): FuzzTarget['run'] {
  return (input) => {
    try {
      run(input);
    } catch (error) {
      if (!(error instanceof ArchiveError)) throw error;
    }
  };
}

export const targets: Record<string, FuzzTarget> = {
  /** Of the right key: what an attacker can do who knows the passphrase. */
  archiveFrame: {
    seeds: [zstdCompress(utf8(LINES)), zstdCompress(new Uint8Array(60_000))],
    run: tolerant((input) => {
      openChunk(KEY, sealFrame(KEY, 0, false, input).subarray(4), 0, false);
    }),
  },
  archiveChunk: {
    seeds: [sealChunk(KEY, { number: 0, isLast: true, lines: LINES }).subarray(4)],
    run: tolerant((input) => {
      const lines = openChunk(KEY, input, 0, true);
      if (lines !== LINES) throw new Error('something opened that nobody sealed');
    }),
  },
  archiveLines: {
    seeds: [utf8(LINES)],
    run: tolerant((input) => {
      const chunk = { number: 1, isLast: false, lines: text(input) };
      const { messages, records } = readLines(chunk, new SumDigest(), counts(), 10);
      for (const message of messages) mergeMessages(message, message);
      for (const record of records) mergeRecords(record, record);
    }),
  },
  archiveMessage: {
    seeds: [utf8(MESSAGE)],
    run(input) {
      const message = readMessage(text(input));
      if (message === undefined) return;
      const again = readMessage(canonicalJson(message));
      if (again === undefined || canonicalJson(again) !== canonicalJson(message))
        throw new Error('it changed');
      if (mergeMessages(message, message) !== undefined) throw new Error('a message changes itself');
    },
  },
  archiveRecord: {
    seeds: RECORDS.map(utf8),
    run(input) {
      const record = readRecord(text(input));
      if (record === undefined || record === 'unknown') return;
      if (mergeRecords(record, record) !== undefined) throw new Error('a record changes itself');
    },
  },
};
