// SPDX-License-Identifier: AGPL-3.0-or-later
// The table of `allium files`.
import { type Command, InvalidArgumentError } from 'commander';
import { type Done, wholeNumber } from './options.ts';

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

export function addFiles(program: Command, done: Done): void {
  const files = program.command('files').description('keep encrypted attachments for a while');
  files
    .command('serve')
    .description('run a file server, until Ctrl-C')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <port>', 'port to listen on; 0: any free one', wholeNumber(0, 65_535), 8100)
    .option('--folder <folder>', 'where files are kept (default: file-server in the home folder)')
    .option('--key <file>', "the server's key, made if needed (default: server.key in the folder)")
    .option('--max-file <size>', 'greatest file, e.g. 10M (default: 9.75M, what onions carry)', size)
    .option('--max-total <size>', 'greatest size of all files (default: 100G)', size)
    .option('--max-hourly <size>', 'what one address may upload in an hour (default: 4G)', size)
    .option('--lifetime <days>', 'how long files are kept (default: 21)', wholeNumber(1, 3650))
    .option('--max-lifetime <days>', 'the most that X-FS-TTL may ask for (default: 30)', wholeNumber(1, 3650))
    .option('--behind-proxy', "take clients' addresses from X-Forwarded-For: only behind a proxy of your own")
    .option('--number-ids', 'ids are numbers instead of hashes, for old clients')
    .option('--json', 'print the ready line as JSON')
    .addHelpText(
      'after',
      `
The server listens without TLS; put a web server with a certificate before it, or let service nodes reach it by http.
Clients need its address and the key that it prints. Other settings are files in the folder: pools.json, releases.json,
token-info.json; see docs/guides/files.md.`,
    )
    .action(async (_options, command: Command) => {
      const { serveFiles } = await import('../commands/files-serve.ts');
      done(await serveFiles(command.optsWithGlobals()));
    });
}

/** Bytes from `10M`, `1.5G`, `4096`. */
function size(text: string): number {
  const [, number, unit = ''] = /^(\d{1,12}(?:\.\d{1,3})?)([kmgt]?)b?$/i.exec(text) ?? [];
  const bytes = Math.floor(Number(number) * (UNITS[unit.toLowerCase()] ?? 0));
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  throw new InvalidArgumentError('It must be a size such as 500k, 10M, 100G.');
}
