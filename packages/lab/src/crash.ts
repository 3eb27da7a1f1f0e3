// SPDX-License-Identifier: AGPL-3.0-or-later
// Crash: nodes that are processes of their own die by SIGKILL while they store and while the node list changes.
// Afterwards each message that was answered with 200 must be with every member of the swarm. Runs on the process
// devnet only: what dies there is a real process with a real file.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Agent } from 'node:https';
import { join } from 'node:path';
import { systemClock, systemRandom } from '@allium/net/system-env';
import { Account } from '@allium/protocol/account';
import { toBase64, toHex, utf8 } from '@allium/protocol/bytes';
import { delay } from '@allium/protocol/env';
import {
  changeStaticList,
  encodeStaticList,
  parseStaticList,
  type StaticList,
  signStaticList,
} from '@allium/protocol/membership/static-list';
import { readAdmin } from './layout.ts';
import { newAgent, post } from './load/post.ts';
import { type ProcessDevnet, type ProcessNode, startProcessDevnet } from './process-devnet.ts';

export interface CrashOptions {
  readonly rounds: number;
  /** Stores under way when a node is killed. */
  readonly storesPerRound: number;
}

export interface CrashResult {
  /** Messages whose store was answered with 200. */
  readonly acknowledged: number;
  /** … that a member of the swarm does not have, after it had time to catch up. */
  readonly missing: number;
  readonly kills: number;
  /** Node lists that took effect meanwhile. */
  readonly lists: number;
  readonly realMs: number;
}

// Ours.
const MEMBERS = 6;
/** So many may be down at once: the others always are a majority. */
const MAX_DOWN = 2;
/** A node is killed at a random moment of this span after the stores began, so that it hits all their stages. */
const KILL_WITHIN_MS = 40;
/** A new list each so many rounds: in turns a member leaves, and comes back. */
const LIST_EVERY_ROUNDS = 10;
const CATCH_UP_MS = 120_000;
const TIMEOUT_MS = 20_000;
const TTL_MS = 86_400_000;
const YEAR_SECONDS = 365 * 86_400;
const SILENT = () => {};

interface Stored {
  readonly account: Account;
  readonly hash: string;
}

export async function runCrash(options: CrashOptions, print: (line: string) => void): Promise<CrashResult> {
  await using net = await startProcessDevnet({ swarms: [MEMBERS], rateLimit: false, logLevel: 'silent' });
  const crash = new Crash(net, options, print);
  return await crash.run();
}

class Crash {
  readonly #net: ProcessDevnet;
  readonly #options: CrashOptions;
  readonly #print: (line: string) => void;
  readonly #agent: Agent = newAgent(64);
  readonly #stored: Stored[] = [];
  readonly #starting = new Map<ProcessNode, Promise<void>>();
  #list: StaticList;
  #away: ProcessNode | undefined;
  #kills = 0;
  #lists = 0;

  constructor(net: ProcessDevnet, options: CrashOptions, print: (line: string) => void) {
    this.#net = net;
    this.#options = options;
    this.#print = print;
    this.#list = parseStaticList(readFileSync(join(net.folder, 'network.json')));
  }

