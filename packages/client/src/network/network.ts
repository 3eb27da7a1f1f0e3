// SPDX-License-Identifier: MIT
// Requests into the network (spec/client §2, §7): which member of a swarm is asked, and what to do after each answer. One
// request (`requests.ts`), the pool, its list, paths, swarms and network time have files of their own. Nothing here knows an
// account's keys or a message.
import type { AccountId } from '@allium/protocol/account-id';
import { delay, type Env, type Transport } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import { type Json, parseJson } from '@allium/protocol/json';
import { parseAccountPubkey, type SimpleRequest } from '@allium/protocol/storage/requests';
import { parseBatchResult, parseSwarm, type Subresult } from '@allium/protocol/storage/responses';
import { ClientError, noWayOut } from '../errors.ts';
import { Tasks } from '../events.ts';
import type { PoolNode, Storage } from '../storage/storage.ts';
import { poolNodes } from './bootstrap.ts';
import { NetworkClock } from './clock.ts';
import { Names } from './names.ts';
import { NodeList, type NodeListOptions } from './node-list.ts';
import { Onions } from './onions.ts';
import { type Path, Paths } from './paths.ts';
import { NodePool, shuffle } from './pool.ts';
import { Requests, routeOf } from './requests.ts';
import { Semaphore } from './semaphore.ts';
import { Servers } from './servers.ts';
import { judge, type Route, type Verdict } from './status.ts';
import type { SwarmRequest } from './swarm-request.ts';
import { Swarms } from './swarms.ts';
import { Trust, type TrustOptions, type TrustState } from './trust.ts';

// From the specification.
const SWARM_TARGETS = 3; // §2.3
const SWARM_TRIES = 3;
const SWARM_PAUSES_MS = [100, 2_000] as const;
const CLOCK_NODES = 3; // §2.5
const CONCURRENT_REQUESTS = 32; // §7.4
// Ours.
/** Wrong-swarm answers that one request follows before they count as attempts. */
const FREE_SWARM_CHANGES = 2;
/** Lost paths that one request survives before they count as attempts. */
const FREE_PATHS = 3;

export interface NetworkOptions extends NodeListOptions {
  /** What node lists are checked against. Absent: they are used unverified. */
  readonly trust?: TrustOptions;
}

interface NetworkDeps {
  readonly storage: Storage;
  readonly transport: Transport;
  readonly env: Env;
  readonly onPathChange?: () => void;
}

export class Network {
  readonly clock: NetworkClock;
  readonly pool: NodePool;
  readonly servers: Servers;
  readonly names: Names;
  readonly #paths: Paths;
  readonly #swarms: Swarms;
  readonly #requests: Requests;
  readonly #list: NodeList;
  readonly #trust: Trust;
  readonly #tasks: Tasks;
  readonly #options: NetworkOptions;
  readonly #deps: NetworkDeps;
  #resyncing: Promise<void> | undefined;

