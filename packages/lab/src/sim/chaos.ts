// SPDX-License-Identifier: AGPL-3.0-or-later
// Chaos: a network whose nodes die, are cut off, join, leave and have wrong clocks while accounts with several devices
// write to each other. Afterwards everything heals, and every message that was answered with "stored" must be on every
// device of its recipient: once, and in one order. Runs on the simulation only; see docs/benchmarks.md.
import type { Client } from '@allium/client';
import { ClientError } from '@allium/client/errors';
import { MemoryStorage } from '@allium/client/storage/memory';
import { Account } from '@allium/protocol/account';
import type { AccountId } from '@allium/protocol/account-id';
import { Sim, type SimNode } from './sim.ts';

export interface ChaosOptions {
  readonly nodes: number;
  /** Clients in all; an account has `devices` of them. */
  readonly clients: number;
  readonly devices: number;
  readonly messages: number;
  readonly seed: number;
  /** Virtual time during which messages are sent and things break. */
  readonly chaosMs: number;
  readonly pollEveryMs: number;
}

export interface ChaosResult {
  readonly stored: number;
  /** Not answered with "stored" and told so to the sender; some arrive all the same. */
  readonly failed: number;
  /** Deliveries that were owed: stored messages times devices of the recipient. */
  readonly deliveries: number;
  /** … of them never made. */
  readonly lost: number;
  /** Messages that a device showed more than once. */
  readonly doubled: number;
  /** Conversations that two devices of an account show in different orders. */
  readonly disordered: number;
  /** Stored messages of our own that a device of ours does not have; copies are sent on their own (spec/client §4.4). */
  readonly copiesMissing: number;
  readonly kills: number;
  readonly partitions: number;
  readonly wrongClocks: number;
  readonly lists: number;
  readonly virtualMs: number;
  readonly realMs: number;
}

// Ours: what happens how often, in shares of the network and of `chaosMs`.
const WAVES = 4;
/** Of all nodes, killed in each wave. */
const KILLED = 0.3;
const SPLITS = 3;
const LIST_CHANGES = 4;
/** Of all nodes, that leave and that join with each list. */
const CHANGED = 0.03;
/** Of all nodes, whose clock is wrong for a while in each wave. */
const WRONG_CLOCKS = 0.05;
/** Of all devices, whose clock is wrong all the time. */
const WRONG_DEVICES = 0.2;
const SKEW_MS = 600_000;
const LOSS = 0.002;
/** A node that left goes on running, as one that unlocks its stake does. */
const LEAVE_MS = 180_000;
/** After the chaos, until everything must have arrived. */
const SETTLE_MS = 3_600_000;
const LOOK_MS = 10_000;
const HISTORY = 1_000_000;
/** Nodes that clients start from stay. */
const STAYING = 5;

interface Device {
  readonly account: Account;
  readonly storage: MemoryStorage;
  readonly client: Client;
  /** How often each text was shown. */
  readonly shown: Map<string, number>;
}

interface Sending {
  readonly text: string;
  readonly from: AccountId;
  readonly to: AccountId;
  isStored: boolean;
}

export async function runChaos(options: ChaosOptions, print: (line: string) => void): Promise<ChaosResult> {
  const began = performance.now();
  const net = await Sim.start({ nodes: options.nodes, seed: options.seed, loss: LOSS });
  const chaos = new Chaos(net, options, print);
  try {
    await chaos.openDevices();
    print(
      `${options.nodes} nodes and ${options.clients} clients are up after ${seconds(performance.now() - began)} s`,
    );
    return await chaos.run();
  } finally {
    await chaos.close();
    await net.stop();
  }
}

class Chaos {
  readonly #net: Sim;
  readonly #options: ChaosOptions;
  readonly #print: (line: string) => void;
  readonly #devices = new Map<AccountId, Device[]>();
  readonly #sendings: Sending[] = [];
  /** Nodes that something happens to already. */
  readonly #busy = new Set<SimNode>();
  readonly #left = new Set<SimNode>();
  #failed = 0;
  #kills = 0;
  #partitions = 0;
  #wrongClocks = 0;

