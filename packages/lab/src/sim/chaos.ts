// SPDX-License-Identifier: AGPL-3.0-or-later
// Chaos: a network whose nodes die, are cut off, join, leave and have wrong clocks, whose swarms dissolve and are created,
// while accounts with several devices, which are restarted too, write to each other. Afterwards everything heals, and
// every message that was answered with "stored" must be on every device of its recipient and of its sender: once, and in
// one order. Runs on the simulation only; see docs/benchmarks.md.
import { Account } from '@allium/protocol/account';
import type { AccountId } from '@allium/protocol/account-id';
import { Device, type DeviceSabotage } from './chaos-device.ts';
import {
  type ChaosEvents,
  type ChaosResult,
  judge,
  NO_EVENTS,
  type Sending,
  seconds,
} from './chaos-result.ts';
import { Sim, type SimNode } from './sim.ts';

/** `forget`: nodes acknowledge some messages and lose them. The others: what one device does. */
export const SABOTAGES = ['forget', 'drop', 'double', 'flip'] as const;
type Sabotage = 'forget' | DeviceSabotage;

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
  /** After the chaos, until everything must have arrived; default an hour. */
  readonly settleMs?: number;
  /** Shows that the check can fail. */
  readonly sabotage?: Sabotage | undefined;
  /** Aborted: nothing more is sent or broken, everything heals, and what was sent until then is judged. */
  readonly signal?: AbortSignal;
}

