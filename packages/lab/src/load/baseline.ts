// SPDX-License-Identifier: AGPL-3.0-or-later
// `npm run lab -- baseline`: the scenarios of load/reference.json against our nodes, each node a process of its own,
// beside the reference figures and two ceilings of the same run: an empty HTTPS echo of the same sizes, and the bare
// cryptography of the hops.
import reference from '../../load/reference.json' with { type: 'json' };
import { type ProcessDevnet, startProcessDevnet } from '../process-devnet.ts';
import { hopCost } from './hop-cost.ts';
import { post } from './post.ts';
import {
  type BenchArguments,
  type BenchNode,
  type BenchResult,
  median,
  runSsbench,
  type Scenario,
  startEcho,
} from './ssbench.ts';

export interface BaselineOptions {
  readonly concurrency: readonly number[];
  readonly runs: number;
  readonly quick: boolean;
  /** Local addresses of the generator's connections, or undefined: all from one. */
  readonly sourceBase: string | undefined;
  /** Run only scenarios whose name contains this. */
  readonly only: string | undefined;
}

/** Ours: untimed requests in front of each run; ten fresh processes have much to compile. */
const WARM_UP = 2_000;

interface Row {
  readonly name: keyof typeof reference.rows;
  readonly scenario: Scenario;
  readonly network: 'single' | 'two swarms';
  readonly count: number;
  readonly extra: readonly string[];
  /** Body of the answer that the echo gives, made from a request to the real node. */
  readonly answer: 'info' | 'store' | 'retrieve';
  readonly sizeBytes: number;
  /** Onion layers opened on the way, and the answer's size; 0 for plain requests. */
  readonly layers: number;
}

const size = (bytes: number) => ['--size', `${bytes}`];
const swarm = ['--min-swarm', '5', '--accounts', '40'];
const ROWS: readonly Row[] = [
  row('info', 'info', 'single', 8000, [], 'info', 0, 0),
  row('store 512 B', 'store', 'single', 6000, size(512), 'store', 512, 0),
  row('store 3 kB', 'store', 'single', 4000, size(3072), 'store', 3072, 0),
  row('store 60 kB', 'store', 'single', 1500, size(61_440), 'store', 61_440, 0),
  row('retrieve 100 × 512 B', 'retrieve', 'single', 2000, ['--accounts', '20'], 'retrieve', 512, 0),
  row('store 512 B, swarm of 5', 'store', 'two swarms', 1500, [...swarm, ...size(512)], 'store', 512, 0),
  row('store 3 kB, swarm of 5', 'store', 'two swarms', 1500, [...swarm, ...size(3072)], 'store', 3072, 0),
  row('store 60 kB, swarm of 5', 'store', 'two swarms', 600, [...swarm, ...size(61_440)], 'store', 61_440, 0),
  row('onion info, 4 nodes', 'onion-info', 'two swarms', 2000, [], 'info', 0, 4),
  row('onion store 512 B, 4 nodes', 'onion-store', 'two swarms', 1200, ['--accounts', '40'], 'store', 512, 4),
  row(
    'onion retrieve 10 × 512 B, 4 nodes',
    'onion-retrieve',
    'two swarms',
    1200,
    ['--accounts', '20', '--per-account', '10'],
    'retrieve',
    512,
    4,
  ),
];

function row(
  name: Row['name'],
  scenario: Scenario,
  network: Row['network'],
  count: number,
  extra: readonly string[],
  answer: Row['answer'],
  sizeBytes: number,
  layers: number,
): Row {
  return { name, scenario, network, count, extra, answer, sizeBytes, layers };
}

interface Figures {
  readonly rps: number;
  readonly p50: number;
  readonly p99: number;
  readonly cpuMs: number;
  readonly otherCores: number;
}

/** Runs all rows and prints a Markdown table as it goes. */
export async function runBaseline(options: BaselineOptions, print: (line: string) => void): Promise<void> {
  print('CPU = CPU of all server processes per request, ms. ref = reference (load/reference.json).');
  print(
    'echo = empty node:https server, same sizes, same run. crypto = bare cryptography of the onion layers.',
  );
  print(`Median of ${options.runs} runs. Concurrency = requests in flight.`);
  print('');
  print(
    '| case | conc | req/s | ref | p50 ms | ref | p99 ms | ref | **CPU** | **ref** | ours/ref | CPU echo | ours/echo | CPU crypto | ours/crypto | other cores |',
  );
  print(`|${' --- |'.repeat(16)}`);
  for (const row of ROWS) {
    if (options.only !== undefined && !row.name.includes(options.only)) continue;
    for (const concurrency of options.concurrency) {
      // A fresh network for each row: every size starts with an empty database.
      await using net = await startProcessDevnet({
        ...(row.network === 'single' ? { nodes: 1 } : { swarms: [5, 5] }),
        rateLimit: false,
      });
      print(await measureRow(row, concurrency, net, options));
    }
  }
}