  constructor(net: Sim, options: ChaosOptions, print: (line: string) => void) {
    this.#net = net;
    this.#options = options;
    this.#print = print;
  }

  async openDevices(): Promise<void> {
    const { clients, devices, pollEveryMs } = this.#options;
    const { random } = this.#net;
    const opened: Promise<void>[] = [];
    for (let i = 0; i < clients; i += devices) {
      const account = Account.fromSeed(random.bytes(16));
      const list: Device[] = [];
      this.#devices.set(account.id, list);
      for (let j = i; j < Math.min(i + devices, clients); j++) {
        const skewMs = random.unit() < WRONG_DEVICES ? this.#skew() : 0;
        opened.push(
          // Not all at once: thousands of handshakes at one moment are no story of this scenario.
          this.#net.pass(random.below(pollEveryMs)).then(async () => {
            const storage = new MemoryStorage();
            const client = await this.#net.client({ account, pollEveryMs, storage, skewMs });
            const shown = new Map<string, number>();
            const count = ({ text }: { text: string }) => shown.set(text, (shown.get(text) ?? 0) + 1);
            client.on('message', count);
            client.on('own_message', count);
            list.push({ account, storage, client, shown });
            await client.ready();
          }),
        );
      }
    }
    await Promise.all(opened);
  }

  async run(): Promise<ChaosResult> {
    const { messages, chaosMs } = this.#options;
    const realStart = performance.now();
    const start = this.#net.time.ms;
    const during = (share: number) => this.#net.pass(share * chaosMs);
    const stories: Promise<unknown>[] = [];
    for (let i = 0; i < messages; i++) {
      const share = this.#net.random.unit();
      stories.push(during(share).then(() => this.#send(i)));
    }
    for (let i = 0; i < WAVES; i++) {
      stories.push(during((i + 0.1) / WAVES).then(() => this.#wave(chaosMs / WAVES / 3)));
      stories.push(during((i + 0.3) / WAVES).then(() => this.#setClocks(chaosMs / WAVES / 2)));
    }
    for (let i = 0; i < SPLITS; i++) {
      stories.push(during((i + 0.6) / SPLITS).then(() => this.#split(chaosMs / SPLITS / 4)));
    }
    for (let i = 0; i < LIST_CHANGES; i++) {
      stories.push(during((i + 0.5) / LIST_CHANGES).then(() => this.#changeList()));
    }
    for (let i = 1; i <= 10; i++) stories.push(during(i / 10).then(() => this.#progress(i * 10, realStart)));
    await Promise.all(stories);
    await this.#heal();
    await Promise.all([...this.#devices.values()].flat().map(({ client }) => client.flush()));
    const settled = await this.#settle();
    if (!settled) this.#print(`not everything arrived within ${SETTLE_MS / 60_000} min after the chaos`);
    return this.#result(this.#net.time.ms - start, performance.now() - realStart);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#devices.values()].flat().map(({ client }) => client.close()));
  }

  // What people do

  async #send(index: number): Promise<void> {
    const { random } = this.#net;
    const accounts = [...this.#devices.keys()];
    const [from, to] = random.pick(accounts, 2) as [AccountId, AccountId];
    const device = random.pick(this.#devices.get(from)!, 1)[0]!;
    const sending: Sending = { text: `message ${index}`, from, to, isStored: false };
    this.#sendings.push(sending);
    try {
      await device.client.conversation(to).send(sending.text);
      sending.isStored = true;
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      this.#failed++;
    }
  }

  // What goes wrong

  async #wave(downMs: number): Promise<void> {
    const victims = this.#pick(KILLED, (node) => node.running);
    await Promise.all(
      victims.map((node) =>
        this.#disturb(node, async () => {
          await this.#net.pass(this.#net.random.unit() * downMs);
          this.#kills++;
          await node.kill();
          await this.#net.pass((0.2 + this.#net.random.unit()) * downMs);
          await node.start();
        }),
      ),
    );
  }

  async #setClocks(ms: number): Promise<void> {
    await Promise.all(
      this.#pick(WRONG_CLOCKS, (node) => node.running).map((node) =>
        this.#disturb(node, async () => {
          this.#wrongClocks++;
          node.skewMs = this.#skew();
          await this.#net.pass(ms);
          node.skewMs = 0;
        }),
      ),
    );
  }

  /** Two parts of the network do not reach each other; clients reach both. */
  async #split(ms: number): Promise<void> {
    const { nodes, random } = this.#net;
    this.#partitions++;
    const share = 0.2 + 0.3 * random.unit();
    for (const node of nodes) node.host.side = random.unit() < share ? 1 : 2;
    await this.#net.pass(ms);
    for (const node of nodes) node.host.side = undefined;
  }

  async #changeList(): Promise<void> {
    const leaving = this.#pick(CHANGED, (node) => node.index >= STAYING && node.running);
    const joining = leaving.map(() => this.#net.addNode());
    for (const node of leaving) this.#left.add(node);
    const given = this.#net.random.pick(
      this.#net.nodes.filter((node) => node.running),
      STAYING,
    );
    await this.#net.changeList({ add: joining, remove: leaving }, given);
    await Promise.all(joining.map((node) => node.start()));
    await Promise.all(
      leaving.map((node) =>
        this.#disturb(node, async () => {
          await this.#net.pass(LEAVE_MS);
          await node.stop();
        }),
      ),
    );
  }

  async #disturb(node: SimNode, story: () => Promise<void>): Promise<void> {
    this.#busy.add(node);
    await story();
    this.#busy.delete(node);
  }

  #pick(share: number, fits: (node: SimNode) => boolean): SimNode[] {
    const listed = this.#net.nodes.filter((node) => !this.#left.has(node));
    const free = listed.filter((node) => !this.#busy.has(node) && fits(node));
    return this.#net.random.pick(free, Math.max(1, Math.round(listed.length * share)));
  }

  #skew(): number {
    return Math.round((2 * this.#net.random.unit() - 1) * SKEW_MS);
  }

  async #heal(): Promise<void> {
    this.#net.wire.loss = 0;
    for (const node of this.#net.nodes) {
      node.skewMs = 0;
      node.host.side = undefined;
      if (!this.#left.has(node)) await node.start();
    }
  }

  // What became of it

  async #settle(): Promise<boolean> {
    const end = this.#net.time.ms + SETTLE_MS;
    for (let looks = 0; this.#net.time.ms < end; looks++) {
      const missing = this.#missing();
      if (looks % 30 === 29) this.#print(`${missing.length} deliveries still missing`);
      if (missing.length === 0) {
        // What would be shown twice needs some polls to be shown.
        await this.#net.pass(3 * this.#options.pollEveryMs);
        return true;
      }
      await this.#net.pass(LOOK_MS);
    }
    return false;
  }

  /** Stored messages and the devices that do not have them. */
  #missing(): { sending: Sending; device: Device }[] {
    return this.#sendings
      .filter((sending) => sending.isStored)
      .flatMap((sending) =>
        this.#devices
          .get(sending.to)!
          .filter((device) => !device.shown.has(sending.text))
          .map((device) => ({ sending, device })),
      );
  }

  async #result(virtualMs: number, realMs: number): Promise<ChaosResult> {
    const missing = this.#missing();
    for (const { sending } of missing.slice(0, 20)) {
      const holders = await this.#holders(sending);
      this.#print(`lost: ${sending.text}, kept by ${holders}`);
    }
    const stored = this.#sendings.filter((sending) => sending.isStored);
    let doubled = 0;
    let disordered = 0;
    for (const devices of this.#devices.values()) {
      for (const { shown } of devices) for (const times of shown.values()) if (times > 1) doubled++;
      disordered += await disorder(devices);
    }
    let copiesMissing = 0;
    for (const { from, to, text } of stored) {
      for (const { storage } of this.#devices.get(from)!) {
        const history = await storage.history(to, { limit: HISTORY });
        if (!history.some((message) => message.text === text)) copiesMissing++;
      }
    }
    return {
      stored: stored.length,
      failed: this.#failed,
      deliveries: stored.reduce((sum, { to }) => sum + this.#devices.get(to)!.length, 0),
      lost: missing.length,
      doubled,
      disordered,
      copiesMissing,
      kills: this.#kills,
      partitions: this.#partitions,
      wrongClocks: this.#wrongClocks,
      lists: this.#net.listVersion - 1,
      virtualMs,
      realMs,
    };
  }

  /** Who keeps a lost message: the beginning of finding out why. */
  async #holders(sending: Sending): Promise<string> {
    const own = this.#devices.get(sending.from)!;
    for (const { storage } of own) {
      const sent = (await storage.history(sending.to, { limit: HISTORY })).find(
        (message) => message.text === sending.text && message.hash !== undefined,
      );
      if (sent?.hash === undefined) continue;
      const hash = sent.hash;
      const members = new Set(this.#net.swarmOf(sending.to));
      const holders = this.#net.nodes.filter((node) => node.keeps(hash));
      const inside = holders.filter((node) => members.has(node)).length;
      const lists = new Set(this.#net.nodes.flatMap((node) => node.listVersion ?? []));
      return (
        `${inside} of ${members.size} members and ${holders.length - inside} others; ` +
        `lists in force: ${[...lists].sort().join(', ')}`
      );
    }
    return 'unknown';
  }

  #progress(percent: number, realStart: number): void {
    const { nodes, time } = this.#net;
    const up = nodes.filter((node) => node.running).length;
    const stored = this.#sendings.filter((sending) => sending.isStored).length;
    this.#print(
      `${percent} %: ${this.#sendings.length} sent, ${stored} stored, ${this.#failed} failed; ${up} of ${nodes.length} ` +
        `nodes up; ${this.#kills} kills, ${this.#wrongClocks} wrong clocks, list ${this.#net.listVersion}; ` +
        `${seconds(time.ms)} virtual s, ${seconds(performance.now() - realStart)} s`,
    );
  }
}

