// SPDX-License-Identifier: AGPL-3.0-or-later
// A private Tor network on loopback, of Debian's package `tor`: directory authorities, relays that let out to loopback, and a
// client with a SOCKS port. It has nothing to do with the public one.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePorts } from '@allium/net/free-ports';

const run = promisify(execFile);

/** Three is the fewest that can agree when one fails. */
const AUTHORITIES = 3;
/** A circuit has three relays; authorities count as relays too. */
const RELAYS = 4;
/** A new consensus every ten seconds: the least that Tor takes in test networks. */
const VOTING_SECONDS = 10;
const VOTE_AND_DIST_SECONDS = 2;
const START_TIMEOUT_MS = 300_000;
const STOP_TIMEOUT_MS = 10_000;
/** What Tor logs. */
const BOOTSTRAPPED = 'Bootstrapped 100%';
const HAS_EXITS = 'The current consensus contains exit nodes';

export interface TorNetworkOptions {
  /** Where the client takes SOCKS requests. */
  readonly socksHost: string;
  readonly onStep?: (step: string) => void;
}

interface Authority {
  readonly name: string;
  readonly orPort: number;
  readonly dirPort: number;
  readonly fingerprint: string;
  readonly v3Identity: string;
}

export class TorNetwork implements AsyncDisposable {
  readonly socksPort: number;
  readonly socksHost: string;
  readonly #folder: string;
  readonly #processes: ChildProcess[] = [];

  private constructor(folder: string, socksHost: string, socksPort: number) {
    this.#folder = folder;
    this.socksHost = socksHost;
    this.socksPort = socksPort;
  }