async function measureRow(
  row: Row,
  concurrency: number,
  net: ProcessDevnet,
  options: BaselineOptions,
): Promise<string> {
  const nodes: BenchNode[] = net.nodes.map(({ host, port, ed25519, x25519 }) => ({
    host,
    port,
    ed25519,
    x25519,
  }));
  const share = (options.quick ? 0.2 : 1) * (concurrency === 1 ? 0.4 : 1);
  const base: BenchArguments = {
    nodes,
    pids: net.nodes.map((node) => node.pid),
    count: Math.max(50, Math.round(row.count * share)),
    concurrency,
    extra: [
      ...row.extra,
      ...(options.quick ? [] : ['--warmup', `${Math.min(row.count, WARM_UP)}`]),
      ...(options.sourceBase === undefined ? [] : ['--source-base', options.sourceBase]),
    ],
  };
  const ours = await repeat(options.runs, () => runSsbench(row.scenario, base));
  const echo = await measureEcho(row, base, options);
  const cryptoMs = row.layers === 0 ? undefined : hopCost(row.layers, row.sizeBytes).totalMs;
  const ref = (reference.rows[row.name] as Record<string, Omit<Figures, 'otherCores'> | undefined>)[
    concurrency
  ];
  const number = (value: number | undefined, digits: number) =>
    value === undefined || Number.isNaN(value) ? '–' : value.toFixed(digits);
  const ratio = (a: number, b: number | undefined) => (b === undefined ? '–' : `${(a / b).toFixed(2)} ×`);
  return `| ${[
    row.name,
    concurrency,
    number(ours.rps, 0),
    number(ref?.rps, 0),
    number(ours.p50, 2),
    number(ref?.p50, 2),
    number(ours.p99, 2),
    number(ref?.p99, 2),
    `**${number(ours.cpuMs, 3)}**`,
    `**${number(ref?.cpuMs, 3)}**`,
    ratio(ours.cpuMs, ref?.cpuMs),
    number(echo.cpuMs, 3),
    ratio(ours.cpuMs, echo.cpuMs),
    number(cryptoMs, 3),
    ratio(ours.cpuMs, cryptoMs),
    number(ours.otherCores, 2),
  ].join(' | ')} |`;
}

/** The same requests against a server that does nothing but answer with a body of the same size. */
async function measureEcho(row: Row, run: BenchArguments, options: BaselineOptions): Promise<Figures> {
  const node = run.nodes[0] as BenchNode;
  await using echo = await startEcho(await sampleAnswer(row, node));
  const echoNodes = run.nodes.map((each, index) => (index === 0 ? echo.node : each));
  // The echo is asked directly: a destination that is looked up must be the echo too.
  const extra = row.layers === 0 ? (run.extra ?? []) : [...(run.extra ?? []), '--dest', '0'];
  // Awaited here, since the echo goes with this block.
  return await repeat(Math.min(3, options.runs), () =>
    runSsbench(row.scenario, { ...run, nodes: echoNodes, pids: [echo.pid], extra, ignoreFailures: true }),
  );
}

/** A body of the size that the node answers with. Onion answers are base64 of it plus 28 bytes. */
async function sampleAnswer(row: Row, node: BenchNode): Promise<Uint8Array> {
  const info = await post(node, '/storage_rpc/v1', JSON.stringify({ method: 'info', params: {} }));
  let text = info.body.toString('latin1');
  const member = `"${node.ed25519}":{"hash":"${'h'.repeat(43)}","signature":"${'s'.repeat(88)}"}`;
  if (row.answer === 'store') {
    const members = Array.from({ length: row.network === 'single' ? 1 : 5 }, () => member).join(',');
    text = `{"hf":[21,2],"t":1700000000000,"swarm":{${members}}}`;
  } else if (row.answer === 'retrieve') {
    const perAccount = row.layers === 0 ? 100 : 10;
    const data = Buffer.alloc(row.sizeBytes).toString('base64');
    const message = `{"data":"${data}","expiration":1700000000000,"hash":"${'h'.repeat(43)}","timestamp":1700000000000}`;
    text = `{"hf":[21,2],"messages":[${Array.from({ length: perAccount }, () => message).join(',')}],"more":false,"t":1700000000000}`;
  }
  if (row.layers === 0) return Buffer.from(text);
  return Buffer.from(Buffer.alloc(text.length + 60).toString('base64'));
}

async function repeat(runs: number, run: () => Promise<BenchResult>): Promise<Figures> {
  const results: BenchResult[] = [];
  for (let i = 0; i < runs; i += 1) results.push(await run());
  return {
    rps: median(results.map((result) => result.rps)),
    p50: median(results.map((result) => result.latency_ms.p50)),
    p99: median(results.map((result) => result.latency_ms.p99)),
    cpuMs: median(results.map((result) => result.server_cpu_ms_per_req)),
    otherCores: median(results.map((result) => result.other_busy_cores ?? 0)),
  };
}