/** In how many conversations of an account two of its devices differ in the order of what both have. */
async function disorder(devices: readonly Device[]): Promise<number> {
  let differing = 0;
  const [first, ...others] = devices;
  if (first === undefined) return 0;
  for (const { id } of await first.storage.conversations()) {
    const mine = (await first.storage.history(id, { limit: HISTORY })).map((message) => message.text);
    for (const { storage } of others) {
      const theirs = (await storage.history(id, { limit: HISTORY })).map((message) => message.text);
      const [a, b] = [new Set(mine), new Set(theirs)];
      const common = mine.filter((text) => b.has(text)).join('\n');
      if (common !== theirs.filter((text) => a.has(text)).join('\n')) differing++;
    }
  }
  return differing;
}

/** The figures of a run; the last line says whether all is well. */
export function describeChaos(result: ChaosResult): string[] {
  const { stored, failed, deliveries, virtualMs, realMs } = result;
  return [
    `${stored + failed} messages sent, ${stored} stored, ${failed} told as failed; ${deliveries} deliveries owed`,
    `${result.kills} kills, ${result.partitions} partitions, ${result.wrongClocks} wrong clocks, ${result.lists} new lists`,
    `${result.copiesMissing} copies for own devices missing`,
    `${seconds(virtualMs)} virtual seconds in ${seconds(realMs)} s: ${(virtualMs / realMs).toFixed(1)} per second, ` +
      `${((stored + failed) / (realMs / 1000)).toFixed(1)} messages/s`,
    `lost ${result.lost}, doubled ${result.doubled}, disordered ${result.disordered}`,
  ];
}

const seconds = (ms: number): string => (ms / 1000).toFixed(0);
