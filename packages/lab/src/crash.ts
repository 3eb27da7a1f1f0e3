// SPDX-License-Identifier: AGPL-3.0-or-later
// Crash: nodes that are processes of their own die by SIGKILL while they store and while swarms change: members leave,
// come back into another swarm, a swarm dissolves, a new one is created. Afterwards each message that was answered with
// 200 must be with every member of the swarm that it belongs to by then. Runs on the process devnet only: what dies
// there is a real process with a real file.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock, systemRandom } from '@allium/net/system-env';
import { Account } from '@allium/protocol/account';
import { x25519KeyOf } from '@allium/protocol/account-id';
import { delay } from '@allium/protocol/env';
import { type Membership, swarmFor } from '@allium/protocol/membership';
import {
  changeStaticList,
  encodeStaticList,
  membershipOf,
  parseStaticList,
  type StaticList,
  type StaticNodeInput,
  signStaticList,
} from '@allium/protocol/membership/static-list';
import { newSwarmId } from '@allium/protocol/swarm/assignment';
import { readAdmin } from './layout.ts';
import { MailboxClient } from './load/mailbox-client.ts';
import { type ProcessDevnet, type ProcessNode, startProcessDevnet } from './process-devnet.ts';

export interface CrashOptions {
  readonly rounds: number;
  /** Stores under way when a node is killed. */
  readonly storesPerRound: number;
  /** A new node list each so many rounds: time enough for some nodes to take it, not for all to have done what it asks. */
  readonly listEveryRounds: number;
  /** Mean time after which a node compares its mailbox with another member; undefined: that of production. */
  readonly reconcileEverySeconds?: number;
  /** Aborted: no round begins any more, and what was acknowledged until then is checked. */
  readonly signal?: AbortSignal;
}

/** Node lists that took effect, by what they changed. */
interface ListChanges {
  left: number;
  returned: number;
  dissolved: number;
  created: number;
}

export interface CrashResult {
  /** Messages whose store was answered with 200. */
  readonly acknowledged: number;
  /** … that a member of their swarm does not have, after it had time to catch up. */
  readonly missing: number;
  readonly kills: number;
  readonly lists: Readonly<ListChanges>;
  readonly realMs: number;
}

// Ours.
const SWARMS = [5, 5] as const;
/** So many may be down at once: the others are a majority of every swarm. */
const MAX_DOWN = 2;
/** A node is killed at a random moment of this span after the stores began, so that it hits all their stages. */
const KILL_WITHIN_MS = 40;
const CATCH_UP_MS = 180_000;
const TIMEOUT_MS = 20_000;
const YEAR_SECONDS = 365 * 86_400;
const SILENT = () => {};
const TOLD = 20;

/** One after the other, again and again. */
const CHANGES = [
  'left',
  'returned',
  'dissolved',
  'left',
  'returned',
  'created',
] as const satisfies readonly (keyof ListChanges)[];

export async function runCrash(options: CrashOptions, print: (line: string) => void): Promise<CrashResult> {
  const { reconcileEverySeconds } = options;
  await using net = await startProcessDevnet({
    swarms: SWARMS,
    rateLimit: false,
    logLevel: 'silent',
    ...(reconcileEverySeconds !== undefined && {
      arguments: ['--reconcile-every', `${reconcileEverySeconds}`],
    }),
  });
  const crash = new Crash(net, options, print);
  return await crash.run();
}

class Crash {
  readonly #net: ProcessDevnet;
  readonly #options: CrashOptions;
  readonly #print: (line: string) => void;
  readonly #client = new MailboxClient(64, TIMEOUT_MS);
  /** Hashes of what was acknowledged. */
  readonly #stored = new Map<Account, string[]>();
  readonly #starting = new Map<ProcessNode, Promise<void>>();
  #list: StaticList;
  #membership: Membership;
  #away: ProcessNode | undefined;
  #acknowledged = 0;
  #kills = 0;
  readonly #changes: ListChanges = { left: 0, returned: 0, dissolved: 0, created: 0 };

  constructor(net: ProcessDevnet, options: CrashOptions, print: (line: string) => void) {
    this.#net = net;
    this.#options = options;
    this.#print = print;
    this.#list = parseStaticList(readFileSync(join(net.folder, 'network.json')));
    this.#membership = membershipOf(this.#list);
  }