  /** Resolves when the client has built circuits. @throws Error with the end of its log */
  static async start({ socksHost, onStep }: TorNetworkOptions): Promise<TorNetwork> {
    const folder = mkdtempSync(join(tmpdir(), 'allium-tor-'));
    const ports = await freePorts(2 * AUTHORITIES + RELAYS + 1, '127.0.0.1');
    const port = () => ports.shift() as number;
    const net = new TorNetwork(folder, socksHost, port());
    try {
      onStep?.(`keys of ${AUTHORITIES} directory authorities`);
      const authorities = await Promise.all(
        Array.from({ length: AUTHORITIES }, (_, i) => net.#keysOf(`authority${i}`, port(), port())),
      );
      const common = commonLines(authorities);
      for (const authority of authorities)
        net.#spawn(authority.name, [...common, ...authorityLines(authority)]);
      for (let i = 0; i < RELAYS; i++)
        net.#spawn(`relay${i}`, [...common, ...relayLines(`relay${i}`, port())]);
      onStep?.(`${AUTHORITIES} authorities and ${RELAYS} relays run, and find out about each other`);
      // A client that came earlier would have a consensus without ways out, and for minutes no reason to look again.
      await net.#untilLogged('relay0', HAS_EXITS);
      onStep?.('the client builds circuits');
      net.#spawn('client', [...common, ...clientLines(socksHost, net.socksPort)]);
      await net.#untilLogged('client', BOOTSTRAPPED);
      return net;
    } catch (error) {
      await net.stop();
      throw error;
    }
  }

  get url(): string {
    return `socks5://${this.socksHost}:${this.socksPort}`;
  }

  async stop(): Promise<void> {
    await Promise.all(
      this.#processes.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const ended = new Promise((resolve) => child.once('exit', resolve));
        // A relay that is asked nicely goes on for half a minute.
        child.kill('SIGKILL');
        await Promise.race([ended, sleep(STOP_TIMEOUT_MS)]);
      }),
    );
    rmSync(this.#folder, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #keysOf(name: string, orPort: number, dirPort: number): Promise<Authority> {
    const folder = join(this.#folder, name);
    const keys = join(folder, 'keys');
    mkdirSync(keys, { recursive: true, mode: 0o700 });
    const files = ['authority_identity_key', 'authority_signing_key', 'authority_certificate'];
    const [identity, signing, certificate] = files.map((file) => join(keys, file));
    const made = run('tor-gencert', [
      ...['--create-identity-key', '--passphrase-fd', '0', '-m', '12', '-a', `127.0.0.1:${dirPort}`],
      ...['-i', identity!, '-s', signing!, '-c', certificate!],
    ]);
    made.child.stdin?.end('private\n');
    await made;
    const v3Identity = /^fingerprint ([0-9A-F]{40})$/m.exec(readFileSync(certificate!, 'utf8'))?.[1];
    const nobody = `x 127.0.0.1:1 ${'f'.repeat(40)}`;
    const { stdout } = await run('tor', [
      ...['--ignore-missing-torrc', '-f', join(folder, 'none'), '--quiet', '--list-fingerprint'],
      ...['--ORPort', `${orPort}`, '--DirAuthority', nobody, '--DataDirectory', folder],
    ]);
    const fingerprint = stdout.trim().split('\n').at(-1)?.split(' ').slice(1).join('');
    if (v3Identity === undefined || !/^[0-9A-F]{40}$/.test(fingerprint ?? '')) {
      throw new Error('tor made no keys for an authority');
    }
    return { name, orPort, dirPort, fingerprint: fingerprint!, v3Identity };
  }

  #spawn(name: string, lines: readonly string[]): ChildProcess {
    const folder = join(this.#folder, name);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const torrc = join(folder, 'torrc');
    writeFileSync(
      torrc,
      `${[...lines, `DataDirectory ${folder}`, `Log notice file ${join(folder, 'log')}`].join('\n')}\n`,
    );
    const child = spawn('tor', ['-f', torrc, '--quiet'], { stdio: 'ignore' });
    child.on('error', () => {});
    this.#processes.push(child);
    return child;
  }

  async #untilLogged(name: string, sentence: string): Promise<void> {
    const end = performance.now() + START_TIMEOUT_MS;
    const log = join(this.#folder, name, 'log');
    const read = () => {
      try {
        return readFileSync(log, 'utf8');
      } catch {
        return '';
      }
    };
    while (!read().includes(sentence)) {
      if (performance.now() > end) {
        throw new Error(
          `the private Tor network did not come up:\n${read().split('\n').slice(-8).join('\n')}`,
        );
      }
      await sleep(200);
    }
  }
}

function commonLines(authorities: readonly Authority[]): string[] {
  return [
    'TestingTorNetwork 1',
    'RunAsDaemon 0',
    'AssumeReachable 1',
    'PathsNeededToBuildCircuits 0.25',
    'Sandbox 0',
    `TestingV3AuthInitialVotingInterval ${VOTING_SECONDS}`,
    `TestingV3AuthInitialVoteDelay ${VOTE_AND_DIST_SECONDS}`,
    `TestingV3AuthInitialDistDelay ${VOTE_AND_DIST_SECONDS}`,
    ...authorities.map(
      ({ name, orPort, dirPort, fingerprint, v3Identity }) =>
        `DirAuthority ${name} orport=${orPort} v3ident=${v3Identity} 127.0.0.1:${dirPort} ${fingerprint}`,
    ),
  ];
}

function authorityLines({ name, orPort, dirPort }: Authority): string[] {
  return [
    `Nickname ${name}`,
    'Address 127.0.0.1',
    `ORPort 127.0.0.1:${orPort}`,
    `DirPort 127.0.0.1:${dirPort}`,
    'SocksPort 0',
    'AuthoritativeDirectory 1',
    'V3AuthoritativeDirectory 1',
    'ContactInfo nobody@example.org',
    'ExitPolicy reject *:*',
    `V3AuthVotingInterval ${VOTING_SECONDS}`,
    `V3AuthVoteDelay ${VOTE_AND_DIST_SECONDS}`,
    `V3AuthDistDelay ${VOTE_AND_DIST_SECONDS}`,
    'TestingMinExitFlagThreshold 0',
    'TestingDirAuthVoteExit *',
    'TestingDirAuthVoteGuard *',
    'TestingDirAuthVoteHSDir *',
  ];
}

function relayLines(name: string, orPort: number): string[] {
  return [
    `Nickname ${name}`,
    'Address 127.0.0.1',
    `ORPort 127.0.0.1:${orPort}`,
    'SocksPort 0',
    'ContactInfo nobody@example.org',
    'ExitRelay 1',
    'ExitPolicyRejectPrivate 0',
    // Clients know a summary of it only, in which a policy for loopback alone would be none.
    'ExitPolicy accept *:*',
  ];
}

function clientLines(host: string, port: number): string[] {
  return [`SocksPort ${host}:${port}`, 'ClientRejectInternalAddresses 0', 'ClientUseIPv6 0'];
}
