// SPDX-License-Identifier: AGPL-3.0-or-later
// Chromium for tests, screenshots and measurements, and a server of the built page alone.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebApp } from '@allium/servers/gateway/web-app';
import { type Browser, chromium } from 'playwright';
import { findChromium } from '../../../scripts/chromium.ts';

// What a Chromium asks of its maker by itself is switched off: the tests look at what the page does.
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-features=Translate,OptimizationHints,MediaRouter,AutofillServerCommunication',
];
/** A camera and a microphone that exist nowhere, and are allowed. */
const MEDIA_FLAGS = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'];

export async function launch(options: { readonly media?: boolean } = {}): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === undefined)
    throw new Error('no Chromium: apt-get install chromium, or set CHROMIUM=/path/to/chrome');
  return await chromium.launch({
    executablePath,
    args: [...FLAGS, ...(options.media === true ? MEDIA_FLAGS : [])],
  });
}

export interface PageServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** The files of a folder with the headers of the gateway; no network behind it. */
export async function servePage(folder: string): Promise<PageServer> {
  const app = await WebApp.open({ folder });
  const server = createServer((request, response) => {
    const answer = app.answer(request.url ?? '/', request.headers, request.method === 'HEAD');
    if (answer === undefined) {
      response.writeHead(404).end();
      return;
    }
    const { status, headers, body } = answer;
    response.writeHead(status, headers as Record<string, string>);
    response.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
