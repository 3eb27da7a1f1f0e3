// SPDX-License-Identifier: MIT
// The table of spec/client §2.5 and spec/storage-server §4.9, row by row.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Blame, judge, type Next, type Outcome } from '../../src/network/status.ts';

const GUARD = 'a'.repeat(64);
const MIDDLE = 'b'.repeat(64);
const EDGE = 'c'.repeat(64);
const DESTINATION = 'd'.repeat(64);
const STRANGER = 'e'.repeat(64);
const ROUTE = { hops: [GUARD, MIDDLE, EDGE], destination: DESTINATION };

const nobody: Blame = { kind: 'nobody' };
const path: Blame = { kind: 'path' };
const guard: Blame = { kind: 'guard' };
const node = (ed25519Hex: string): Blame => ({ kind: 'node', ed25519Hex });
const drop = (ed25519Hex: string): Blame => ({ kind: 'drop', ed25519Hex });
const unclear: Blame = { kind: 'path_and_node', ed25519Hex: DESTINATION };

const hop = (status: number, body = ''): Outcome => ({ at: 'hop', status, body });
const inner = (status: number, body = ''): Outcome => ({ at: 'destination', status, body });
const server = (status: number, body = '', isOfficial = false): Outcome => ({
  at: 'server',
  status,
  body,
  isOfficial,
});

const TABLE: [string, Outcome, Next, Blame, string?][] = [
  ['200', inner(200), 'done', nobody],
  ['200 of a server', server(200), 'done', nobody],
  ['any 2xx', inner(204), 'done', nobody],
  [
    '401: bad authentication',
    inner(401, 'retrieve signature verification failed'),
    'stop',
    nobody,
    'unauthorized',
  ],
  ['400', inner(400, 'invalid request: x'), 'stop', nobody, 'bad_request'],
  ['403', inner(403, 'Provided expiry/TTL is not valid.'), 'stop', nobody, 'bad_request'],
  ['404 at a node', inner(404, '{}'), 'stop', nobody, 'not_found'],
  ['404 at a server', server(404), 'stop', nobody, 'not_found'],
  ['401 at a server', server(401), 'stop', nobody, 'unauthorized'],
  ['400 at a server', server(400), 'stop', nobody, 'bad_request'],
  ['406', inner(406, 'Timestamp error: check your clock'), 'resync_clock', nobody, 'clock'],
  ['425', inner(425), 'resync_clock', nobody, 'clock'],
  ['406 of a hop', hop(406), 'resync_clock', nobody, 'clock'],
  ['425 of a hop', hop(425), 'resync_clock', nobody, 'clock'],
  ['421', inner(421, '{"snodes":[]}'), 'change_swarm', nobody],
  ['421 of a hop', hop(421), 'change_swarm', nobody],
  ['500 of a node', inner(500, 'request failed'), 'retry', node(DESTINATION)],
  ['500 of a server', server(500), 'retry', nobody],
  ['503 of a node', inner(503, 'Snode not ready'), 'retry', node(DESTINATION)],
  ['unparsable daemon', inner(502, 'oxend returned unparsable data'), 'retry', drop(DESTINATION)],
  ['500 of a hop', hop(500, 'Invalid response from snode'), 'retry', unclear],
  ['504 of a hop', hop(504, 'Request time out'), 'retry', unclear],
  ['504 without its text', hop(504), 'retry', path],
  ['502 naming the middle', hop(502, `Next node not found: ${MIDDLE}`), 'retry', drop(MIDDLE)],
  ['502 naming the edge', hop(502, `Next node is currently unreachable: ${EDGE}`), 'retry', drop(EDGE)],
  ['502 naming the destination', hop(502, `Next node not found: ${DESTINATION}`), 'retry', drop(DESTINATION)],
  ['502 naming the guard itself', hop(502, `Next node not found: ${GUARD}`), 'retry', path],
  ['502 naming a stranger', hop(502, `Next node not found: ${STRANGER}`), 'retry', path],
  ['502 naming nonsense', hop(502, 'Next node not found: zz'), 'retry', path],
  ['503 naming a hop', hop(503, `Snode not ready: ${MIDDLE}`), 'retry', node(MIDDLE)],
  ['503 naming the guard', hop(503, `Snode not ready: ${GUARD}`), 'retry', guard],
  ['503 naming a stranger', hop(503, `Snode not ready: ${STRANGER}`), 'retry', path],
  ['503 of the guard', hop(503, 'Service node is not ready: not in any swarm\n'), 'retry', guard],
  ['busy guard', hop(503, 'Server busy, try again later'), 'retry', guard],
  ['503 congested', hop(503, 'Next hop congested'), 'retry', path],
  ['400 of a hop', hop(400, 'Invalid ciphertext'), 'retry', path],
  ['429 of the guard', hop(429, 'Too Many Requests\n'), 'retry', path],
  ['any other status', hop(418), 'retry', path],
  ['Oxen Server error in the clear', hop(500, 'Oxen Server error'), 'stop', nobody],
  ['Oxen Server error inside', inner(500, '... Oxen Server error ...'), 'stop', nobody],
  ['Bad Gateway of a stranger', server(502, 'Bad Gateway'), 'stop', nobody],
  ['Bad Gateway of the official server', server(502, 'Bad Gateway', true), 'retry', nobody],
  ['does not open', { at: 'unreadable', opened: false }, 'retry', path],
  ['opens to nonsense', { at: 'unreadable', opened: true }, 'retry', node(DESTINATION)],
  ['no network', { at: 'transport', code: 'no_network' }, 'stop', nobody, 'no_network'],
  ['aborted', { at: 'transport', code: 'aborted' }, 'stop', nobody, 'aborted'],
  ['guard refuses the connection', { at: 'transport', code: 'unreachable' }, 'retry', guard],
  ['guard without a certificate', { at: 'transport', code: 'bad_certificate' }, 'retry', guard],
  ['no answer in time', { at: 'transport', code: 'timeout' }, 'retry', path],
  ['an answer too large', { at: 'transport', code: 'too_large' }, 'retry', path],
  ['an answer that is no HTTP', { at: 'transport', code: 'bad_response' }, 'retry', path],
];

