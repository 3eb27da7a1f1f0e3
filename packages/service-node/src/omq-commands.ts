// SPDX-License-Identifier: AGPL-3.0-or-later
// What the node answers over OMQ (spec/storage-server §5.3–§5.8): RPC of clients, subscriptions, everything between
// nodes, the operator's statistics.
import { clientKey } from '@allium/net/address';
import type {
  OmqCommandOptions,
  OmqContext,
  OmqEndpoint,
  OmqExchange,
  OmqPart,
} from '@allium/net/omq/endpoint';
import type { RateLimiter } from '@allium/net/rate-limiter';
import { fromUtf8 } from '@allium/protocol/bytes';
import type { Env } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import { parseJson } from '@allium/protocol/json';
import type { Member } from '@allium/protocol/membership';
import { decodeForward, decodeMethodBody } from '@allium/protocol/storage/request-reader';
import { METHOD_NAMES, type RecursiveRequest, RequestError } from '@allium/protocol/storage/requests';
import { extraRequests } from './http-routes.ts';
import type { NetworkCommand, NodeNetwork } from './membership/node-network.ts';
import type { Metrics } from './metrics.ts';
import type { Subscriptions } from './monitor/subscriptions.ts';
import type { OnionAnswer, OnionRelay } from './onion/relay.ts';
import type { Executor } from './rpc/executor.ts';
import { type Outcome, omqBody } from './rpc/outcome.ts';
import type { Departed } from './swarm/departed.ts';
import type { Intake } from './swarm/intake.ts';
import type { ReconcileAnswers } from './swarm/reconcile-answers.ts';
import type { RetryQueue } from './swarm/retry-queue.ts';
import type { Swarm } from './swarm/swarm.ts';
import type { SwarmSync } from './swarm/swarm-sync.ts';
import type { IncomingPings } from './testing/incoming-pings.ts';
import { timeAnswer } from './testing/questions.ts';

// From the specification (§5.3).
const STORAGE_PLACES = 500;

// Ours.
/** One client may not keep the others out, for instance with requests that wait for a silent member. */
const STORAGE_PLACES_PER_CLIENT = STORAGE_PLACES / 4;

type Reply = readonly OmqPart[];

export interface OmqCommandsParts {
  readonly omq: OmqEndpoint;
  readonly executor: Executor;
  readonly onions: OnionRelay;
  readonly swarm: Swarm;
  readonly retries: RetryQueue;
  readonly sync: SwarmSync;
  readonly intake: Intake;
  readonly departed: Departed;
  /** Undefined: comparing is off. */
  readonly reconcileAnswers: ReconcileAnswers | undefined;
  readonly network: Pick<NodeNetwork, 'openCommands' | 'heard'>;
  /** What the kind of network and its governance add, without `sn.`. */
  readonly networkCommands: Readonly<Record<string, NetworkCommand>>;
  readonly subscriptions: Subscriptions;
  readonly rpcLimit: RateLimiter;
  readonly metrics: Metrics;
  readonly notReady: () => readonly string[];
  readonly incoming: IncomingPings;
  readonly statistics: () => string;
  /** JSON. */
  readonly peers: () => string;
}

/** Registers all categories and commands. */
export function registerCommands(parts: OmqCommandsParts, env: Env): void {
  const { omq, onions, sync, intake, departed, retries, swarm, network } = parts;

  // From the specification (§5.3): queues of 1000 and 200.
  omq.category('sn', { access: 'service_node', maxConcurrent: 2000, maxQueued: 1000 });
  omq.category('storage', { access: 'none', maxConcurrent: STORAGE_PLACES, maxQueued: 200 });
  omq.category('rpc', { access: 'none', maxConcurrent: 100, maxQueued: 200 });
  // Ours: one list of subscriptions at a time, each entry costs a signature.
  omq.category('monitor', { access: 'none', maxConcurrent: 1, maxQueued: 200 });
  omq.category('service', { access: 'admin' });

  /** A node that left the list may hand over what only it has. */
  const admits = (keyHex: string) => departed.has(keyHex);

  /** Commands between nodes; a peer that speaks is there, so what waits for it goes out. */
  const between = (
    command: string,
    answer: (
      member: Member | undefined,
      data: Uint8Array[],
      context: OmqContext,
      exchange: OmqExchange,
    ) => Reply | undefined | Promise<Reply | undefined>,
    options?: OmqCommandOptions,
  ) =>
    omq.register(
      `sn.${command}`,
      (context, data, exchange) => {
        const found = swarm.membership.byX25519.get(context.peerKeyHex);
        const member = found?.active === true ? found : undefined;
        if (member !== undefined) {
          retries.wake(member.ed25519Hex);
          network.heard?.(member.ed25519Hex);
        }
        return answer(member, data, context, exchange);
      },
      options,
    );

  between('ping', () => {
    parts.incoming.arrived('omq');
    return ['pong'];
  });
  between('data', (member, data, { peerKeyHex }) => intake.take(peerKeyHex, data[0], member !== undefined), {
    admits,
  });
  between('data_ready', (member, data) => [sync.greeted(member, data[0])]);
  // Off here means off for others too: they take us for a node that does not know the command.
  const { reconcileAnswers } = parts;
  if (reconcileAnswers !== undefined) {
    const ask = (member: Member | undefined, data: Uint8Array[], { peerKeyHex }: OmqContext) => {
      const hasReason = member === undefined || member.swarmId === swarm.id || departed.swarmsChanged;
      return hasReason
        ? reconcileAnswers.answer({ keyHex: peerKeyHex, swarmId: member?.swarmId }, data[0])
        : [];
    };
    between('reconcile', ask, { admits });
  }
  // spec/chain §4.18.
  between('chain_time', () => [timeAnswer(env.clock)]);
  for (const [command, answer] of Object.entries(parts.networkCommands)) {
    // These take members that are in no swarm as well.
    const ask = (_: Member | undefined, data: Uint8Array[], context: OmqContext) =>
      answer(swarm.membership.byX25519.get(context.peerKeyHex), data, context);
    between(command, ask, { admits: () => network.openCommands?.has(command) === true });
  }
  between('onion_request', (_, [part], __, exchange) => {
    const answer = onions.hop(part, exchange);
    return answer instanceof Promise ? answer.then(asReply) : asReply(answer);
  });
  between('storage_cc', (_, data) =>
    forwarded(parts, data, (request) => parts.executor.executeForwarded(request)),
  );
  between('missed', (_, data) => forwarded(parts, data, (request) => parts.executor.executeMissed(request)));

  const places = new Places(STORAGE_PLACES_PER_CLIENT);
  for (const method of METHOD_NAMES) {
    omq.register(`storage.${method}`, async (context, data, exchange) => {
      const leave = places.enter(clientKey(context.remoteAddress));
      if (leave === undefined) {
        parts.metrics.refused('storage_places_per_address');
        return OVER_LIMIT;
      }
      const carrier: OmqExchange = {
        hold: (onGone) => {
          leave();
          exchange.hold(onGone);
        },
      };
      try {
        return await clientCall(parts, env, { method, context, exchange: carrier }, data);
      } finally {
        leave();
      }
    });
  }
  omq.register('monitor.messages', (context, [part]) => parts.subscriptions.answer(context, part));
  omq.register('rpc.get_service_nodes', (context, data) => nodeList(parts, context, data));
  omq.register('service.get_stats', () => [parts.statistics()]);
  omq.register('service.get_peers', () => [parts.peers()]);
}