  async run(): Promise<CrashResult> {
    const { rounds, listEveryRounds, signal } = this.#options;
    const began = performance.now();
    for (let round = 1; round <= rounds && !signal?.aborted; round++) {
      await this.#round();
      if (round % listEveryRounds === 0) this.#changeList(round / listEveryRounds - 1);
      if (round % Math.max(10, Math.round(rounds / 10)) === 0) {
        const lists = Object.values(this.#changes).reduce((a, b) => a + b);
        this.#print(
          `round ${round}: ${this.#acknowledged} acknowledged, ${this.#kills} kills, ${lists} lists`,
        );
      }
    }
    await Promise.all(this.#starting.values());
    const missing = await this.#catchUp();
    this.#client.close();
    return {
      acknowledged: this.#acknowledged,
      missing,
      kills: this.#kills,
      lists: this.#changes,
      realMs: performance.now() - began,
    };
  }

  /** Stores to several members at once; a node dies meanwhile and starts again in the next rounds. */
  async #round(): Promise<void> {
    while (this.#starting.size >= MAX_DOWN) await Promise.race(this.#starting.values());
    const account = Account.create();
    const up = this.#net.nodes.filter((node) => !this.#starting.has(node));
    const members = this.#membersFor(account).filter((node) => up.includes(node));
    const victim = up[systemRandom.below(up.length)]!;
    const stores = Array.from({ length: this.#options.storesPerRound }, async (_, i) => {
      await delay(systemClock, systemRandom.unit() * KILL_WITHIN_MS);
      await this.#store(members[i % members.length]!, account, i);
    });
    await delay(systemClock, systemRandom.unit() * KILL_WITHIN_MS);
    await victim.kill();
    this.#kills++;
    const restart = victim.start().finally(() => this.#starting.delete(victim));
    restart.catch(SILENT); // is awaited, and fails, in `run` or the next round
    this.#starting.set(victim, restart);
    await Promise.all(stores);
  }

  async #store(node: ProcessNode, account: Account, index: number): Promise<void> {
    try {
      const { hash } = await this.#client.store(node, account, `${index} ${'.'.repeat(500)}`);
      if (hash === undefined) return;
      this.#acknowledged++;
      const hashes = this.#stored.get(account);
      if (hashes === undefined) this.#stored.set(account, [hash]);
      else hashes.push(hash);
    } catch {
      // No answer, no promise.
    }
  }

  /** The members that the newest list names for an account. */
  #membersFor(account: Account): ProcessNode[] {
    const members = swarmFor(this.#membership, x25519KeyOf(account.id))?.members ?? [];
    return this.#net.nodes.filter((node) => members.some(({ ed25519Hex }) => ed25519Hex === node.ed25519));
  }

  /** The next of `CHANGES`, with kills going on. */
  #changeList(index: number): void {
    const change = CHANGES[index % CHANGES.length]!;
    const { nodes } = this.#net;
    const ids = [...this.#membership.swarmIds];
    let moved: readonly ProcessNode[] = [];
    let to = ids[systemRandom.below(ids.length)]!;
    switch (change) {
      case 'left':
        this.#away = nodes[systemRandom.below(nodes.length)]!;
        break;
      case 'dissolved': {
        const other = ids.find((id) => id !== to)!;
        const members = this.#membership.swarms.get(other) ?? [];
        moved = nodes.filter((node) => members.some(({ ed25519Hex }) => ed25519Hex === node.ed25519));
        break;
      }
      case 'returned':
        moved = this.#away === undefined ? [] : [this.#away];
        this.#away = undefined;
        break;
      case 'created': {
        const rest = [...nodes];
        moved = Array.from(SWARMS.slice(1)).flatMap((size) =>
          Array.from({ length: size }, () => rest.splice(systemRandom.below(rest.length), 1)[0]!),
        );
        to = newSwarmId(ids);
      }
    }
    this.#changes[change]++;
    const listed = new Set(this.#list.nodes.map(({ ed25519Hex }) => ed25519Hex));
    const gone = this.#away === undefined ? moved : [...moved, this.#away];
    const issued = Math.floor(systemClock.now() / 1000);
    const next = changeStaticList(this.#list, {
      issued,
      expires: issued + YEAR_SECONDS,
      remove: gone.map(({ ed25519 }) => ed25519).filter((key) => listed.has(key)),
      add: moved.map((node): StaticNodeInput => {
        const { ed25519, host, port, omqPort } = node;
        return { ed25519Hex: ed25519, host, httpsPort: port, omqPort, swarmId: to };
      }),
      byHand: true,
    });
    this.#list = signStaticList(next, readAdmin(this.#net.folder));
    this.#membership = membershipOf(this.#list);
    const file = join(this.#net.folder, 'network.json');
    writeFileSync(`${file}.new`, encodeStaticList(this.#list));
    renameSync(`${file}.new`, file);
  }

  /** How many messages are still missing somewhere. */
  async #catchUp(): Promise<number> {
    let open = [...this.#stored.keys()];
    const end = performance.now() + CATCH_UP_MS;
    for (;;) {
      const missing = new Map<Account, ReadonlyMap<string, string[]>>();
      for (const account of open) {
        const lacking = await this.#lacking(account);
        if (lacking.size > 0) missing.set(account, lacking);
      }
      // What is complete need not be asked for again.
      open = [...missing.keys()];
      if (open.length > 0 && performance.now() < end) {
        await delay(systemClock, 1_000);
        continue;
      }
      const all = [...missing.values()].flatMap((lacking) => [...lacking]);
      for (const [hash, names] of all.slice(0, TOLD)) this.#print(`missing: ${hash} at ${names.join(', ')}`);
      return all.length;
    }
  }

  /** Messages of an account, each with the members that do not have it. */
  async #lacking(account: Account): Promise<ReadonlyMap<string, string[]>> {
    const lacking = new Map<string, string[]>();
    for (const node of this.#membersFor(account)) {
      const held = await this.#client.hashes(node, account);
      for (const hash of this.#stored.get(account) ?? []) {
        if (!held.has(hash)) lacking.set(hash, [...(lacking.get(hash) ?? []), node.name]);
      }
    }
    return lacking;
  }
}

/** The figures of a run; the last line says whether all is well. */
export function describeCrash(result: CrashResult): string[] {
  const { acknowledged, missing, kills, lists, realMs } = result;
  return [
    `${kills} nodes killed in ${(realMs / 1000).toFixed(0)} s; members left ${lists.left} times and returned ` +
      `${lists.returned}, swarms dissolved ${lists.dissolved} and created ${lists.created}`,
    `acknowledged ${acknowledged}, missing ${missing}`,
  ];
}
