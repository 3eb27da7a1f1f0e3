// SPDX-License-Identifier: AGPL-3.0-or-later
// `npm run lab -- bots`: many accounts in one process, each with its own paths and connections, against nodes in processes of
// their own. Half of them write to the other half, who answer with the same text. Told: memory of the process, messages per
// second and per second of one core, and whose seconds they were.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@allium/client';
import { NETWORKS } from '@allium/client/network/presets';
import { type Accounts, openMany } from '@allium/client/node/open-many';
import { Account } from '@allium/protocol/account';
import { startProcessDevnet } from '../process-devnet.ts';

export interface BotsOptions {
  readonly accounts: number;
  /** Of traffic that is measured. */
  readonly seconds: number;
  /** Of the same traffic before that: bots and nodes run for days, their first minute is slower (compiling). */
  readonly warmUpSeconds: number;
  /** Pairs that talk at the same time. */
  readonly inFlight: number;
  /** Nodes of the network. */
  readonly nodes: number;
  /** Accounts keep their data in SQLite files, not in memory. */
  readonly onDisk: string | undefined;
  /** Each account keeps copies of what it sends for other devices, of which it has none. */
  readonly devices: boolean;
  /** Writes a profile of the traffic there (CPU, for speedscope or DevTools). */
  readonly profile: string | undefined;
}

/** Messages received, wall time, and CPU of both sides in seconds of a core. */
interface Measured {
  readonly messages: number;
  readonly seconds: number;
  readonly client: number;
  readonly nodes: number;
}

