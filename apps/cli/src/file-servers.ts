// SPDX-License-Identifier: AGPL-3.0-or-later
// Which file servers files go to, where the network has none of its own.
import type { FileServerAddress } from '@allium/client/network/presets';
import { usage } from './cli-error.ts';
import { homeFolder, readSettings } from './home.ts';

export interface FileServerOptions {
  readonly home?: string;
  readonly fileServer?: readonly string[];
}

/** --file-server, else ALLIUM_FILE_SERVER, else what `allium network use` keeps; undefined: those of the network. @throws CliError */
export function chosenFileServers(options: FileServerOptions): readonly FileServerAddress[] | undefined {
  if (options.fileServer !== undefined) return options.fileServer.map(fileServerOf);
  const named = (process.env.ALLIUM_FILE_SERVER ?? '').split(/[\s,]+/).filter((part) => part !== '');
  if (named.length > 0) return named.map(fileServerOf);
  return readSettings(homeFolder(options)).fileServers?.map(fileServerOf);
}

/** @throws CliError */
export function fileServerOf(text: string): FileServerAddress {
  const [, url, key] = /^(https?:\/\/[^/?#\s]+)\/?#([0-9a-fA-F]{64})$/.exec(text) ?? [];
  if (url === undefined || key === undefined || !URL.canParse(url)) {
    throw usage(
      `"${text}" (--file-server) is not URL#KEY, such as http://files.example.org#${'ab'.repeat(4)}…`,
    );
  }
  return { url, ed25519Hex: key.toLowerCase() };
}
