// SPDX-License-Identifier: MIT
// Fuzz targets: everything that a relay, a destination, a server or a client reads of an onion request. A target
// throws on a bug only: an error of another type than the one announced, or a result that does not survive encoding.
import type { FuzzTarget } from '../../../scripts/fuzz.ts';
import { concat, equal, u32le, utf8 } from '../src/bytes.ts';
import { ed25519KeyPair, ed25519SecretKeyToX25519, x25519PublicKey } from '../src/crypto/node.ts';
import { ParseError } from '../src/errors.ts';
import { openLayer, openReply, type ReplyKey, sealLayer, sealReply } from '../src/onion/layer.ts';
import {
  buildOnion,
  encodeEnvelope,
  encodeFinalReply,
  encodeHop,
  type Hop,
  openFinalReply,
  parseEntry,
  parseFinalReply,
  parseHop,
  parseLayer,
  relayUrl,
  splitEnvelope,
} from '../src/onion/request.ts';
import { encodeV4Request, encodeV4Response, parseV4Request, parseV4Response } from '../src/onion/v4.ts';

/** `check` says whether what was accepted is as it must be. */
function target<T>(
  seeds: readonly Uint8Array[],
  decode: (input: Uint8Array) => T,
  check: (decoded: T, input: Uint8Array) => boolean,
): FuzzTarget {
  return {
    seeds,
    run(input) {
      let decoded: T;
      try {
        decoded = decode(input);
      } catch (error) {
        if (error instanceof ParseError) return;
        throw error;
      }
      if (!check(decoded, input)) throw new Error('what was accepted is not as it must be');
    },
  };
}

/** Whether a value comes back the same from being encoded and decoded. */
function survives<T>(
  encode: (value: T) => Uint8Array,
  decode: (bytes: Uint8Array) => T,
): (value: T) => boolean {
  return (value) => {
    const bytes = encode(value);
    return equal(encode(decode(bytes)), bytes);
  };
}

function node(byte: number) {
  const { publicKey, secretKey } = ed25519KeyPair(new Uint8Array(32).fill(byte));
  const secret = ed25519SecretKeyToX25519(secretKey);
  const x25519Key = x25519PublicKey(secret);
  return { ed25519Key: publicKey, x25519Key, keyPair: { publicKey: x25519Key, secretKey: secret } };
}

const NODE = node(1);
const REPLY_KEY: ReplyKey = { encType: 'aes-gcm', key: new Uint8Array(32).fill(7) };
const FIXED = { ephemeralSecret: new Uint8Array(32).fill(5), nonce: new Uint8Array(12).fill(6) };
const SEALED = sealLayer('aes-gcm', utf8('plaintext'), NODE.x25519Key, FIXED);
const KEY_HEX = 'ab'.repeat(32);
const RELAY = { host: 'a.example', target: '/oxen/v4/lsrpc', port: 8443, protocol: 'http', method: 'POST' };
const LAYERS = [
  { headers: '', json: true, base64: false },
  RELAY,
  { destination: KEY_HEX, ephemeral_key: KEY_HEX, enc_type: 'xchacha20' },
].map((control) => encodeEnvelope(utf8('{"method":"info","params":{}}'), JSON.stringify(control)));
const ENTRY = buildOnion(
  { path: [NODE], destination: { kind: 'node', ...node(2) }, payload: utf8('{}'), hopNo: 3 },
  [FIXED, FIXED],
).body;

