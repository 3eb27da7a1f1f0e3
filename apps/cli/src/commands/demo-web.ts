// SPDX-License-Identifier: AGPL-3.0-or-later
// What `npm start` adds for browsers: a file server for the network, a gateway, and the web app, built from its sources when
// they have changed since.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type FileServerAddress, NETWORKS } from '@allium/client/network/presets';
import type { Devnet } from '@allium/lab';
import { isFree } from '@allium/net/free-ports';
import { systemEnv } from '@allium/net/system-env';
import { type FileServer, startFileServer } from '@allium/servers/files';
import { Gateway } from '@allium/servers/gateway';
import { WebApp } from '@allium/servers/gateway/web-app';
import { print, progress } from '../terminal.ts';

const HOST = '127.0.0.1';
/** So many ports are tried, beginning at the one wanted: a page keeps its accounts under its port. */
const PORTS_TRIED = 20;
const ROOT = join(import.meta.dirname, '../../../..');
const APP = join(ROOT, 'apps/web');

export interface DemoWeb {
  /** Undefined: there is no page, and `trouble` says why. */
  readonly page: string | undefined;
  readonly trouble: string | undefined;
  readonly gateway: string;
  readonly fileServer: FileServerAddress;
  stop(): Promise<void>;
}

/** Starts everything for browsers; what cannot be had is left out. @param port where the page should be @param anchor see `anchorOf` */
export async function startWeb(net: Devnet, port: number, anchor: string | undefined): Promise<DemoWeb> {
  const files = await startFiles(join(net.folder, 'file-server'));
  const fileServer = { url: files.url, ed25519Hex: files.ed25519Hex };
  let web: WebApp | undefined;
  let trouble: string | undefined;
  try {
    web = await WebApp.open({ folder: await builtApp() });
  } catch (error) {
    trouble = error instanceof Error ? error.message : String(error);
  }
  const own = await firstFree(port);
  const gateway = new Gateway(
    {
      ...{
        host: HOST,
        port: own,
        network: NETWORKS.local.name,
        seeds: net.nodes.map(({ url }) => ({ url })),
      },
      networkId: networkIdOf(net),
      fileServers: [fileServer],
      ...(anchor !== undefined && { anchor }),
      allows: () => true,
      ...(web !== undefined && { web }),
    },
    systemEnv(),
  );
  let bound: number;
  try {
    ({ port: bound } = await gateway.start());
  } catch (error) {
    await files.stop();
    throw error;
  }
  const url = `http://localhost:${bound}`;
  return {
    page: web === undefined ? undefined : `${url}/`,
    trouble,
    gateway: url,
    fileServer,
    async stop() {
      await gateway.stop();
      await files.stop();
    },
  };
}

/** Keys of nodes tell networks apart; contracts of a new development chain have the addresses of the last one. */
function networkIdOf(net: Devnet): string {
  const keys = net.nodes.map(({ ed25519 }) => ed25519).sort();
  return createHash('sha256').update(keys.join(' ')).digest('hex').slice(0, 16);
}

/** At the port of the last time if possible: messages name the server of their files. */
async function startFiles(folder: string): Promise<FileServer> {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'port');
  const last = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
  const isUsable = Number.isInteger(last) && last > 0 && last < 65_536 && (await isFree(last, HOST));
  const server = await startFileServer({ folder, host: HOST, port: isUsable ? last : 0 }, systemEnv());
  writeFileSync(file, String(server.port));
  return server;
}

async function firstFree(wanted: number): Promise<number> {
  if (wanted === 0) return 0;
  for (let port = wanted; port < wanted + PORTS_TRIED; port++) if (await isFree(port, HOST)) return port;
  return 0;
}

/** The folder of the built app; builds it when its sources are not those of the last build. */
async function builtApp(): Promise<string> {
  const out = join(APP, 'dist');
  const script = join(APP, 'build.ts');
  if (!existsSync(script)) {
    if (existsSync(join(out, 'index.html'))) return out;
    throw new Error('the web app is not there');
  }
  const mark = join(out, '.sources');
  const hash = hashOf([
    script,
    join(APP, 'index.html'),
    join(APP, 'src'),
    join(APP, 'public'),
    join(ROOT, 'packages/client/src'),
    join(ROOT, 'packages/protocol/src'),
    join(ROOT, 'package-lock.json'),
  ]);
  if (existsSync(mark) && readFileSync(mark, 'utf8') === hash) return out;
  const bar = progress('Building the web app');
  try {
    const { buildWeb } = (await import(pathToFileURL(script).href)) as {
      buildWeb: (outDir: string) => Promise<unknown>;
    };
    await buildWeb(out);
  } finally {
    bar.done();
  }
  writeFileSync(mark, hash);
  return out;
}

function hashOf(paths: readonly string[]): string {
  const hash = createHash('sha256');
  for (const path of paths.flatMap((each) => [...filesBelow(each)])) {
    const bytes = readFileSync(path);
    hash.update(`${path.slice(ROOT.length)} ${bytes.length}\n`).update(bytes);
  }
  return hash.digest('hex');
}

function* filesBelow(path: string): Generator<string> {
  if (!existsSync(path)) return;
  let names: string[];
  try {
    names = readdirSync(path).sort();
  } catch {
    yield path;
    return;
  }
  for (const name of names) yield* filesBelow(join(path, name));
}

export function tellWeb(web: DemoWeb, styled: (style: 'bold' | 'green', text: string) => string): void {
  print('');
  if (web.page !== undefined) {
    print(`${styled('green', 'Open in a browser:')} ${styled('bold', web.page)}`);
    print('  An account there takes a few seconds to make; its keys and layers never leave the page.');
  } else {
    print(`No page for browsers: ${web.trouble}. The gateway for one is at ${web.gateway}.`);
  }
}