export interface BotsResult {
  readonly accounts: number;
  readonly openSeconds: number;
  readonly idleRssMb: number;
  readonly peakRssMb: number;
  readonly connections: number;
  /** CPU of clients while nothing was sent, in seconds of a core per second. */
  readonly idleClientCpu: number;
  readonly idleNodesCpu: number;
  readonly warmUp: Measured;
  readonly messages: number;
  readonly lost: number;
  readonly seconds: number;
  readonly clientSeconds: number;
  readonly nodesSeconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** What is asked how often is as on the public network; the network itself is on loopback. */
const PRESET = {
  ...NETWORKS.local,
  crossCheckEveryMs: NETWORKS.main.crossCheckEveryMs,
  secondMemberMs: NETWORKS.main.secondMemberMs,
};
/** The aims of the issue. */
const AIM_MB = 1_024;
const AIM_PER_CORE = 60;
const MIB = 1024 * 1024;
const IDLE_MS = 10_000;
/** Nodes test each other for the first time about 15 s after their start: that is not what they do when idle. */
const SETTLED_MS = 30_000;
const ANSWER_TIMEOUT_MS = 60_000;
const APART_MS = 20;
const READY_WITHIN_MS = 300_000;

export async function runBots(options: BotsOptions, print: (line: string) => void): Promise<BotsResult> {
  await using net = await startProcessDevnet({ nodes: options.nodes, rateLimit: false });
  const nodesBegan = performance.now();
  const pids = net.nodes.map(({ pid }) => pid);
  const bare = process.memoryUsage().rss;
  print(`${options.nodes} nodes are up; this process has ${mb(bare)} MB`);
  const began = performance.now();
  let open = 0;
  await using bots = await openMany(
    Array.from({ length: options.accounts }, () => Account.create()),
    {
      network: PRESET,
      seeds: [net.seed],
      apartMs: APART_MS,
      readyWithinMs: READY_WITHIN_MS,
      ownCopies: options.devices,
      ...(options.onDisk !== undefined && { folder: options.onDisk }),
      onOpen: () => {
        open += 1;
        if (open % 100 === 0) print(`${open} accounts, ${mb(process.memoryUsage().rss)} MB`);
      },
    },
  );
  const openSeconds = (performance.now() - began) / 1000;
  globalThis.gc?.();
  await sleep(Math.max(0, nodesBegan + SETTLED_MS - performance.now()));
  const idle = await measure(pids, () => sleep(IDLE_MS));
  const idleRssMb = mb(process.memoryUsage().rss);
  print(`${bots.size} accounts idle: ${idleRssMb} MB`);
  const traffic = new Traffic(bots);
  await traffic.introduce(options.inFlight, print);
  print('all know each other');
  const warm = await measure(pids, () => traffic.run(options.inFlight, options.warmUpSeconds * 1000));
  const warmUp: Measured = { ...warm, messages: traffic.messages };
  const lostBefore = traffic.lost;
  traffic.forget();
  print(`warm after ${options.warmUpSeconds} s: ${perCore(warmUp).toFixed(1)} messages per second of a core`);
  const stopProfile = options.profile === undefined ? undefined : await startProfile(options.profile);
  const run = await measure(pids, () => traffic.run(options.inFlight, options.seconds * 1000));
  await stopProfile?.();
  const times = traffic.times.sort((a, b) => a - b);
  const result: BotsResult = {
    accounts: bots.size,
    openSeconds,
    idleRssMb,
    peakRssMb: mb(process.resourceUsage().maxRSS * 1024),
    connections: connections(),
    idleClientCpu: idle.client / idle.seconds,
    idleNodesCpu: idle.nodes / idle.seconds,
    warmUp,
    messages: traffic.messages,
    lost: lostBefore + traffic.lost,
    seconds: run.seconds,
    clientSeconds: run.client,
    nodesSeconds: run.nodes,
    p50Ms: at(times, 0.5),
    p99Ms: at(times, 0.99),
  };
  return result;
}

/** Whether the aims are met, and every message came back. */
export function meetsAims({ peakRssMb, messages, clientSeconds, nodesSeconds, lost }: BotsResult): boolean {
  return peakRssMb <= AIM_MB && messages / (clientSeconds + nodesSeconds) >= AIM_PER_CORE && lost === 0;
}

export function describeBots(result: BotsResult): string[] {
  const { messages, seconds, clientSeconds, nodesSeconds } = result;
  const cpu = clientSeconds + nodesSeconds;
  // Tests among nodes, and held requests: the slower the traffic, the more of them falls on each message.
  const background = Math.min(result.idleNodesCpu * seconds, nodesSeconds);
  const row = (what: string, figure: string, aim = '') => `| ${what} | ${figure} | ${aim} |`;
  const share = (part: number) =>
    `${((100 * part) / cpu).toFixed(0)} %, ${((1000 * part) / messages).toFixed(1)} ms a message`;
  return [
    '| what | figure | aim |',
    '| --- | --- | --- |',
    row('accounts in one process', `${result.accounts}, open after ${result.openSeconds.toFixed(0)} s`),
    row('memory of the process, idle', `${result.idleRssMb} MB`),
    row('memory of the process, most', `${result.peakRssMb} MB`, `≤ ${AIM_MB} MB`),
    row('connections of the process', `${result.connections}`),
    row(
      'cores busy while nothing is sent: clients, nodes',
      `${result.idleClientCpu.toFixed(2)}, ${result.idleNodesCpu.toFixed(2)}`,
    ),
    row('messages received', `${messages} in ${seconds.toFixed(0)} s, ${result.lost} lost`),
    row('messages per second', (messages / seconds).toFixed(1)),
    row('messages per second of a core, nodes included', (messages / cpu).toFixed(1), `≥ ${AIM_PER_CORE}`),
    row(`… in the ${result.warmUp.seconds.toFixed(0)} s before`, perCore(result.warmUp).toFixed(1)),
    row('the same without what nodes do also when idle', (messages / (cpu - background)).toFixed(1)),
    row('share of the clients', share(clientSeconds)),
    row('share of the nodes', share(nodesSeconds)),
    row('there and back, p50 and p99', `${result.p50Ms} ms, ${result.p99Ms} ms`),
  ];
}

/** Askers and answerers in pairs. */
class Traffic {
  messages = 0;
  lost = 0;
  readonly times: number[] = [];
  readonly #pairs: {
    readonly asker: Client;
    readonly answerer: Client;
    waiting: ((text: string) => void) | undefined;
  }[];
  readonly #free: number[];
  #isMeasured = false;
  /** How often what failed with which code. */
  readonly #failures = new Map<string, number>();

