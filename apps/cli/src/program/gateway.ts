// SPDX-License-Identifier: AGPL-3.0-or-later
// The table of `allium gateway`.
import { type Command, Option } from 'commander';
import { collect, type Done, seed, wholeNumber } from './options.ts';

export function addGateway(program: Command, done: Done): void {
  program
    .command('gateway')
    .description('let browsers into a network: pass their onions on, and serve the web app, until Ctrl-C')
    .addOption(seed())
    .addOption(
      new Option(
        '--network <name>',
        'which network (default: local when all seeds are on this machine or a private network, else main)',
      ).choices(['main', 'test', 'local']),
    )
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <port>', 'port to listen on; 0: any free one', wholeNumber(0, 65_535), 8180)
    .option('--tls-cert <file>', 'certificate chain in PEM (default: plain HTTP, for a proxy before it)')
    .option('--tls-key <file>', 'its key in PEM')
    .option('--behind-proxy', "take clients' addresses from X-Forwarded-For: only behind a proxy of your own")
    .option('--web <folder>', 'serve this built web app')
    .option('--file-server <url#key>', 'a file server that browsers may use (repeat)', collect)
    .option(
      '--entry <url#key>',
      'a node with --browser-certificate that pages may use directly (repeat)',
      collect,
    )
    .option('--anchor <file>', 'what browsers check the node list against ("allium network anchor")')
    .option(
      '--allow-private',
      'pass on to nodes with private addresses too (default: only for a local network)',
    )
    .option('--burst <n>', 'envelopes of one address at once (default: 600)', wholeNumber(1, 1e9))
    .option('--per-second <n>', '… and per second from then on (default: 100)', wholeNumber(1, 1e9))
    .option('--max-sockets <n>', 'WebSockets at once (default: 10000)', wholeNumber(1, 1e6))
    .option('--max-sockets-per-address <n>', '… of one address (default: 100)', wholeNumber(1, 1e6))
    .option(
      '--metrics-port <port>',
      'loopback port of /metrics for Prometheus (default: none)',
      wholeNumber(0, 65_535),
    )
    .option('--json', 'print the ready line as JSON')
    .addHelpText(
      'after',
      `
Examples:
  allium gateway --seed https://127.0.0.1:22021 --web apps/web/dist
  allium gateway --network main --host 0.0.0.0 --port 443 --tls-cert chain.pem --tls-key key.pem --web /usr/share/allium/web

A gateway sees who sends and how much, never what or to whom; see docs/guides/gateway.md.`,
    )
    .action(async (_options, command: Command) => {
      const { runGateway } = await import('../commands/gateway.ts');
      done(await runGateway(command.optsWithGlobals()));
    });
}
