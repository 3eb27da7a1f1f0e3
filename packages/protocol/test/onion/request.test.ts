// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ed25519KeyPair,
  ed25519PublicKeyToX25519,
  ed25519SecretKeyToX25519,
  x25519KeyPair,
  x25519PublicKey,
} from '#crypto';
import clientVectors from '../../../../vectors/client.json' with { type: 'json' };
import vectors from '../../../../vectors/storage-server.json' with { type: 'json' };
import { concat, fromHex, fromUtf8, toBase64, toHex, u32le, utf8 } from '../../src/bytes.ts';
import type { KeyPair } from '../../src/crypto/provider.ts';
import { ParseError } from '../../src/errors.ts';
import {
  type EncType,
  type FixedLayer,
  openLayer,
  parseEncType,
  type ReplyKey,
  sealLayer,
  sealReply,
} from '../../src/onion/layer.ts';
import {
  buildOnion,
  encodeEnvelope,
  encodeFinalReply,
  encodeHop,
  type FinalLayer,
  isRelayTarget,
  type Layer,
  MAX_ONION_BYTES,
  type NodeRelayLayer,
  type OnionDestination,
  openFinalReply,
  parseEntry,
  parseFinalReply,
  parseHop,
  parseLayer,
  relayedStatus,
  relayUrl,
  type ServerRelayLayer,
  sealFinalReply,
  splitEnvelope,
} from '../../src/onion/request.ts';
import { parseV4Request, parseV4Response } from '../../src/onion/v4.ts';

function x25519Of(seed: Uint8Array): KeyPair {
  const { secretKey } = ed25519KeyPair(seed);
  const secret = ed25519SecretKeyToX25519(secretKey);
  return { publicKey: x25519PublicKey(secret), secretKey: secret };
}

interface TestNode {
  readonly ed25519Key: Uint8Array;
  readonly x25519Key: Uint8Array;
  readonly keyPair: KeyPair;
}

function nodeOfSeed(seed: Uint8Array): TestNode {
  const keyPair = x25519Of(seed);
  return { ed25519Key: ed25519KeyPair(seed).publicKey, x25519Key: keyPair.publicKey, keyPair };
}

const nodeOfByte = (byte: number) => nodeOfSeed(new Uint8Array(32).fill(byte));

/** Carries a request through relays that hold their keys, and returns what the last layer says. */
function travel(
  body: Uint8Array,
  nodes: readonly TestNode[],
): { layer: Layer; replyKey: ReplyKey; passed: string[]; plaintexts: Uint8Array[] } {
  let hop = parseEntry(body);
  const passed: string[] = [];
  const plaintexts: Uint8Array[] = [];
  for (const node of nodes) {
    const opened = openLayer(hop.encType, hop.ciphertext, hop.ephemeralKey, node.keyPair);
    if (opened === undefined) throw new Error(`node ${passed.length} cannot open its layer`);
    plaintexts.push(opened.plaintext);
    const layer = parseLayer(opened.plaintext);
    if (layer.kind !== 'node') return { layer, replyKey: opened.replyKey, passed, plaintexts };
    passed.push(layer.destination);
    // As on the wire between two nodes.
    hop = parseHop(encodeHop({ ...layer, hopNo: hop.hopNo + 1 }));
  }
  throw new Error('the request goes on after the last node');
}

