// SPDX-License-Identifier: MIT
// Everything about a network that is configuration (spec/client §2.1, §12): where it begins, and the numbers of
// spec/client §2.2–2.8 with which a client uses it. Take a preset and replace what differs.

import { DEFAULT_FILE_SERVER } from '@allium/protocol/files/url';

export interface Seed {
  readonly url: string;
  /** Base64 of SHA-256 over public key, hex fingerprint of the certificate. Absent: not checked. */
  readonly pins?: { readonly publicKey: string; readonly certificate: string };
}

/** A file server (spec/client §5.2). */
export interface FileServerAddress {
  /** Scheme, host and port. */
  readonly url: string;
  /** 64 hex digits; onions are encrypted to the X25519 key that follows from it. */
  readonly ed25519Hex: string;
}

export interface NetworkPreset {
  readonly name: string;
  readonly seeds: readonly Seed[];
  /** No two hops of a path, and no two nodes asked for the list, in one /24. */
  readonly distinctSubnets: boolean;
  /** The same of one operator, as far as the list names operators. */
  readonly distinctOperators: boolean;

  // Node pool (§2.2)
  /** With fewer nodes the list is fetched from the seeds again. */
  readonly minimumPool: number;
  /** With fewer nodes a refresh asks the seeds, not the nodes. */
  readonly refreshPool: number;
  /** Nodes that all three must name; less in a network that is smaller than that. */
  readonly refreshAgreement: number;
  readonly firstRefreshMs: number;
  readonly refreshEveryMs: number;

  // Paths (§2.4)
  readonly paths: number;
  readonly hops: number;

  // Swarms (§2.3)
  /** With fewer known members the swarm is fetched anew; less in a swarm that is smaller than that. */
  readonly minimumSwarm: number;
  readonly ownSwarmEveryMs: number;

  // Files (§5.2)
  /** The first one that takes a file gets it. */
  readonly fileServers: readonly FileServerAddress[];

  // Polling (§2.8)
  readonly pollEveryMs: number;
  /** How long a member may hold its answer until something arrives; at most 25 000. 0: only polls. */
  readonly waitMs: number;
  /** A second member is asked too, at random intervals of this length on average. */
  readonly crossCheckEveryMs: number;
  /** The second member stays the same so long. */
  readonly secondMemberMs: number;
}

const MAIN: NetworkPreset = {
  name: 'main',
  seeds: [
    {
      url: 'https://seed1.getsession.org:4443',
      pins: {
        publicKey: 'mlYTXvkmIEYcpswANTpnBwlz9Cswi0py/RQKkbdQOZQ=',
        certificate:
          '36:EA:0B:25:35:37:98:85:51:EE:85:6E:4F:D2:0D:55:01:1E:9C:8B:27:EA:A2:F3:4B:8F:32:A0:BD:F0:4F:2D',
      },
    },
    {
      url: 'https://seed2.getsession.org:4443',
      pins: {
        publicKey: 'ZuUxe4wopBR83Yy5fePPNX0c00BnkQCu/49oapFpB0k=',
        certificate:
          'C5:90:8D:D4:13:9A:CD:96:AE:DD:1E:45:57:65:97:65:08:09:C8:A5:EA:02:AF:55:6D:48:53:D4:53:96:E0:E7',
      },
    },
    {
      url: 'https://seed3.getsession.org:4443',
      pins: {
        publicKey: '4xe+8k1NjxerVTjUsWlZJNKt3PA7Y31pUls2tHYippA=',
        certificate:
          '8A:0A:F2:C7:12:34:2F:22:CE:00:E5:3C:16:01:41:0E:F8:D8:41:56:AE:E0:A9:80:9C:32:F6:F7:EF:BE:55:6E',
      },
    },
  ],
  distinctSubnets: true,
  distinctOperators: true,
  minimumPool: 8,
  refreshPool: 16,
  refreshAgreement: 24,
  firstRefreshMs: 5 * 60_000,
  refreshEveryMs: 60 * 60_000,
  paths: 2,
  hops: 3,
  minimumSwarm: 3,
  ownSwarmEveryMs: 60 * 60_000,
  fileServers: [DEFAULT_FILE_SERVER],
  pollEveryMs: 3_000,
  waitMs: 25_000,
  crossCheckEveryMs: 5 * 60_000,
  secondMemberMs: 24 * 60 * 60_000,
};

/** spec/community-and-file-servers §2.1. */
const TEST_FILE_SERVERS: readonly FileServerAddress[] = [
  {
    url: 'http://potatofiles.getsession.org',
    ed25519Hex: 'ff86dcd4b26d1bfec944c59859494248626d6428efc12168749d65a1b92f5e28',
  },
  {
    url: 'http://superduperfiles.oxen.io',
    ed25519Hex: '929e33ded05e653fec04b49645117f51851f102a947e04806791be416ed76602',
  },
];

/** The networks by name. `local` has no seeds of its own worth relying on: give those of the devnet. */
export const NETWORKS = {
  main: MAIN,
  test: {
    ...MAIN,
    name: 'test',
    fileServers: TEST_FILE_SERVERS,
    seeds: [{ url: 'http://public.loki.foundation:38157' }],
  },
  local: {
    ...MAIN,
    name: 'local',
    fileServers: [],
    seeds: [{ url: 'http://sesh-net.local:1280' }],
    distinctSubnets: false, // all on 127.0.0.1
    distinctOperators: false, // often one account runs them all
    minimumPool: 4, // one path of three hops and a destination
    refreshPool: 8,
    refreshAgreement: 12,
    pollEveryMs: 500,
    crossCheckEveryMs: 30_000,
    secondMemberMs: 60_000,
  },
} as const satisfies Record<string, NetworkPreset>;
export type NetworkName = keyof typeof NETWORKS;
