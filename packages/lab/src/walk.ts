// SPDX-License-Identifier: AGPL-3.0-or-later
// The story of one message, step by step, with its checks: what `npm start` tells and the tests run.
import type { Client } from '@allium/client';
import { openClient } from '@allium/client/node';
import type { Account } from '@allium/protocol/account';
import { AlliumError } from '@allium/protocol/errors';

/** A step of the walk did not do what it must. */
export class WalkError extends AlliumError<'wrong_path' | 'wrong_swarm' | 'wrong_message' | 'not_received'> {
  override readonly name = 'WalkError';
}

export interface WalkNode {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly ed25519: string;
  readonly swarm: string;
}

export interface WalkParty {
  readonly account: Account;
  /** Where the client keeps its messages; absent: in memory. */
  readonly folder?: string;
}

export interface WalkOptions {
  readonly seed: string;
  readonly nodes: readonly WalkNode[];
  readonly alice: WalkParty;
  readonly bob: WalkParty;
  readonly signal?: AbortSignal;
  readonly report: (step: WalkStep) => void;
}

export type WalkStep = { readonly ms: number } & (
  | { readonly kind: 'path'; readonly hops: readonly WalkNode[] }
  | {
      readonly kind: 'stored';
      readonly text: string;
      readonly offline: boolean;
      readonly swarm: string;
      readonly signers: readonly WalkNode[];
      readonly of: number;
    }
  | { readonly kind: 'received'; readonly text: string; readonly offline: boolean }
);

/** Ours: on a local network everything takes milliseconds; a step that takes this long has failed. */
const STEP_TIMEOUT_MS = 30_000;

/**
 * Alice sends to Bob, who answers; then Bob is away, Alice writes again, and Bob finds it when he comes back.
 * @throws WalkError, ClientError at the first step that fails
 */
export async function walk(options: WalkOptions): Promise<void> {
  const { alice, bob, report } = options;
  const signal = () => {
    const timeout = AbortSignal.timeout(STEP_TIMEOUT_MS);
    return options.signal === undefined ? timeout : AbortSignal.any([timeout, options.signal]);
  };
  await using sender = await open(options, alice);
  {
    const began = performance.now();
    await sender.ready({ signal: signal() });
    report({ kind: 'path', ms: performance.now() - began, hops: checkedPath(sender, options.nodes) });
  }
  {
    await using receiver = await open(options, bob);
    await deliver(options, sender, receiver, 'Hello Bob!', signal());
    await deliver(options, receiver, sender, 'Hello Alice, I hear you.', signal());
  }
  const text = 'You were away, so your swarm kept this for you.';
  await store(options, sender, bob, text, true, signal());
  const began = performance.now();
  await using returned = await open(options, bob);
  await expectMessage(returned, alice.account.id, text, signal());
  report({ kind: 'received', ms: performance.now() - began, text, offline: true });
  await sender.flush();
}

function open({ seed }: WalkOptions, party: WalkParty): Promise<Client> {
  return openClient({
    account: party.account,
    network: 'local',
    seeds: [seed],
    ...(party.folder === undefined ? {} : { folder: party.folder }),
  });
}

async function deliver(
  options: WalkOptions,
  from: Client,
  to: Client,
  text: string,
  signal: AbortSignal,
): Promise<void> {
  const began = performance.now();
  const arrival = expectMessage(to, from.id, text, signal);
  // Fails together with the step; this only keeps the runtime from calling it unhandled meanwhile.
  arrival.catch(() => {});
  await store(options, from, { account: to }, text, false, signal);
  await arrival;
  options.report({ kind: 'received', ms: performance.now() - began, text, offline: false });
}

async function store(
  { nodes, report }: WalkOptions,
  from: Client,
  to: { readonly account: { readonly id: string } },
  text: string,
  offline: boolean,
  signal: AbortSignal,
): Promise<void> {
  const began = performance.now();
  const sent = await from.conversation(to.account.id).send(text, { signal });
  const ms = performance.now() - began;
  const signers = sent.signers.map((key) => find(nodes, key));
  const swarms = new Set(signers.map((node) => node.swarm));
  const [swarm] = swarms;
  if (swarm === undefined || swarms.size !== 1)
    throw new WalkError('wrong_swarm', 'the signers are not one swarm');
  report({ kind: 'stored', ms, text, offline, swarm, signers, of: sent.of });
}

async function expectMessage(client: Client, from: string, text: string, signal: AbortSignal): Promise<void> {
  for await (const message of client.messages({ signal })) {
    // Whatever an earlier run, or somebody at another terminal, has sent is not part of the walk.
    if (message.sender !== from || message.text !== text) continue;
    return;
  }
  throw new WalkError('not_received', `the message ${JSON.stringify(text)} did not arrive in time`);
}

function checkedPath(client: Client, nodes: readonly WalkNode[]): WalkNode[] {
  const hops = (client.path() ?? []).map((hop) => find(nodes, hop.ed25519Hex));
  if (hops.length !== 3 || new Set(hops).size !== 3) {
    throw new WalkError('wrong_path', 'a path has three different nodes');
  }
  return hops;
}

function find(nodes: readonly WalkNode[], ed25519: string): WalkNode {
  const node = nodes.find((each) => each.ed25519 === ed25519);
  if (node === undefined)
    throw new WalkError('wrong_path', `node ${ed25519.slice(0, 8)} is not of this network`);
  return node;
}