  constructor(options: NetworkOptions, deps: NetworkDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#tasks = new Tasks(deps.env.log);
    this.clock = new NetworkClock(deps.env.clock);
    this.pool = new NodePool(deps);
    this.#trust = new Trust(options.trust ?? {}, deps);
    const onions = new Onions({ pool: this.pool, transport: deps.transport, env: deps.env });
    this.#list = new NodeList(options, {
      pool: this.pool,
      trust: this.#trust,
      tasks: this.#tasks,
      storage: deps.storage,
      transport: deps.transport,
      env: deps.env,
      askOne: (node, request, read) => this.#requests.askOne(node, request, read),
    });
    this.#paths = new Paths(options.preset, {
      pool: this.pool,
      storage: deps.storage,
      tasks: this.#tasks,
      env: deps.env,
      probe: (path, signal) => this.#requests.probe(path, signal),
      guards: () => deps.transport.guards,
      testGuard: (node, signal) => onions.answersDirectly(node, signal),
      fillPool: (anew) => this.#list.fill(anew),
      onChange: () => {
        deps.onPathChange?.();
        this.#requests.pathsChanged();
      },
    });
    const slots = new Semaphore(CONCURRENT_REQUESTS);
    this.#requests = new Requests({
      ...{ onions, slots },
      paths: this.#paths,
      pool: this.pool,
      clock: this.clock,
      env: deps.env,
      signal: this.#tasks.signal,
    });
    this.servers = new Servers(this.#paths, onions, slots, this.#tasks.signal);
    this.names = new Names(options.preset, {
      pool: this.pool,
      env: deps.env,
      ask: (...given) => this.#requests.askNode(...given),
      ready: (signal) => this.ready(signal),
    });
    this.#swarms = new Swarms(options.preset, {
      pool: this.pool,
      storage: deps.storage,
      env: deps.env,
      fetch: (account, _signal, avoid) => this.#fetchSwarm(account, avoid),
    });
  }

  /** Reads what the last run left, and refreshes the node list from time to time. Asks nobody yet. */
  async start(): Promise<void> {
    const { storage, env } = this.#deps;
    const { preset } = this.#options;
    // Node list and guards of another network would only delay this one.
    const network = `${preset.name} ${preset.seeds.map((seed) => seed.url).join(' ')}`;
    if ((await storage.setting('network')) !== network) {
      await storage.write({
        nodes: [],
        guards: [],
        settings: { network, trust: undefined, list_trust: undefined },
      });
    }
    await this.#trust.load();
    // A list that was never verified is fetched anew when that can be better.
    const isVerified = await this.#trust.restore();
    if (isVerified || !(this.#trust.isGiven || this.#trust.isRequired)) await this.pool.load();
    await this.#paths.load();
    this.#tasks.run('refresh', async () => {
      await delay(env.clock, preset.firstRefreshMs, this.#tasks.signal);
      for (;;) {
        await this.#list.refresh().catch((error: unknown) => {
          if (!this.#tasks.signal.aborted) env.log.debug({ error: String(error) }, 'node list not refreshed');
        });
        await delay(env.clock, preset.refreshEveryMs, this.#tasks.signal);
      }
    });
  }

  async stop(): Promise<void> {
    await this.#tasks.stop(new ClientError('closed', 'the client was closed'));
  }

  paths(): readonly Path[] {
    return this.#paths.list();
  }

  /** Whether the node list could be checked. */
  get trust(): TrustState {
    return this.#trust.state;
  }

  /** Whether paths begin at this node, now or as soon as they are built. */
  isGuard(ed25519Hex: string): boolean {
    return this.#paths.isGuard(ed25519Hex);
  }

  /** All members of a swarm as far as known: whose signatures count. */
  swarmMembers(account: AccountId): ReadonlySet<string> {
    return this.#swarms.known(account);
  }

  /** Waits for a usable path. @throws ClientError `no_path`, `no_nodes`, `no_network` */
  async ready(signal?: AbortSignal): Promise<void> {
    await this.#paths.get(undefined, new Set(), this.#signal(signal));
  }

  /** Makes sure that network time is known, asking for it only when the answers so far leave a doubt. */
  async settleClock(signal?: AbortSignal): Promise<void> {
    await this.#paths.get(undefined, new Set(), this.#signal(signal));
    if (!this.clock.isSettled) await this.#resyncClock();
  }

  /** Fetches the swarm anew when what is known is older than `maxAgeMs`. */
  async freshenSwarm(account: AccountId, maxAgeMs: number): Promise<void> {
    if (this.#swarms.age(account) > maxAgeMs) await this.#swarms.refetch(account, this.#tasks.signal);
  }

  /**
   * Asks members of the account's swarm until one gives an answer that is accepted (§2.3, §2.5, §2.6).
   * @throws ClientError
   */
  async askSwarm<T>(request: SwarmRequest<T>): Promise<T> {
    const { env } = this.#deps;
    const signal = this.#signal(request.signal);
    const tried = new Set(request.avoid);
    const unwanted = this.#paths.over(request.avoidGuard);
    const avoid = new Set<Path>(unwanted && [unwanted]);
    const refusedTime = new Set<string>();
    let again: string | undefined;
    let timeRefused = false;
    let freeChanges = FREE_SWARM_CHANGES;
    let freePaths = FREE_PATHS;
    let failure: ClientError | undefined;
    for (let attempt = 0; attempt < request.attempts; attempt++) {
      const members = await this.#members(request.account, signal);
      const node = this.#chooseMember(members, again, request.prefer ?? [], tried, avoid);
      again = undefined;
      const requests = await request.make(node, timeRefused);
      timeRefused = false;
      const answer = await this.#requests.ask(
        node,
        { method: request.carrier, requests },
        {
          avoid,
          signal,
          preferPath: this.#paths.over(request.preferGuard),
          onSent: request.onSent,
          endsWithPath: request.endsWithPath,
          ...(request.timeoutMs !== undefined && { timeoutMs: request.timeoutMs }),
        },
      );
      let verdict: Verdict;
      let swarmBody: Json | undefined;
      if (answer.ok) {
        const route = routeOf(answer.path, node);
        try {
          const results = parseBatchResult(answer.json, requests.length);
          if (results.length === 0) throw new ParseError('response', 'no results');
          const bad = results.find((result) => judgeResult(result, route).next !== 'done');
          if (bad === undefined) {
            if (results.length < requests.length) throw new ParseError('response', 'results are missing');
            await this.#swarms.settled(request.account);
            if (this.#swarms.known(request.account).has(node.ed25519Hex)) {
              return await request.accept(results, node, requests);
            }
            // One node named it a member, others do not. It need not know of that.
            verdict = { next: 'retry', blame: { kind: 'nobody' }, error: 'no_swarm' };
          } else {
            verdict = judgeResult(bad, route);
            swarmBody = bad.body as Json;
          }
        } catch (error) {
          if (!(error instanceof ParseError)) throw error;
          env.log.debug({ node: node.ed25519Hex.slice(0, 8), error: error.message }, 'malformed answer');
          verdict = {
            next: 'retry',
            blame: { kind: 'node', ed25519Hex: node.ed25519Hex },
            error: 'unreachable',
          };
        }
        this.#paths.blame(answer.path, verdict.blame);
      } else {
        verdict = answer.verdict;
      }
      if (!answer.ok && answer.pathLost === true && freePaths-- > 0) {
        attempt--;
        again = node.ed25519Hex;
        avoid.add(answer.path);
        continue;
      }
      failure =
        noWayOut(verdict.error) ??
        new ClientError(verdict.error, `the swarm did not accept the request: ${verdict.error}`);
      switch (verdict.next) {
        case 'stop':
          signal.throwIfAborted();
          throw failure;
        case 'resync_clock':
          timeRefused = true;
          if (refusedTime.has(node.ed25519Hex)) {
            // §2.5: a second refusal by the same node drops it.
            this.pool.drop(node.ed25519Hex);
            tried.add(node.ed25519Hex);
          } else {
            if (refusedTime.size === 0) attempt--;
            refusedTime.add(node.ed25519Hex);
            await this.#resyncClock();
            again = node.ed25519Hex;
          }
          continue;
        case 'change_swarm':
          if (freeChanges-- > 0) attempt--;
          tried.add(node.ed25519Hex);
          await this.#changeSwarm(request.account, node, swarmBody ?? tryJson(answer.ok ? '' : answer.body));
          continue;
        case 'retry':
        case 'done':
          tried.add(node.ed25519Hex);
          avoid.add(answer.path);
      }
      if (attempt + 1 < request.attempts) await delay(env.clock, request.pauseMs, signal);
    }
    throw failure ?? new ClientError('unreachable', 'no member of the swarm answered');
  }

  /** Members that can be asked. When all of them were dropped, the list is fetched anew: they may be back. */
  async #members(account: AccountId, signal: AbortSignal): Promise<readonly PoolNode[]> {
    try {
      if (this.pool.size < this.#options.preset.minimumPool) await this.#list.refill();
      return await this.#swarms.members(account, signal);
    } catch (error) {
      if (!(error instanceof ClientError) || error.code !== 'no_swarm') throw error;
      if (!(await this.#list.refill())) throw error;
      return await this.#swarms.members(account, signal);
    }
  }

  /** §2.3: up to three nodes, each up to three times. */
  async #fetchSwarm(account: AccountId, avoid: ReadonlySet<string>): Promise<readonly string[]> {
    const { env } = this.#deps;
    const { signal } = this.#tasks;
    const request: SimpleRequest = { method: 'get_swarm', account: parseAccountPubkey(account) };
    await this.#paths.get(undefined, new Set(), signal);
    const { preset } = this.#options;
    let targets = this.pool.random(SWARM_TARGETS, avoid, preset);
    if (targets.length === 0) targets = this.pool.random(SWARM_TARGETS, new Set(), preset);
    for (const target of targets) {
      for (
        let attempt = 0;
        attempt < SWARM_TRIES && this.pool.get(target.ed25519Hex) !== undefined;
        attempt++
      ) {
        if (attempt > 0) await delay(env.clock, SWARM_PAUSES_MS[attempt - 1] ?? 0, signal);
        const members = await this.#requests.askOne(target, request, (json) =>
          poolNodes(parseSwarm(json).members).map((node) => node.ed25519Hex),
        );
        // A swarm of strangers is no swarm for us: the pool decides whom we talk to.
        if (members?.some((member) => this.pool.get(member) !== undefined)) return members;
      }
    }
    throw new ClientError('no_swarm', 'no node told the swarm of the account');
  }

  async #changeSwarm(account: AccountId, node: PoolNode, body: Json | undefined): Promise<void> {
    try {
      const members = poolNodes(parseSwarm(body ?? null).members).map((member) => member.ed25519Hex);
      if (members.some((member) => member !== node.ed25519Hex && this.pool.get(member) !== undefined)) {
        this.#swarms.claim(account, members, node.ed25519Hex, this.#tasks.signal);
        return;
      }
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
    }
    await this.#swarms.removeMember(account, node.ed25519Hex);
    this.pool.strike(node.ed25519Hex);
  }

  /** §2.5: the time of three nodes. */
  async #resyncClock(): Promise<void> {
    this.#resyncing ??= (async () => {
      this.clock.reset();
      const nodes = this.pool.random(CLOCK_NODES, new Set(), this.#options.preset);
      await Promise.all(nodes.map((node) => this.#requests.askTime(node)));
    })().finally(() => {
      this.#resyncing = undefined;
    });
    await this.#resyncing;
  }

  /**
   * `again`; else the first preferred one, else one by chance, that was not tried and can be reached over a path that is
   * not to be avoided.
   */
  #chooseMember(
    members: readonly PoolNode[],
    again: string | undefined,
    prefer: readonly string[],
    tried: ReadonlySet<string>,
    avoid: ReadonlySet<Path>,
  ): PoolNode {
    const wanted =
      again ?? prefer.find((key) => !tried.has(key) && members.some((node) => node.ed25519Hex === key));
    const preferred = members.find((node) => node.ed25519Hex === wanted);
    if (preferred !== undefined) return preferred;
    const shuffled = shuffle(members, this.#deps.env);
    const fresh = shuffled.filter((node) => !tried.has(node.ed25519Hex));
    const isFree = (node: PoolNode, without: ReadonlySet<Path>) =>
      this.#paths.avoids(node.ed25519Hex, without);
    return (
      fresh.find((node) => isFree(node, avoid) && this.pool.failures(node.ed25519Hex) === 0) ??
      fresh.find((node) => isFree(node, avoid)) ??
      fresh.find((node) => isFree(node, new Set())) ??
      fresh[0] ??
      shuffled[0]!
    );
  }

  #signal(signal: AbortSignal | undefined): AbortSignal {
    return signal === undefined ? this.#tasks.signal : AbortSignal.any([signal, this.#tasks.signal]);
  }
}

function judgeResult(result: Subresult, route: Route): Verdict {
  const { code, body } = result;
  return judge({ at: 'destination', status: code, body: typeof body === 'string' ? body : '' }, route);
}

function tryJson(text: string): Json | undefined {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}