describe('vectors of the storage server', () => {
  const { full_requests, envelopes, url_filter } = vectors.onion;
  const nodes = vectors.keys.nodes.map(({ ed25519_seed }) => nodeOfSeed(fromHex(ed25519_seed)));

  test.each(envelopes)('the envelope with $control_json.enc_type opens', (vector) => {
    const entry = parseEntry(fromHex(vector.envelope));
    const opened = openLayer(entry.encType, entry.ciphertext, entry.ephemeralKey, {
      publicKey: fromHex(vector.server_x25519_pubkey),
      secretKey: fromHex(vector.server_x25519_seckey),
    });
    expect(fromUtf8(opened?.plaintext as Uint8Array)).toBe(vector.decrypted_ascii);
  });

  test.each(url_filter)('relaying to $target is allowed: $allowed', ({ target, allowed }) => {
    expect(isRelayTarget(target)).toBe(allowed);
  });

  const toNodes = full_requests.filter(({ destination }) => destination === 'snode');
  test.each(toNodes)('$enc_type to a node: every relay reads it, the answer opens', (vector) => {
    const { layer, replyKey, plaintexts } = travel(fromHex(vector.post_body_to_guard), nodes);
    expect(plaintexts.map(toHex).reverse()).toEqual(vector.layers_inner_to_outer.map((l) => l.plaintext));
    expect(layer.kind).toBe('final');
    expect(fromUtf8((layer as FinalLayer).body)).toBe(vector.rpc_json_ascii);
    expect(layer).toMatchObject({ embedJson: false, base64: true });
    const { response } = vector;
    const sealed = sealReply(replyKey, utf8(response.plaintext_ascii), fromHex(response.nonce));
    expect(toBase64(sealed)).toBe(response.http_body_ascii);
    const { status, body } = JSON.parse(response.plaintext_ascii) as { status: number; body: string };
    expect(fromUtf8(encodeFinalReply({ status, body, isJson: true }))).toBe(response.plaintext_ascii);
    expect(openFinalReply(utf8(response.http_body_ascii as string), replyKey)).toEqual({ status, body });
  });

  test.each(toNodes)('$enc_type to a node: each layer seals to the same bytes', (vector) => {
    for (const layer of vector.layers_inner_to_outer) {
      const sealed = sealLayer(
        parseEncType(vector.enc_type) as EncType,
        fromHex(layer.plaintext),
        fromHex(layer.x25519_pubkey),
        { ephemeralSecret: fromHex(layer.ephemeral_seckey), nonce: fromHex(layer.nonce) },
      );
      expect(toHex(sealed.ciphertext)).toBe(layer.ciphertext);
    }
  });

  const toServers = full_requests.filter(({ destination }) => destination === 'server');
  test.each(toServers)(
    '$enc_type to a server: built to the same bytes, read by relays and server',
    (vector) => {
      const layers = vector.layers_inner_to_outer;
      const target = layers[0] as (typeof layers)[number];
      const built = buildOnion(
        {
          path: nodes.slice(0, 3),
          destination: {
            kind: 'server',
            x25519Key: fromHex(target.x25519_pubkey),
            host: 'open.example.org',
            target: '/oxen/v4/lsrpc',
          },
          payload: utf8(vector.v4_payload_ascii as string),
          encType: parseEncType(vector.enc_type) as EncType,
        },
        layers.map((l) => ({ ephemeralSecret: fromHex(l.ephemeral_seckey), nonce: fromHex(l.nonce) })),
      );
      expect(toHex(built.body)).toBe(vector.post_body_to_guard);
      const { layer } = travel(built.body, nodes);
      expect(layer.kind).toBe('server');
      const relay = layer as ServerRelayLayer;
      expect(relayUrl(relay)).toBe('https://open.example.org/oxen/v4/lsrpc');
      expect(toHex(relay.payload)).toBe(vector.body_posted_to_server);
      expect(parseV4Request(utf8(vector.v4_payload_ascii as string))).toEqual({
        method: 'GET',
        endpoint: '/room/lobby',
        headers: {},
      });
      const { response } = vector;
      const sealed = sealReply(built.replyKey, utf8(response.plaintext_ascii), fromHex(response.nonce));
      expect(toHex(sealed)).toBe(response.http_body_hex);
      expect(parseV4Response(utf8(response.plaintext_ascii))).toMatchObject({ code: 200 });
    },
  );

  test('the hop message is read and written', () => {
    const vector = vectors.omq_messages.find(({ name }) => name === 'onion hop');
    const part = fromHex(vector?.parts?.[2] ?? '');
    const hop = parseHop(part);
    expect(hop).toMatchObject({ encType: 'xchacha20-poly1305', hopNo: 1 });
    expect(toHex(encodeHop(hop))).toBe(toHex(part));
  });
});

