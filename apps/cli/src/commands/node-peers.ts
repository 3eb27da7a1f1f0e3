// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium node peers`: what the running node has found out about the others. Asks it at the socket in its data folder, else
// at the port of its metrics.
import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import type { ServiceNodeOptions } from '@allium/service-node/config';
import { SOCKET_NAME } from '@allium/service-node/local-server';
import type { PeerEntry, PeerReport } from '@allium/service-node/peer-report';
import { CliError, usage } from '../cli-error.ts';
import { harmlessLine, print, printJson, styled } from '../terminal.ts';
import type { NodeCommand } from './node-command.ts';

const TIMEOUT_MS = 10_000;

export async function nodePeers({ words, node, json }: NodeCommand): Promise<number> {
  if (words.length > 0) throw usage(`unknown argument "${words[0]}": write "allium node peers [--json]"`);
  const report = JSON.parse(await ask(node)) as PeerReport;
  if (json) printJson(report);
  else show(report);
  return 0;
}

/** Body of `GET /peers`. @throws CliError that says how to reach the node */
async function ask({ dataDir, metricsPort }: ServiceNodeOptions): Promise<string> {
  const socketPath = join(dataDir, SOCKET_NAME);
  if (existsSync(socketPath)) {
    try {
      return await get({ socketPath });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EACCES') {
        throw new CliError(`${socketPath} belongs to another user: ask as the user of the node`);
      }
      // Left behind by a node that was killed.
      if (code !== 'ECONNREFUSED') throw error;
    }
  }
  if (metricsPort !== 0) {
    try {
      return await get({ port: metricsPort });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED') throw error;
    }
  }
  throw new CliError(
    `no node runs on the data folder ${dataDir}: start it, or give the --data-dir of the one that runs`,
  );
}

function get(at: { socketPath: string } | { port: number }): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { ...at, host: '127.0.0.1', path: '/peers', timeout: TIMEOUT_MS },
      (incoming) => {
        const parts: Buffer[] = [];
        incoming.on('data', (part: Buffer) => parts.push(part));
        incoming.on('error', reject);
        incoming.on('end', () => {
          if (incoming.statusCode === 200) resolve(Buffer.concat(parts).toString());
          else
            reject(
              new CliError(`the node answered with status ${incoming.statusCode}: is it of this version?`),
            );
        });
      },
    );
    outgoing.on('timeout', () => outgoing.destroy(new CliError('the node does not answer')));
    outgoing.on('error', reject);
    outgoing.end();
  });
}

function show(report: PeerReport): void {
  const { peers, failing, at } = report;
  print(
    `${'NODE'.padEnd(10)}${'STATE'.padEnd(12)}${'REACHABLE'.padEnd(14)}${'CLOCK'.padEnd(10)}${'PROBE'.padEnd(10)}TESTS`,
  );
  for (const peer of peers) {
    const row = [
      peer.ed25519.slice(0, 8).padEnd(10),
      (peer.state === 'active' ? 'active' : 'suspended').padEnd(12),
      reachable(peer, at).padEnd(14),
      clock(peer).padEnd(10),
      probe(peer).padEnd(10),
      peer.failing.length > 0
        ? styled('red', `fails ${peer.failing.join(', ')}`)
        : peer.unreachableSince !== null
          ? styled('yellow', harmlessLine(peer.fault ?? 'unreachable'))
          : peer.lastTestAt === null
            ? 'not tested yet'
            : styled('green', 'ok'),
    ];
    print(row.join(''));
  }
  print();
  print(
    `${peers.length} other node${peers.length === 1 ? '' : 's'}, ${failing} of them fail; tested for ${age(report.upSeconds * 1000)}.`,
  );
  if (report.ownClockSuspect)
    print(styled('red', 'Most clocks differ from the one of this machine: set it.'));
  if (report.ownNetworkSuspect) {
    print(styled('red', 'Most nodes cannot be reached from here: look at the network of this machine.'));
  }
  const tested = [report.testedAt.https, report.testedAt.omq];
  const last = tested.some((time) => time === null) ? undefined : Math.min(...(tested as number[]));
  print(
    last === undefined
      ? 'No other node has tested this one since it started.'
      : `Others last tested this one ${age(at - last)} ago.`,
  );
}

function reachable({ unreachableSince, reachableAt }: PeerEntry, at: number): string {
  if (unreachableSince !== null) return `no, ${age(at - unreachableSince)}`;
  return reachableAt === null ? '-' : `${age(at - reachableAt)} ago`;
}

function clock({ clockOffsetMs, timeQuestions, timeAnswers }: PeerEntry): string {
  if (timeQuestions > 0 && timeAnswers === 0) return 'silent';
  if (clockOffsetMs === null) return '-';
  // Its clock minus ours; answers have whole seconds.
  const seconds = Math.round(-clockOffsetMs / 1000);
  return Math.abs(seconds) <= 1 ? 'right' : `${seconds > 0 ? '+' : ''}${seconds} s`;
}

const probe = ({ probeAt, probesMissed }: PeerEntry) =>
  probeAt === null ? '-' : probesMissed > 0 ? `${probesMissed} missed` : 'ok';

function age(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}