  async run(): Promise<CrashResult> {
    const { rounds } = this.#options;
    const began = performance.now();
    for (let round = 1; round <= rounds; round++) {
      await this.#round();
      if (round % LIST_EVERY_ROUNDS === 0) this.#changeList();
      if (round % Math.max(10, Math.round(rounds / 10)) === 0) {
        this.#print(
          `round ${round}: ${this.#stored.length} acknowledged, ${this.#kills} kills, ${this.#lists} lists`,
        );
      }
    }
    if (this.#away !== undefined) this.#changeList();
    await Promise.all(this.#starting.values());
    const missing = await this.#catchUp();
    this.#agent.destroy();
    return {
      acknowledged: this.#stored.length,
      missing,
      kills: this.#kills,
      lists: this.#lists,
      realMs: performance.now() - began,
    };
  }

  /** Stores to several members at once; one of them dies meanwhile and starts again in the next rounds. */
  async #round(): Promise<void> {
    while (this.#starting.size >= MAX_DOWN) await Promise.race(this.#starting.values());
    const account = Account.create();
    const up = this.#net.nodes.filter((node) => !this.#starting.has(node));
    const members = up.filter((node) => node !== this.#away);
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
    const params = {
      pubkey: account.id,
      timestamp: systemClock.now(),
      ttl: TTL_MS,
      data: toBase64(utf8(`${index} ${'.'.repeat(500)}`)),
    };
    try {
      const { status, json } = await this.#rpc(node, 'store', params);
      if (status === 200 && typeof json.hash === 'string') this.#stored.push({ account, hash: json.hash });
    } catch {
      // No answer, no promise.
    }
  }

  /** A member leaves the list, or the one that left comes back: both with kills going on. */
  #changeList(): void {
    const issued = Math.floor(systemClock.now() / 1000);
    const validity = { issued, expires: issued + YEAR_SECONDS };
    const { nodes } = this.#net;
    if (this.#away === undefined) {
      this.#away = nodes[systemRandom.below(nodes.length)]!;
      this.#list = changeStaticList(this.#list, { ...validity, remove: [this.#away.ed25519], byHand: true });
    } else {
      const { ed25519, host, port, omqPort, swarm } = this.#away;
      const node = { ed25519Hex: ed25519, host, httpsPort: port, omqPort, swarmId: BigInt(`0x${swarm}`) };
      this.#list = changeStaticList(this.#list, { ...validity, add: [node], byHand: true });
      this.#away = undefined;
    }
    this.#list = signStaticList(this.#list, readAdmin(this.#net.folder));
    const file = join(this.#net.folder, 'network.json');
    writeFileSync(`${file}.new`, encodeStaticList(this.#list));
    renameSync(`${file}.new`, file);
    this.#lists++;
  }

  /** How many messages are still missing somewhere. */
  async #catchUp(): Promise<number> {
    const accounts = new Map(this.#stored.map(({ account }) => [account.id, account]));
    const end = performance.now() + CATCH_UP_MS;
    for (;;) {
      const missing = new Set<string>();
      for (const node of this.#net.nodes) {
        for (const account of accounts.values()) {
          const held = await this.#hashes(node, account);
          for (const stored of this.#stored) {
            if (stored.account === account && !held.has(stored.hash)) missing.add(stored.hash);
          }
        }
      }
      if (missing.size === 0 || performance.now() > end) return missing.size;
      // What is complete need not be asked for again.
      const incomplete = this.#stored.filter(({ hash }) => missing.has(hash));
      accounts.clear();
      for (const { account } of incomplete) accounts.set(account.id, account);
      await delay(systemClock, 1_000);
    }
  }

  async #hashes(node: ProcessNode, account: Account): Promise<ReadonlySet<string>> {
    const timestamp = systemClock.now();
    try {
      const { json } = await this.#rpc(node, 'retrieve', {
        pubkey: account.id,
        pubkey_ed25519: toHex(account.ed25519Key),
        timestamp,
        signature: toBase64(account.sign(utf8(`retrieve${timestamp}`))),
      });
      return new Set((json.messages ?? []).map(({ hash }) => hash));
    } catch {
      return new Set();
    }
  }

  async #rpc(node: ProcessNode, method: string, params: object) {
    const answer = await post(node, '/storage_rpc/v1', JSON.stringify({ method, params }), {
      agent: this.#agent,
      timeoutMs: TIMEOUT_MS,
    });
    const text = answer.body.toString();
    const json = (text.startsWith('{') ? JSON.parse(text) : {}) as {
      hash?: string;
      messages?: { hash: string }[];
    };
    return { status: answer.status, json };
  }
}

/** The figures of a run; the last line says whether all is well. */
export function describeCrash(result: CrashResult): string[] {
  const { acknowledged, missing, kills, lists, realMs } = result;
  return [
    `${kills} nodes killed, ${lists} new lists, in ${(realMs / 1000).toFixed(0)} s`,
    `acknowledged ${acknowledged}, missing ${missing}`,
  ];
}