describe('vectors of the client', () => {
  const vector = clientVectors.onion_layers;
  const nodes = [1, 2, 3, 4].map(nodeOfByte) as [TestNode, TestNode, TestNode, TestNode];
  const fixed: FixedLayer[] = vector.ephemeral_secrets_destination_first.map((secret, index) => ({
    ephemeralSecret: fromHex(secret),
    nonce: fromHex(vector.ivs_destination_first[index] as string),
  }));

  test('the nodes are those of the vector', () => {
    expect(nodes.map((node) => toHex(node.x25519Key))).toEqual(vector.nodes.map((node) => node.x25519));
  });

  test('a request to a node is built to the same bytes', () => {
    const built = buildOnion(
      {
        path: nodes.slice(0, 3),
        destination: { kind: 'node', ...nodes[3] },
        payload: splitEnvelope(fromHex(vector.inner_plaintext)).blob,
      },
      fixed,
    );
    expect(toHex(built.body)).toBe(vector.guard_request_body);
    expect(toHex(built.replyKey.key)).toBe(vector.destination_key);
    const { layer, passed, plaintexts } = travel(built.body, nodes);
    expect(layer.kind).toBe('final');
    expect(passed).toEqual(nodes.slice(1).map((node) => toHex(node.ed25519Key)));
    expect(plaintexts.map(toHex)).toEqual([
      vector.plaintext_hop1,
      vector.plaintext_hop2,
      vector.plaintext_hop3,
      vector.inner_plaintext,
    ]);
    const { status, body } = JSON.parse(vector.reply.decrypted) as { status: number; body: string };
    const answer = utf8(vector.reply.encrypted_base64);
    expect(openFinalReply(answer, built.replyKey)).toEqual({ status, body });
    const wrapped = utf8(JSON.stringify({ result: vector.reply.encrypted_base64 }));
    expect(openFinalReply(wrapped, built.replyKey)).toEqual({ status, body });
  });

  test('a request to a server is built to the same bytes', () => {
    const { to_server } = vector;
    const server = nodeOfByte(5);
    expect(toHex(server.x25519Key)).toBe(to_server.server_x25519);
    const built = buildOnion(
      {
        path: nodes.slice(0, 3),
        destination: {
          kind: 'server',
          x25519Key: server.x25519Key,
          host: 'files.example',
          protocol: 'http',
          target: '/oxen/v4/lsrpc',
        },
        payload: fromHex(to_server.v4_request),
      },
      fixed,
    );
    expect(toHex(built.replyKey.key)).toBe(to_server.key);
    const { layer, plaintexts } = travel(built.body, nodes);
    expect(layer.kind).toBe('server');
    expect(toHex(plaintexts[2] as Uint8Array)).toBe(to_server.plaintext_hop3);
    expect(toHex((layer as ServerRelayLayer).payload)).toBe(to_server.plaintext_hop3);
  });
});

describe('envelopes', () => {
  test('are split into what they were made of', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.string({ unit: 'grapheme' }), (blob, control) => {
        expect(splitEnvelope(encodeEnvelope(blob, control))).toEqual({ blob, control });
      }),
    );
  });

  test.each([
    ['nothing', new Uint8Array(0)],
    ['half a length', new Uint8Array(3)],
    ['a blob longer than the rest', concat(u32le(5), new Uint8Array(4))],
    ['a length beyond any', concat(u32le(0xffffffff), new Uint8Array(40))],
    ['control that is not UTF-8', concat(u32le(0), Uint8Array.of(0x7b, 0xff, 0x7d))],
    ['control without end', concat(u32le(0), new Uint8Array(200_000).fill(0x20))],
    ['more than 10 MiB', new Uint8Array(MAX_ONION_BYTES + 1)],
  ])('%s is refused', (_, bytes) => {
    expect(() => splitEnvelope(bytes)).toThrow(ParseError);
  });
});

const key64 = 'ab'.repeat(32);

