// SPDX-License-Identifier: MIT
// Small proxies on loopback for tests and experiments: SOCKS5 and HTTP CONNECT, as they should be or as bad as one likes. They
// remember who asked for what.
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, isIP, type Server, type Socket } from 'node:net';

export interface ProxyServerOptions {
  readonly kind: 'socks5' | 'http';
  /** Where it listens; default 127.0.0.1. */
  readonly host?: string;
  /** Absent: a free one. */
  readonly port?: number;
  /** Who may use it; absent: anybody. */
  readonly username?: string;
  readonly password?: string;
  /** Addresses of names, as the proxy knows them. */
  readonly names?: Readonly<Record<string, string>>;
  /** Does this with each connection in place of what it should. */
  readonly instead?: (socket: Socket) => void;
  /** SOCKS: answers each request with this code. HTTP: with this status. */
  readonly answer?: number;
}

/** One connection that was asked for. */
export interface Asked {
  /** As it was written: a name or an address. */
  readonly host: string;
  readonly port: number;
  /** The name that was given, whether it was asked for or not. */
  readonly username: string | undefined;
}

export class ProxyServer {
  readonly asked: Asked[] = [];
  readonly #options: ProxyServerOptions;
  readonly #server: Server | HttpServer;
  readonly #sockets = new Set<Socket>();

  constructor(options: ProxyServerOptions) {
    this.#options = options;
    const { instead } = options;
    if (instead !== undefined || options.kind === 'socks5') {
      this.#server = createServer((socket) => {
        this.#keep(socket);
        if (instead !== undefined) instead(socket);
        else void this.#socks(socket).catch(() => socket.destroy());
      });
    } else {
      this.#server = createHttpServer().on('connect', ({ url = '', headers }, socket: Socket) => {
        this.#keep(socket);
        this.#http(socket, url, headers['proxy-authorization']);
      });
    }
  }

  async start(): Promise<void> {
    const { host = '127.0.0.1', port = 0 } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, resolve);
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    const { kind, host = '127.0.0.1' } = this.#options;
    return `${kind}://${host}:${this.port}`;
  }

  /** Open connections of its users and to their hosts. */
  get open(): number {
    return this.#sockets.size;
  }

  /** Ends every connection at once. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#sockets.delete(socket));
  }

  async #socks(socket: Socket): Promise<void> {
    const read = reader(socket);
    const [, count = 0] = await read(2);
    const methods = await read(count);
    const { username, password } = this.#options;
    // As Tor does: who can say a name is asked for it.
    const wantsName = methods.includes(2);
    if (!wantsName && username !== undefined) return void socket.end(Buffer.from([5, 0xff]));
    socket.write(Buffer.from([5, wantsName ? 2 : 0]));
    let given: string | undefined;
    if (wantsName) {
      const [, length = 0] = await read(2);
      given = (await read(length)).toString();
      const [secretLength = 0] = await read(1);
      const secret = (await read(secretLength)).toString();
      const isKnown = username === undefined || (given === username && secret === (password ?? ''));
      socket.write(Buffer.from([1, isKnown ? 0 : 1]));
      if (!isKnown) return void socket.end();
    }
    const [, , , type = 0] = await read(4);
    const length = type === 1 ? 4 : type === 4 ? 16 : (await read(1))[0]!;
    const address = await read(length);
    const host =
      type === 3
        ? address.toString()
        : type === 1
          ? [...address].join('.')
          : (address.toString('hex').match(/.{4}/g) ?? []).join(':');
    const port = (await read(2)).readUInt16BE();
    this.asked.push({ host, port, username: given });
    const code = this.#options.answer ?? 0;
    const say = (answer: number) => socket.write(Buffer.from([5, answer, 0, 1, 0, 0, 0, 0, 0, 0]));
    if (code !== 0) return void say(code);
    this.#pipe(socket, host, port, (isThere) => say(isThere ? 0 : 5));
  }

  #http(socket: Socket, target: string, authorization: string | undefined): void {
    const { username, password = '', answer } = this.#options;
    const given = Buffer.from(authorization?.replace(/^Basic /, '') ?? '', 'base64').toString();
    const say = (status: number) => socket.write(`HTTP/1.1 ${status} It is\r\n\r\n`);
    if (username !== undefined && given !== `${username}:${password}`) return void say(407);
    const { hostname, port } = new URL(`http://${target}`);
    const host = hostname.replace(/^\[|\]$/g, '');
    this.asked.push({ host, port: Number(port), username: given.split(':')[0] || undefined });
    if (answer !== undefined) return void say(answer);
    this.#pipe(socket, host, Number(port), (isThere) => say(isThere ? 200 : 502));
  }

  #pipe(socket: Socket, host: string, port: number, say: (isThere: boolean) => void): void {
    const address = this.#options.names?.[host] ?? host;
    // The names of this proxy are all that it knows.
    if (isIP(address) === 0) {
      say(false);
      return;
    }
    const other = connect({ host: address, port });
    this.#keep(other);
    let isThere = false;
    other.once('connect', () => {
      isThere = true;
      say(true);
      socket.pipe(other);
      other.pipe(socket);
    });
    other.once('error', () => {
      if (!isThere) say(false);
    });
    other.once('close', () => socket.end());
    socket.once('close', () => other.destroy());
  }
}

/** Reads exactly so many bytes, one reader at a time. Rejects when the socket ends before. */
function reader(socket: Socket): (bytes: number) => Promise<Buffer> {
  return (bytes) =>
    new Promise((resolve, reject) => {
      if (bytes === 0) return resolve(Buffer.alloc(0));
      const look = () => {
        const chunk = socket.read(bytes) as Buffer | null;
        if (chunk === null) return;
        socket.off('readable', look);
        socket.off('close', gone);
        resolve(chunk);
      };
      const gone = () => reject(new Error('the connection ended'));
      socket.on('readable', look);
      socket.once('close', gone);
      look();
    });
}
