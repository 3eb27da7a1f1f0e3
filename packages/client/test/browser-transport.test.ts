// SPDX-License-Identifier: MIT
// The transport of browsers against an entry that is made of functions, in virtual time.
import { TransportError } from '@allium/protocol/env';
import {
  Assembly,
  answerFrames,
  type EntryFailure,
  type EntryFrame,
  failureFrame,
  parseEntryFrame,
} from '@allium/protocol/onion/entry';
import { expect, test } from 'vitest';
import type { SocketLike } from '../src/browser/entry-link.ts';
import { BrowserTransport } from '../src/browser/transport.ts';
import { TestClock, testEnv } from './test-clock.ts';

const GATEWAY = 'https://gateway.example';
const NODE = 'cd'.repeat(32);
const BODY = new Uint8Array([1, 2, 3]);

/** One connection as the entry sees it. */
class FakeSocket implements SocketLike {
  binaryType = '';
  bufferedAmount = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { readonly data: unknown }) => void) | null = null;
  onerror: (() => void) | null = null;
  onclose: (() => void) | null = null;
  readonly frames: EntryFrame[] = [];
  readonly #assemblies = new Map<number, Assembly>();
  readonly envelopes: { id: number; node: string; body: Uint8Array }[] = [];
  isClosed = false;
  readonly #onEnvelope: (socket: FakeSocket, id: number, body: Uint8Array) => void;

  constructor(onEnvelope: (socket: FakeSocket, id: number, body: Uint8Array) => void) {
    this.#onEnvelope = onEnvelope;
  }

  send(data: Uint8Array): void {
    const frame = parseEntryFrame(data.slice());
    this.frames.push(frame);
    if (frame.kind === 'request') this.#assemblies.set(frame.id, new Assembly(frame.size));
    if (frame.kind !== 'request' && frame.kind !== 'part') return;
    const assembly = this.#assemblies.get(frame.id)!;
    assembly.add(frame.bytes);
    if (!assembly.isComplete) return;
    const body = assembly.take();
    this.envelopes.push({ id: frame.id, node: 'node' in frame ? frame.node : '', body });
    queueMicrotask(() => this.#onEnvelope(this, frame.id, body));
  }

  say(...frames: Iterable<Uint8Array>[]): void {
    for (const frame of frames.flatMap((each) => [...each])) this.onmessage?.({ data: frame.slice().buffer });
  }

  close(): void {
    this.isClosed = true;
  }

  breakOff(): void {
    this.isClosed = true;
    this.onclose?.();
  }
}

interface World {
  readonly clock: TestClock;
  readonly transport: BrowserTransport;
  readonly sockets: FakeSocket[];
  readonly fetched: string[];
  /** Whether a WebSocket comes about. */
  opens: boolean;
  /** What `fetch` does; undefined: the connection fails. */
  answer: (() => Response | Promise<Response>) | undefined;
  isOnline: boolean;
  onEnvelope: (socket: FakeSocket, id: number, body: Uint8Array) => void;
}

function makeWorld(seed = 1): World {
  const clock = new TestClock();
  const world: World = {
    clock,
    sockets: [],
    fetched: [],
    opens: true,
    answer: undefined,
    isOnline: true,
    onEnvelope: (socket, id, body) => socket.say(answerFrames(id, 200, body.slice().reverse())),
    transport: new BrowserTransport({
      gateway: `${GATEWAY}/`,
      env: testEnv(clock, seed),
      isOnline: () => world.isOnline,
      makeSocket: () => {
        const socket = new FakeSocket((...given) => world.onEnvelope(...given));
        world.sockets.push(socket);
        clock.after(10, () => (world.opens ? socket.onopen?.() : socket.breakOff()));
        return socket;
      },
      fetch: async (input) => {
        world.fetched.push(String(input));
        await new Promise<void>((resolve) => clock.after(5, resolve));
        if (world.answer === undefined) throw new TypeError('failed to fetch');
        return world.answer();
      },
    }),
  };
  return world;
}

const onion = (body: Uint8Array = BODY, timeoutMs = 10_000, signal?: AbortSignal) => ({
  url: 'https://203.0.113.1:22021/onion_req/v2',
  node: NODE,
  body,
  timeoutMs,
  ...(signal !== undefined && { signal }),
});
const code = async (promise: Promise<unknown>) => {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return error instanceof TransportError ? error.code : error;
};

test('an envelope goes over the WebSocket to the guard, and its answer comes back', async () => {
  const { clock, transport, sockets } = makeWorld();
  const [one, two] = await clock.run(
    Promise.all([transport.request(onion()), transport.request(onion(new Uint8Array([9])))]),
  );
  expect(one).toEqual({ status: 200, headers: {}, body: new Uint8Array([3, 2, 1]) });
  expect(two?.body).toEqual(new Uint8Array([9]));
  expect(sockets).toHaveLength(1);
  expect(sockets[0]!.envelopes[0]).toMatchObject({ node: NODE, body: BODY });
  expect(transport.state).toBe('connected');
  transport.close();
});