describe('the body of the post to a guard', () => {
  const entry = (control: unknown) =>
    parseEntry(encodeEnvelope(utf8('blob'), typeof control === 'string' ? control : JSON.stringify(control)));

  test('names the key, and optionally the encryption and the number of hops so far', () => {
    expect(entry({ ephemeral_key: key64 })).toEqual({
      ciphertext: utf8('blob'),
      ephemeralKey: fromHex(key64),
      encType: 'aes-gcm',
      hopNo: 0,
    });
    expect(entry({ ephemeral_key: key64.toUpperCase(), enc_type: 'xchacha20', hop_no: 5 })).toMatchObject({
      encType: 'xchacha20-poly1305',
      hopNo: 5,
    });
    expect(entry({ ephemeral_key: key64, hop_no: -7, other: [1] }).hopNo).toBe(0);
    expect(entry({ ephemeral_key: key64, enc_type: 'cbc' }).encType).toBe('aes-cbc');
  });

  test.each([
    ['no JSON', 'x'],
    ['a list', []],
    ['null', 'null'],
    ['no key', {}],
    ['a short key', { ephemeral_key: 'abcd' }],
    ['a key that is not hex', { ephemeral_key: 'zz'.repeat(32) }],
    ['a key that is a number', { ephemeral_key: 5 }],
    ['an unknown encryption', { ephemeral_key: key64, enc_type: 'rot13' }],
    ['an encryption that is null', { ephemeral_key: key64, enc_type: null }],
    ['a fractional number of hops', { ephemeral_key: key64, hop_no: 1.5 }],
    ['text as number of hops', { ephemeral_key: key64, hop_no: '1' }],
  ])('%s is refused', (_, control) => {
    expect(() => entry(control)).toThrow(ParseError);
  });
});

describe('the control object of a layer', () => {
  const blob = utf8('blob');
  const layerOf = (control: unknown) => parseLayer(encodeEnvelope(blob, JSON.stringify(control)));

  test('headers make it final, whatever else there is', () => {
    for (const headers of ['', {}, null, false, 0, [1]]) {
      expect(layerOf({ headers })).toEqual({ kind: 'final', body: blob, embedJson: false, base64: true });
    }
    const all = { headers: {}, host: 'a.example', target: '/x', destination: key64, ephemeral_key: key64 };
    expect(layerOf(all).kind).toBe('final');
    expect(layerOf({ headers: '', json: true, base64: false })).toMatchObject({
      embedJson: true,
      base64: false,
    });
  });

  test('then host makes it a server relay', () => {
    const control = { host: 'a.example', target: '/oxen/v4/lsrpc', destination: key64, ephemeral_key: key64 };
    const plaintext = encodeEnvelope(blob, JSON.stringify(control));
    expect(parseLayer(plaintext)).toEqual({
      kind: 'server',
      host: 'a.example',
      port: 443,
      protocol: 'https',
      target: '/oxen/v4/lsrpc',
      payload: plaintext,
    });
    expect(layerOf({ ...control, protocol: 'http' })).toMatchObject({ port: 443, protocol: 'http' });
  });

  test('else it is a node relay; keys are made lower case', () => {
    const control = { destination: key64.toUpperCase(), ephemeral_key: key64, enc_type: 'xchacha20' };
    expect(layerOf(control)).toEqual({
      kind: 'node',
      destination: key64,
      ephemeralKey: fromHex(key64),
      encType: 'xchacha20-poly1305',
      ciphertext: blob,
    } satisfies NodeRelayLayer);
  });

  test('blanks after it are padding', () => {
    expect(parseLayer(encodeEnvelope(blob, '{"headers":{}}   \n ')).kind).toBe('final');
  });

  test.each([
    ['nothing known', {}],
    ['a list with the word', ['headers']],
    ['json that is text', { headers: '', json: 'true' }],
    ['base64 that is a number', { headers: '', base64: 1 }],
    ['a server without target', { host: 'a.example' }],
    ['a host that is null', { host: null, target: '/oxen/v4/lsrpc' }],
    ['a port too large', { host: 'a.example', target: '/oxen/v4/lsrpc', port: 65536 }],
    ['a negative port', { host: 'a.example', target: '/oxen/v4/lsrpc', port: -1 }],
    ['a port that is text', { host: 'a.example', target: '/oxen/v4/lsrpc', port: '443' }],
    ['no destination', { ephemeral_key: key64 }],
    ['no key', { destination: key64 }],
    ['a short destination', { destination: 'abcd', ephemeral_key: key64 }],
    ['a destination that is not hex', { destination: 'zz'.repeat(32), ephemeral_key: key64 }],
  ])('%s is refused', (_, control) => {
    expect(() => layerOf(control)).toThrow(ParseError);
  });

  test('a member of the prototype is not a member', () => {
    expect(() => layerOf(JSON.parse('{"__proto__":{"headers":""}}'))).toThrow(ParseError);
  });
});

