// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  checkGreeting,
  decodeMetadata,
  encodeFrame,
  encodeGreeting,
  encodeMetadata,
  FrameReader,
  ZmtpError,
} from '../../src/omq/zmtp.ts';

const greeting = encodeGreeting({ isServer: false, identityLength: 0 });

function read(chunks: Iterable<Uint8Array>, maxBodyBytes = 1_000_000) {
  const reader = new FrameReader(maxBodyBytes);
  const frames: { flags: number; body: Uint8Array }[] = [];
  let greetings = 0;
  for (const chunk of chunks) {
    reader.read(chunk, {
      onGreeting: () => greetings++,
      onFrame: (flags, body) => frames.push({ flags, body: body.slice() }),
    });
  }
  return { frames, greetings, held: reader.heldBytes };
}

function* cut(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  for (let offset = 0, i = 0; offset < bytes.length; i++) {
    const end = Math.min(bytes.length, offset + (sizes[i % sizes.length] ?? 1));
    yield bytes.slice(offset, end);
    offset = end;
  }
}

describe('frames', () => {
  test('come out as they went in, however the bytes are cut', () => {
    const anyFrame = fc.record({
      flags: fc.constantFrom(0, 1, 4),
      length: fc.oneof(fc.nat(300), fc.constantFrom(255, 256, 70_000, 200_000)),
    });
    const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constantFrom(1000, 65_536)), {
      minLength: 1,
      maxLength: 9,
    });
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 5 }), sizes, (made, cuts) => {
        const bodies = made.map(({ length }, index) => new Uint8Array(length).fill(index + 1));
        const bytes = Buffer.concat([
          greeting,
          ...made.map(({ flags }, i) => encodeFrame(flags, bodies[i]!)),
        ]);
        const { frames, greetings, held } = read(cut(bytes, cuts));
        expect(greetings).toBe(1);
        expect(held).toBe(0);
        expect(frames.map(({ flags }) => flags & 5)).toEqual(made.map(({ flags }) => flags));
        frames.forEach(({ body }, i) => {
          expect(Buffer.compare(body, bodies[i]!)).toBe(0);
        });
      }),
      { numRuns: 60 },
    );
  });

  test('of 10 MiB in single bytes cost linear time', () => {
    const reader = new FrameReader(10_485_760);
    let size = 0;
    const sink = {
      onGreeting: () => {},
      onFrame: (_flags: number, body: Uint8Array) => {
        size = body.length;
      },
    };
    reader.read(greeting, sink);
    const bytes = encodeFrame(0, new Uint8Array(10_485_760));
    const start = performance.now();
    for (let i = 0; i < bytes.length; i++) reader.read(bytes.subarray(i, i + 1), sink);
    expect(size).toBe(10_485_760);
    expect(performance.now() - start).toBeLessThan(60_000); // copying all for each kilobyte would take minutes
  });

  test('announced large take memory only for what has come', () => {
    const reader = new FrameReader(10_485_760);
    const sink = { onGreeting: () => {}, onFrame: () => {} };
    reader.read(
      Buffer.concat([greeting, Buffer.from([2, 0, 0, 0, 0, 0, 0xa0, 0, 0]), Buffer.alloc(10)]),
      sink,
    );
    expect(reader.heldBytes).toBe(19);
  });

  test('beyond the limit or with reserved flags are refused at their head', () => {
    const refuse = (head: number[]) => () => read([Buffer.concat([greeting, Buffer.from(head)])], 1000);
    expect(refuse([2, 0, 0, 0, 0, 0, 0, 0x03, 0xe9])).toThrow(expect.objectContaining({ code: 'too_large' }));
    expect(refuse([2, 0, 0, 0, 1, 0, 0, 0, 1])).toThrow(expect.objectContaining({ code: 'too_large' }));
    expect(refuse([2, 0xff, 0, 0, 0, 0, 0, 0, 1])).toThrow(expect.objectContaining({ code: 'too_large' }));
    expect(refuse([8, 1, 1])).toThrow(expect.objectContaining({ code: 'frame' }));
    expect(refuse([2, 0, 0, 0, 0, 0, 0, 0x03, 0xe8])).not.toThrow();
  });

  test('stop coming once the reader is stopped', () => {
    const reader = new FrameReader(1000);
    let frames = 0;
    const sink = {
      onGreeting: () => {},
      onFrame: () => {
        frames++;
        reader.stop();
      },
    };
    reader.read(Buffer.concat([greeting, encodeFrame(0, greeting), encodeFrame(0, greeting)]), sink);
    reader.read(encodeFrame(0, greeting), sink);
    expect(frames).toBe(1);
  });
});

describe('greetings', () => {
  test('of ZMTP 3.0 and 3.1 with CURVE pass, whatever as-server says', () => {
    for (const minor of [0, 1]) {
      const bytes = encodeGreeting({ isServer: minor === 1, identityLength: 33 });
      bytes[11] = minor;
      expect(() => checkGreeting(bytes)).not.toThrow();
    }
  });

  test('of other versions, mechanisms and protocols do not', () => {
    for (const [offset, value] of [
      [0, 0xfe],
      [9, 0x7e],
      [10, 2],
      [12, 0x4e], // NURVE
      [17, 0x41], // CURVEA
    ] as const) {
      const bytes = encodeGreeting({ isServer: false, identityLength: 0 });
      bytes[offset] = value;
      expect(() => checkGreeting(bytes)).toThrow(ZmtpError);
    }
  });
});

describe('metadata', () => {
  test('come out as they went in', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('DEALER', 'ROUTER'),
        fc.uint8Array({ maxLength: 64 }),
        (socketType, identity) => {
          expect(decodeMetadata(encodeMetadata({ socketType, identity }))).toEqual({ socketType, identity });
        },
      ),
    );
  });

  test('throw nothing but ZmtpError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        try {
          decodeMetadata(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(ZmtpError);
        }
      }),
    );
  });

  test('match names in any case and ignore unknown ones', () => {
    const bytes = Buffer.from('\x01X\0\0\0\x01y\x0bsocket-TYPE\0\0\0\x06ROUTER', 'latin1');
    expect(decodeMetadata(bytes)).toEqual({ socketType: 'ROUTER', identity: new Uint8Array(0) });
  });
});
