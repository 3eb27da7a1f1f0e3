// SPDX-License-Identifier: AGPL-3.0-or-later
// A proxy through which a browser under test reaches everything: writes down whom it contacts and every byte that it sends
// (WebSocket frames unmasked), and can cut it off.
import { createServer, request as httpRequest, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

export class Recorder {
  readonly targets = new Set<string>();
  readonly #sent: Buffer[] = [];
  readonly #streams: Buffer[][] = [];
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  #isCut = false;

  private constructor() {
    this.#server = createServer((request, response) => {
      const url = URL.parse(request.url ?? '');
      if (url === null || this.#isCut) return void request.socket.destroy();
      this.targets.add(url.host);
      this.#sent.push(
        Buffer.from(`${request.method} ${request.url}\n${JSON.stringify(request.rawHeaders)}\n`),
      );
      const onward = httpRequest(
        {
          host: '127.0.0.1',
          port: url.port,
          path: url.pathname + url.search,
          method: request.method,
          headers: request.headers,
        },
        (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(response);
        },
      );
      onward.on('error', () => response.destroy());
      request.on('data', (chunk: Buffer) => this.#sent.push(chunk));
      request.pipe(onward);
    });
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    this.#server.on('connect', (request, socket: Socket, head: Buffer) => {
      this.targets.add(request.url ?? '');
      const port = Number(request.url?.split(':').at(-1));
      if (this.#isCut || !request.url?.startsWith('localhost:')) return void socket.destroy();
      const stream: Buffer[] = [head];
      this.#streams.push(stream);
      const onward = connect(port, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        onward.write(head);
        socket.pipe(onward).pipe(socket);
      });
      socket.on('data', (chunk: Buffer) => stream.push(chunk));
      for (const end of [onward, socket]) {
        end.on('error', () => {
          onward.destroy();
          socket.destroy();
        });
      }
    });
  }

  static async start(): Promise<Recorder> {
    const recorder = new Recorder();
    await new Promise<void>((resolve) => recorder.#server.listen(0, '127.0.0.1', resolve));
    return recorder;
  }

  /** For Playwright: also what goes to this machine. */
  get proxy(): { server: string; bypass: string } {
    return {
      server: `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`,
      bypass: '<-loopback>',
    };
  }

  /** On: nothing gets through, and what is open breaks off. */
  cut(on: boolean): void {
    this.#isCut = on;
    if (on) for (const socket of this.#sockets) socket.destroy();
  }

  /** All that was sent, requests and what was inside of WebSocket frames. */
  sent(): Buffer {
    return Buffer.concat([...this.#sent, ...this.#streams.map((stream) => unmasked(Buffer.concat(stream)))]);
  }

  async stop(): Promise<void> {
    this.cut(true);
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** The head of a request as it is, then the contents of the client's frames (RFC 6455 §5.2). */
export function unmasked(stream: Buffer): Buffer {
  const headEnd = stream.indexOf('\r\n\r\n');
  if (headEnd === -1) return stream;
  const parts = [stream.subarray(0, headEnd)];
  let at = headEnd + 4;
  while (at + 6 <= stream.length) {
    let length = stream[at + 1]! & 0x7f;
    at += 2;
    if (length === 126) {
      length = stream.readUInt16BE(at);
      at += 2;
    } else if (length === 127) {
      length = Number(stream.readBigUInt64BE(at));
      at += 8;
    }
    const mask = stream.subarray(at, at + 4);
    at += 4;
    const content = Buffer.from(stream.subarray(at, at + length));
    for (let i = 0; i < content.length; i++) content[i]! ^= mask[i % 4]!;
    parts.push(content);
    at += length;
  }
  return Buffer.concat(parts);
}

/** In which forms a secret would show: as text, as bytes of hex, as base64 of either. */
export function formsOf(secret: string): readonly Buffer[] {
  const forms = [Buffer.from(secret), Buffer.from(secret.toUpperCase())];
  if (/^[0-9a-f]{64,66}$/.test(secret)) forms.push(Buffer.from(secret.slice(-64), 'hex'));
  const encoded = forms.flatMap((form) =>
    // The same bytes look different at each place modulo 3.
    [0, 1, 2].map((shift) => {
      const text = Buffer.concat([Buffer.alloc(shift), form]).toString('base64');
      return Buffer.from(text.slice(shift === 0 ? 0 : 4, -4));
    }),
  );
  return [...forms, ...encoded];
}
