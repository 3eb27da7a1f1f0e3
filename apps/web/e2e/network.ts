// SPDX-License-Identifier: AGPL-3.0-or-later
// What a page needs, for real and on this machine: a devnet, a file server, a gateway that serves the built app.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NETWORKS } from '@allium/client/network/presets';
import { Devnet } from '@allium/lab';
import { systemEnv } from '@allium/net/system-env';
import { type FileServer, startFileServer } from '@allium/servers/files';
import { Gateway } from '@allium/servers/gateway';
import { WebApp } from '@allium/servers/gateway/web-app';
import { buildWeb } from '../build.ts';

export interface WebNetwork {
  readonly net: Devnet;
  /** Address of the page. */
  readonly url: string;
  /** Without `fileServer` the pages are not told of it. */
  readonly files: FileServer;
  /** Switches gateway and page server off and on again, at the same port. */
  stopGateway(): Promise<void>;
  startGateway(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

let built: Promise<string> | undefined;
let ownBuild: string | undefined;

/** Builds the app once for a process; `WEB_DIST` names one that is there. Tests call `removeBuilt` at their end. */
export function builtApp(): Promise<string> {
  built ??= (async () => {
    const given = process.env.WEB_DIST;
    if (given !== undefined && existsSync(join(given, 'index.html'))) return given;
    const folder = mkdtempSync(join(tmpdir(), 'allium-web-'));
    ownBuild = folder;
    process.once('exit', removeBuilt);
    await buildWeb(folder);
    return folder;
  })();
  return built;
}

/** What `builtApp` made for itself; the runner of tests ends its processes without 'exit'. */
export function removeBuilt(): void {
  if (ownBuild !== undefined) rmSync(ownBuild, { recursive: true, force: true });
  built = undefined;
  ownBuild = undefined;
}

export async function startWebNetwork(
  options: {
    readonly nodes?: number;
    readonly names?: Readonly<Record<string, string>>;
    readonly fileServer?: boolean;
  } = {},
): Promise<WebNetwork> {
  const folder = await builtApp();
  const store = mkdtempSync(join(tmpdir(), 'allium-web-files-'));
  const namesFile = join(store, 'names.json');
  writeFileSync(namesFile, JSON.stringify(options.names ?? {}));
  const net = await Devnet.start({
    nodes: options.nodes ?? 8,
    rateLimit: false,
    // The file server is on this machine, where nodes relay to nobody otherwise.
    node: { relayExemptRanges: ['127.0.0.0/8'], namesFile },
  });
  const files = await startFileServer({ folder: store, host: '127.0.0.1', port: 0 }, systemEnv());
  const web = await WebApp.open({ folder });
  let port = 0;
  let gateway: Gateway | undefined;
  const startGateway = async () => {
    gateway = new Gateway(
      {
        host: '127.0.0.1',
        port,
        network: NETWORKS.local.name,
        networkId: 'e2e',
        seeds: net.nodes.map(({ url }) => ({ url })),
        fileServers: options.fileServer === false ? [] : [{ url: files.url, ed25519Hex: files.ed25519Hex }],
        anchor: readFileSync(net.networkFile, 'utf8'),
        allows: () => true,
        web,
      },
      systemEnv(),
    );
    ({ port } = await gateway.start());
  };
  const stopGateway = async () => {
    const running = gateway;
    gateway = undefined;
    await running?.stop();
  };
  await startGateway();
  return {
    net,
    url: `http://localhost:${port}/`,
    files,
    startGateway,
    stopGateway,
    async [Symbol.asyncDispose]() {
      await stopGateway();
      await files.stop();
      await net.stop();
      rmSync(store, { recursive: true, force: true });
    },
  };
}