describe('what an answer means', () => {
  test.each(TABLE)('%s', (_name, outcome, next, blame, error) => {
    const verdict = judge(outcome, ROUTE);
    expect(verdict).toMatchObject({ next, blame });
    if (error !== undefined) expect(verdict.error).toBe(error);
  });

  test('a server beyond the path is never named a node', () => {
    const toServer = { hops: ROUTE.hops, destination: undefined };
    expect(judge(hop(504, 'Request time out'), toServer).blame).toEqual(path);
    expect(judge({ at: 'unreadable', opened: true }, toServer).blame).toEqual(path);
    expect(judge(hop(502, `Next node not found: ${DESTINATION}`), toServer).blame).toEqual(path);
  });

  test('400, 401, 406 and 421 at the destination never blame anybody', () => {
    fc.assert(
      fc.property(fc.constantFrom(400, 401, 406, 421), fc.string(), (status, body) => {
        expect(judge(inner(status, body), ROUTE).blame).toEqual(nobody);
      }),
    );
  });

  test('whatever comes, only nodes that took part are blamed', () => {
    const body = fc.oneof(
      fc.string(),
      fc
        .tuple(
          fc.constantFrom(
            'Next node not found: ',
            'Next node is currently unreachable: ',
            'Snode not ready: ',
          ),
          fc.constantFrom(GUARD, MIDDLE, EDGE, DESTINATION, STRANGER),
          fc.constantFrom('', '\n', ' x'),
        )
        .map((parts) => parts.join('')),
    );
    const outcome = fc.record({ at: fc.constantFrom('hop', 'destination'), status: fc.integer(), body });
    fc.assert(
      fc.property(outcome, (given) => {
        const { blame } = judge(given as Outcome, ROUTE);
        if ('ed25519Hex' in blame) expect([MIDDLE, EDGE, DESTINATION]).toContain(blame.ed25519Hex);
      }),
    );
  });
});
