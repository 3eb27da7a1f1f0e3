// SPDX-License-Identifier: MIT
import { createHash, X509Certificate } from 'node:crypto';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { connect } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { createCertificate } from '../src/certificate.ts';
import { HttpsServer, type HttpsServerOptions } from '../src/https-server.ts';
import { HttpsTransport, type HttpsTransportOptions } from '../src/https-transport.ts';
import { systemEnv } from '../src/system-env.ts';
import { until } from '../src/testing/until.ts';

const certificate = createCertificate();

async function pair(options: Partial<HttpsServerOptions> = {}, transportOptions: HttpsTransportOptions = {}) {
  const server = new HttpsServer(
    {
      host: '127.0.0.1',
      port: 0,
      ...certificate,
      handler: ({ body }) => ({ status: 200, body }),
      stopTimeoutMs: 20,
      ...options,
    },
    systemEnv(),
  );
  const { port } = await server.start();
  const transport = new HttpsTransport(transportOptions);
  return {
    server,
    transport,
    port,
    url: `https://127.0.0.1:${port}/x`,
    async [Symbol.asyncDispose]() {
      transport.close();
      await server.stop();
    },
  };
}

async function tcp(onSocket: (socket: Socket) => void) {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.dispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

const body = Buffer.from('body');

describe('an exchange', () => {
  test('is a POST with a body and a GET without; any status is an answer', async () => {
    await using made = await pair({
      handler: ({ method, headers, body: received }) => ({
        status: 421,
        headers: { 'X-Saw': `${method} ${headers['user-agent']} ${headers['content-length']}` },
        body: received,
      }),
    });
    const headers = { 'User-Agent': 'WhatsApp' };
    const post = await made.transport.request({ url: made.url, body, headers, timeoutMs: 5000 });
    expect(post.status).toBe(421);
    expect(post.headers['x-saw']).toBe('POST WhatsApp 4');
    expect(Buffer.from(post.body).toString()).toBe('body');
    expect(post.body.constructor).toBe(Uint8Array);
    const get = await made.transport.request({ url: made.url, timeoutMs: 5000 });
    expect(get.headers['x-saw']).toBe('GET undefined undefined');
  });

  test('uses kept connections, and no more than allowed', async () => {
    await using made = await pair({}, { maxConnectionsPerOrigin: 2 });
    const ask = () => made.transport.request({ url: made.url, body, timeoutMs: 5000 });
    await Promise.all(Array.from({ length: 20 }, ask));
    await ask();
    expect(made.server.connections).toBe(2);
  });

  test('over http: for local networks', async () => {
    const server = createHttpServer((_request, response) => response.end('plain'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const transport = new HttpsTransport();
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const answer = await transport.request({ url, body, timeoutMs: 5000 });
    expect(Buffer.from(answer.body).toString()).toBe('plain');
    transport.close();
    server.close();
  });

  test('is repeated once when the kept connection turns out to be closed', async () => {
    const answer = Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    let connections = 0;
    using made = await tcp((socket) => {
      connections++;
      let requests = 0;
      socket.on('data', () => {
        requests++;
        if (connections === 1 && requests === 2) socket.resetAndDestroy();
        else socket.write(answer);
      });
    });
    const transport = new HttpsTransport();
    const ask = () => transport.request({ url: `http://127.0.0.1:${made.port}/`, body, timeoutMs: 5000 });
    expect((await ask()).status).toBe(200);
    expect((await ask()).status).toBe(200);
    expect(connections).toBe(2);
    transport.close();
  });
});

describe('fails with', () => {
  test('timeout, wherever the time goes', async () => {
    await using made = await pair({ handler: () => new Promise(() => {}) });
    const late = made.transport.request({ url: made.url, body, timeoutMs: 50 });
    await expect(late).rejects.toMatchObject({ code: 'timeout' });
    using mute = await tcp(() => {});
    const handshake = made.transport.request({ url: `https://127.0.0.1:${mute.port}/`, body, timeoutMs: 50 });
    await expect(handshake).rejects.toMatchObject({ code: 'timeout' });
    using trickle = await tcp((socket) => {
      socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nslow'));
    });
    const answer = made.transport.request({ url: `http://127.0.0.1:${trickle.port}/`, body, timeoutMs: 50 });
    await expect(answer).rejects.toMatchObject({ code: 'timeout' });
    await until(() => made.server.connections === 0, 'the connection to be given up');
  });

  test('aborted, before, during and after close', async () => {
    await using made = await pair({ handler: () => new Promise(() => {}) });
    const ask = (signal: AbortSignal) =>
      made.transport.request({ url: made.url, body, timeoutMs: 5000, signal });
    await expect(ask(AbortSignal.abort())).rejects.toMatchObject({ code: 'aborted' });
    const controller = new AbortController();
    const outcome = ask(controller.signal);
    await until(() => made.server.runningRequests === 1, 'the request');
    controller.abort();
    await expect(outcome).rejects.toMatchObject({ code: 'aborted' });
    made.transport.close();
    await expect(ask(new AbortController().signal)).rejects.toMatchObject({ code: 'aborted' });
  });

  test('unreachable: nobody listens, the connection breaks, the URL is none', async () => {
    const transport = new HttpsTransport();
    const ask = (url: string) => transport.request({ url, body, timeoutMs: 5000 });
    let port: number;
    {
      using gone = await tcp(() => {});
      port = gone.port;
    }
    await expect(ask(`https://127.0.0.1:${port}/`)).rejects.toMatchObject({ code: 'unreachable' });
    using rude = await tcp((socket) => socket.once('data', () => socket.resetAndDestroy()));
    await expect(ask(`http://127.0.0.1:${rude.port}/`)).rejects.toMatchObject({ code: 'unreachable' });
    using half = await tcp((socket) =>
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf')),
    );
    await expect(ask(`http://127.0.0.1:${half.port}/`)).rejects.toMatchObject({ code: 'unreachable' });
    for (const url of ['nonsense', 'ftp://127.0.0.1/', 'https://']) {
      await expect(ask(url)).rejects.toMatchObject({ code: 'unreachable' });
    }
    transport.close();
  });

  test('no_network where the system has no way out', async () => {
    const transport = new HttpsTransport();
    // 255.255.255.255 has no TCP: Linux says ENETUNREACH at once.
    const outcome = transport.request({ url: 'https://255.255.255.255:1/', body, timeoutMs: 5000 });
    await expect(outcome).rejects.toMatchObject({ code: 'no_network' });
    transport.close();
  });

  test('too_large, announced or not', async () => {
    await using made = await pair({}, { maxResponseBytes: 1000 });
    const announced = made.transport.request({ url: made.url, body: Buffer.alloc(1001), timeoutMs: 5000 });
    await expect(announced).rejects.toMatchObject({ code: 'too_large' });
    using endless = await tcp((socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
        socket.write(`400\r\n${'x'.repeat(1024)}\r\n`);
      });
    });
    const chunked = made.transport.request({
      url: `http://127.0.0.1:${endless.port}/`,
      body,
      timeoutMs: 5000,
    });
    await expect(chunked).rejects.toMatchObject({ code: 'too_large' });
    const fits = await made.transport.request({ url: made.url, body: Buffer.alloc(1000), timeoutMs: 5000 });
    expect(fits.body).toHaveLength(1000);
  });

  test('bad_response for what is no HTTP or no TLS', async () => {
    const transport = new HttpsTransport();
    using talk = await tcp((socket) => socket.once('data', () => socket.end('SSH-2.0-x\r\n')));
    for (const scheme of ['http', 'https']) {
      const outcome = transport.request({
        url: `${scheme}://127.0.0.1:${talk.port}/`,
        body,
        timeoutMs: 5000,
      });
      await expect(outcome).rejects.toMatchObject({ code: 'bad_response' });
    }
    transport.close();
  });
});

describe('pins', () => {
  /** As the desktop client computes them from what Node shows of a connection. */
  async function pinsOf(port: number) {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    const shown = socket.getPeerCertificate();
    socket.destroy();
    return {
      publicKey: createHash('sha256')
        .update(shown.pubkey ?? '')
        .digest('base64'),
      certificate: shown.fingerprint256,
    };
  }

  test('of the shown key and certificate let a request through', async () => {
    await using made = await pair();
    const pins = await pinsOf(made.port);
    expect(pins.certificate).toBe(new X509Certificate(certificate.certificatePem).fingerprint256);
    const url = `https://localhost:${made.port}/json_rpc`;
    const answer = await made.transport.request({ url, body, timeoutMs: 5000, pins });
    expect(answer.status).toBe(200);
  });

  test('of another key, another certificate, or for another host do not, and nothing is sent', async () => {
    let requests = 0;
    await using made = await pair({
      handler: () => {
        requests++;
        return { status: 200 };
      },
    });
    const pins = await pinsOf(made.port);
    const url = `https://localhost:${made.port}/`;
    const other = new X509Certificate(createCertificate().certificatePem).fingerprint256;
    for (const [where, wrong] of [
      [url, { ...pins, publicKey: createHash('sha256').digest('base64') }],
      [url, { ...pins, certificate: other }],
      [made.url, pins], // 127.0.0.1 is not in the certificate
    ] as const) {
      const outcome = made.transport.request({ url: where, body, timeoutMs: 5000, pins: wrong });
      await expect(outcome).rejects.toMatchObject({ code: 'bad_certificate' });
    }
    const plain = made.transport.request({ url: 'http://localhost:1/', body, timeoutMs: 5000, pins });
    await expect(plain).rejects.toMatchObject({ code: 'unreachable' });
    expect(requests).toBe(0);
  });

  test('do not hold for a certificate that has run out', async () => {
    const old = createCertificate(Date.now() - 10_001 * 86_400_000);
    await using made = await pair(old);
    const pins = await pinsOf(made.port);
    const outcome = made.transport.request({
      url: `https://localhost:${made.port}/`,
      body,
      timeoutMs: 5000,
      pins,
    });
    await expect(outcome).rejects.toMatchObject({ code: 'bad_certificate', message: /not valid now/ });
  });
});
