// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium gateway`: the way into a network for browsers, in this process.
import { readFileSync } from 'node:fs';
import { NETWORKS } from '@allium/client/network/presets';
import { parseTrustAnchor } from '@allium/client/network/trust-anchor';
import { AddressRules } from '@allium/net/address-rules';
import {
  CertificateFileError,
  type ReadCertificate,
  readCertificateFiles,
  watchCertificateFiles,
} from '@allium/net/certificate-files';
import { systemEnv } from '@allium/net/system-env';
import { ParseError } from '@allium/protocol/errors';
import { Gateway, type GatewayOptions } from '@allium/servers/gateway';
import { serveGatewayMetrics } from '@allium/servers/gateway/metrics';
import { WebApp, WebAppError } from '@allium/servers/gateway/web-app';
import { CliError, fileTrouble, usage } from '../cli-error.ts';
import { fileServerOf } from '../file-servers.ts';
import { chosenSeeds, type SeedOptions } from '../home.ts';
import { listenTrouble, terminalLog } from '../server-command.ts';
import { presetFor } from '../session.ts';
import { onStopSignal } from '../stop-signal.ts';
import { counted, harmless, print, printJson, remark } from '../terminal.ts';

export interface GatewayCommandOptions extends SeedOptions {
  readonly host: string;
  readonly port: number;
  readonly network?: 'main' | 'test' | 'local';
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly behindProxy?: boolean;
  readonly web?: string;
  readonly fileServer?: readonly string[];
  readonly entry?: readonly string[];
  readonly anchor?: string;
  readonly allowPrivate?: boolean;
  readonly burst?: number;
  readonly perSecond?: number;
  readonly maxSockets?: number;
  readonly maxSocketsPerAddress?: number;
  readonly metricsPort?: number;
  readonly json?: boolean;
}

export async function runGateway(options: GatewayCommandOptions): Promise<number> {
  const stop = onStopSignal();
  const env = systemEnv(terminalLog());
  const certificate = certificateOf(options);
  const gateway = new Gateway(await settingsOf(options, certificate?.now), env);
  let metrics: { readonly port: number; stop(): Promise<void> } | undefined;
  let endWatching = () => {};
  try {
    const { url, port } = await listen(gateway, options);
    if (certificate !== undefined) {
      const { paths, now } = certificate;
      endWatching = watchCertificateFiles(paths, now, (renewed) => gateway.setCertificate(renewed), env);
    }
    if (options.metricsPort !== undefined) {
      metrics = await metricsAt(gateway, options.metricsPort);
      remark(`Metrics are at http://127.0.0.1:${metrics.port}/metrics.`);
    }
    const { trouble } = gateway;
    if (options.json === true) printJson({ url, port, nodes: gateway.numbers.nodes });
    else {
      print(`The gateway is at ${url} (Ctrl-C ends it)`);
      if (trouble === undefined) remark(`It leads to ${counted(gateway.numbers.nodes, 'service node')}.`);
      if (isGuessedLocal(options)) {
        remark(
          'Its seeds are local, so it passes envelopes to private addresses too (not with --network main).',
        );
      }
      if (options.web !== undefined) remark(`It serves the web app of ${options.web}.`);
    }
    if (trouble !== undefined) remark(`No node list yet: ${harmless(trouble)}. The gateway goes on asking.`);
    await stop.stopped;
    remark('Stopping …');
    return 0;
  } finally {
    endWatching();
    await metrics?.stop();
    await gateway.stop();
  }
}

async function settingsOf(
  options: GatewayCommandOptions,
  tls: ReadCertificate | undefined,
): Promise<GatewayOptions> {
  const { host, port, burst, perSecond, maxSockets, maxSocketsPerAddress } = options;
  const { network, seeds } = networkOf(options);
  const entries = (options.entry ?? []).map(entryOf);
  // The page may talk to them as well.
  const connect = entries.flatMap(({ url }) => [url, url.replace(/^http/, 'ws')]);
  const rules = new AddressRules();
  const isOpen = options.allowPrivate ?? network === 'local';
  return {
    ...{ host, port, network, seeds },
    ...(tls !== undefined && { tls }),
    ...(options.behindProxy === true && { behindProxy: true }),
    allows: isOpen ? () => true : (address) => rules.allows(address),
    fileServers: (options.fileServer ?? []).map(fileServerOf),
    entries,
    ...(options.anchor !== undefined && { anchor: anchorIn(options.anchor) }),
    ...(options.web !== undefined && { web: await webIn(options.web, connect) }),
    ...(burst !== undefined && { burst }),
    ...(perSecond !== undefined && { perSecond }),
    ...(maxSockets !== undefined && { maxSockets }),
    ...(maxSocketsPerAddress !== undefined && { maxSocketsPerAddress }),
  };
}

/** A seed beside the gateway may belong to a public network, whose members must not lead into the operator's own. */
const isGuessedLocal = (options: GatewayCommandOptions): boolean =>
  options.network === undefined &&
  options.allowPrivate === undefined &&
  networkOf(options).network === 'local';

/** The seeds of a named network, else those that are chosen as for other commands. */
function networkOf(options: GatewayCommandOptions): Pick<GatewayOptions, 'network' | 'seeds'> {
  if (options.network !== undefined && options.network !== 'local' && options.seed === undefined) {
    const { seeds } = NETWORKS[options.network];
    return { network: options.network, seeds };
  }
  const seeds = chosenSeeds(options);
  return { network: options.network ?? presetFor(seeds), seeds: seeds.map((url) => ({ url })) };
}

function certificateOf({ tlsCert: certificate, tlsKey: key }: GatewayCommandOptions) {
  if (certificate === undefined && key === undefined) return undefined;
  if (certificate === undefined || key === undefined) {
    throw usage('a certificate and its key go together: --tls-cert FILE --tls-key FILE');
  }
  const paths = { certificate, key };
  try {
    return { paths, now: readCertificateFiles(paths) };
  } catch (error) {
    if (!(error instanceof CertificateFileError)) throw error;
    throw new CliError(`${error.message} (--tls-cert, --tls-key)`, 2, { cause: error });
  }
}

async function metricsAt(gateway: Gateway, port: number) {
  try {
    return await serveGatewayMetrics(() => gateway.numbers, port);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new CliError(`port ${port} is taken; choose another with --metrics-port`);
  }
}

function textOf(path: string, option: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw fileTrouble('cannot read', `${path} (${option})`, error);
  }
}

function anchorIn(path: string): string {
  const text = textOf(path, '--anchor');
  try {
    parseTrustAnchor(new TextEncoder().encode(text));
    return text;
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    throw usage(`${path} (--anchor) is neither a certificate nor a signed list of nodes`);
  }
}

function entryOf(text: string): { url: string; ed25519Hex: string } {
  const [, url, key] = /^(https:\/\/[^/?#\s]+)\/?#([0-9a-fA-F]{64})$/.exec(text) ?? [];
  if (url !== undefined && key !== undefined && URL.canParse(url))
    return { url, ed25519Hex: key.toLowerCase() };
  throw usage(`"${text}" (--entry) is not URL#KEY, such as https://node.example.org:22021#abab…`);
}

async function webIn(folder: string, connect: readonly string[]): Promise<WebApp> {
  try {
    return await WebApp.open({ folder, connect });
  } catch (error) {
    if (!(error instanceof WebAppError)) throw error;
    throw new CliError(`${error.message} (--web)`, 2, { cause: error });
  }
}

async function listen(gateway: Gateway, { host, port }: GatewayCommandOptions) {
  try {
    return await gateway.start();
  } catch (error) {
    throw listenTrouble(error, { host, port });
  }
}
