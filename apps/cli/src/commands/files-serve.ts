// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium files serve`: a file server in this process.
import { join } from 'node:path';
import { systemEnv } from '@allium/net/system-env';
import { type FileServer, type StartFileServerOptions, startFileServer } from '@allium/servers/files';
import { FileStoreError } from '@allium/servers/files/file-store';
import { ServerKeyError } from '@allium/servers/server-key';
import { CliError } from '../cli-error.ts';
import { homeFolder } from '../home.ts';
import { listenTrouble, terminalLog } from '../server-command.ts';
import { onStopSignal } from '../stop-signal.ts';
import { counted, print, printJson, remark } from '../terminal.ts';

const DAY_SECONDS = 86_400;

export interface FilesServeOptions {
  readonly home?: string;
  readonly host: string;
  readonly port: number;
  readonly folder?: string;
  readonly key?: string;
  readonly maxFile?: number;
  readonly maxTotal?: number;
  readonly maxHourly?: number;
  readonly lifetime?: number;
  readonly maxLifetime?: number;
  readonly behindProxy?: boolean;
  readonly numberIds?: boolean;
  readonly json?: boolean;
}

export async function serveFiles(options: FilesServeOptions): Promise<number> {
  const stop = onStopSignal();
  const server = await start(options);
  const { url, ed25519Hex, store } = server;
  if (options.json === true) printJson({ url, key: ed25519Hex, files: store.files, bytes: store.usedBytes });
  else {
    print(`The file server is at ${url} (Ctrl-C ends it)`);
    print(`Its key: ${ed25519Hex}`);
    remark(`Clients name it so: --file-server '${url}#${ed25519Hex}'`);
    remark(`It keeps ${counted(store.files, 'file')}, ${(store.usedBytes / 1e6).toFixed(1)} MB.`);
  }
  await stop.stopped;
  await server.stop();
  return 0;
}

async function start(options: FilesServeOptions): Promise<FileServer> {
  const { host, port, maxFile, maxTotal, maxHourly, lifetime, maxLifetime } = options;
  const settings: StartFileServerOptions = {
    ...{ host, port, folder: options.folder ?? join(homeFolder(options), 'file-server') },
    ...(options.key !== undefined && { keyFile: options.key }),
    ...(maxFile !== undefined && { maxFileBytes: maxFile }),
    ...(maxTotal !== undefined && { maxTotalBytes: maxTotal }),
    ...(maxHourly !== undefined && { bytesPerHour: maxHourly }),
    ...(lifetime !== undefined && { defaultTtlSeconds: lifetime * DAY_SECONDS }),
    ...(maxLifetime !== undefined && { maxTtlSeconds: maxLifetime * DAY_SECONDS }),
    ...(options.behindProxy === true && { behindProxy: true }),
    ...(options.numberIds === true && { numberIds: true }),
  };
  try {
    return await startFileServer(settings, systemEnv(terminalLog({ info: true })));
  } catch (error) {
    if (error instanceof FileStoreError || error instanceof ServerKeyError) {
      throw new CliError(error.message, 1, { cause: error });
    }
    throw listenTrouble(error, { host, port });
  }
}