export const targets: Record<string, FuzzTarget> = {
  envelope: target([...LAYERS, ENTRY, u32le(0)], splitEnvelope, ({ blob, control }, input) =>
    equal(encodeEnvelope(blob, control), input),
  ),
  onionEntry: target(
    [ENTRY],
    parseEntry,
    ({ hopNo, ephemeralKey }) => hopNo >= 0 && ephemeralKey.length === 32,
  ),
  onionLayer: target(LAYERS, parseLayer, (layer) => {
    if (layer.kind === 'node') return layer.destination.length === 64 && layer.ephemeralKey.length === 32;
    if (layer.kind === 'final') return typeof layer.base64 === 'boolean';
    const url = relayUrl(layer);
    if (url === undefined) return true;
    const { username, password, search, hash, pathname } = new URL(url);
    return username + password + search + hash === '' && pathname === layer.target;
  }),
  /** Input as the control JSON of a relay to a server, so that all of it goes into the address. */
  relayUrl: target(
    [utf8('a.example /oxen/v4/lsrpc'), utf8('[::1] /loki/x/lsrpc')],
    (input) => {
      const [host = '', ...rest] = new TextDecoder().decode(input).split(' ');
      const control = JSON.stringify({ ...RELAY, host, target: rest.join(' ') });
      return parseLayer(encodeEnvelope(new Uint8Array(0), control));
    },
    (layer) => {
      const url = layer.kind === 'server' ? relayUrl(layer) : undefined;
      if (url === undefined || layer.kind !== 'server') return true;
      const { username, password, port, pathname, protocol } = new URL(url);
      return username + password === '' && `${protocol}${port}${pathname}` === `http:8443${layer.target}`;
    },
  ),
  onionHop: target<Hop>(
    [
      encodeHop({ ciphertext: utf8('x'), ephemeralKey: SEALED.ephemeralKey, encType: 'aes-gcm', hopNo: 1 }),
      utf8(`d4:data0:13:ephemeral_key32:${'k'.repeat(32)}6:hop_noi-1e1:zlee`),
    ],
    parseHop,
    survives(encodeHop, parseHop),
  ),
  /** Ephemeral key ‖ ciphertext. */
  openLayer: target(
    [concat(SEALED.ephemeralKey, SEALED.ciphertext), new Uint8Array(80)],
    (input) => openLayer('aes-gcm', input.subarray(32), input.subarray(0, 32), NODE.keyPair),
    (opened, input) => {
      if (opened === undefined) return true;
      // X25519 ignores the highest bit of a public key (RFC 7748 §5): the only change that may pass.
      const changed = input.slice();
      changed[31] = (changed[31]! & 0x7f) | (SEALED.ephemeralKey[31]! & 0x80);
      return equal(changed, concat(SEALED.ephemeralKey, SEALED.ciphertext));
    },
  ),
  finalReply: target(
    [
      encodeFinalReply({ status: 200, body: '{"a":1}', isJson: true }),
      encodeFinalReply({ status: 421, body: '{"a":18446744073709551615}', isJson: true }, true),
      utf8('{"status_code":500}'),
    ],
    parseFinalReply,
    survives(encodeFinalReply, parseFinalReply),
  ),
  /** What a guard may answer; the key fits none but the first. */
  guardAnswer: target(
    [
      utf8('8vwthtmTSV4T286lYyXDNdZB+TvPOfHjNz6UDgMKNWJB'),
      utf8('{"result":"QUJD"}'),
      sealReply(REPLY_KEY, utf8('{}'), FIXED.nonce),
    ],
    (input) => openFinalReply(input, REPLY_KEY),
    (reply) => reply === undefined,
  ),
  openReply: target(
    [sealReply(REPLY_KEY, utf8('x'), FIXED.nonce)],
    (input) => openReply(REPLY_KEY, input),
    (plaintext, input) =>
      plaintext === undefined || equal(input, sealReply(REPLY_KEY, utf8('x'), FIXED.nonce)),
  ),
  v4Request: target(
    [
      encodeV4Request({ method: 'POST', endpoint: '/a?b=c', headers: { A: 'b' }, body: utf8('{}') }),
      encodeV4Request({ method: 'GET', endpoint: '/', headers: {} }),
    ],
    parseV4Request,
    survives(encodeV4Request, parseV4Request),
  ),
  v4Response: target(
    [encodeV4Response({ code: 200, headers: { 'content-type': 'application/json' }, body: utf8('{}') })],
    parseV4Response,
    survives(encodeV4Response, parseV4Response),
  ),
};