test('a large envelope does not hold up a small one, nor fill the socket', async () => {
  const world = makeWorld();
  const { clock, transport, sockets } = world;
  world.onEnvelope = (socket, id) => socket.say(answerFrames(id, 200, BODY));
  await clock.run(transport.request(onion()));
  const socket = sockets[0]!;
  socket.bufferedAmount = 1e9;
  const large = transport.request(onion(new Uint8Array(500_000)));
  const small = transport.request(onion());
  await clock.pass(100);
  expect(socket.envelopes).toHaveLength(1);
  socket.bufferedAmount = 0;
  await clock.run(Promise.all([large, small]));
  expect(socket.envelopes.map(({ body }) => body.length)).toEqual([3, 3, 500_000]);
  transport.close();
});

test('what was asked when the connection broke is asked again over the next one', async () => {
  const world = makeWorld();
  const { clock, transport, sockets } = world;
  const answer = world.onEnvelope;
  world.onEnvelope = (socket, id, body) =>
    sockets.length === 1 ? socket.breakOff() : answer(socket, id, body);
  const states: string[] = [];
  transport.events.on('state', (state) => states.push(state));
  expect((await clock.run(transport.request(onion()))).status).toBe(200);
  expect(sockets).toHaveLength(2);
  expect(states).toEqual(['connecting', 'connected', 'connecting', 'connected']);
  transport.close();
});

test('pages that lose an entry together come back within two seconds, but not together', async () => {
  const counts = new Map<number, number>();
  for (let page = 1; page <= 60; page++) {
    const { clock, transport, sockets } = makeWorld(page);
    await clock.run(transport.request(onion()));
    sockets[0]!.breakOff();
    let tenths = 0;
    while (sockets.length === 1) {
      await clock.pass(100);
      tenths++;
    }
    expect(tenths).toBeLessThan(20);
    counts.set(tenths, (counts.get(tenths) ?? 0) + 1);
    transport.close();
  }
  expect(Math.max(...counts.values())).toBeLessThan(15);
});

test('an envelope that breaks every connection is given up', async () => {
  const world = makeWorld();
  world.onEnvelope = (socket) => socket.breakOff();
  expect(await world.clock.run(code(world.transport.request(onion(BODY, 60_000))))).toBe('no_network');
  expect(world.sockets).toHaveLength(3);
  world.transport.close();
});

test('an entry that is away is nobody else’s fault, and is found when it is back', async () => {
  const world = makeWorld();
  const { clock, transport } = world;
  world.opens = false;
  expect(await clock.run(code(transport.request(onion(BODY, 30_000))))).toBe('no_network');
  expect(transport.state).toBe('unreachable');
  world.opens = true;
  await clock.until(() => transport.state === 'connected');
  expect((await clock.run(transport.request(onion()))).status).toBe(200);
  transport.close();
});

test.each([
  ['a minute', 60_000, 6_000],
  ['an hour', 3_600_000, 31_000],
])('an entry that was away for %s is found soon, and was asked little', async (_, awayMs, soonMs) => {
  const world = makeWorld();
  const { clock, transport, sockets, fetched } = world;
  await clock.run(transport.request(onion()));
  world.opens = false;
  sockets[0]!.breakOff();
  const begin = clock.monotonic();
  // Everything that a client asks for meanwhile: five at once, all the time.
  const asking = Array.from({ length: 5 }, async () => {
    while (clock.monotonic() < begin + awayMs) {
      expect(await code(transport.request(onion()))).toBe('no_network');
      await new Promise<void>((resolve) => clock.after(1_000, resolve));
    }
  });
  await clock.run(Promise.all(asking));
  expect(transport.state).toBe('unreachable');
  // Quick ones at first, then at most one in 2.5 s; each with one single request when WebSockets fail.
  const most = 12 + Math.min(awayMs, 600_000) / 2_500 + Math.max(0, awayMs - 600_000) / 15_000;
  expect(sockets.length).toBeGreaterThan(8);
  expect(sockets.length).toBeLessThan(most);
  expect(fetched.length).toBeLessThan(most + 10);
  world.opens = true;
  const back = clock.monotonic();
  await clock.until(() => transport.state === 'connected');
  expect(clock.monotonic() - back).toBeLessThan(soonMs);
  transport.close();
});

