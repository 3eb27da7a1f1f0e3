// SPDX-License-Identifier: AGPL-3.0-or-later
// What a transfer costs without a network between: HTTPS from the client to a disk and back. Argument 1 is a folder. Ends with
// its parent.
import { createReadStream, createWriteStream } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createCertificate } from '@allium/net/certificate';

const file = join(process.argv[2] ?? '', 'file');
const { certificatePem, keyPem } = createCertificate();
const server = createServer({ cert: certificatePem, key: keyPem }, async (request, response) => {
  if (request.method === 'POST') {
    await pipeline(request, createWriteStream(file, { flush: true }));
    response.end('ok');
  } else await pipeline(createReadStream(file), response);
});
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
process.on('disconnect', () => process.exit());
