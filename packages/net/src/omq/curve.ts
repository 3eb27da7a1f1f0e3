// SPDX-License-Identifier: MIT
// CurveZMQ (spec/storage-server §5.2): the handshake of both roles and the traffic after it, as bytes of command
// bodies. No socket, no clock; with `secrets` given it is deterministic, which is how the vectors are checked.
//
//   HELLO     client → server   C' and a box that proves that the client means the server's key S
//   WELCOME   server → client   S' and a cookie
//   INITIATE  client → server   the cookie, the client's key C with its vouch for C', metadata
//   READY     server → client   metadata
//   MESSAGE   both              07 "MESSAGE" | short nonce 8 | box of (flags 1 | payload)
//
// Only C, which the vouch proves, says who the peer is.
import {
  boxKey,
  equalConstantTime,
  randomBytes,
  secretboxOpen,
  secretboxSeal,
  x25519KeyPair,
} from '@allium/protocol/crypto';
import { CryptoError, type KeyPair } from '@allium/protocol/crypto/provider';
import sodium from 'sodium-native';
import { decodeMetadata, type Metadata, ZmtpError } from './zmtp.ts';

/** Inner flags of a MESSAGE. */
export const MessageFlag = { more: 1, command: 2 } as const;

const KEY = 32;
const TAG = 16;
const NONCE = 24;
const COOKIE = 96;
const VOUCH = 80;
/** Name and short nonce in front of the box of a MESSAGE. */
const MESSAGE_HEAD = 16;
/** What a MESSAGE adds to its payload: name, short nonce, tag, flags. */
export const MESSAGE_OVERHEAD = MESSAGE_HEAD + TAG + 1;

const HELLO_SIZE = 200;
const WELCOME_SIZE = 168;
const INITIATE_SIZE = 257;
const READY_SIZE = 30;

const MESSAGE_NAME = commandName('MESSAGE');
const MESSAGE_NAME_HIGH = MESSAGE_NAME.readUInt32BE(0);
const MESSAGE_NAME_LOW = MESSAGE_NAME.readUInt32BE(4);
/** Counters are read as numbers: no connection lives long enough to pass 2^53. */
const MAX_COUNTER_HIGH = 0x1fffff;

/** Fixed randomness for tests with vectors. */
export interface ClientSecrets {
  readonly transient: KeyPair;
  /** 16 bytes. */
  readonly vouchNonce: Uint8Array;
}

export interface ServerSecrets {
  readonly transient: KeyPair;
  /** 32 bytes. */
  readonly cookieKey: Uint8Array;
  /** 16 bytes. */
  readonly cookieNonce: Uint8Array;
  /** 16 bytes. */
  readonly welcomeNonce: Uint8Array;
}

/** The connecting side: `hello`, then `initiate`, then `finish`. */
export class CurveClient {
  readonly #keyPair: KeyPair;
  readonly #serverKey: Uint8Array;
  readonly #metadata: Uint8Array;
  readonly #transient: KeyPair;
  readonly #vouchNonce: Uint8Array;
  /** Between c' and S'. */
  #sessionKey: Uint8Array | undefined;

  constructor(
    options: { readonly keyPair: KeyPair; readonly serverKey: Uint8Array; readonly metadata: Uint8Array },
    secrets?: ClientSecrets,
  ) {
    this.#keyPair = options.keyPair;
    this.#serverKey = options.serverKey;
    this.#metadata = options.metadata;
    this.#transient = secrets?.transient ?? x25519KeyPair();
    this.#vouchNonce = secrets?.vouchNonce ?? randomBytes(16);
  }

