// SPDX-License-Identifier: AGPL-3.0-or-later
// `npm run lab -- proxies`: accounts in a network namespace that has no neighbour but a proxy: SOCKS5, HTTP, and a private Tor
// network. Every packet that they send is counted: those past the proxy must be none, and without a proxy the same
// counters must move, else they would prove nothing. Needs root, and `apt-get install tor iproute2 nftables`.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { ProxyServer } from '@allium/net/testing/proxy-server';
import { startProcessDevnet } from '../process-devnet.ts';
import type { AccountReport } from './account-process.ts';
import { Namespace, type Packets } from './namespace.ts';
import { TorNetwork } from './tor-network.ts';

const SCRIPT = join(import.meta.dirname, 'account-process.ts');
const TOOLS = { ip: 'iproute2', nft: 'nftables', tor: 'tor', 'tor-gencert': 'tor' } as const;
const SECONDS = 120;
const WITHOUT_SECONDS = 10;
/** Nobody has this name; who looks it up sends a question. */
const NAMED_SEED = 'https://seed.allium.invalid:22021';

interface Row {
  readonly way: string;
  readonly report: AccountReport;
  readonly packets: Packets;
  readonly isGood: boolean;
}

/** What is missing for this experiment; undefined: nothing. */
function missing(): string | undefined {
  if (process.platform !== 'linux') return 'it needs network namespaces of Linux';
  if (process.getuid?.() !== 0) return 'it makes a network namespace: run it as root';
  for (const [tool, name] of Object.entries(TOOLS)) {
    try {
      execFileSync('sh', ['-c', `command -v ${tool}`], { stdio: 'ignore' });
    } catch {
      return `there is no ${tool} here: apt-get install ${name}`;
    }
  }
  return undefined;
}

/** Whether everything went through proxies and nothing past them. @throws Error when it cannot be tried */
export async function runProxies(print: (line: string) => void): Promise<boolean> {
  const lack = missing();
  if (lack !== undefined) throw new Error(lack);
  await using net = await startProcessDevnet({ nodes: 14, rateLimit: false });
  await using space = await Namespace.make();
  print(`14 nodes on loopback, which the namespace cannot reach; it reaches ${space.host} alone`);
  const rows: Row[] = [];
  const seeds = `${NAMED_SEED},${net.seed}`;
  const tell = (row: Row) => {
    rows.push(row);
    print(line(row));
  };
  print(
    '| way out | ready | first message | later, median | packets to the proxy | questions for names | other packets | |',
  );
  print('| --- | --- | --- | --- | --- | --- | --- | --- |');
  const throughIt = async (way: string, url: string) => {
    const { report, packets } = await visit(space, seeds, url, SECONDS);
    const isGood = report.medianMs !== undefined && packets.proxy > 0 && isTight(packets);
    tell({ way, report, packets, isGood });
  };
  for (const kind of ['socks5', 'http'] as const) {
    await using proxy = new ProxyServer({ kind, host: space.host });
    await proxy.start();
    const { url } = proxy;
    await throughIt(kind === 'socks5' ? 'SOCKS5' : 'HTTP CONNECT', url);
    if (kind !== 'socks5') continue;
    await proxy.stop();
    const gone = await visit(space, seeds, url, WITHOUT_SECONDS);
    const isTold = gone.report.error === 'proxy_unreachable' && isTight(gone.packets);
    tell({ way: 'SOCKS5, gone', ...gone, isGood: isTold });
  }
  const bare = await visit(space, seeds, undefined, WITHOUT_SECONDS);
  const isSeen = bare.packets.names > 0 && bare.packets.others > 0;
  tell({ way: 'none (do the counters count?)', ...bare, isGood: isSeen });
  const began = performance.now();
  await using tor = await TorNetwork.start({ socksHost: space.host, onStep: () => {} });
  const startSeconds = ((performance.now() - began) / 1000).toFixed(0);
  await throughIt('Tor', tor.url);
  print(`The private Tor network (3 authorities, 4 relays) was up after ${startSeconds} s.`);
  return rows.every(({ isGood }) => isGood);
}

async function visit(
  space: Namespace,
  seeds: string,
  proxy: string | undefined,
  seconds: number,
): Promise<{ report: AccountReport; packets: Packets }> {
  await space.watch(proxy === undefined ? 1 : Number(new URL(proxy).port));
  const child = space.node(SCRIPT, seeds, proxy ?? 'none', `${seconds}`);
  let text = '';
  child.stdout?.on('data', (chunk) => {
    text += chunk;
  });
  await new Promise((resolve) => child.once('close', resolve));
  if (text === '') throw new Error('the process of the accounts told nothing');
  return { report: JSON.parse(text) as AccountReport, packets: await space.packets() };
}

const isTight = ({ names, others }: Packets) => names === 0 && others === 0;

function line({ way, report, packets, isGood }: Row): string {
  const ms = (value: number | undefined) => (value === undefined ? (report.error ?? '–') : `${value} ms`);
  const cells = [way, ms(report.readyMs), ms(report.firstMs), ms(report.medianMs)];
  cells.push(`${packets.proxy}`, `${packets.names}`, `${packets.others}`, isGood ? 'good' : 'BAD');
  return `| ${cells.join(' | ')} |`;
}
