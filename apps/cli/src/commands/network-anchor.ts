// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium network anchor`: fetches what --trust takes, and shows by what it can be compared.
import { writeFileSync } from 'node:fs';
import { ClientError } from '@allium/client/errors';
import { fetchAnchor } from '@allium/client/network/list-check';
import { certificateDigest, parseTrustAnchor } from '@allium/client/network/trust-anchor';
import { toHex } from '@allium/protocol/bytes';
import { parseStaticList, staticListDigest } from '@allium/protocol/membership/static-list';
import { CliError, fileTrouble } from '../cli-error.ts';
import { chosenSeeds, type SeedOptions } from '../home.ts';
import { type ProxyOptions, transportFor } from '../proxy.ts';
import { print, printJson } from '../terminal.ts';

/** Ours: a person waits for this command. */
const TIMEOUT_MS = 15_000;

export async function saveAnchor(
  file: string,
  options: SeedOptions & ProxyOptions & { readonly json?: boolean },
): Promise<number> {
  const transport = transportFor(options);
  try {
    const seeds = chosenSeeds(options).map((url) => ({ url }));
    const bytes = await fetchAnchor({ seeds, transport, signal: AbortSignal.timeout(TIMEOUT_MS) });
    const anchor = parseTrustAnchor(bytes);
    const digest =
      anchor.kind === 'certificate'
        ? certificateDigest(anchor.certificate)
        : toHex(staticListDigest(parseStaticList(bytes)));
    writeFileSync(file, bytes, { flag: 'wx' });
    if (options.json === true) printJson({ file, kind: anchor.kind, digest });
    else {
      print(
        `${file} now holds the ${anchor.kind === 'certificate' ? 'certificate' : 'signed list'} with the digest`,
      );
      print(`  ${digest}`);
      print('A seed gave it, and nobody has checked it: compare the digest with that of somebody you trust.');
      print(`Then use it: allium path --trust ${file} --require-verified`);
    }
    return 0;
  } catch (error) {
    if (error instanceof ClientError) throw new CliError(`${error.message}. Is the network running?`);
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
      throw new CliError(`${file} exists: remove it first, or choose another name`);
    }
    if ((error as NodeJS.ErrnoException).syscall === 'open') throw fileTrouble('cannot write', file, error);
    if ((error as Error).name === 'TimeoutError') throw new CliError('no seed answered in time');
    throw error;
  } finally {
    await transport.close();
  }
}
