// SPDX-License-Identifier: MIT
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import vectors from '../../../../vectors/storage-server.json' with { type: 'json' };
import { fromHex, toHex } from '../../src/bytes.ts';
import { ParseError } from '../../src/errors.ts';
import { type ActiveNode, decodeActiveNodes, encodeActiveNodes } from '../../src/storage/active-nodes.ts';

const vector = vectors.active_nodes_bin;
const nodes = vector.records.map(
  (record): ActiveNode => ({
    ed25519Key: fromHex(record.pubkey_ed25519),
    swarmId: BigInt(record.swarm_id_dec),
    host: record.ip,
    httpsPort: record.https_port,
    omqPort: record.omq_quic_port,
    version: record.version as [number, number, number],
  }),
);

test('the vector, both ways', () => {
  expect(toHex(encodeActiveNodes(nodes))).toBe(vector.blob);
  expect(decodeActiveNodes(fromHex(vector.blob))).toEqual(nodes);
});

test('an incomplete record is refused', () => {
  expect(() => decodeActiveNodes(fromHex(vector.blob).subarray(1))).toThrow(ParseError);
});

test('versions are cut to 255 and a host that is no IPv4 address is unknown', () => {
  const [node] = decodeActiveNodes(
    encodeActiveNodes([{ ...nodes[0]!, host: '::1', version: [2, 256, 70_000] }]),
  );
  expect(node).toMatchObject({ host: '0.0.0.0', version: [2, 255, 255] });
});

test('any whole number of records decodes, and encodes to the same', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 0, maxLength: 4 * 51 }), (bytes) => {
      if (bytes.length % 51 !== 0) expect(() => decodeActiveNodes(bytes)).toThrow(ParseError);
      else expect(encodeActiveNodes(decodeActiveNodes(bytes))).toEqual(bytes);
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 153, maxLength: 153 }), (bytes) => {
      expect(encodeActiveNodes(decodeActiveNodes(bytes))).toEqual(bytes);
    }),
  );
});
