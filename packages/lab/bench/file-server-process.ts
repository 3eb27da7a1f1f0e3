// SPDX-License-Identifier: AGPL-3.0-or-later
// The file server of the measurement, a process of its own: argument 1 is its folder. Ends with its parent.
import { systemEnv } from '@allium/net/system-env';
import { startFileServer } from '@allium/servers/files';

const server = await startFileServer({ folder: process.argv[2] ?? '', port: 0 }, systemEnv());
process.send?.({ url: server.url, ed25519Hex: server.ed25519Hex });
process.on('disconnect', () => process.exit());
