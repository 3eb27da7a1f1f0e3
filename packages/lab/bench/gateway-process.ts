// SPDX-License-Identifier: AGPL-3.0-or-later
// The gateway of the measurement, a process of its own: arguments are its seeds. Ends with its parent.
import { systemEnv } from '@allium/net/system-env';
import { Gateway } from '@allium/servers/gateway';

const unlimited = 1_000_000_000;
const gateway = new Gateway(
  {
    ...{ port: 0, network: 'local', allows: () => true },
    seeds: process.argv.slice(2).map((url) => ({ url })),
    ...{
      burst: unlimited,
      perSecond: 1_000_000,
      pageBurst: unlimited,
      maxSocketsPerAddress: unlimited,
      maxSockets: unlimited,
    },
    listener: {
      ...{ connectionBurst: unlimited, connectionsPerSecond: 1_000_000, allConnectionsPerSecond: 1_000_000 },
      maxConnectionsPerAddress: unlimited,
    },
  },
  systemEnv(),
);
const { url } = await gateway.start();
process.send?.({ url });
process.on('disconnect', () => process.exit());
