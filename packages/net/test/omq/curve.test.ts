// SPDX-License-Identifier: MIT
import { fromHex, toHex } from '@allium/protocol/bytes';
import { x25519PublicKey } from '@allium/protocol/crypto';
import { describe, expect, test } from 'vitest';
import vectors from '../../../../vectors/storage-server.json' with { type: 'json' };
import { CurveClient, CurveServer, type CurveSession, MESSAGE_OVERHEAD } from '../../src/omq/curve.ts';
import {
  decodeMetadata,
  encodeFrame,
  encodeGreeting,
  encodeMetadata,
  FrameFlag,
  frameHeadSize,
  writeFrameHead,
} from '../../src/omq/zmtp.ts';

const vector = vectors.zmtp_curve;
const pair = (secret: string) => ({
  secretKey: fromHex(secret),
  publicKey: x25519PublicKey(fromHex(secret)),
});
const frame = (name: string) => {
  const found = vector.frames.find((entry) => entry.name.startsWith(name));
  if (found === undefined) throw new Error(`no vector ${name}`);
  return found.bytes;
};
/** The body of a frame of the vectors, in memory of its own. */
const body = (name: string) => {
  const bytes = fromHex(frame(name));
  return bytes.slice(bytes[0] === undefined || (bytes[0] & FrameFlag.long) === 0 ? 2 : 9);
};

function roles() {
  const serverKeys = pair(vector.server_long_term_seckey);
  const clientKeys = pair(vector.client_long_term_seckey);
  const client = new CurveClient(
    { keyPair: clientKeys, serverKey: serverKeys.publicKey, metadata: fromHex(vector.client_metadata) },
    { transient: pair(vector.client_transient_seckey), vouchNonce: fromHex(vector.vouch_nonce) },
  );
  const server = new CurveServer(
    { keyPair: serverKeys, metadata: fromHex(vector.server_metadata) },
    {
      transient: pair(vector.server_transient_seckey),
      cookieKey: fromHex(vector.cookie_key),
      cookieNonce: fromHex(vector.cookie_nonce),
      welcomeNonce: fromHex(vector.welcome_nonce),
    },
  );
  return { client, server, serverKeys, clientKeys };
}

function sealFrame(session: CurveSession, flags: number, payload: Uint8Array): string {
  const length = MESSAGE_OVERHEAD + payload.length;
  const out = Buffer.alloc(frameHeadSize(length) + length);
  expect(session.seal(out, writeFrameHead(out, 0, 0, length), flags, payload)).toBe(out.length);
  return toHex(out);
}

describe('the deterministic exchange of the vectors', () => {
  test('both greetings', () => {
    expect(toHex(encodeGreeting({ isServer: false, identityLength: 33 }))).toBe(vector.greeting_client);
    expect(toHex(encodeGreeting({ isServer: true, identityLength: 0 }))).toBe(vector.greeting_server);
  });

  test('metadata of both sides', () => {
    const identity = fromHex(vector.client_identity);
    expect(toHex(encodeMetadata({ socketType: 'DEALER', identity }))).toBe(vector.client_metadata);
    expect(decodeMetadata(fromHex(vector.client_metadata))).toEqual({ socketType: 'DEALER', identity });
    expect(decodeMetadata(fromHex(vector.server_metadata)).socketType).toBe('ROUTER');
  });

  test('handshake, request, reply, PING and PONG, byte for byte', () => {
    const { client, server, clientKeys } = roles();
    const hello = client.hello();
    expect(toHex(encodeFrame(FrameFlag.command, hello))).toBe(frame('HELLO'));
    const welcome = server.welcome(hello);
    expect(toHex(encodeFrame(FrameFlag.command, welcome))).toBe(frame('WELCOME'));
    const initiate = client.initiate(welcome);
    expect(toHex(encodeFrame(FrameFlag.command, initiate))).toBe(frame('INITIATE'));
    const accepted = server.ready(initiate);
    expect(toHex(encodeFrame(FrameFlag.command, accepted.ready))).toBe(frame('READY'));
    expect(accepted.clientKey).toEqual(clientKeys.publicKey);
    expect(accepted.metadata.socketType).toBe('DEALER');
    const { session, metadata } = client.finish(accepted.ready);
    expect(metadata.socketType).toBe('ROUTER');

    const plain = (name: string, from: CurveSession) => toHex(from.open(body(name)));
    const reseal = (opened: string, by: CurveSession) =>
      sealFrame(by, fromHex(opened)[0] ?? 0, fromHex(opened).subarray(1));
    for (const [name, receiver, sender] of [
      ['MESSAGE part 1 of request', accepted.session, session],
      ['MESSAGE part 2 of request', accepted.session, session],
      ['MESSAGE part 1 of reply', session, accepted.session],
      ['MESSAGE part 2 of reply', session, accepted.session],
      ['MESSAGE part 3 of reply', session, accepted.session],
      ['heartbeat PING', accepted.session, session],
      ['heartbeat PONG', session, accepted.session],
    ] as const) {
      expect(reseal(plain(name, receiver), sender), name).toBe(frame(name));
    }
  });
});

