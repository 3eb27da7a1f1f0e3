// SPDX-License-Identifier: MIT
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concat, equal } from '../../src/bytes.ts';
import { ParseError } from '../../src/errors.ts';
import {
  Assembly,
  answerFrames,
  cancelFrame,
  ENTRY_FAILURES,
  type EntryFrame,
  FRAME_BYTES,
  failureFrame,
  MAX_FRAME_BYTES,
  parseEntryFrame,
  requestFrames,
} from '../../src/onion/entry.ts';

const NODE = 'ab'.repeat(32);
const bytes = (length: number) => new Uint8Array(length).map((_, i) => i * 7);
const edited = (frame: Uint8Array, at: number, value: number) => {
  const copy = frame.slice();
  copy[at] = value;
  return copy;
};
const first = (frames: Iterable<Uint8Array>) => [...frames][0]!;

function assembled(frames: readonly EntryFrame[]): Uint8Array {
  const [head, ...parts] = frames;
  if (head?.kind !== 'request' && head?.kind !== 'answer') throw new Error('no head');
  const assembly = new Assembly(head.size);
  assembly.add(head.bytes);
  for (const part of parts) if (part.kind === 'part') assembly.add(part.bytes);
  expect(assembly.isComplete).toBe(true);
  return assembly.take();
}

describe('frames of a browser entry', () => {
  test('what was written is read, whatever its size', () => {
    fc.assert(
      fc.property(
        fc.nat(0xffff_ffff),
        fc.integer({ min: 1, max: 3 * FRAME_BYTES + 1 }),
        fc.integer({ min: 100, max: 599 }),
        (id, size, status) => {
          const body = bytes(size);
          const request = [...requestFrames(id, NODE, body)];
          expect(Math.max(...request.map((frame) => frame.length))).toBeLessThanOrEqual(MAX_FRAME_BYTES);
          const readRequest = request.map(parseEntryFrame);
          expect(readRequest[0]).toMatchObject({ kind: 'request', id, node: NODE, size });
          expect(equal(assembled(readRequest), body)).toBe(true);
          const readAnswer = [...answerFrames(id, status, body)].map(parseEntryFrame);
          expect(readAnswer[0]).toMatchObject({ kind: 'answer', id, status, size });
          expect(equal(assembled(readAnswer), body)).toBe(true);
          expect([...readRequest, ...readAnswer].every((frame) => frame.id === id)).toBe(true);
        },
      ),
      { numRuns: 50 },
    );
  });

  test('an empty answer is one frame', () => {
    const frames = [...answerFrames(3, 204, new Uint8Array(0))].map(parseEntryFrame);
    expect(frames).toMatchObject([{ kind: 'answer', id: 3, status: 204, size: 0 }]);
    expect(assembled(frames).length).toBe(0);
  });

  test.each(ENTRY_FAILURES)('failure %s', (code) => {
    expect(parseEntryFrame(failureFrame(5, code))).toEqual({ kind: 'failure', id: 5, code });
  });

  test('a cancellation', () => {
    expect(parseEntryFrame(cancelFrame(0xffff_ffff))).toEqual({ kind: 'cancel', id: 0xffff_ffff });
  });

  const request = first(requestFrames(1, NODE, bytes(10)));
  const answer = first(answerFrames(1, 200, bytes(10)));
  test.each([
    ['nothing', new Uint8Array(0)],
    ['no id', new Uint8Array([2, 0, 0, 0])],
    ['an unknown type', edited(request, 0, 9)],
    ['too long', new Uint8Array(MAX_FRAME_BYTES + 1).fill(2)],
    ['a request that ends in its head', request.subarray(0, 40)],
    ['a request without contents', request.subarray(0, 41)],
    ['an envelope of no bytes', edited(request, 5, 0)],
    ['an envelope that is too large', edited(request, 8, 0xff)],
    ['more contents than announced', edited(request, 5, 9)],
    ['an empty part', new Uint8Array([2, 1, 0, 0, 0])],
    ['a part with more than a frame', new Uint8Array(5 + FRAME_BYTES + 1).fill(2)],
    ['a cancellation with contents', concat(cancelFrame(1), bytes(1))],
    ['an answer that ends in its head', answer.subarray(0, 10)],
    ['a status that is none', edited(answer, 6, 0xff)],
    ['an answer that is too large', edited(answer, 10, 0xff)],
    ['an unknown failure', edited(failureFrame(1, 'busy'), 5, 99)],
    ['failure 0', edited(failureFrame(1, 'busy'), 5, 0)],
    ['a failure without code', failureFrame(1, 'busy').subarray(0, 5)],
  ])('refuses %s', (_, frame) => {
    expect(() => parseEntryFrame(frame)).toThrow(ParseError);
  });

  test('refuses any other bytes with a ParseError, or reads them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (frame) => {
        try {
          parseEntryFrame(frame);
        } catch (error) {
          expect(error).toBeInstanceOf(ParseError);
        }
      }),
    );
  });

  test('an assembly takes no more than was announced, and holds what came, not what was announced', () => {
    const assembly = new Assembly(10);
    assembly.add(bytes(6));
    expect(assembly.length).toBe(6);
    expect(() => assembly.add(bytes(5))).toThrow(ParseError);
    assembly.add(bytes(4));
    expect(assembly.take()).toEqual(concat(bytes(6), bytes(4)));
  });

  test('an assembly does not change with the buffer that a part came in', () => {
    const buffer = bytes(4);
    const assembly = new Assembly(8);
    assembly.add(buffer);
    buffer.fill(0);
    assembly.add(bytes(4));
    expect(assembly.take()).toEqual(concat(bytes(4), bytes(4)));
  });

  test('an assembly keeps nothing of the parts, however they were made', () => {
    // As Node hands them out: `slice` of such a part would be the buffer itself.
    class View extends Uint8Array {
      override slice(from?: number, to?: number): Uint8Array<ArrayBuffer> {
        return this.subarray(from, to) as Uint8Array<ArrayBuffer>;
      }
    }
    const read = new View(4).fill(7);
    const assembly = new Assembly(8);
    assembly.add(read);
    read.fill(0);
    assembly.add(new Uint8Array(4));
    expect(assembly.take()).toEqual(concat(new Uint8Array(4).fill(7), new Uint8Array(4)));
  });

  test('parts of any sizes make the whole', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 }), { minLength: 1 }), (parts) => {
        const whole = concat(...parts);
        const assembly = new Assembly(whole.length);
        for (const part of parts) assembly.add(part);
        expect(assembly.isComplete).toBe(true);
        expect(assembly.take()).toEqual(whole);
      }),
    );
  });
});