  hello(): Uint8Array {
    const body = Buffer.alloc(HELLO_SIZE);
    body.set(commandName('HELLO'));
    body[6] = 1; // version 1.0
    body.set(this.#transient.publicKey, 80);
    writeCounter(body, 112, 1);
    const key = keyBetween(this.#transient.secretKey, this.#serverKey);
    body.set(secretboxSeal(key, shortNonce('CurveZMQHELLO---', 1), new Uint8Array(64)), 120);
    return body;
  }

  /** @throws ZmtpError */
  initiate(welcome: Uint8Array): Uint8Array {
    checkCommand(welcome, 'WELCOME', WELCOME_SIZE, WELCOME_SIZE);
    const opened = secretboxOpen(
      keyBetween(this.#transient.secretKey, this.#serverKey),
      longNonce('WELCOME-', welcome.subarray(8, 24)),
      welcome.subarray(24),
    );
    if (opened === undefined) throw new ZmtpError('handshake', 'a WELCOME that does not open');
    const serverTransient = opened.subarray(0, KEY);
    const cookie = opened.subarray(KEY);
    this.#sessionKey = keyBetween(this.#transient.secretKey, serverTransient);
    const vouch = secretboxSeal(
      keyBetween(this.#keyPair.secretKey, serverTransient),
      longNonce('VOUCH---', this.#vouchNonce),
      Buffer.concat([this.#transient.publicKey, this.#serverKey]),
    );
    const box = secretboxSeal(
      this.#sessionKey,
      shortNonce('CurveZMQINITIATE', 2),
      Buffer.concat([this.#keyPair.publicKey, this.#vouchNonce, vouch, this.#metadata]),
    );
    const counter = Buffer.alloc(8);
    writeCounter(counter, 0, 2);
    return Buffer.concat([commandName('INITIATE'), cookie, counter, box]);
  }

  /** @throws ZmtpError; also when it is called before `initiate` */
  finish(ready: Uint8Array): { session: CurveSession; metadata: Metadata } {
    if (this.#sessionKey === undefined) throw new ZmtpError('handshake', 'READY before WELCOME');
    checkCommand(ready, 'READY', READY_SIZE, Number.POSITIVE_INFINITY);
    const counter = readCounter(ready, 6);
    const opened = secretboxOpen(
      this.#sessionKey,
      shortNonce('CurveZMQREADY---', counter),
      ready.subarray(14),
    );
    if (opened === undefined) throw new ZmtpError('handshake', 'a READY that does not open');
    return {
      session: new CurveSession(this.#sessionKey, 'client', counter),
      metadata: decodeMetadata(opened),
    };
  }
}

/** The listening side: `welcome`, then `ready`. */
export class CurveServer {
  readonly #keyPair: KeyPair;
  readonly #metadata: Uint8Array;
  readonly #secrets: ServerSecrets;
  #cookie: Uint8Array | undefined;
  #clientTransient: Uint8Array | undefined;
  #counter = 0;

  constructor(
    options: { readonly keyPair: KeyPair; readonly metadata: Uint8Array },
    secrets?: ServerSecrets,
  ) {
    this.#keyPair = options.keyPair;
    this.#metadata = options.metadata;
    this.#secrets = secrets ?? {
      transient: x25519KeyPair(),
      cookieKey: randomBytes(32),
      cookieNonce: randomBytes(16),
      welcomeNonce: randomBytes(16),
    };
  }

  /** @throws ZmtpError; a client that means another key fails here */
  welcome(hello: Uint8Array): Uint8Array {
    checkCommand(hello, 'HELLO', HELLO_SIZE, HELLO_SIZE);
    if (hello[6] !== 1) throw new ZmtpError('handshake', `CurveZMQ of version ${hello[6]}`);
    const clientTransient = hello.slice(80, 112);
    this.#counter = readCounter(hello, 112);
    const key = keyBetween(this.#keyPair.secretKey, clientTransient);
    const zeros = secretboxOpen(key, shortNonce('CurveZMQHELLO---', this.#counter), hello.subarray(120));
    if (zeros === undefined) throw new ZmtpError('handshake', 'a HELLO that does not open');
    this.#clientTransient = clientTransient;
    // The connection keeps its state, so the cookie need not be opened again: it must come back as it left.
    const { transient, cookieKey, cookieNonce, welcomeNonce } = this.#secrets;
    this.#cookie = Buffer.concat([
      cookieNonce,
      secretboxSeal(
        cookieKey,
        longNonce('COOKIE--', cookieNonce),
        Buffer.concat([clientTransient, transient.secretKey]),
      ),
    ]);
    return Buffer.concat([
      commandName('WELCOME'),
      welcomeNonce,
      secretboxSeal(
        key,
        longNonce('WELCOME-', welcomeNonce),
        Buffer.concat([transient.publicKey, this.#cookie]),
      ),
    ]);
  }

  /**
   * @returns the READY to send, and the client's key, which it has proven to hold
   * @throws ZmtpError
   */
  ready(initiate: Uint8Array): {
    ready: Uint8Array;
    session: CurveSession;
    metadata: Metadata;
    clientKey: Uint8Array;
  } {
    const clientTransient = this.#clientTransient;
    if (clientTransient === undefined || this.#cookie === undefined) {
      throw new ZmtpError('handshake', 'INITIATE before HELLO');
    }
    checkCommand(initiate, 'INITIATE', INITIATE_SIZE, Number.POSITIVE_INFINITY);
    if (!equalConstantTime(initiate.subarray(9, 9 + COOKIE), this.#cookie)) {
      throw new ZmtpError('handshake', 'an INITIATE with another cookie');
    }
    const counter = readCounter(initiate, 9 + COOKIE);
    if (counter <= this.#counter) throw new ZmtpError('handshake', 'an INITIATE with an old nonce');
    const { transient } = this.#secrets;
    const key = keyBetween(transient.secretKey, clientTransient);
    const opened = secretboxOpen(
      key,
      shortNonce('CurveZMQINITIATE', counter),
      initiate.subarray(9 + COOKIE + 8),
    );
    if (opened === undefined) throw new ZmtpError('handshake', 'an INITIATE that does not open');
    const clientKey = opened.slice(0, KEY);
    const vouch = secretboxOpen(
      keyBetween(transient.secretKey, clientKey),
      longNonce('VOUCH---', opened.subarray(KEY, KEY + 16)),
      opened.subarray(KEY + 16, KEY + 16 + VOUCH),
    );
    // Without this anybody could show anybody's key.
    if (
      vouch === undefined ||
      !equalConstantTime(vouch.subarray(0, KEY), clientTransient) ||
      !equalConstantTime(vouch.subarray(KEY), this.#keyPair.publicKey)
    ) {
      throw new ZmtpError('handshake', 'a vouch that does not hold');
    }
    const metadata = decodeMetadata(opened.subarray(KEY + 16 + VOUCH));
    const counterBytes = Buffer.alloc(8);
    writeCounter(counterBytes, 0, 1);
    const ready = Buffer.concat([
      commandName('READY'),
      counterBytes,
      secretboxSeal(key, shortNonce('CurveZMQREADY---', 1), this.#metadata),
    ]);
    return { ready, session: new CurveSession(key, 'server', counter), metadata, clientKey };
  }
}

/** Traffic after the handshake. Each direction has its own nonces under one key. */
export class CurveSession {
  readonly #key: Uint8Array;
  readonly #sendNonce: Buffer;
  readonly #receiveNonce: Buffer;
  #sent: number;
  #received: number;

  constructor(key: Uint8Array, role: 'client' | 'server', received: number) {
    this.#key = key;
    this.#sendNonce = Buffer.alloc(NONCE);
    this.#receiveNonce = Buffer.alloc(NONCE);
    const [own, others] = role === 'client' ? ['C', 'S'] : ['S', 'C'];
    this.#sendNonce.write(`CurveZMQMESSAGE${own}`, 'latin1');
    this.#receiveNonce.write(`CurveZMQMESSAGE${others}`, 'latin1');
    this.#sent = role === 'client' ? 2 : 1;
    this.#received = received;
  }

  /**
   * Writes the body of a MESSAGE at `offset` and returns its end. It takes `MESSAGE_OVERHEAD` more bytes than the
   * payload. Bench: omq.bench.ts.
   */
  seal(out: Buffer, offset: number, flags: number, payload: Uint8Array): number {
    const counter = ++this.#sent;
    const high = Math.floor(counter / 0x100000000);
    const low = counter >>> 0;
    out.writeUInt32BE(MESSAGE_NAME_HIGH, offset);
    out.writeUInt32BE(MESSAGE_NAME_LOW, offset + 4);
    out.writeUInt32BE(high, offset + 8);
    out.writeUInt32BE(low, offset + 12);
    this.#sendNonce.writeUInt32BE(high, 16);
    this.#sendNonce.writeUInt32BE(low, 20);
    const box = offset + MESSAGE_HEAD;
    const plain = box + TAG;
    out[plain] = flags;
    out.set(payload, plain + 1);
    const end = plain + 1 + payload.length;
    // In place: the plaintext stands where its ciphertext will.
    sodium.crypto_secretbox_easy(
      new Uint8Array(out.buffer, out.byteOffset + box, end - box),
      new Uint8Array(out.buffer, out.byteOffset + plain, end - plain),
      this.#sendNonce,
      this.#key,
    );
    return end;
  }

  /**
   * Opens the body of a MESSAGE in place.
   * @returns flags (first byte) and payload, as a view of `body`
   * @throws ZmtpError `message`
   */
  open(body: Uint8Array): Uint8Array {
    if (body.length < MESSAGE_OVERHEAD || !isMessage(body)) throw new ZmtpError('message', 'not a MESSAGE');
    const counter = readCounter(body, 8);
    if (counter <= this.#received) throw new ZmtpError('message', 'a MESSAGE with an old nonce');
    const nonce = this.#receiveNonce;
    for (let i = 0; i < 8; i++) nonce[16 + i] = body[8 + i]!;
    const start = body.byteOffset + MESSAGE_HEAD;
    const plain = new Uint8Array(body.buffer, start + TAG, body.length - MESSAGE_HEAD - TAG);
    const box = new Uint8Array(body.buffer, start, body.length - MESSAGE_HEAD);
    if (!sodium.crypto_secretbox_open_easy(plain, box, nonce, this.#key)) {
      throw new ZmtpError('message', 'a MESSAGE that does not open');
    }
    this.#received = counter;
    return plain;
  }
}

function isMessage(body: Uint8Array): boolean {
  for (let i = 0; i < 8; i++) if (body[i] !== MESSAGE_NAME[i]) return false;
  return true;
}

function commandName(name: string): Buffer {
  return Buffer.concat([Buffer.of(name.length), Buffer.from(name, 'latin1')]);
}

function checkCommand(body: Uint8Array, name: string, minSize: number, maxSize: number): void {
  const wanted = commandName(name);
  const found = Buffer.from(body.buffer, body.byteOffset, body.length);
  if (found.length >= 7 && found.toString('latin1', 0, 6) === '\x05ERROR') {
    // The peer's reason goes into a log: keep it short and printable.
    const reason = found
      .toString('latin1', 7, Math.min(found.length, 7 + found[6]!, 47))
      .replace(/[^ -~]/g, '?');
    throw new ZmtpError('refused', `the peer refused the handshake: ${reason}`);
  }
  if (!found.subarray(0, wanted.length).equals(wanted) || found.length < minSize || found.length > maxSize) {
    throw new ZmtpError('handshake', `not a ${name}`);
  }
}

function keyBetween(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  try {
    return boxKey(secretKey, publicKey);
  } catch (error) {
    if (error instanceof CryptoError) throw new ZmtpError('handshake', 'a degenerate key', { cause: error });
    throw error;
  }
}

function shortNonce(prefix: string, counter: number): Uint8Array {
  const nonce = Buffer.alloc(NONCE);
  nonce.write(prefix, 'latin1');
  writeCounter(nonce, 16, counter);
  return nonce;
}

function longNonce(prefix: string, suffix: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(prefix, 'latin1'), suffix]);
}

function writeCounter(out: Buffer, offset: number, counter: number): void {
  out.writeUInt32BE(Math.floor(counter / 0x100000000), offset);
  out.writeUInt32BE(counter >>> 0, offset + 4);
}

function readCounter(bytes: Uint8Array, offset: number): number {
  const high =
    bytes[offset]! * 0x1000000 +
    ((bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!);
  const low =
    bytes[offset + 4]! * 0x1000000 +
    ((bytes[offset + 5]! << 16) | (bytes[offset + 6]! << 8) | bytes[offset + 7]!);
  if (high > MAX_COUNTER_HIGH) throw new ZmtpError('message', 'a nonce beyond 2^53');
  return high * 0x100000000 + low;
}