test('an entry that answered a last single request before it went is found soon, too', async () => {
  const world = makeWorld();
  const { clock, transport } = world;
  world.opens = false;
  world.answer = () => new Response(BODY);
  expect((await clock.run(transport.request(onion()))).status).toBe(200);
  expect(transport.state).toBe('fallback');
  // The next WebSocket is a minute away by then.
  await clock.pass(5_000);
  world.answer = undefined;
  expect(await clock.run(code(transport.request(onion())))).toBe('no_network');
  expect(transport.state).toBe('unreachable');
  world.opens = true;
  const back = clock.monotonic();
  await clock.until(() => transport.state === 'connected');
  expect(clock.monotonic() - back).toBeLessThan(6_000);
  transport.close();
});

test('whoever thinks that the entry is back has it tried at once, but once a second at most', async () => {
  const world = makeWorld();
  const { clock, transport, sockets } = world;
  world.opens = false;
  expect(await clock.run(code(transport.request(onion(BODY, 30_000))))).toBe('no_network');
  await clock.pass(60_000);
  const before = sockets.length;
  for (let i = 0; i < 20; i++) {
    transport.wake();
    await clock.pass(20);
  }
  // One by the first call, and the first of its own that follows quickly.
  expect(sockets.length - before).toBeGreaterThan(0);
  expect(sockets.length - before).toBeLessThan(4);
  await clock.pass(60_000);
  world.opens = true;
  transport.wake();
  await clock.pass(50);
  expect(transport.state).toBe('connected');
  transport.close();
});

test('a page that the entry serves shows that it is back', async () => {
  const world = makeWorld();
  const { clock, transport } = world;
  world.opens = false;
  expect(await clock.run(code(transport.request(onion(BODY, 30_000))))).toBe('no_network');
  await clock.pass(60_000);
  world.opens = true;
  world.answer = () => new Response('{}');
  await clock.run(transport.request({ url: `${GATEWAY}/v1/network`, timeoutMs: 1_000 }));
  await clock.pass(50);
  expect(transport.state).toBe('connected');
  transport.close();
});

test('where no WebSocket gets through, single requests do, and a WebSocket is tried again later', async () => {
  const world = makeWorld();
  const { clock, transport, sockets } = world;
  world.opens = false;
  world.answer = () => new Response(BODY, { status: 200 });
  expect((await clock.run(transport.request(onion()))).body).toEqual(BODY);
  expect(transport.state).toBe('fallback');
  expect(world.fetched).toEqual([`${GATEWAY}/v1/onion/${NODE}`]);
  await clock.run(transport.request(onion()));
  expect(sockets.length).toBeLessThan(3);
  world.opens = true;
  await clock.until(() => transport.state === 'connected', 120_000);
  transport.close();
});

test('a request that goes by itself is left to end while WebSockets are tried', async () => {
  const world = makeWorld();
  const { clock, transport, sockets, fetched } = world;
  world.opens = false;
  let answer: (response: Response) => void = () => {};
  const held = new Promise<Response>((resolve) => {
    answer = resolve;
  });
  world.answer = () => held;
  const request = transport.request(onion(BODY, 100_000));
  await clock.until(() => sockets.length > 3);
  world.opens = true;
  await clock.until(() => transport.state === 'connected', 120_000);
  answer(new Response(BODY));
  expect((await clock.run(request)).body).toEqual(BODY);
  expect(fetched).toHaveLength(1);
  expect(sockets.at(-1)?.envelopes).toEqual([]);
  transport.close();
});

test('a browser that is offline asks nobody', async () => {
  const world = makeWorld();
  world.isOnline = false;
  expect(await code(world.transport.request(onion()))).toBe('no_network');
  expect(await code(world.transport.request({ url: `${GATEWAY}/json_rpc`, timeoutMs: 1 }))).toBe(
    'no_network',
  );
  expect([world.sockets.length, world.fetched.length]).toEqual([0, 0]);
  world.transport.close();
});

test.each<[EntryFailure, string]>([
  ['unknown_node', 'unreachable'],
  ['unreachable', 'unreachable'],
  ['timeout', 'timeout'],
  ['too_large', 'too_large'],
  ['bad_response', 'bad_response'],
])('failure %s of the entry is %s', async (failure, expected) => {
  const world = makeWorld();
  world.onEnvelope = (socket, id) => socket.say([failureFrame(id, failure)]);
  expect(await world.clock.run(code(world.transport.request(onion())))).toBe(expected);
  world.transport.close();
});

test.each<EntryFailure>(['limited', 'busy', 'no_list'])(
  'an entry that is %s is asked again',
  async (failure) => {
    const world = makeWorld();
    const answer = world.onEnvelope;
    let refusals = 2;
    world.onEnvelope = (socket, id, body) => {
      if (refusals-- > 0) socket.say([failureFrame(id, failure)]);
      else answer(socket, id, body);
    };
    expect((await world.clock.run(world.transport.request(onion()))).status).toBe(200);
    refusals = 1_000;
    expect(await world.clock.run(code(world.transport.request(onion())))).toBe('no_network');
    world.transport.close();
  },
);