  constructor(bots: Accounts) {
    const all = [...bots];
    this.#pairs = Array.from({ length: Math.floor(all.length / 2) }, (_, i) => {
      return { asker: all[2 * i]!, answerer: all[2 * i + 1]!, waiting: undefined };
    });
    this.#free = this.#pairs.map((_, i) => i);
    for (const pair of this.#pairs) {
      pair.asker.on('message', ({ text }) => {
        if (this.#isMeasured) this.messages += 1;
        pair.waiting?.(text);
      });
      pair.answerer.on('message', ({ text }) => {
        if (this.#isMeasured) this.messages += 1;
        void pair.answerer
          .conversation(pair.asker.id)
          .send(text)
          .catch((error: unknown) => this.#failed('answer', error));
      });
    }
  }

  /** Swarms are found, requests accepted: what follows is everyday traffic. */
  async introduce(inFlight: number, print: (line: string) => void): Promise<void> {
    const left = this.#pairs.map((_, i) => i);
    await Promise.all(
      Array.from({ length: inFlight }, async () => {
        for (let i = left.shift(); i !== undefined; i = left.shift()) {
          await this.#ask(i);
          if (left.length % 100 === 0 && left.length > 0) print(`${left.length} pairs are still strangers`);
        }
      }),
    );
    if (this.lost > 0) print(`introductions: ${this.lost} without an answer (${this.#reasons()})`);
    this.forget();
    this.#failures.clear();
    this.#isMeasured = true;
  }

  /** What was counted so far. */
  forget(): void {
    this.messages = 0;
    this.lost = 0;
    this.times.length = 0;
  }

  async run(inFlight: number, ms: number): Promise<void> {
    const end = performance.now() + ms;
    await Promise.all(
      Array.from({ length: inFlight }, async () => {
        while (performance.now() < end) {
          const [i] = this.#free.splice(Math.floor(Math.random() * this.#free.length), 1);
          if (i === undefined) return;
          await this.#ask(i);
          this.#free.push(i);
        }
      }),
    );
  }

  #failed(what: string, error: unknown): void {
    const text = `${what} ${(error as { code?: string }).code ?? String(error)}`;
    this.#failures.set(text, (this.#failures.get(text) ?? 0) + 1);
  }

  #reasons(): string {
    return [...this.#failures].map(([text, times]) => `${text}: ${times}`).join(', ') || 'all were stored';
  }

  async #ask(i: number): Promise<void> {
    const pair = this.#pairs[i]!;
    const text = `${i} ${Math.random()}`;
    const began = performance.now();
    const answered = new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), ANSWER_TIMEOUT_MS);
      pair.waiting = (got) => {
        if (got !== text) return;
        clearTimeout(timer);
        resolve(true);
      };
    });
    await pair.asker
      .conversation(pair.answerer.id)
      .send(text)
      .catch((error: unknown) => this.#failed('message', error));
    if (await answered) this.times.push(performance.now() - began);
    else this.lost += 1;
    pair.waiting = undefined;
  }
}

const perCore = ({ messages, client, nodes }: Measured) => messages / (client + nodes);

async function measure(pids: readonly number[], work: () => Promise<unknown>) {
  const nodesBefore = pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  const before = process.cpuUsage();
  const began = performance.now();
  await work();
  const { user, system } = process.cpuUsage(before);
  return {
    seconds: (performance.now() - began) / 1000,
    client: (user + system) / 1e6,
    nodes: pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0) - nodesBefore,
  };
}

async function startProfile(path: string): Promise<() => Promise<void>> {
  const { Session } = await import('node:inspector/promises');
  const { writeFile } = await import('node:fs/promises');
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.start');
  return async () => {
    const { profile } = await session.post('Profiler.stop');
    await writeFile(path, JSON.stringify(profile));
    session.disconnect();
  };
}

/** Sockets of this process. */
function connections(): number {
  const sockets = (process as unknown as { getActiveResourcesInfo(): string[] }).getActiveResourcesInfo();
  return sockets.filter((kind) => kind === 'TCPSocketWrap').length;
}

/** User and system time of a process, from /proc. */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

const mb = (bytes: number) => Math.round(bytes / MIB);

const at = (sorted: readonly number[], share: number) =>
  Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN);
