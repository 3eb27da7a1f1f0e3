// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Member, Membership } from '@allium/protocol/membership';
import { expect, test } from 'vitest';
import { differingPorts, swarmPlace } from '../../src/swarm/place.ts';

test.each([
  [1, 'in swarm ab alone, at 192.0.2.1'],
  [2, 'in swarm ab with one other, at 192.0.2.1'],
  [3, 'in swarm ab with 2 others, at 192.0.2.1'],
])('a node in a swarm of %i', (size, text) => {
  const self = { swarmId: 0xabn, host: '192.0.2.1' } as Member;
  const swarms = new Map([[0xabn, Array.from({ length: size }, () => self)]]);
  expect(swarmPlace(self, { swarms } as unknown as Membership)).toBe(text);
});

test('ports that differ from the list are named beside each other; 0 is any port', () => {
  const listed = { httpsPort: 27122, omqPort: 27222 };
  expect(differingPorts(listed, { httpsPort: 22021, omqPort: 22020 })).toBe(
    'the list says HTTPS port 27122 and OMQ port 27222, but the configuration says 22021 and 22020',
  );
  expect(differingPorts(listed, { httpsPort: 27122, omqPort: 22020 })).toBe(
    'the list says OMQ port 27222, but the configuration says 22020',
  );
  expect(differingPorts(listed, { httpsPort: 0, omqPort: 27222 })).toBeUndefined();
});