describe('the address of a server relay', () => {
  const layer: ServerRelayLayer = {
    kind: 'server',
    host: 'a.example',
    port: 443,
    protocol: 'https',
    target: '/oxen/v4/lsrpc',
    payload: new Uint8Array(0),
  };

  test.each([
    [{}, 'https://a.example/oxen/v4/lsrpc'],
    [{ port: 8443 }, 'https://a.example:8443/oxen/v4/lsrpc'],
    [{ protocol: 'http', port: 80 }, 'http://a.example/oxen/v4/lsrpc'],
    // spec/storage-server §4.4: the default port is 443, also for http.
    [{ protocol: 'http' }, 'http://a.example:443/oxen/v4/lsrpc'],
    [{ host: '203.0.113.7' }, 'https://203.0.113.7/oxen/v4/lsrpc'],
    [{ host: '[2001:db8::1]' }, 'https://[2001:db8::1]/oxen/v4/lsrpc'],
  ])('%o gives %s', (change, url) => {
    expect(relayUrl({ ...layer, ...change })).toBe(url);
  });

  test.each([
    { protocol: 'ftp' },
    { protocol: 'HTTPS' },
    { port: 0 },
    { host: '' },
    { host: 'a.example/x' },
    { host: 'a.example:99' },
    { host: 'user@a.example' },
    { host: 'a.example#' },
    { host: 'a example' },
    { host: '999.999.999.999' },
    { host: '[:::1]' },
    { host: `${'a'.repeat(254)}` },
    { target: '/oxen/v4/lsrpc#' },
    { target: '/oxen/../admin/lsrpc' },
    { target: '/oxen/%2e%2E/admin/lsrpc' },
    { target: '/oxen/v4/lsrpc HTTP/1.1\r\nX: y/lsrpc' },
    { target: '/oxen/v4?/lsrpc' },
  ])('%o is refused', (change) => {
    expect(relayUrl({ ...layer, ...change })).toBeUndefined();
  });
});

test('statuses that relays do not know become 500', () => {
  const known = [200, 400, 401, 403, 404, 406, 410, 413, 421, 429, 500, 502, 503, 504];
  for (let status = 0; status < 1000; status++) {
    expect(relayedStatus(status)).toBe(known.includes(status) ? status : 500);
  }
});

describe('the message from hop to hop', () => {
  test('is read as it was written', () => {
    const arbitrary = fc.record({
      ciphertext: fc.uint8Array({ maxLength: 200 }),
      ephemeralKey: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      encType: fc.constantFrom('aes-gcm' as const, 'xchacha20-poly1305' as const, 'aes-cbc' as const),
      hopNo: fc.integer({ min: 1, max: 1000 }),
    });
    fc.assert(
      fc.property(arbitrary, (hop) => {
        expect(parseHop(encodeHop(hop))).toEqual(hop);
      }),
    );
  });

  const key = `13:ephemeral_key32:${'k'.repeat(32)}`;

  test('counts from one and needs no encryption type', () => {
    expect(parseHop(utf8(`d4:data1:x${key}6:hop_noi-3ee`))).toEqual({
      ciphertext: utf8('x'),
      ephemeralKey: utf8('k'.repeat(32)),
      encType: 'aes-gcm',
      hopNo: 1,
    });
    // Too many hops are for the caller to refuse, with the text of the protocol.
    expect(parseHop(utf8(`d4:data1:x${key}6:hop_noi16ee`)).hopNo).toBe(16);
  });

  test.each([
    ['a list', 'le'],
    ['no data', `d${key}6:hop_noi1ee`],
    ['no key', 'd4:data1:x6:hop_noi1ee'],
    ['no number', `d4:data1:x${key}e`],
    ['a short key', 'd4:data1:x13:ephemeral_key3:kkk6:hop_noi1ee'],
    ['an unknown encryption', `d4:data1:x8:enc_type3:rot${key}6:hop_noi1ee`],
    ['a number of 64 bits', `d4:data1:x${key}6:hop_noi18446744073709551615ee`],
    ['data that is a number', `d4:datai1e${key}6:hop_noi1ee`],
    ['bytes behind it', `d4:data1:x${key}6:hop_noi1eex`],
  ])('%s is refused', (_, text) => {
    expect(() => parseHop(utf8(text))).toThrow(ParseError);
  });
});

