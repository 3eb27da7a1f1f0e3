// SPDX-License-Identifier: MIT
// Encrypted files to and from file servers that are reached through three hops (spec/client §5). Large ones go in pieces
// where the server can do that: up by tus 1.0.0, down by ranges, a few at a time; so progress is real and a lost piece
// costs only itself. Other servers get and give the whole at once.
import type { Account } from '@allium/protocol/account';
import { concat } from '@allium/protocol/bytes';
import type { Env } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import {
  deterministicLength,
  MAX_DETERMINISTIC_BYTES,
  openDeterministic,
  sealDeterministic,
} from '@allium/protocol/files/deterministic';
import { FileError } from '@allium/protocol/files/file-error';
import {
  MAX_ATTACHMENT_BYTES,
  MAX_SEALED_ATTACHMENT_BYTES,
  openAttachment,
  paddedAttachmentLength,
  sealAttachment,
} from '@allium/protocol/files/legacy';
import { type FileUrl, formatFileUrl, parseFileUrl } from '@allium/protocol/files/url';
import type { AttachmentPointer } from '@allium/protocol/message/content';
import { ClientError } from '../errors.ts';
import type { ServerAddress } from '../network/onions.ts';
import type { FileServerAddress } from '../network/presets.ts';
import { Semaphore } from '../network/semaphore.ts';
import { type Servers, serverAddress } from '../network/servers.ts';
import { downloadFile } from './download.ts';
import { FileTransferError } from './file-transfer-error.ts';
import { ServerHealth } from './server-health.ts';
import type { TransferOptions } from './transfer.ts';
import { expiryIn, uploadFile } from './upload.ts';

// From the specification, §5.6.
const TRANSFERS_AT_ONCE = 3;
const EXTEND_TIMEOUT_MS = 10_000; // §2.6
// Ours.
const MAX_NAME_LENGTH = 255;

export interface UploadOptions extends TransferOptions {
  /** MIME type; default application/octet-stream. */
  readonly contentType?: string;
  readonly fileName?: string;
  /** Pixels. */
  readonly width?: number;
  readonly height?: number;
  readonly caption?: string;
  /** §5.7. */
  readonly isVoiceMessage?: boolean;
  /** Equal files of this account become equal on the server (§5.3); not all other clients open this form yet. */
  readonly deterministic?: boolean;
}

export interface TransfersDeps {
  readonly account: Account;
  readonly network: { readonly servers: Pick<Servers, 'ask'> };
  readonly env: Env;
}

/** A server has the file. */
export interface Uploaded {
  readonly id: string;
  /** Without the mark of the deterministic form. */
  readonly url: string;
  readonly server: FileServerAddress;
  /** Local time in ms until which the server wants to keep it; undefined where it did not say. */
  readonly expiresAt: number | undefined;
}

export interface SendBodyOptions extends TransferOptions {
  /** An upload in pieces that an earlier run began with the same bytes; no longer there: it begins anew. */
  readonly resume?: UploadPlace | undefined;
  /** A server has begun to take pieces. */
  readonly onBegun?: ((place: UploadPlace) => Promise<void>) | undefined;
  /** False: what was begun stays on the server when the upload fails, for `resume`. Default true. */
  readonly forget?: boolean;
}

/** Of an upload in pieces: the server's URL and the path there. */
export interface UploadPlace {
  readonly server: string;
  readonly endpoint: string;
}

export class Transfers {
  readonly #servers: readonly { readonly address: ServerAddress; readonly at: FileServerAddress }[];
  readonly #deps: TransfersDeps;
  readonly #health: ServerHealth;
  readonly #transfers = new Semaphore(TRANSFERS_AT_ONCE);

  /** @throws ParseError for a file server whose address or key is malformed */
  constructor(servers: readonly FileServerAddress[], deps: TransfersDeps) {
    this.#servers = servers.map((at) => ({ at, address: serverAddress(at.url, at.ed25519Hex) }));
    this.#deps = deps;
    this.#health = new ServerHealth(deps.env);
  }

  /**
   * Encrypts a file and gives it to a file server, the first of the network's that takes it. The result belongs into a
   * message; it holds the key.
   * @throws FileTransferError `empty`, `too_large`, `no_server`, `servers_down`; ClientError `no_path`, `no_nodes`,
   * `no_network`; the reason of the signal
   */
  async upload(
    data: Uint8Array | AsyncIterable<Uint8Array>,
    options: UploadOptions = {},
  ): Promise<AttachmentPointer> {
    this.#checkServers();
    const { signal, onProgress, deterministic = false } = options;
    const live = signal ?? new AbortController().signal;
    const limit = deterministic ? MAX_DETERMINISTIC_BYTES : MAX_ATTACHMENT_BYTES;
    using _place = await this.#transfers.acquire(live);
    const sealed = this.#seal(await collect(data, limit, live), deterministic);
    const { id, url } = await this.#send(sealed.body, { signal, onProgress });
    return describe(id, deterministic ? markDeterministic(url) : url, sealed, options);
  }

