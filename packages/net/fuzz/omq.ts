// SPDX-License-Identifier: MIT
// What arrives from unknown peers before and after the handshake: frames, handshake commands, metadata, whole streams.
import { fromHex } from '@allium/protocol/bytes';
import { boxKey, x25519PublicKey } from '@allium/protocol/crypto';
import type { FuzzTarget } from '../../../scripts/fuzz.ts';
import vectors from '../../../vectors/storage-server.json' with { type: 'json' };
import { CurveClient, CurveServer, CurveSession } from '../src/omq/curve.ts';
import { checkGreeting, decodeMetadata, encodeFrame, FrameReader, ZmtpError } from '../src/omq/zmtp.ts';

const vector = vectors.zmtp_curve;
const frames = vector.frames.map((frame) => fromHex(frame.bytes));
const body = (index: number) => {
  const frame = frames[index]!;
  return frame.slice((frame[0]! & 2) === 0 ? 2 : 9);
};
const pair = (secret: string) => ({
  secretKey: fromHex(secret),
  publicKey: x25519PublicKey(fromHex(secret)),
});
const serverKeys = pair(vector.server_long_term_seckey);
const clientKeys = pair(vector.client_long_term_seckey);

const serverSecrets = {
  transient: pair(vector.server_transient_seckey),
  cookieKey: fromHex(vector.cookie_key),
  cookieNonce: fromHex(vector.cookie_nonce),
  welcomeNonce: fromHex(vector.welcome_nonce),
};
const clientSecrets = {
  transient: pair(vector.client_transient_seckey),
  vouchNonce: fromHex(vector.vouch_nonce),
};
const makeServer = () =>
  new CurveServer({ keyPair: serverKeys, metadata: fromHex(vector.server_metadata) }, serverSecrets);
const makeClient = () =>
  new CurveClient(
    { keyPair: clientKeys, serverKey: serverKeys.publicKey, metadata: fromHex(vector.client_metadata) },
    clientSecrets,
  );

/** Only ZmtpError may come out. */
function tolerate(run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof ZmtpError)) throw error;
  }
}

/** Reads `input` in chunks that its own bytes choose; counts what was found. */
function readFrames(input: Uint8Array, chunkOf: (offset: number) => number): string {
  const reader = new FrameReader(100_000);
  let found = '';
  const sink = {
    onGreeting: () => {
      found += 'greeting,';
    },
    onFrame: (flags: number, frame: Uint8Array) => {
      let sum = 0;
      for (const byte of frame) sum = (sum * 31 + byte) | 0;
      found += `${flags}:${frame.length}:${sum},`;
    },
  };
  tolerate(() => {
    for (let offset = 0; offset < input.length; ) {
      const end = Math.min(input.length, offset + chunkOf(offset));
      reader.read(input.slice(offset, end), sink);
      offset = end;
    }
  });
  if (reader.heldBytes > input.length) throw new Error('more held than was given');
  return found;
}

// Neither changes by what it refuses or accepts next.
const greetedServer = makeServer();
greetedServer.welcome(body(0));
const welcomedClient = makeClient();
welcomedClient.initiate(body(1));
const sessionKey = boxKey(serverSecrets.transient.secretKey, clientSecrets.transient.publicKey);

const stream = Buffer.concat([fromHex(vector.greeting_client), ...frames]);

export const targets: Record<string, FuzzTarget> = {
  'omq-frames': {
    run(input) {
      const whole = readFrames(input, () => input.length);
      const parts = readFrames(input, (offset) => 1 + (input[offset]! % 70));
      if (whole !== parts) throw new Error('frames depend on how the bytes arrive');
    },
    seeds: [stream, stream.subarray(0, 300), encodeFrame(0, new Uint8Array(300))],
  },
  'omq-greeting': {
    run: (input) => tolerate(() => checkGreeting(input)),
    seeds: [fromHex(vector.greeting_client), fromHex(vector.greeting_server)],
  },
  'omq-metadata': {
    run: (input) => tolerate(() => void decodeMetadata(input)),
    seeds: [fromHex(vector.client_metadata), fromHex(vector.server_metadata)],
  },
  'omq-hello': {
    run: (input) => tolerate(() => void makeServer().welcome(input)),
    seeds: [body(0)],
  },
  'omq-welcome': {
    run: (input) => tolerate(() => void makeClient().initiate(input)),
    seeds: [body(1)],
  },
  'omq-initiate': {
    run: (input) => tolerate(() => void greetedServer.ready(input)),
    seeds: [body(2)],
  },
  'omq-ready': {
    run: (input) => tolerate(() => void welcomedClient.finish(input)),
    seeds: [body(3)],
  },
  'omq-message': {
    run: (input) => tolerate(() => void new CurveSession(sessionKey, 'server', 2).open(input.slice())),
    seeds: [body(4), body(5), body(9)],
  },
};