describe('the answer of a destination', () => {
  const replyKey: ReplyKey = { encType: 'aes-gcm', key: new Uint8Array(32).fill(7) };
  const layer: FinalLayer = { kind: 'final', body: new Uint8Array(0), embedJson: false, base64: true };

  test('carries JSON as text, or as JSON when asked for', () => {
    const reply = { status: 200, body: '{"a":"ü"}', isJson: true };
    expect(fromUtf8(encodeFinalReply(reply))).toBe('{"body":"{\\"a\\":\\"ü\\"}","status":200}');
    expect(fromUtf8(encodeFinalReply(reply, true))).toBe('{"body":{"a":"ü"},"status":200}');
    expect(fromUtf8(encodeFinalReply({ status: 400, body: 'no' }, true))).toBe('{"body":"no","status":400}');
    expect(fromUtf8(encodeFinalReply({ status: 200, body: Uint8Array.of(1, 2, 255) }))).toBe(
      '{"body":"AQL/","status":200}',
    );
  });

  test('is read by the client in each of its forms', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 999 }), fc.string({ unit: 'grapheme' }), (status, body) => {
        const sealed = sealFinalReply({ status, body }, layer, replyKey);
        expect(openFinalReply(sealed, replyKey)).toEqual({ status, body });
      }),
    );
    const json = '{"swarm":18446744073709551614}';
    const embedded = encodeFinalReply({ status: 421, body: json, isJson: true }, true);
    expect(parseFinalReply(embedded)).toEqual({ status: 421, body: json });
    expect(parseFinalReply(utf8('{"status_code":404}'))).toEqual({ status: 404, body: '' });
  });

  test('is raw when the request asked for no base64', () => {
    const sealed = sealFinalReply({ status: 200, body: 'x' }, { ...layer, base64: false }, replyKey);
    expect(openFinalReply(utf8(toBase64(sealed)), replyKey)).toEqual({ status: 200, body: 'x' });
  });

  test('does not open with another key', () => {
    const sealed = sealFinalReply({ status: 200, body: 'x' }, layer, replyKey);
    expect(openFinalReply(sealed, { ...replyKey, key: new Uint8Array(32) })).toBeUndefined();
    expect(openFinalReply(utf8(''), replyKey)).toBeUndefined();
  });

  test.each(['', 'x', '[]', '"x"', '{}', '{"status":"200"}', '{"status":200,"body":7}', '{"status":1e9}'])(
    'nonsense is refused: %s',
    (text) => {
      expect(() => parseFinalReply(utf8(text))).toThrow(ParseError);
    },
  );

  test.each(['not base64!', '{"result":5}', '{"error":"x"}', '{'])(
    'no answer at all is refused: %s',
    (text) => {
      expect(() => openFinalReply(utf8(text), replyKey)).toThrow(ParseError);
    },
  );
});