  /**
   * Gives an encrypted file to a file server, as it is.
   * @throws FileTransferError `too_large`, `no_server`, `servers_down`; ClientError and signal as `upload`
   */
  async sendBody(body: Uint8Array, options: SendBodyOptions = {}): Promise<Uploaded> {
    this.#checkServers();
    using _place = await this.#transfers.acquire(options.signal ?? new AbortController().signal);
    return await this.#send(body, options);
  }

  #checkServers(): void {
    if (this.#servers.length > 0) return;
    throw new FileTransferError('no_server', 'this network has no file server: name one (fileServers)');
  }

  async #send(body: Uint8Array, options: SendBodyOptions): Promise<Uploaded> {
    const { signal, onProgress, resume, onBegun, forget = true } = options;
    let retryAfterMs = Number.POSITIVE_INFINITY;
    let cause: unknown;
    const inOrder = this.#health.order(this.#servers, ({ at: { url } }) => url);
    const begun = inOrder.filter(({ at }) => at.url === resume?.server);
    for (const { at, address } of [...begun, ...inOrder.filter((server) => !begun.includes(server))]) {
      try {
        const { id, expiresAt } = await uploadFile(body, {
          ask: (request, timeoutMs) =>
            this.#deps.network.servers.ask(address, request, { timeoutMs, signal }),
          ...{ onProgress, signal, forget },
          ...(resume?.server === at.url && { resume: resume.endpoint }),
          ...(onBegun !== undefined && { onBegun: (endpoint) => onBegun({ server: at.url, endpoint }) }),
        });
        this.#health.worked(at.url);
        const { ed25519Hex } = at;
        const server = at.url.replace(/\/$/, '');
        const url = formatFileUrl({ server, id, ed25519Hex, isDeterministic: false });
        return { id, url, server: at, expiresAt };
      } catch (error) {
        if (!isFaultOfServer(error)) throw error;
        cause = error;
        this.#deps.env.log.debug({ error: String(error) }, 'a file server did not take a file');
        retryAfterMs = Math.min(retryAfterMs, this.#health.failed(at.url));
      }
    }
    if (cause instanceof FileTransferError && cause.code === 'too_large') throw cause;
    throw new FileTransferError('servers_down', 'no file server took the file: try again later', {
      ...{ cause, retryAfterMs },
    });
  }

  /**
   * Fetches and opens the file of a message. At most as much memory is taken as the greatest attachment needs, whatever
   * the server sends.
   * @throws FileTransferError `bad_pointer`, `too_large`, `gone`, `corrupt`, `server_down`; ClientError `no_path`,
   * `no_nodes`, `no_network`; the reason of the signal
   */
  async download(pointer: AttachmentPointer, options: TransferOptions = {}): Promise<Uint8Array> {
    const { url, lengths, open } = readPointer(pointer);
    return opened(await this.fetchBody(url, lengths, options), open);
  }

  /**
   * The encrypted file at an address, of a length that is possible.
   * @throws FileTransferError `gone`, `corrupt`, `server_down`; ClientError and signal as `download`
   */
  async fetchBody(
    url: FileUrl,
    lengths: { readonly least: number; readonly most: number },
    { signal, onProgress }: TransferOptions = {},
  ): Promise<Uint8Array> {
    const address = addressOf(url);
    using _place = await this.#transfers.acquire(signal ?? new AbortController().signal);
    try {
      const body = await downloadFile(`/file/${url.id}`, {
        ask: (request, timeoutMs) => this.#deps.network.servers.ask(address, request, { timeoutMs, signal }),
        ...lengths,
        onProgress,
        signal,
      });
      this.#health.worked(url.server);
      return body;
    } catch (error) {
      throw this.#serverDown(url, error);
    }
  }

  /**
   * Asks a server to keep a file longer (spec/client §5.5): the local time in ms until which it does. Undefined when it no longer
   * has the file, or cannot do that.
   * @throws FileTransferError `server_down`; ClientError and signal as `download`
   */
  async extend(url: FileUrl, options: { readonly signal?: AbortSignal } = {}): Promise<number | undefined> {
    const address = addressOf(url);
    try {
      const request = { method: 'POST', endpoint: `/file/${url.id}/extend`, headers: {} };
      const { code, body } = await this.#deps.network.servers.ask(address, request, {
        ...{ timeoutMs: EXTEND_TIMEOUT_MS, signal: options.signal },
      });
      if (code >= 500) throw new FileTransferError('server_down', `the server answered ${code}`);
      this.#health.worked(url.server);
      return code === 200 ? expiryIn(body) : undefined;
    } catch (error) {
      throw this.#serverDown(url, error);
    }
  }

  #serverDown(url: FileUrl, error: unknown): unknown {
    if (!isFaultOfServer(error)) return error;
    const retryAfterMs = this.#health.failed(url.server);
    return new FileTransferError('server_down', 'the file server does not answer: try again later', {
      ...{ cause: error, retryAfterMs },
    });
  }

  #seal(data: Uint8Array, deterministic: boolean) {
    try {
      if (!deterministic) return sealAttachment(data);
      if (data.length === 0) throw new FileError('empty', 'the file is empty');
      // spec/client §1.1: a short seed is followed by zeros.
      const short = this.#deps.account.seed();
      const seed = new Uint8Array(32);
      seed.set(short);
      short.fill(0);
      try {
        return { ...sealDeterministic(data, seed), digest: undefined };
      } finally {
        seed.fill(0);
      }
    } catch (error) {
      if (error instanceof FileError && (error.code === 'empty' || error.code === 'too_large')) {
        throw new FileTransferError(error.code, error.message, { cause: error });
      }
      throw error;
    }
  }
}

