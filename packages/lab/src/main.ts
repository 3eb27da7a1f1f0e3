// SPDX-License-Identifier: AGPL-3.0-or-later
// `npm run lab -- baseline | memory | latency`: the measurements of docs/benchmarks.md.
import { parseArgs } from 'node:util';

const HELP = `Usage: npm run lab -- <measurement> [options]

  baseline   requests per second, latency and CPU beside the reference figures
             --concurrency 1,16,64   requests in flight (default 16)
             --runs N                runs per figure, median told (default 5)
             --only TEXT             only cases whose name contains TEXT
             --source-base 127.1.0.0 spread the generator's connections over local addresses
  memory     memory, disk and start of a node with many messages
             --messages N            (default 1000000)
  latency    time from "send" to "received" through three hops
             --messages N            (default 200)

  --quick    short runs with rougher figures
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    concurrency: { type: 'string', default: '16' },
    runs: { type: 'string' },
    only: { type: 'string' },
    'source-base': { type: 'string' },
    messages: { type: 'string' },
    quick: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const print = (line: string) => console.log(line);
const quick = values.quick;

switch (values.help ? 'help' : positionals[0]) {
  case 'baseline': {
    const { runBaseline } = await import('./load/baseline.ts');
    await runBaseline(
      {
        concurrency: values.concurrency.split(',').map(Number),
        runs: Number(values.runs ?? (quick ? 1 : 5)),
        quick,
        only: values.only,
        sourceBase: values['source-base'],
      },
      print,
    );
    break;
  }
  case 'memory': {
    const { runMemory } = await import('./load/memory.ts');
    const messages = Number(values.messages ?? (quick ? 20_000 : 1_000_000));
    await runMemory({ messages, runs: Number(values.runs ?? (quick ? 1 : 5)) }, print);
    break;
  }
  case 'latency': {
    const { runLatency } = await import('./load/latency.ts');
    await runLatency({ messages: Number(values.messages ?? (quick ? 20 : 200)) }, print);
    break;
  }
  default:
    process.stdout.write(HELP);
    process.exitCode = values.help ? 0 : 2;
}