describe('building', () => {
  const nodes = [1, 2, 3].map(nodeOfByte);
  const destination: OnionDestination & TestNode = { kind: 'node', ...nodeOfByte(4) };
  const server = { kind: 'server', host: 'files.example', target: '/oxen/v4/lsrpc' } as const;

  test('any payload comes out at the destination, over paths of any length', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 500 }),
        fc.integer({ min: 1, max: 14 }),
        fc.constantFrom<EncType | undefined>('aes-gcm', 'xchacha20-poly1305', undefined),
        (payload, length, encType) => {
          const path = Array.from({ length }, (_, index) => nodeOfByte(index + 10));
          const built = buildOnion({ path, destination, payload, ...(encType && { encType }) });
          const { layer, replyKey, passed } = travel(built.body, [...path, destination]);
          expect(layer).toMatchObject({ kind: 'final', body: payload });
          expect(replyKey).toEqual(built.replyKey);
          expect(passed).toHaveLength(length);
        },
      ),
      { numRuns: 20 },
    );
  });

  test('padded requests have few lengths, and those to nodes have the lengths of those to servers', () => {
    const keyPair = x25519KeyPair();
    for (const encType of [undefined, 'aes-gcm', 'xchacha20-poly1305'] as const) {
      const sizes = new Set<number>();
      for (const length of [0, 1, 100, 500, 900, 1000, 1500]) {
        const payload = utf8(`"${'x'.repeat(length)}"`);
        const common = { path: nodes, payload, padded: true, ...(encType && { encType }) };
        const toNode = buildOnion({ ...common, destination });
        const toServer = buildOnion({ ...common, destination: { ...server, x25519Key: keyPair.publicKey } });
        sizes.add(toNode.body.length);
        sizes.add(toServer.body.length);
        const { layer } = travel(toNode.body, [...nodes, destination]);
        expect(JSON.parse(fromUtf8((layer as FinalLayer).body))).toBe('x'.repeat(length));
        const relay = travel(toServer.body, nodes);
        expect(relay.plaintexts[2]?.length).toBeOneOf([1024, 2048]);
        const { blob } = splitEnvelope((relay.layer as ServerRelayLayer).payload);
        const control = JSON.parse(splitEnvelope((relay.layer as ServerRelayLayer).payload).control) as {
          ephemeral_key: string;
        };
        const opened = openLayer(encType ?? 'aes-gcm', blob, fromHex(control.ephemeral_key), keyPair);
        expect(opened?.plaintext).toEqual(payload);
      }
      expect(sizes.size).toBe(2);
    }
    const large = buildOnion({ path: nodes, destination, payload: utf8(' '.repeat(100_000)), padded: true });
    const { plaintexts } = travel(large.body, [...nodes, destination]);
    expect(plaintexts[2]?.length).toBe(128 * 1024);
  });

  test('the count of hops starts where it is told to', () => {
    const built = buildOnion({ path: nodes, destination, payload: utf8('{}'), hopNo: 4 });
    expect(parseEntry(built.body).hopNo).toBe(4);
    expect(parseEntry(buildOnion({ path: nodes, destination, payload: utf8('{}') }).body).hopNo).toBe(0);
  });

  test('a path without nodes, a path too long and a request too large are refused', () => {
    const payload = utf8('{}');
    const refusal = (code: string) => expect.objectContaining({ name: 'OnionError', code });
    expect(() => buildOnion({ path: [], destination, payload })).toThrow(refusal('bad_path'));
    const long = Array.from({ length: 15 }, () => nodes[0] as TestNode);
    expect(() => buildOnion({ path: long, destination, payload })).toThrow(refusal('bad_path'));
    const huge = new Uint8Array(MAX_ONION_BYTES - 500);
    expect(() => buildOnion({ path: nodes, destination, payload: huge })).toThrow(refusal('too_large'));
  });

  test('a node converts to the key that its layer is for', () => {
    expect(ed25519PublicKeyToX25519(destination.ed25519Key)).toEqual(destination.x25519Key);
  });
});

test('no bytes make the parsers throw anything but ParseError', () => {
  const parsers = [splitEnvelope, parseEntry, parseLayer, parseHop, parseFinalReply];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.json(), (bytes, json) => {
      for (const input of [bytes, encodeEnvelope(bytes, json), utf8(json)]) {
        for (const parse of parsers) {
          try {
            parse(input);
          } catch (error) {
            expect(error).toBeInstanceOf(ParseError);
          }
        }
      }
    }),
  );
});