/** What another server, or the same one later, may do better. */
function isFaultOfServer(error: unknown): boolean {
  if (error instanceof FileTransferError) return error.code === 'server_down' || error.code === 'too_large';
  return error instanceof ClientError && error.code === 'unreachable';
}

function describe(
  id: string,
  url: string,
  sealed: { readonly key: Uint8Array; readonly digest: Uint8Array | undefined; readonly sizeBytes: number },
  options: UploadOptions,
): AttachmentPointer {
  const { contentType = 'application/octet-stream', fileName, width, height, caption } = options;
  return {
    // §3.3: old clients look for a number here.
    id: /^\d{1,19}$/.test(id) ? BigInt.asUintN(64, BigInt(id)) : 0n,
    contentType,
    key: sealed.key,
    size: sealed.sizeBytes,
    url,
    ...(sealed.digest !== undefined && { digest: sealed.digest }),
    ...(fileName !== undefined && { fileName: fileName.slice(-MAX_NAME_LENGTH) }),
    ...(options.isVoiceMessage === true && { flags: 1 }),
    ...(width !== undefined && { width }),
    ...(height !== undefined && { height }),
    ...(caption !== undefined && { caption }),
  };
}

interface ReadPointer {
  readonly url: FileUrl;
  readonly lengths: { readonly least: number; readonly most: number };
  open(body: Uint8Array): Uint8Array;
}

/** What opens is what was sent. @throws FileTransferError `corrupt` */
export function opened(body: Uint8Array, open: (body: Uint8Array) => Uint8Array): Uint8Array {
  try {
    return open(body);
  } catch (cause) {
    if (!(cause instanceof FileError)) throw cause;
    throw new FileTransferError('corrupt', `not the file that was sent: ${cause.message}`, { cause });
  }
}

/** @throws FileTransferError `bad_pointer` */
export function readFileUrl(text: string): FileUrl {
  try {
    const url = parseFileUrl(text);
    serverAddress(url.server, url.ed25519Hex);
    return url;
  } catch (cause) {
    if (!(cause instanceof ParseError)) throw cause;
    throw new FileTransferError('bad_pointer', `the address of the file is malformed: ${cause.message}`, {
      cause,
    });
  }
}

const addressOf = ({ server, ed25519Hex }: FileUrl): ServerAddress => serverAddress(server, ed25519Hex);

function markDeterministic(url: string): string {
  return formatFileUrl({ ...parseFileUrl(url), isDeterministic: true });
}

/** @throws FileTransferError `bad_pointer`, `too_large` */
export function readPointer({ url: text, key, digest, size = 0 }: AttachmentPointer): ReadPointer {
  if (text === undefined || key === undefined) {
    throw new FileTransferError('bad_pointer', 'the message lacks address or key of the file');
  }
  const url = readFileUrl(text);
  const isLegacy = !url.isDeterministic;
  const limit = isLegacy ? MAX_ATTACHMENT_BYTES : MAX_DETERMINISTIC_BYTES;
  if (size > limit) throw new FileTransferError('too_large', `a file of ${size} bytes; at most ${limit}`);
  if (key.length !== (isLegacy ? 64 : 32) || (isLegacy && digest?.length !== 32)) {
    throw new FileTransferError('bad_pointer', 'key or digest of the file has the wrong length');
  }
  if (isLegacy) {
    const most = size === 0 ? MAX_SEALED_ATTACHMENT_BYTES : paddedAttachmentLength(size) + 64;
    // Senders may leave the padding out, as for previews.
    const open = (body: Uint8Array) => openAttachment(body, { key, digest, sizeBytes: size });
    return { url, lengths: { least: Math.max(64, size + 48), most }, open };
  }
  const most = deterministicLength(size === 0 ? MAX_DETERMINISTIC_BYTES : size);
  const open = (body: Uint8Array) => openDeterministic(body, key);
  return { url, lengths: { least: size === 0 ? 42 : most, most }, open };
}

async function collect(
  data: Uint8Array | AsyncIterable<Uint8Array>,
  limit: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (data instanceof Uint8Array) return data;
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of data) {
    signal.throwIfAborted();
    length += part.length;
    if (length > limit) {
      throw new FileTransferError('too_large', `more than ${limit} bytes cannot be sent`);
    }
    parts.push(part);
  }
  return concat(...parts);
}
