// SPDX-License-Identifier: MIT
// Fuzz targets: frames that anybody sends to a browser entry, and that an entry sends to a browser. A target throws on a
// bug only.
import type { FuzzTarget } from '../../../scripts/fuzz.ts';
import { concat, equal } from '../src/bytes.ts';
import { ParseError } from '../src/errors.ts';
import {
  Assembly,
  answerFrames,
  cancelFrame,
  type EntryFrame,
  FRAME_BYTES,
  failureFrame,
  parseEntryFrame,
  requestFrames,
} from '../src/onion/entry.ts';

const NODE = '01'.repeat(32);
const BODY = new Uint8Array(40).fill(7);

/** What a frame must look like to have been read so. */
function written(frame: EntryFrame): Uint8Array {
  switch (frame.kind) {
    case 'request':
      return [...requestFrames(frame.id, frame.node, wholeOf(frame))][0]!;
    case 'answer':
      return [...answerFrames(frame.id, frame.status, wholeOf(frame))][0]!;
    case 'failure':
      return failureFrame(frame.id, frame.code);
    case 'cancel':
      return cancelFrame(frame.id);
    case 'part': {
      const head = cancelFrame(frame.id);
      head[0] = 2;
      return concat(head, frame.bytes);
    }
  }
}

function wholeOf({ size, bytes }: { readonly size: number; readonly bytes: Uint8Array }): Uint8Array {
  const whole = new Uint8Array(size);
  whole.set(bytes);
  return whole;
}

export const targets: Record<string, FuzzTarget> = {
  entryFrame: {
    seeds: [
      ...requestFrames(1, NODE, BODY),
      ...answerFrames(1, 200, BODY),
      cancelFrame(1),
      failureFrame(2, 'busy'),
      concat(Uint8Array.of(2, 1, 0, 0, 0), BODY),
    ],
    run(input) {
      let frame: EntryFrame;
      try {
        frame = parseEntryFrame(input);
      } catch (error) {
        if (error instanceof ParseError) return;
        throw error;
      }
      // A beginning is as full as the frame allows only where the writer is ours.
      const isOurs = !('size' in frame) || frame.bytes.length === Math.min(frame.size, FRAME_BYTES);
      if (isOurs && !equal(written(frame), input)) throw new Error('it is written otherwise');
      if (!('size' in frame)) return;
      const assembly = new Assembly(frame.size);
      assembly.add(frame.bytes);
      if (assembly.isComplete && assembly.take().length !== frame.size) throw new Error('another size');
    },
  },
};
