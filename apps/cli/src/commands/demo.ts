// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium demo`, also `npm start`: a network on this machine, the chain that says who is in it, a message through it; then it
// stays up to be played with.
import { existsSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fetchAnchor } from '@allium/client/network/list-check';
import { parseTrustAnchor } from '@allium/client/network/trust-anchor';
import { Devnet } from '@allium/lab';
import type { DevChain } from '@allium/lab/dev-chain';
import { resetLayout } from '@allium/lab/layout';
import { type WalkNode, type WalkStep, walk } from '@allium/lab/walk';
import { Account } from '@allium/protocol/account';
import { fromUtf8, utf8 } from '@allium/protocol/bytes';
import { AlliumError } from '@allium/protocol/errors';
import { type AccountEntry, listEntries, saveAccount, unlock } from '../accounts.ts';
import { saveSeeds } from '../home.ts';
import { invitationTo, shortTrust } from '../invitation.ts';
import { takeReceiving } from '../session.ts';
import { onStopSignal } from '../stop-signal.ts';
import { counted, print, progress, styled } from '../terminal.ts';
import { type DemoWeb, startWeb, tellWeb } from './demo-web.ts';
import { asCliError } from './devnet.ts';

export interface DemoOptions {
  readonly once?: boolean;
  /** False: no page for browsers. */
  readonly web?: boolean;
  readonly webPort?: number;
  readonly nodes: number;
  readonly folder?: string;
  readonly static?: boolean;
  readonly reset?: boolean;
}

const CHAIN_FOLDER = '.allium/chain-devnet';
const WEB_PORT = 8180;
const STATIC_FOLDER = '.allium/devnet';
const ANCHOR_TIMEOUT_MS = 2_000;

export async function runDemo(options: DemoOptions): Promise<number> {
  const { signal, stopped } = onStopSignal();
  print(styled('bold', 'Allium: a message crosses the network'));
  print('');
  const onChain = options.static !== true && (await hasChain());
  const folder = resolve(options.folder ?? (onChain ? CHAIN_FOLDER : STATIC_FOLDER));
  const again = existsSync(join(folder, 'devnet.json'));
  if (options.reset === true) resetLayout(folder);
  const began = performance.now();
  const bar = progress(`Starting ${counted(options.nodes, 'service node')}`);
  let net: Devnet;
  let chainMs = 0;
  try {
    net = await Devnet.start({
      nodes: options.nodes,
      folder,
      chain: onChain,
      onProgress: bar.update,
      onChainStep: bar.note,
      // Onions end at the file server of this very machine.
      node: { relayExemptRanges: ['127.0.0.0/8'] },
      onChain: () => {
        chainMs = performance.now() - began;
      },
    });
  } catch (error) {
    throw asCliError(error);
  } finally {
    bar.done();
  }
  let web: DemoWeb | undefined;
  try {
    const upMs = performance.now() - began;
    if (net.chain !== undefined) {
      const { tellChain } = await import('./demo-chain.ts');
      await tellChain(net.chain, chainMs);
    }
    step('Network', upMs - chainMs);
    describeNetwork(net, again && options.reset !== true);
    const home = join(folder, 'home');
    const alice = await person(home, 'alice', 'carol');
    const bob = await person(home, 'bob', 'dave');
    try {
      await walk({
        seed: net.seed,
        nodes: net.nodes,
        alice: { account: await unlock(alice, {}), folder: join(alice.folder, 'messages') },
        bob: { account: await unlock(bob, {}), folder: join(bob.folder, 'messages') },
        signal,
        report: tell,
      });
    } finally {
      alice.release();
      bob.release();
    }
    print(styled('green', 'Every step worked.'));
    if (options.once === true) return 0;
    const anchor = await anchorOf(net);
    if (options.web !== false) web = await startWeb(net, options.webPort ?? WEB_PORT, anchor);
    const fileServers = web === undefined ? [] : [web.fileServer];
    saveSeeds(
      home,
      [net.seed],
      fileServers.map(({ url, ed25519Hex }) => `${url}#${ed25519Hex}`),
    );
    const trust = anchor && shortTrust(parseTrustAnchor(utf8(anchor)));
    const invitation = invitationTo({ seeds: [net.seed], ...(trust && { trust }), fileServers });
    suggest(net.seed, home, { alice, bob }, invitation);
    if (net.chain !== undefined) suggestChain(net.chain);
    if (web !== undefined) tellWeb(web, styled);
    print('');
    print(`Ctrl-C stops everything; ${shown(folder)} keeps the state for the next start.`);
    await stopped;
    print('Stopping …');
    return 0;
  } catch (error) {
    if (signal.aborted) return options.once === true ? 1 : 0;
    if (!(error instanceof AlliumError)) throw error;
    print(styled('red', `This step failed: ${error.message} (${error.code})`));
    return 1;
  } finally {
    await web?.stop();
    await net.stop();
  }
}

