// SPDX-License-Identifier: MIT
// A file server in memory behind the fake network: onions to it are really opened, pieces and ranges are as the real one has
// them. Tests break it with its knobs.
import { concat, fromHex, toHex, utf8 } from '@allium/protocol/bytes';
import { ed25519KeyPair, ed25519PublicKeyToX25519, ed25519SecretKeyToX25519 } from '@allium/protocol/crypto';
import { contentId } from '@allium/protocol/files/content-id';
import { openLayer, sealReply } from '@allium/protocol/onion/layer';
import { splitEnvelope } from '@allium/protocol/onion/request';
import { encodeV4Response, parseV4Request, type V4Request, type V4Response } from '@allium/protocol/onion/v4';
import type { FakeNetwork } from './fake-network.ts';

const WEEK_SECONDS = 7 * 86_400;

export class FakeFileServer {
  readonly url: string;
  readonly ed25519Hex: string;
  readonly files = new Map<string, Uint8Array>();
  /** `METHOD /path`, ids and tokens left out. */
  readonly asked: string[] = [];
  /** Bytes that came up. */
  taken = 0;
  /** It cannot be reached. */
  isDown = false;
  /** Its answer to a request in place of the real one; undefined: as usual. */
  answer: ((request: V4Request) => Partial<V4Response> | undefined) | undefined;
  /** So long it keeps files. */
  lifeSeconds = 3 * WEEK_SECONDS;
  readonly #now: () => number;
  readonly #uploads = new Map<string, { length: number; bytes: Uint8Array }>();
  readonly #x25519: { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array };

  constructor(network: FakeNetwork, now: () => number, number = 0) {
    const { publicKey, secretKey } = ed25519KeyPair(new Uint8Array(32).fill(200 + number));
    const x25519Key = ed25519PublicKeyToX25519(publicKey);
    if (x25519Key === undefined) throw new Error('not a key');
    this.#x25519 = { publicKey: x25519Key, secretKey: ed25519SecretKeyToX25519(secretKey) };
    this.ed25519Hex = toHex(publicKey);
    this.url = `http://files${number}.test`;
    this.#now = now;
    network.servers.set(`http://files${number}.test:80`, (payload) => this.#open(payload));
  }

  #open(payload: Uint8Array): Uint8Array | undefined {
    if (this.isDown) return undefined;
    const { blob, control } = splitEnvelope(payload);
    const key = fromHex((JSON.parse(control) as { ephemeral_key: string }).ephemeral_key, 32);
    const opened = openLayer('aes-gcm', blob, key, this.#x25519);
    if (opened === undefined) throw new Error('a layer that does not open');
    const request = parseV4Request(opened.plaintext);
    this.asked.push(`${request.method} ${request.endpoint.replace(/[\w-]{44}|token\d+/, 'ID')}`);
    const given = this.answer?.(request) ?? this.#answer(request);
    return sealReply(
      opened.replyKey,
      encodeV4Response({ code: 200, headers: {}, body: new Uint8Array(0), ...given }),
    );
  }

  get #expires(): number {
    return this.#now() / 1000 + this.lifeSeconds;
  }

  #answer({ method, endpoint, headers, body = new Uint8Array(0) }: V4Request): Partial<V4Response> {
    const header = (name: string) =>
      Object.entries(headers).find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1];
    if (method === 'POST' && endpoint === '/uploads') {
      const token = `token${this.#uploads.size}`;
      this.#uploads.set(token, { length: Number(header('Upload-Length')), bytes: new Uint8Array(0) });
      return { code: 201, headers: { location: `/uploads/${token}` } };
    }
    const upload = this.#uploads.get(endpoint.slice('/uploads/'.length));
    if (upload !== undefined) return this.#piece(method, upload, Number(header('Upload-Offset')), body);
    if (method === 'POST' && endpoint === '/file') {
      this.taken += body.length;
      const id = contentId(body);
      this.files.set(id, body.slice());
      return { body: utf8(JSON.stringify({ id, expires: this.#expires })) };
    }
    const [, , id = '', extend] = endpoint.split('/');
    const file = this.files.get(id);
    if (file === undefined) return { code: 404 };
    if (extend === 'extend')
      return { body: utf8(JSON.stringify({ size: file.length, expires: this.#expires })) };
    const [, start, end] = /bytes=(\d+)-(\d+)/.exec(header('Range') ?? '') ?? [];
    const part = file.slice(Number(start), Number(end) + 1);
    const range = `bytes ${start}-${Number(start) + part.length - 1}/${file.length}`;
    return { code: 206, headers: { 'content-range': range }, body: part };
  }

  #piece(
    method: string,
    upload: { length: number; bytes: Uint8Array },
    offset: number,
    body: Uint8Array,
  ): Partial<V4Response> {
    if (method === 'PATCH') {
      if (offset !== upload.bytes.length) return { code: 409 };
      upload.bytes = concat(upload.bytes, body);
      this.taken += body.length;
    }
    const isWhole = upload.bytes.length === upload.length;
    const id = isWhole ? contentId(upload.bytes) : '';
    if (isWhole) this.files.set(id, upload.bytes);
    return {
      code: method === 'PATCH' ? 204 : 200,
      headers: {
        'upload-offset': String(upload.bytes.length),
        'upload-length': String(upload.length),
        ...(isWhole && { 'x-fs-id': id, 'x-fs-expires': String(this.#expires) }),
      },
    };
  }
}
