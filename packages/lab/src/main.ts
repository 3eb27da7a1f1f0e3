// SPDX-License-Identifier: AGPL-3.0-or-later
// `npm run lab -- baseline | memory | latency | fill | pending | flood`: the measurements of docs/benchmarks.md. `chaos | crash | chain-life`:
// experiments.
import { parseArgs } from 'node:util';

const HELP = `Usage: npm run lab -- <measurement or experiment> [options]

  baseline   requests per second, latency and CPU beside the reference figures
             --concurrency 1,16,64   requests in flight (default 16)
             --runs N                runs per figure, median told (default 5)
             --only TEXT             only cases whose name contains TEXT
             --source-base 127.1.0.0 spread the generator's connections over local addresses
  memory     memory, disk and start of a node with many messages
             --messages N            (default 1000000)
  latency    time from "send" to "received" through three hops, on loopback and with 40 ms on each link
             --messages N            (default 200)
             --seed S                of the simulation (default 1)
  fill       time and bytes until a node that joins has the messages of its accounts
             --messages N            (default 100000)
             --nodes N               members that have them all (default 1)
  pending    memory of requests that are held until a message arrives
             --count N               (default 10000)
  flood      honest rate and memory of a node under each of several attacks
             --only TEXT             only attacks whose name contains TEXT
             --seconds N             before and during each (default 5)
             --addresses N           that attack at once (default 8)
  bots       many accounts in one process, echo between pairs: memory, messages per second and core, whose share
             --accounts N            (default 1000)
             --seconds N             of traffic (default 30)
             --warm-up N             seconds of the same traffic before, told apart (default 60)
             --in-flight N           pairs that talk at the same time (default 8)
             --nodes N               (default 14)
             --own-devices           keep copies of what is sent for other devices of each account
             --on-disk FOLDER        keep each account in a file there (default: in memory)
             --profile FILE          write a CPU profile of the clients during the traffic
  proxies    accounts whose only way out is a proxy, in a network namespace: SOCKS5, HTTP, a private Tor network; packets are
             counted, and none may go past it. Needs root and the packages tor, iproute2 and nftables
  chaos      a simulated network falls apart and heals: is every stored message delivered?
             --nodes N               (default 200)
             --clients N             (default 1000)
             --devices N             of each account (default 3)
             --messages N            (default 10000)
             --seed S                (default 1)
             --minutes N             virtual time of the chaos (default 20)
             --sabotage WHAT         forget: nodes lose what they acknowledged; drop, double, flip: a device loses
                                     messages, shows them twice, in another order. The check has to find it
  devices    three devices of an account, everything that users do at random, restarts, kills, partitions: do all
             show the same in the end? The last line is "runs N, diverged 0"; else exit code 1
             --runs N                (default 20)
             --seed S                of the first run (default 1)
             --sabotage WHAT         forget, drop: a device loses contacts or messages. The check has to find it
  restore    an account comes back on an empty device: time and CPU of the first sync, of the next start, and idle
             --contacts N            (default 500)
             --messages N            (default 5000)
             --seconds N             idle (default 60)
  crash      processes die by SIGKILL during stores and swarm changes: is every acknowledged message there?
             --rounds N              (default 100)
  chain-life fourteen processes on a development chain: silence, suspension, return, removal, rewards, exit, killed
             submitters, restart, a lost disk; in under three minutes. Exit code 0 only if the chain told each step

  --quick    short runs with rougher figures

chaos and crash end early on Ctrl-C (SIGINT) or SIGTERM: what was sent until then is checked and told, with exit code
130 or 143 if nothing is wrong. A second signal ends them at once.
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    concurrency: { type: 'string', default: '16' },
    runs: { type: 'string' },
    only: { type: 'string' },
    'source-base': { type: 'string' },
    messages: { type: 'string' },
    count: { type: 'string' },
    nodes: { type: 'string' },
    clients: { type: 'string' },
    devices: { type: 'string' },
    contacts: { type: 'string' },
    seed: { type: 'string' },
    seconds: { type: 'string' },
    addresses: { type: 'string' },
    minutes: { type: 'string' },
    accounts: { type: 'string' },
    'in-flight': { type: 'string' },
    'warm-up': { type: 'string' },
    'own-devices': { type: 'boolean', default: false },
    'on-disk': { type: 'string' },
    profile: { type: 'string' },
    rounds: { type: 'string' },
    sabotage: { type: 'string' },
    quick: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const print = (line: string) => console.log(line);
const quick = values.quick;

/** A whole number above 0; anything else ends the program. */
function count(
  name:
    | 'nodes'
    | 'runs'
    | 'contacts'
    | 'clients'
    | 'devices'
    | 'messages'
    | 'seed'
    | 'minutes'
    | 'rounds'
    | 'seconds'
    | 'addresses'
    | 'accounts'
    | 'in-flight'
    | 'warm-up',
  initial: number,
) {
  const text = values[name];
  const value = text === undefined ? initial : Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  process.stderr.write(`lab: --${name} is a whole number above 0, not ${JSON.stringify(text)}\n`);
  process.exit(2);
}

/** Of a long experiment that somebody ends early. */
function earlyEnd(): { readonly signal: AbortSignal; exitCode: number } {
  const abort = new AbortController();
  const end = { signal: abort.signal, exitCode: 0 };
  const handlers = new Map<NodeJS.Signals, number>([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ]);
  const onSignal = (name: NodeJS.Signals) => {
    // The next one ends the process.
    for (const each of handlers.keys()) process.off(each, onSignal);
    end.exitCode = handlers.get(name) ?? 1;
    process.stderr.write(`lab: ${name}: ends early, checks what was sent so far (once more: ends at once)\n`);
    abort.abort();
  };
  for (const each of handlers.keys()) process.on(each, onSignal);
  return end;
}

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
    await runLatency({ messages: count('messages', quick ? 20 : 200), seed: count('seed', 1) }, print);
    break;
  }
  case 'bots': {
    const { describeBots, meetsAims, runBots } = await import('./load/bots.ts');
    const result = await runBots(
      {
        accounts: count('accounts', quick ? 50 : 1_000),
        seconds: count('seconds', quick ? 5 : 30),
        warmUpSeconds: count('warm-up', quick ? 5 : 60),
        inFlight: count('in-flight', 8),
        nodes: count('nodes', 14),
        devices: values['own-devices'],
        onDisk: values['on-disk'],
        profile: values.profile,
      },
      print,
    );
    for (const line of describeBots(result)) print(line);
    process.exitCode = meetsAims(result) ? 0 : 1;
    break;
  }
  case 'proxies': {
    const { runProxies } = await import('./proxies/proxies.ts');
    try {
      const isGood = await runProxies(print);
      print(isGood ? 'proxies ok: nothing went past them' : 'proxies failed');
      process.exitCode = isGood ? 0 : 1;
    } catch (error) {
      print(`proxies: ${error instanceof Error ? error.message : String(error)}`);
      process.exitCode = 1;
    }
    break;
  }
  case 'chaos': {
    const { runChaos, SABOTAGES } = await import('./sim/chaos.ts');
    const { describeChaos, hasFailed } = await import('./sim/chaos-result.ts');
    const sabotage = SABOTAGES.find((known) => known === values.sabotage);
    if (sabotage !== values.sabotage) {
      process.stderr.write(`lab: --sabotage is one of ${SABOTAGES.join(', ')}\n`);
      process.exit(2);
    }
    const options = {
      nodes: count('nodes', quick ? 30 : 200),
      clients: count('clients', quick ? 60 : 1000),
      devices: count('devices', 3),
      messages: count('messages', quick ? 300 : 10_000),
      seed: count('seed', 1),
      chaosMs: count('minutes', quick ? 10 : 20) * 60_000,
      pollEveryMs: 10_000,
      sabotage,
    };
    const early = earlyEnd();
    const result = await runChaos({ ...options, signal: early.signal }, print);
    for (const line of describeChaos(result)) print(line);
    process.exitCode = hasFailed(result) ? 1 : early.exitCode;
    break;
  }
  case 'devices': {
    const { describeDevices, runDevices } = await import('./sim/devices.ts');
    const { DEVICE_SABOTAGES } = await import('./sim/devices-device.ts');
    const sabotage = DEVICE_SABOTAGES.find((known) => known === values.sabotage);
    if (sabotage !== values.sabotage) {
      process.stderr.write(`lab: --sabotage is one of ${DEVICE_SABOTAGES.join(', ')}\n`);
      process.exit(2);
    }
    const early = earlyEnd();
    const result = await runDevices(
      { runs: count('runs', quick ? 3 : 20), seed: count('seed', 1), sabotage, signal: early.signal },
      print,
    );
    for (const line of describeDevices(result)) print(line);
    process.exitCode = result.diverged > 0 ? 1 : early.exitCode;
    break;
  }
  case 'restore': {
    const { runRestore } = await import('./load/restore.ts');
    const options = {
      contacts: count('contacts', quick ? 50 : 500),
      messages: count('messages', quick ? 500 : 5_000),
      idleSeconds: count('seconds', quick ? 5 : 60),
    };
    await runRestore(options, print);
    break;
  }
  case 'crash': {
    const { describeCrash, runCrash } = await import('./crash.ts');
    const rounds = count('rounds', quick ? 10 : 100);
    const early = earlyEnd();
    const result = await runCrash(
      { rounds, storesPerRound: 20, listEveryRounds: 10, signal: early.signal },
      print,
    );
    for (const line of describeCrash(result)) print(line);
    process.exitCode = result.missing > 0 ? 1 : early.exitCode;
    break;
  }
  case 'chain-life': {
    const { runChainLife } = await import('./chain/chain-life.ts');
    try {
      const { steps, seconds, silence } = await runChainLife(print);
      for (const one of silence) {
        print(`from silence to decommission: ${one.seconds.toFixed(1)} s, ${one.epochs} epochs`);
      }
      if (seconds > 180) print('longer than three minutes: this machine is busy');
      print(`chain-life ok, ${steps} steps in ${seconds.toFixed(0)} s`);
    } catch (error) {
      print(`chain-life failed: ${error instanceof Error ? error.message : String(error)}`);
      process.exitCode = 1;
    }
    break;
  }
  case 'flood': {
    const { runFlood } = await import('./load/flood.ts');
    const options = { seconds: count('seconds', quick ? 2 : 5), addresses: count('addresses', 8) };
    const { isGood } = await runFlood({ ...options, only: values.only }, print);
    if (!isGood) process.exitCode = 1;
    break;
  }
  case 'fill': {
    const { describeFill, runFill } = await import('./load/fill.ts');
    const messages = count('messages', quick ? 10_000 : 100_000);
    const result = await runFill({ messages, members: count('nodes', 1) }, print);
    for (const line of describeFill(result)) print(line);
    break;
  }
  case 'pending': {
    const { runPending } = await import('./load/pending.ts');
    await runPending({ count: Number(values.count ?? (quick ? 500 : 10_000)) }, print);
    break;
  }
  default:
    process.stdout.write(HELP);
    process.exitCode = values.help ? 0 : 2;
}
