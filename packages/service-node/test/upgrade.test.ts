// SPDX-License-Identifier: AGPL-3.0-or-later
// An upgrade is a stop and a start: what is in work is finished, what waits is handed over, what was missed comes in.
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { until } from '@allium/net/testing/until';
import { describe, expect, test } from 'vitest';
import { TestAccount } from './support/test-account.ts';
import { TestNetwork, type TestNode } from './support/test-network.ts';

async function dial(port: number): Promise<{ socket: TLSSocket; text: () => string }> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
  let text = '';
  socket.on('data', (part: Buffer) => {
    text += part.toString();
  });
  socket.on('error', () => {});
  await once(socket, 'secureConnect');
  return { socket, text: () => text };
}

const hashesOf = async (node: TestNode, account: TestAccount) =>
  (await node.rpc('retrieve', account.retrieve())).json.messages.map(
    ({ hash }: { hash: string }) => hash,
  ) as string[];

describe('a stop', () => {
  test('finishes requests in work and answers new ones with 503', async () => {
    await using net = await TestNetwork.start({ swarms: [1] });
    const node = net.node(0);
    const account = TestAccount.session();
    const body = JSON.stringify({ method: 'store', params: account.store('just in time') });
    const head = `POST /storage_rpc/v1 HTTP/1.1\r\nHost: node\r\nContent-Length: ${body.length}\r\nExpect: 100-continue\r\n`;
    const early = await dial(node.httpsPort);
    early.socket.write(`${head}\r\n${body.slice(0, 50)}`);
    await until(() => early.text() !== '', 'the request to be in work');
    const stopped = node.service.stop();
    const [status, reason] = await net.omq(node, 'storage.info', ['{}']);
    expect(Buffer.from(status!).toString()).toBe('503');
    expect(Buffer.from(reason!).toString()).toContain('Service node is not ready: shutting down');
    const late = await node.rpc('info', {});
    expect(late.status).toBe(503);
    expect(late.text).toContain('Service node is not ready: shutting down');
    early.socket.write(body.slice(50));
    await until(() => early.text().includes('"swarm"'), 'the early answer');
    expect(early.text()).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /);
    await stopped;
    await node.service.start();
    expect(await hashesOf(node, account)).toEqual([account.hash('just in time')]);
  });

  test('hands over what members missed', async () => {
    await using net = await TestNetwork.start({ swarms: [2] });
    const [first, second] = net.nodes as [TestNode, TestNode];
    const account = TestAccount.session();
    await second.service.stop();
    const stored = await first.rpc('store', account.store('for both'));
    expect(stored.json.swarm[second.hex].failed).toBe(true);
    // The second is away: a stop waits for it no longer than it must, and keeps what it is to get.
    await first.service.stop();
    await second.service.start();
    expect(await hashesOf(second, account)).toEqual([]);
    await first.service.start();
    // At once, before the queue would try by itself.
    await first.service.stop();
    expect(await hashesOf(second, account)).toEqual([stored.json.hash]);
  });
});

test('a start catches up with what was stored meanwhile', async () => {
  await using net = await TestNetwork.start({ swarms: [3] });
  const [first, second, third] = net.nodes as [TestNode, TestNode, TestNode];
  const account = TestAccount.session();
  const before = (await first.rpc('store', account.store('before'))).json.hash;
  await third.service.stop();
  const during: string[] = [];
  for (let i = 0; i < 10; i++) {
    during.push((await (i % 2 ? first : second).rpc('store', account.store(`during ${i}`))).json.hash);
  }
  await third.service.start();
  await until(async () => (await hashesOf(third, account)).length === 11, 'the third to have all');
  expect((await hashesOf(third, account)).sort()).toEqual([before, ...during].sort());
});