// Ours: what happens how often, in each round of the chaos.
const ROUND_MS = 1_200_000;
const WAVES = 4;
/** Of all nodes, killed in each wave. */
const KILLED = 0.3;
const SPLITS = 3;
/** Of the first nodes, that leave (below 0) or join with each list: few enough nodes to dissolve swarms, then enough for new ones. */
const GROWTH = [-0.15, -0.15, -0.15, 0.15, 0.15, 0.15] as const;
/** Of the first nodes, that are exchanged for others besides. */
const CHANGED = 0.03;
/** Of all nodes, whose clock is wrong for a while in each wave. */
const WRONG_CLOCKS = 0.05;
/** Of all devices, whose clock is wrong all the time. */
const WRONG_DEVICES = 0.2;
/** Of all devices, closed and opened again in each wave, and as many that die. */
const RESTARTED = 0.05;
const SKEW_MS = 600_000;
const LOSS = 0.002;
/** A node that left goes on running, as one that unlocks its stake does. */
const LEAVE_MS = 180_000;
const SETTLE_MS = 3_600_000;
const LOOK_MS = 10_000;
/** Nodes that clients start from stay. */
const STAYING = 5;
/** The first byte of the hashes that nodes forget when they are sabotaged is below this: an eighth of all. */
const FORGOTTEN = 0x20;
const TOLD = 20;

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
  readonly #accounts = new Map<AccountId, Device[]>();
  readonly #devices: Device[] = [];
  readonly #sendings: Sending[] = [];
  readonly #byText = new Map<string, Sending>();
  /** Nodes and devices that something happens to already. */
  readonly #busy = new Set<SimNode | Device>();
  /** With the version of the list that named them no more. */
  readonly #left = new Map<SimNode, number>();
  readonly #events: ChaosEvents = { ...NO_EVENTS };

  constructor(net: Sim, options: ChaosOptions, print: (line: string) => void) {
    this.#net = net;
    this.#options = options;
    this.#print = print;
    if (options.sabotage === 'forget') for (const node of net.nodes) node.forgetMessages(FORGOTTEN);
  }

  async openDevices(): Promise<void> {
    const { clients, devices, pollEveryMs } = this.#options;
    const { random } = this.#net;
    const opened: Promise<void>[] = [];
    for (let i = 0; i < clients; i += devices) {
      const account = Account.fromSeed(random.bytes(16));
      const list: Device[] = [];
      this.#accounts.set(account.id, list);
      for (let j = i; j < Math.min(i + devices, clients); j++) {
        const isWrong = random.unit() < WRONG_DEVICES;
        if (isWrong) this.#events.wrongDevices++;
        const device = new Device(this.#net, {
          account,
          pollEveryMs,
          skewMs: isWrong ? this.#skew() : 0,
          sabotage: j === 0 && this.#options.sabotage !== 'forget' ? this.#options.sabotage : undefined,
          onStored: (text) => {
            const sending = this.#byText.get(text);
            if (sending !== undefined) sending.isStored = true;
          },
        });
        list.push(device);
        this.#devices.push(device);
        opened.push(
          // Not all at once: thousands of handshakes at one moment are no story of this scenario.
          this.#net.pass(random.below(pollEveryMs)).then(async () => {
            await device.open();
            await device.ready();
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
    const stories: Promise<unknown>[] = [this.#people(messages, chaosMs)];
    const rounds = Math.max(1, Math.round(chaosMs / ROUND_MS));
    for (let i = 0; i < rounds; i++) stories.push(this.#round((i * chaosMs) / rounds, chaosMs / rounds));
    for (let i = 1; i <= 10; i++) {
      stories.push(
        this.#net.pass((i / 10) * chaosMs).then(() => {
          if (!this.#isOver) this.#progress(i * 10, realStart);
        }),
      );
    }
    await Promise.race([Promise.all(stories), this.#ended()]);
    await this.#heal();
    await this.#settle();
    return {
      ...(await this.#judge()),
      events: this.#events,
      virtualMs: this.#net.time.ms - start,
      realMs: performance.now() - realStart,
    };
  }

  /** Rather than to go on. */
  get #isOver(): boolean {
    return this.#options.signal?.aborted === true;
  }

  #ended(): Promise<void> {
    const { signal } = this.#options;
    return new Promise((resolve) => {
      if (this.#isOver) resolve();
      else signal?.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.#devices.map((device) => device.close()));
  }

  // What people do

  async #people(messages: number, ms: number): Promise<void> {
    const times = Array.from({ length: messages }, () => this.#net.random.unit() * ms).sort((a, b) => a - b);
    const start = this.#net.time.ms;
    const sent: Promise<void>[] = [];
    for (const [index, time] of times.entries()) {
      await this.#net.pass(start + time - this.#net.time.ms);
      if (this.#isOver) break;
      sent.push(this.#send(index));
    }
    await Promise.all(sent);
  }

  async #send(index: number): Promise<void> {
    const { random } = this.#net;
    const [from, to] = random.pick([...this.#accounts.keys()], 2) as [AccountId, AccountId];
    const device = random.pick(this.#accounts.get(from)!, 1)[0]!;
    const sending: Sending = { text: `message ${index}`, from, to, isStored: false, isFailed: false };
    this.#sendings.push(sending);
    this.#byText.set(sending.text, sending);
    const sent = await device.send(to, sending.text);
    if (typeof sent === 'object') sending.proof = sent;
    else sending.isFailed = sent === 'failed';
  }

  // What goes wrong

  async #round(after: number, ms: number): Promise<void> {
    const at = async (share: number, story: () => Promise<void>) => {
      await this.#net.pass(after + share * ms);
      if (!this.#isOver) await story();
    };
    const stories: Promise<void>[] = [];
    for (let i = 0; i < WAVES; i++) {
      stories.push(at((i + 0.1) / WAVES, () => this.#wave(ms / WAVES / 3)));
      stories.push(at((i + 0.3) / WAVES, () => this.#setClocks(ms / WAVES / 2)));
      stories.push(at((i + 0.2) / WAVES, () => this.#restartDevices(ms / WAVES / 2)));
    }
    for (let i = 0; i < SPLITS; i++) {
      stories.push(at((i + 0.6) / SPLITS, () => this.#split(ms / SPLITS / 4)));
    }
    for (const [i, growth] of GROWTH.entries()) {
      stories.push(at((i + 0.5) / GROWTH.length, () => this.#changeList(growth)));
    }
    await Promise.all(stories);
  }

  async #wave(downMs: number): Promise<void> {
    await Promise.all(
      this.#pick(KILLED).map((node) =>
        this.#disturb(node, async () => {
          await this.#net.pass(this.#net.random.unit() * downMs);
          if (this.#isOver) return;
          this.#events.kills++;
          await node.kill();
          await this.#net.pass((0.2 + this.#net.random.unit()) * downMs);
          await node.start();
        }),
      ),
    );
  }

  async #setClocks(ms: number): Promise<void> {
    await Promise.all(
      this.#pick(WRONG_CLOCKS).map((node) =>
        this.#disturb(node, async () => {
          this.#events.wrongClocks++;
          node.skewMs = this.#skew();
          await this.#net.pass(ms);
          node.skewMs = 0;
        }),
      ),
    );
  }

  async #restartDevices(ms: number): Promise<void> {
    const { random } = this.#net;
    const free = this.#devices.filter((device) => device.isOpen && !this.#busy.has(device));
    const each = Math.max(1, Math.round(this.#devices.length * RESTARTED));
    await Promise.all(
      random.pick(free, 2 * each).map((device, i) =>
        this.#disturb(device, async () => {
          await this.#net.pass(random.unit() * ms);
          if (this.#isOver) return;
          const downMs = random.unit() * ms;
          if (i % 2 === 0) {
            this.#events.restarts++;
            await device.restart(downMs);
          } else {
            this.#events.crashes++;
            await device.crash(downMs);
          }
        }),
      ),
    );
  }

  /** Two parts of the network do not reach each other; clients reach both. */
  async #split(ms: number): Promise<void> {
    const { nodes, random } = this.#net;
    this.#events.partitions++;
    const share = 0.2 + 0.3 * random.unit();
    for (const node of nodes) node.host.side = random.unit() < share ? 1 : 2;
    await this.#net.pass(ms);
    for (const node of nodes) node.host.side = undefined;
  }

  /** `growth`: of the first nodes, how many more or fewer there are from now on. */
  async #changeList(growth: number): Promise<void> {
    const { nodes } = this.#options;
    const exchanged = Math.max(1, Math.round(nodes * CHANGED));
    const leaving = this.#pickLeaving(exchanged + Math.ceil(Math.max(0, -growth) * nodes));
    const joining = Array.from({ length: exchanged + Math.ceil(Math.max(0, growth) * nodes) }, () =>
      this.#net.addNode(),
    );
    for (const node of leaving) this.#left.set(node, this.#net.listVersion + 1);
    const given = this.#net.random.pick(
      this.#net.nodes.filter((node) => node.running),
      STAYING,
    );
    const before = new Set(this.#net.membership.swarmIds);
    await this.#net.changeList({ add: joining, remove: leaving }, given);
    const after = new Set(this.#net.membership.swarmIds);
    this.#events.lists++;
    this.#events.joins += joining.length;
    this.#events.leaves += leaving.length;
    this.#events.swarmsDissolved += [...before].filter((id) => !after.has(id)).length;
    this.#events.swarmsCreated += [...after].filter((id) => !before.has(id)).length;
    await Promise.all(joining.map((node) => node.start()));
    if (this.#options.sabotage === 'forget') for (const node of joining) node.forgetMessages(FORGOTTEN);
    await Promise.all(
      leaving.map((node) =>
        this.#disturb(node, async () => {
          await this.#net.pass(LEAVE_MS);
          await node.stop();
        }),
      ),
    );
  }

  /** Of each swarm a minority: when most of one leave at once, nobody can be asked to have what only they had. */
  #pickLeaving(count: number): SimNode[] {
    const { swarms, byEd25519 } = this.#net.membership;
    const leaving = new Map<bigint, number>();
    const picked: SimNode[] = [];
    for (const node of this.#pick(1)) {
      const swarm = byEd25519.get(node.ed25519)?.swarmId;
      if (node.index < STAYING || swarm === undefined || picked.length === count) continue;
      const others = leaving.get(swarm) ?? 0;
      if (2 * (others + 1) >= (swarms.get(swarm)?.length ?? 0)) continue;
      leaving.set(swarm, others + 1);
      picked.push(node);
    }
    return picked;
  }

  async #disturb(which: SimNode | Device, story: () => Promise<void>): Promise<void> {
    this.#busy.add(which);
    await story();
    this.#busy.delete(which);
  }

  /** Running nodes of the list that nothing happens to, at random: so many as `share` of all in the list. */
  #pick(share: number): SimNode[] {
    const listed = this.#net.nodes.filter(
      (node) => !this.#left.has(node) && this.#net.membership.byEd25519.has(node.ed25519),
    );
    const free = listed.filter((node) => node.running && !this.#busy.has(node));
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
    await Promise.all(this.#devices.map((device) => device.flush()));
  }

  // What became of it

  async #settle(): Promise<void> {
    const { settleMs = SETTLE_MS } = this.#options;
    const end = this.#net.time.ms + settleMs;
    for (let looks = 0; this.#net.time.ms < end; looks++) {
      const missing = this.#sendings.filter((sending) => sending.isStored && !this.#isEverywhere(sending));
      if (missing.length === 0) {
        // What would be shown twice needs some polls to be shown.
        await this.#net.pass(3 * this.#options.pollEveryMs);
        return;
      }
      if (looks % 30 === 29) await this.#tellMissing(missing);
      await this.#net.pass(LOOK_MS);
    }
    this.#print(`not everything arrived within ${settleMs / 60_000} min after the chaos`);
  }

  async #tellMissing(missing: readonly Sending[]): Promise<void> {
    this.#print(`${missing.length} messages are still missing somewhere`);
    for (const sending of missing.slice(0, TOLD)) {
      for (const account of [sending.to, sending.from]) {
        const device = this.#accounts.get(account)!.find((each) => !each.shows(sending.text));
        if (device !== undefined) this.#print(await this.#describeLoss(sending, device));
      }
    }
  }

  #isEverywhere({ from, to, text }: Sending): boolean {
    const isShown = (device: Device) => device.shows(text);
    return this.#accounts.get(to)!.every(isShown) && this.#accounts.get(from)!.every(isShown);
  }

  #judge() {
    let told = 0;
    const tell = async (describe: () => Promise<string>) => {
      if (told++ < TOLD) this.#print(await describe());
    };
    return judge(this.#sendings, this.#accounts, {
      missing: (sending, device) => tell(() => this.#describeLoss(sending, device)),
      doubled: (text, device) => tell(() => this.#describeDouble(text, device)),
    });
  }

  async #describeDouble(text: string, device: Device): Promise<string> {
    const kept = (await device.find(text)).map(({ sender, timestamp, state }) => {
      const sending = this.#byText.get(text);
      return `${state} by ${sender === sending?.from ? 'its sender' : 'another'} at ${timestamp}`;
    });
    const own = this.#accounts.get(this.#byText.get(text)!.from)!.includes(device);
    return `doubled: ${text} on device ${this.#devices.indexOf(device)}, ${own ? 'of its sender' : 'of its recipient'}; kept: ${kept.join(', ')}`;
  }

  /** Who keeps a lost message: the beginning of finding out why. */
  async #describeLoss({ text, from, to }: Sending, device: Device): Promise<string> {
    const owner = this.#accounts.get(to)!.includes(device) ? to : from;
    const list = this.#accounts.get(owner)!;
    const what = `lost: ${owner === to ? text : `the copy of ${text}`} on device ${list.indexOf(device)} of ${list.length}`;
    const told = owner === to ? this.#byText.get(text)?.proof : undefined;
    const held = (await Promise.all(list.map((other) => other.find(text)))).flat();
    const hash = told?.hash ?? held.find((each) => each.hash !== undefined)?.hash;
    if (hash === undefined) return `${what}; nobody knows its hash`;
    const members = this.#net.swarmOf(owner);
    const describe = (node: SimNode) => {
      const list = this.#left.get(node);
      const place = members.includes(node)
        ? 'member'
        : list === undefined
          ? 'other'
          : `left with list ${list}`;
      return `${node.name} (${place}${node.keeps(hash) ? ', has it' : ''})`;
    };
    const holders = this.#net.nodes.filter((node) => node.keeps(hash)).map(describe);
    const signers = this.#net.nodes.filter((node) => told?.signers.includes(node.ed25519)).map(describe);
    return `${what}; ${members.length} members; kept by ${holders.join(', ') || 'nobody'}; signed by ${signers.join(', ') || 'unknown'}`;
  }

  #progress(percent: number, realStart: number): void {
    const { nodes, time } = this.#net;
    const up = nodes.filter((node) => node.running).length;
    const stored = this.#sendings.filter((sending) => sending.isStored).length;
    this.#print(
      `${percent} %: ${this.#sendings.length} sent, ${stored} stored; ${up} nodes up, ${this.#events.kills} kills, ` +
        `list ${this.#net.listVersion} of ${this.#net.membership.swarmIds.length} swarms; ` +
        `${seconds(time.ms)} virtual s, ${seconds(performance.now() - realStart)} s`,
    );
  }
}
