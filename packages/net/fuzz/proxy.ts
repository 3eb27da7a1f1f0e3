// SPDX-License-Identifier: MIT
// Fuzz target: the address of a proxy, as people type it. It throws on a bug only.
import { toBinary, utf8 } from '@allium/protocol/bytes';
import { ParseError } from '@allium/protocol/errors';
import type { FuzzTarget } from '../../../scripts/fuzz.ts';
import { parseProxy, proxyText } from '../src/proxy.ts';

export const targets: Record<string, FuzzTarget> = {
  proxy: {
    seeds: ['socks5://127.0.0.1:9050', 'socks5h://u:p%40@[::1]', 'http://localhost:3128/'].map(utf8),
    run(input) {
      try {
        const { username, password, ...place } = parseProxy(toBinary(input));
        if (JSON.stringify(parseProxy(proxyText(place))) !== JSON.stringify(place)) {
          throw new Error('a proxy that changes');
        }
        if (password !== undefined && username === undefined) throw new Error('a password without a user');
      } catch (error) {
        if (!(error instanceof ParseError)) throw error;
      }
    },
  },
};