describe('what the handshake refuses', () => {
  function handshake() {
    const made = roles();
    const hello = made.client.hello();
    const welcome = made.server.welcome(hello);
    return { ...made, hello, welcome };
  }
  const code = (run: () => unknown) => {
    try {
      run();
    } catch (error) {
      return (error as { code?: string }).code;
    }
    return 'accepted';
  };

  test('a client that means another server key', () => {
    const { server, clientKeys } = roles();
    const other = new CurveClient({
      keyPair: clientKeys,
      serverKey: pair('77'.repeat(32)).publicKey,
      metadata: new Uint8Array(0),
    });
    expect(code(() => server.welcome(other.hello()))).toBe('handshake');
  });

  test('a client that shows a key whose secret it does not have', () => {
    const { server, serverKeys } = roles();
    const thief = new CurveClient({
      keyPair: { publicKey: pair('55'.repeat(32)).publicKey, secretKey: fromHex('66'.repeat(32)) },
      serverKey: serverKeys.publicKey,
      metadata: new Uint8Array(0),
    });
    const initiate = thief.initiate(server.welcome(thief.hello()));
    expect(code(() => server.ready(initiate))).toBe('handshake');
  });

  test('any flipped bit of INITIATE', () => {
    for (let bit = 0; bit < 8 * 300; bit += 41) {
      const { server, client, welcome } = handshake();
      const initiate = client.initiate(welcome);
      initiate[bit >> 3] = (initiate[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      // The counter may change to a value that is not newer; everything else fails to open.
      expect(
        code(() => server.ready(initiate)),
        `bit ${bit}`,
      ).toMatch(/handshake|message/);
    }
  });

  test('steps out of order, other commands, low-order keys', () => {
    const { server, client, hello } = handshake();
    const fresh = roles();
    expect(code(() => fresh.server.ready(fresh.client.hello()))).toBe('handshake');
    expect(code(() => fresh.client.finish(new Uint8Array(40)))).toBe('handshake');
    expect(code(() => client.initiate(hello))).toBe('handshake');
    expect(code(() => server.ready(new Uint8Array(300)))).toBe('handshake');
    const degenerate = hello.slice();
    degenerate.fill(0, 80, 112);
    expect(code(() => roles().server.welcome(degenerate))).toBe('handshake');
    const error = Buffer.concat([Buffer.from('\x05ERROR\x03400', 'latin1')]);
    expect(code(() => roles().client.initiate(error))).toBe('refused');
  });

  test('a replayed or altered MESSAGE', () => {
    const { server, client, welcome } = handshake();
    const { session: receiver } = server.ready(client.initiate(welcome));
    receiver.open(body('MESSAGE part 1 of request'));
    expect(code(() => receiver.open(body('MESSAGE part 1 of request')))).toBe('message');
    const altered = body('MESSAGE part 2 of request');
    altered[40] = (altered[40] ?? 0) ^ 1;
    expect(code(() => receiver.open(altered))).toBe('message');
    expect(code(() => receiver.open(new Uint8Array(20)))).toBe('message');
    // What was refused did not move the counter.
    expect(toHex(receiver.open(body('MESSAGE part 2 of request')))).toMatch(/^00/);
  });
});