/** How many requests of each client are at work. */
class Places {
  readonly #max: number;
  readonly #taken = new Map<string, number>();

  constructor(max: number) {
    this.#max = max;
  }

  /** Undefined when the client has all of its places, else what gives this one back, however often it is called. */
  enter(client: string): (() => void) | undefined {
    const taken = this.#taken.get(client) ?? 0;
    if (taken >= this.#max) return undefined;
    this.#taken.set(client, taken + 1);
    let isIn = true;
    return () => {
      if (!isIn) return;
      isIn = false;
      const left = (this.#taken.get(client) ?? 1) - 1;
      if (left === 0) this.#taken.delete(client);
      else this.#taken.set(client, left);
    };
  }
}

const asReply = ({ status, body }: OnionAnswer): Reply => [String(status), body];

const OVER_LIMIT: Reply = ['429', 'Too many requests, try again later'];

async function clientCall(
  parts: OmqCommandsParts,
  env: Env,
  call: { method: string; context: OmqContext; exchange: OmqExchange },
  data: Uint8Array[],
): Promise<Reply> {
  const { method, exchange } = call;
  const reasons = parts.notReady();
  if (reasons.length > 0) return ['503', `Service node is not ready: ${reasons.join('; ')}\n`];
  const size = data.reduce((sum, part) => sum + part.length, 0);
  if (!parts.rpcLimit.take(call.context.remoteAddress, 1 + extraRequests(size))) {
    parts.metrics.refused('rpc_rate');
    return OVER_LIMIT;
  }
  if (data.length > 1) return ['400', `Invalid request: expected 1 message parts, received ${data.length}`];
  try {
    const { request, isBt } = decodeMethodBody(method, data[0] ?? new Uint8Array(0));
    const outcome = await parts.executor.execute(request, exchange);
    const body = omqBody(outcome, isBt);
    return outcome.status === 200 ? [body] : [String(outcome.status), body];
  } catch (error) {
    if (error instanceof RequestError) return [String(error.status), error.text];
    env.log.error({ method, error: String(error) }, 'a request failed');
    return ['500', 'request failed'];
  }
}

/** §5.6: one part on success, two on failure, none at all for what is not a forwarded request. */
async function forwarded(
  parts: OmqCommandsParts,
  data: Uint8Array[],
  execute: (request: RecursiveRequest) => Promise<Outcome>,
): Promise<Reply | undefined> {
  const [name, dict] = data;
  if (name === undefined || dict === undefined) return undefined;
  const method = Buffer.from(name).toString('latin1');
  const reasons = parts.notReady();
  if (reasons.length > 0) return ['503', `Service node is not ready: ${reasons.join('; ')}\n`];
  let request: RecursiveRequest | undefined;
  try {
    request = decodeForward(method, dict);
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    return [String(error.status), error.text];
  }
  if (request === undefined) return undefined;
  const outcome = await execute(request);
  const body = omqBody(outcome, true);
  return outcome.status === 200 ? [body] : [String(outcome.status), body];
}

function nodeList(parts: OmqCommandsParts, { remoteAddress }: OmqContext, data: Uint8Array[]): Reply {
  if (!parts.rpcLimit.take(remoteAddress)) {
    parts.metrics.refused('rpc_rate');
    return OVER_LIMIT;
  }
  try {
    const body = data[0];
    const params = body === undefined || body.length === 0 ? undefined : parseJson(fromUtf8(body));
    return ['200', parts.executor.serviceNodes(params)];
  } catch (error) {
    if (error instanceof ParseError) return ['400', error.message];
    throw error;
  }
}
