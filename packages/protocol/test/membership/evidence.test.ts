// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { utf8 } from '../../src/bytes.ts';
import { parseJson } from '../../src/codec/json.ts';
import { ParseError } from '../../src/errors.ts';
import {
  certificateAnswerJson,
  parseCertificateAnswer,
  parseCertificateQuery,
  parseStaticListAnswer,
  staticListAnswerJson,
} from '../../src/membership/evidence.ts';
import { parseServiceNodeHealth, serviceNodeHealth } from '../../src/storage/network-health.ts';

const parsed = (epochs: number[], certificate?: Uint8Array, epoch?: number) =>
  parseCertificateAnswer(
    parseJson(certificateAnswerJson({ epochs, certificate, t0: 1_795_000_000, epochSeconds: 30 }, epoch)),
  );

describe('answers about members', () => {
  test('a certificate and the epochs of the others come back', () => {
    const certificate = utf8('certificate');
    const answer = { epochs: [2, 4], certificate, t0: 1_795_000_000, epochSeconds: 30 };
    expect(parsed([2, 4], certificate, 4)).toEqual(answer);
    expect(parsed([])).toEqual({ ...answer, epochs: [], certificate: undefined });
    expect(parseCertificateQuery(undefined)).toEqual({});
    expect(parseCertificateQuery({ epoch: 24, after: 2 })).toEqual({ epoch: 24, after: 2 });
    expect(
      new TextDecoder().decode(parseStaticListAnswer(parseJson(staticListAnswerJson(utf8('{"a":1}'))))),
    ).toBe('{"a":1}');
  });

  test.each([
    [{ epoch: -1 }],
    [{ epoch: 1.5 }],
    [{ epoch: 2 ** 32 }],
    [{ epoch: '4' }],
    [{ after: -1 }],
    [[]],
  ])('the question %j is refused', (params) => {
    expect(() => parseCertificateQuery(params as never)).toThrow(ParseError);
  });

  test('epochs out of order, or too many, and times that are none are refused', () => {
    const good = { epochs: [1], t0: 0, epoch_seconds: 30 };
    expect(parseCertificateAnswer(good).epochs).toEqual([1]);
    for (const change of [
      { epochs: [2, 1] },
      { epochs: [1, 1] },
      { epochs: Array.from({ length: 5000 }, (_, i) => i) },
      { epoch_seconds: 0 },
      { t0: 'now' },
      { certificate: 5 },
      { certificate: '!' },
    ]) {
      expect(() => parseCertificateAnswer({ ...good, ...change } as never)).toThrow(ParseError);
    }
  });

  test('whatever JSON comes, the outcome is an answer or a ParseError', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        for (const parse of [parseCertificateAnswer, parseStaticListAnswer, parseServiceNodeHealth]) {
          try {
            parse(value as never);
          } catch (error) {
            expect(error).toBeInstanceOf(ParseError);
          }
        }
      }),
    );
  });
});

describe('the health rule', () => {
  const nodes = (active: number, inactive: number) => [
    ...Array.from({ length: active }, () => ({ active: true })),
    ...Array.from({ length: inactive }, () => ({ active: false })),
  ];

  test('more than fifty active nodes are healthy', () => {
    expect(serviceNodeHealth(nodes(50, 100))).toEqual({
      total: 150,
      active: 50,
      inactive: 100,
      healthy: false,
    });
    expect(serviceNodeHealth(nodes(51, 0))).toEqual({ total: 51, active: 51, inactive: 0, healthy: true });
  });

  test('a list that names a node twice to look larger is refused', () => {
    const state = (key: number) => ({ pubkey_ed25519: String(key), active: true });
    const states = Array.from({ length: 51 }, (_, i) => state(i));
    expect(parseServiceNodeHealth({ service_node_states: states })).toMatchObject({
      active: 51,
      healthy: true,
    });
    expect(() => parseServiceNodeHealth({ service_node_states: [...states, state(1)] })).toThrow(ParseError);
  });
});