test('the same by single requests', async () => {
  const world = makeWorld();
  world.opens = false;
  const failed = (name: string) => () =>
    new Response('{}', { status: 502, headers: { 'x-entry-failure': name } });
  world.answer = failed('unreachable');
  expect(await world.clock.run(code(world.transport.request(onion())))).toBe('unreachable');
  // The very status without the header is the guard's.
  world.answer = () => new Response('Next hop congested', { status: 503 });
  expect((await world.clock.run(world.transport.request(onion()))).status).toBe(503);
  world.transport.close();
});

test('a request ends at its time and when it is aborted, and the entry is told', async () => {
  const world = makeWorld();
  const { clock, transport, sockets } = world;
  world.onEnvelope = () => {};
  expect(await clock.run(code(transport.request(onion(BODY, 2_000))))).toBe('timeout');
  const controller = new AbortController();
  const request = code(transport.request(onion(BODY, 60_000, controller.signal)));
  await clock.pass(100);
  controller.abort();
  expect(await request).toBe('aborted');
  expect(sockets[0]!.frames.map(({ kind }) => kind)).toEqual(['request', 'cancel', 'request', 'cancel']);
  transport.close();
});

test('a connection that says nothing any more is replaced', async () => {
  const world = makeWorld();
  const { clock, transport, sockets } = world;
  const answer = world.onEnvelope;
  await clock.run(transport.request(onion()));
  world.onEnvelope = () => {};
  expect(await clock.run(code(transport.request(onion(BODY, 20_000))))).toBe('timeout');
  world.onEnvelope = answer;
  expect((await clock.run(transport.request(onion()))).status).toBe(200);
  expect(sockets).toHaveLength(2);
  transport.close();
});

test.each<[string, (socket: FakeSocket, id: number) => void]>([
  ['text', (socket) => socket.onmessage?.({ data: 'hello' })],
  ['a broken frame', (socket) => socket.say([new Uint8Array([1, 2])])],
  ['a question', (socket, id) => socket.say([new Uint8Array([3, id, 0, 0, 0])])],
  ['a part before its answer', (socket, id) => socket.say([new Uint8Array([2, id, 0, 0, 0, 7])])],
  [
    'two answers in one',
    (socket, id) => {
      const [begin] = [...answerFrames(id, 200, new Uint8Array(100_000))];
      socket.say([begin!, begin!]);
    },
  ],
])('%s from an entry ends the connection', async (_, say) => {
  const world = makeWorld();
  const answer = world.onEnvelope;
  world.onEnvelope = (socket, id, body) =>
    world.sockets.length === 1 ? say(socket, id) : answer(socket, id, body);
  expect((await world.clock.run(world.transport.request(onion()))).status).toBe(200);
  expect(world.sockets[0]!.isClosed).toBe(true);
  expect(world.sockets).toHaveLength(2);
  world.transport.close();
});

test('an answer to nobody is ignored', async () => {
  const world = makeWorld();
  const answer = world.onEnvelope;
  world.onEnvelope = (socket, id, body) => {
    socket.say(answerFrames(77, 200, BODY));
    answer(socket, id, body);
  };
  expect((await world.clock.run(world.transport.request(onion()))).body).toEqual(new Uint8Array([3, 2, 1]));
  world.transport.close();
});

test('nothing but the entry is ever asked', async () => {
  const { transport, fetched, sockets } = makeWorld();
  for (const url of [
    'https://203.0.113.1:22021/storage_rpc/v1',
    'https://seed1.getsession.org:4443/json_rpc',
    `${GATEWAY}.evil.example/json_rpc`,
  ]) {
    expect(await code(transport.request({ url, body: BODY, timeoutMs: 1_000 }))).toBe('unreachable');
  }
  expect([fetched.length, sockets.length]).toEqual([0, 0]);
  transport.close();
  expect(await code(transport.request(onion()))).toBe('aborted');
});

test('closing ends what waits', async () => {
  const world = makeWorld();
  world.onEnvelope = () => {};
  const request = code(world.transport.request(onion()));
  await world.clock.pass(100);
  world.transport.close();
  expect(await request).toBe('aborted');
  expect(world.sockets[0]!.isClosed).toBe(true);
});

test('an answer without end is not read to its end', async () => {
  const world = makeWorld();
  world.opens = false;
  let given = 0;
  world.answer = () =>
    new Response(
      new ReadableStream({
        pull(controller) {
          given += 1 << 20;
          controller.enqueue(new Uint8Array(1 << 20));
        },
      }),
    );
  expect(await world.clock.run(code(world.transport.request(onion(BODY, 60_000))))).toBe('too_large');
  expect(given).toBeLessThan(20 << 20);
  world.transport.close();
});