function describeNetwork(net: Devnet, again: boolean): void {
  const swarms = Map.groupBy(net.nodes, (node) => node.swarm);
  print(
    `  ${counted(net.nodes.length, 'service node')} on this machine, each with its keys, its TLS and OMQ ports and its database.`,
  );
  for (const [id, nodes] of swarms) {
    print(
      `  swarm ${styled('cyan', id.padStart(16, '0'))}: ${nodes.length === 1 ? 'node' : 'nodes'} ${nodes.map((node) => node.name).join(' ')}`,
    );
  }
  print(`  ${again ? 'State found in' : 'State is kept in'} ${shown(net.folder)} (--reset forgets it).`);
  print('');
}

interface Person extends AccountEntry {
  /** From now on another process may receive for the account. */
  readonly release: () => void;
}

/**
 * An account of the demo, or `standIn` while somebody at another terminal listens for it: two that receive for one account
 * would share its messages between them.
 */
async function person(home: string, name: string, standIn: string): Promise<Person> {
  const began = performance.now();
  const known = (await listEntries(home)).find((entry) => entry.name === name);
  const entry = known ?? (await saveAccount(Account.create(), name, { home, passphrase: false }));
  const release = takeReceiving(entry);
  if (typeof release === 'number') {
    print(`  Process ${release} listens for ${name}, who is left to it: ${standIn} takes the part.`);
    return person(home, standIn, `${standIn}-2`);
  }
  step(`Account ${name}`, performance.now() - began);
  print(`  ${entry.id}${known === undefined ? '' : ' (from last time)'}`);
  print('');
  return { ...entry, release };
}

function tell(done: WalkStep): void {
  const names = (nodes: readonly WalkNode[]) => nodes.map((node) => node.name).join(' ');
  switch (done.kind) {
    case 'path': {
      step('Path built and probed', done.ms);
      print(
        `  alice → ${done.hops.map((node) => `node ${styled('cyan', node.name)}`).join(' → ')} → any swarm`,
      );
      for (const [i, role] of [
        'guard: knows alice, not what she asks',
        'middle: knows neither',
        'exit: knows the swarm asked, not alice',
      ].entries()) {
        const node = done.hops[i];
        if (node !== undefined)
          print(`    ${node.name}  ${node.host}:${node.port}  ${node.ed25519.slice(0, 8)}  ${role}`);
      }
      break;
    }
    case 'stored':
      step(done.offline ? 'Message stored while bob is away' : 'Message stored', done.ms);
      print(`  “${done.text}”`);
      print(
        `  ${done.signers.length} of ${counted(done.of, 'member')} of the recipient's swarm ${styled('cyan', done.swarm.padStart(16, '0'))} signed: ${done.signers.length === 1 ? 'node' : 'nodes'} ${names(done.signers)}`,
      );
      break;
    case 'received':
      step(
        done.offline ? 'Bob is back and received it' : 'Message received, decrypted, sender proven',
        done.ms,
      );
      print(`  “${done.text}”`);
      break;
  }
  print('');
}

function step(title: string, ms: number): void {
  print(`${styled('bold', title)}  ${styled('dim', `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`)}`);
}

function suggest(
  seed: string,
  home: string,
  { alice, bob }: { alice: AccountEntry; bob: AccountEntry },
  invitation: string,
): void {
  const at = shown(home);
  print('');
  print(
    `The network stays up. Its seed is ${styled('bold', seed)}; ${alice.name} and ${bob.name} are accounts in ${at}.`,
  );
  print('From a second terminal in this directory:');
  print('');
  print(`  npx allium listen --home ${at} --seed ${seed} --account ${bob.name}`);
  print('');
  print('and from a third:');
  print('');
  print(`  npx allium send --home ${at} --seed ${seed} --account ${alice.name} ${bob.id} "hello"`);
  print(`  npx allium path --home ${at} --seed ${seed} --account ${alice.name}`);
  print(`  npx allium health --seed ${seed}`);
  print('');
  print('An account of your own: npx allium account new, and once for all commands that follow:');
  print('');
  print(`  npx allium network join '${invitation}'`);
}

function suggestChain({ url, deploymentFile, operators }: DevChain): void {
  const [operator] = operators;
  const chain = `--chain-rpc ${url} --chain-deployment ${shown(deploymentFile)}`;
  print('');
  print("What an operator has locked and earned; anvil signs for the devnet's operators:");
  print('');
  print(`  npx allium stake status ${chain} --rpc-signer ${operator}`);
}

/** What the node list is checked against: the signed list, or the certificate of the chain's members if there is one yet. */
async function anchorOf(net: Devnet): Promise<string | undefined> {
  if (net.chain === undefined) return readFileSync(net.networkFile, 'utf8');
  try {
    const signal = AbortSignal.timeout(ANCHOR_TIMEOUT_MS);
    return fromUtf8(await fetchAnchor({ seeds: [{ url: net.seed }], transport: net.transport, signal }));
  } catch {
    return undefined;
  }
}

/** Says in words when this machine cannot run one. */
async function hasChain(): Promise<boolean> {
  const { isAnvilInstalled } = await import('@allium/chain/anvil');
  if (isAnvilInstalled()) return true;
  print(
    `npm has no development chain (anvil) for ${process.platform}-${process.arch}, or it was not installed: a signed list says who is in`,
  );
  print('the network, as with --static.');
  print('');
  return false;
}

/** A path as a person would type it here. */
function shown(path: string): string {
  const here = relative(process.cwd(), path);
  return here === '' ? '.' : here.startsWith('..') ? path : here;
}
