// SPDX-License-Identifier: AGPL-3.0-or-later
// Linked devices: three devices of one account and two people who write to it. Everything that a user can do is done on
// devices at random, while they are restarted, die, also in the middle of a write, and lose their network, and while nodes
// go. Afterwards everything heals, and all devices, each started once more from its storage, must show the same; and so must
// one more that has only the phrase.
//
// Left out: what somebody wrote whom one device blocked before another heard of it. What is dropped is dropped for good, except by
// a device that comes later and knows nothing of the blocking: it learns from that, and tells, that they accept us and how they call
// themselves.
import type { Contact } from '@allium/client/contacts';
import { Account } from '@allium/protocol/account';
import type { AccountId } from '@allium/protocol/account-id';
import { toHex } from '@allium/protocol/bytes';
import { type DevicesSabotage, differences, type Snapshot, SyncDevice } from './devices-device.ts';
import { Sim, type SimNode } from './sim.ts';

export interface DevicesOptions {
  readonly runs: number;
  /** Of the first run; the next ones count on. */
  readonly seed: number;
  readonly sabotage?: DevicesSabotage | undefined;
  /** Default 60. */
  readonly actions?: number;
  /** Virtual time in which they happen. Default 4 minutes. */
  readonly ms?: number;
  /** How long they may take afterwards, virtual time. Default 30 minutes. */
  readonly settleMs?: number;
  readonly signal?: AbortSignal;
}

export interface DevicesResult {
  readonly runs: number;
  readonly diverged: number;
  readonly actions: number;
  readonly disturbances: number;
  /** Versions of all configs that the account has come to. */
  readonly versions: number;
  readonly virtualMs: number;
  readonly realMs: number;
}

const DEVICES = 3;
const NODES = 8;
const POLL_MS = 5_000;
const ACTIONS = 60;
const MS = 240_000;
const SETTLE_MS = 30 * 60_000;
const LOOK_MS = 10_000;
const EMOJI = ['👍', '🧅', '😂'] as const;
const DAY_SECONDS = 86_400;
const TOLD = 12;

export async function runDevices(
  options: DevicesOptions,
  print: (line: string) => void,
): Promise<DevicesResult> {
  const realStart = performance.now();
  const total = { runs: 0, diverged: 0, actions: 0, disturbances: 0, versions: 0, virtualMs: 0 };
  for (let i = 0; i < options.runs && options.signal?.aborted !== true; i++) {
    const seed = options.seed + i;
    const story = await Story.start(seed, options);
    try {
      const found = await story.run();
      total.runs++;
      total.actions += story.actions;
      total.disturbances += story.disturbances;
      total.versions += story.versions;
      total.virtualMs += story.virtualMs;
      if (found.length > 0) {
        total.diverged++;
        print(`seed ${seed} diverged:`);
        for (const line of found.slice(0, TOLD)) print(`  ${line}`);
        if (found.length > TOLD) print(`  and ${found.length - TOLD} more`);
      }
    } finally {
      await story.stop();
    }
    if ((i + 1) % 10 === 0) print(`${i + 1} runs, ${total.diverged} diverged`);
  }
  return { ...total, realMs: performance.now() - realStart };
}

export function describeDevices(result: DevicesResult): string[] {
  const { runs, diverged, actions, disturbances, versions, virtualMs, realMs } = result;
  return [
    `${actions} actions, ${disturbances} disturbances, ${versions} versions of configs; ` +
      `${(virtualMs / 1000).toFixed(0)} virtual seconds in ${(realMs / 1000).toFixed(0)} s`,
    `runs ${runs}, diverged ${diverged}`,
  ];
}

class Story {
  readonly #net: Sim;
  readonly #devices: readonly SyncDevice[];
  readonly #peers: readonly SyncDevice[];
  readonly #account: Account;
  readonly #own: AccountId;
  readonly #writers: readonly AccountId[];
  /** Known by their ids only. */
  readonly #silent: readonly AccountId[];
  /** By device, one contact that nobody else changes: its last name must be there at the end. */
  readonly #mine: readonly AccountId[];
  readonly #named: (string | undefined)[] = [];
  /** Who was blocked at some time. */
  readonly #blocked = new Set<AccountId>();
  readonly #options: DevicesOptions;
  actions = 0;
  disturbances = 0;
  versions = 0;
  virtualMs = 0;
  #texts = 0;

  private constructor(net: Sim, options: DevicesOptions) {
    this.#net = net;
    this.#options = options;
    const account = () => Account.fromSeed(net.random.bytes(16));
    const own = account();
    this.#account = own;
    this.#own = own.id;
    this.#devices = Array.from(
      { length: DEVICES },
      (_, i) =>
        new SyncDevice(net, {
          name: `device ${i}`,
          account: own,
          pollEveryMs: POLL_MS,
          sabotage: i === 0 ? options.sabotage : undefined,
        }),
    );
    const writers = [account(), account()];
    this.#writers = writers.map(({ id }) => id);
    this.#peers = writers.map(
      (peer, i) => new SyncDevice(net, { name: `peer ${i}`, account: peer, pollEveryMs: POLL_MS }),
    );
    this.#silent = [account(), account()].map(({ id }) => id);
    this.#mine = this.#devices.map(() => account().id);
  }

  static async start(seed: number, options: DevicesOptions): Promise<Story> {
    const net = await Sim.start({ nodes: NODES, seed });
    const story = new Story(net, options);
    await Promise.all([...story.#devices, ...story.#peers].map((device) => device.open()));
    return story;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#devices, ...this.#peers].map((device) => device.close()));
    await this.#net.stop();
  }

  /** What differs at the end. */
  async run(): Promise<string[]> {
    const { actions = ACTIONS, ms = MS } = this.#options;
    const { random } = this.#net;
    const start = this.#net.time.ms;
    const at = async (time: number, story: () => Promise<unknown>) => {
      await this.#net.pass(time);
      await story();
    };
    const stories: Promise<void>[] = [];
    for (let i = 0; i < actions; i++) {
      const device = random.pick(this.#devices, 1)[0]!;
      stories.push(at(random.unit() * ms, () => this.#act(device)));
    }
    for (let i = 0; i < actions / 4; i++) stories.push(at(random.unit() * ms, () => this.#peerActs()));
    // One after the other on each device.
    for (const device of this.#devices) stories.push(this.#disturb(device, ms));
    stories.push(this.#disturbNodes(ms));
    await Promise.all(stories);
    const found = await this.#settle();
    this.virtualMs = this.#net.time.ms - start;
    return found;
  }

  async #act(device: SyncDevice): Promise<void> {
    const { random } = this.#net;
    const id = random.pick([...this.#writers, ...this.#silent], 1)[0]!;
    const index = this.#devices.indexOf(device);
    const text = `text ${this.#texts++}`;
    const chance = random.below(26);
    this.actions++;
    await device.act(async (client) => {
      const conversation = client.conversation(id);
      switch (chance) {
        case 0:
          return client.setProfile({ name: text });
        case 1: {
          const url = `http://filev2.getsession.org/file/${this.#texts}`;
          return client.setProfile({ name: text, picture: { url, key: toHex(random.bytes(32)) } });
        }
        case 2:
          return client.changeSettings({ typingIndicators: random.unit() < 0.5 });
        case 3:
          return client.changeSettings({ deliveryReceipts: random.unit() < 0.5 });
        case 4:
          return conversation.approve();
        case 5:
          this.#blocked.add(id);
          return conversation.block();
        case 6:
        case 7:
          return conversation.unblock();
        case 8:
          return conversation.setNickname(random.unit() < 0.7 ? text : undefined);
        case 9:
          return conversation.change({ pin: random.below(3) || undefined });
        case 10:
          return conversation.change({
            mutedUntil: client.health().clockOffsetMs + random.below(10_000_000),
          });
        case 11:
          return conversation.change({ notifications: random.unit() < 0.5 ? 'none' : undefined });
        case 12:
          return random.unit() < 0.7 ? conversation.hide() : conversation.unhide();
        case 13:
          return random.unit() < 0.5 ? client.noteToSelf().change({ pin: 1 }) : client.noteToSelf().hide();
        case 14:
          return conversation.erase();
        case 15:
        case 16:
          return conversation.markRead();
        case 17:
          return conversation.markUnread();
        case 18:
          return this.#react(client, id);
        case 19:
          return this.#takeBack(client, id);
        case 20: {
          const mine = this.#mine[index]!;
          await client.conversation(mine).setNickname(text);
          this.#named[index] = text;
          return;
        }
        case 21:
          return conversation.setTimer(
            random.unit() < 0.6 ? { mode: 'after_send', seconds: DAY_SECONDS } : undefined,
          );
        case 22:
          return this.#rewrite(client, id, text);
        case 23:
          void client
            .noteToSelf()
            .send(text, { keepTrying: true })
            .catch(() => undefined);
          return;
        default:
          void client
            .conversation(random.pick(this.#writers, 1)[0]!)
            .send(text, { keepTrying: true })
            .catch(() => undefined);
          return;
      }
    });
  }

  async #react(client: NonNullable<SyncDevice['client']>, id: AccountId): Promise<void> {
    const { random } = this.#net;
    const [message] = random.pick([...(await client.conversation(id).history())], 1);
    if (message === undefined) return;
    const emoji = random.pick(EMOJI, 1)[0]!;
    await client.conversation(id).react(message, emoji, { remove: random.unit() < 0.3 });
  }

  async #takeBack(client: NonNullable<SyncDevice['client']>, id: AccountId): Promise<void> {
    const own = (await client.conversation(id).history()).filter(({ sender }) => sender === this.#own);
    const [message] = this.#net.random.pick(own, 1);
    if (message !== undefined) await client.conversation(id).deleteForEveryone(message.timestamp);
  }

  async #rewrite(client: NonNullable<SyncDevice['client']>, id: AccountId, text: string): Promise<void> {
    const own = (await client.conversation(id).history()).filter(({ sender }) => sender === this.#own);
    const [message] = this.#net.random.pick(own, 1);
    if (message !== undefined) await client.conversation(id).edit(message.timestamp, text);
  }

  async #peerActs(): Promise<void> {
    const { random } = this.#net;
    const peer = random.pick(this.#peers, 1)[0]!;
    const text = `text ${this.#texts++}`;
    const chance = random.below(6);
    this.actions++;
    await peer.act(async (client) => {
      const conversation = client.conversation(this.#own);
      if (chance === 0) return client.setProfile({ name: text });
      if (chance === 1) return conversation.approve();
      if (chance === 2) return this.#react(client, this.#own);
      void conversation.send(text, { keepTrying: true }).catch(() => undefined);
      return;
    });
  }

  async #disturb(device: SyncDevice, ms: number): Promise<void> {
    const { random } = this.#net;
    const end = this.#net.time.ms + ms;
    for (;;) {
      await this.#net.pass(10_000 + random.unit() * (ms / 3));
      if (this.#net.time.ms > end) return;
      this.disturbances++;
      const downMs = random.unit() * (ms / 4);
      const chance = random.below(4);
      if (chance === 0) await device.restart(downMs);
      else if (chance === 1) await device.crash(downMs);
      else if (chance === 2) await device.crashInWrite(10, downMs);
      else await device.cut(downMs);
    }
  }

  /** One node after the other, so that every swarm keeps what it was given. */
  async #disturbNodes(ms: number): Promise<void> {
    const { random, nodes } = this.#net;
    const end = this.#net.time.ms + ms;
    for (;;) {
      await this.#net.pass(10_000 + random.unit() * (ms / 4));
      if (this.#net.time.ms > end) return;
      this.disturbances++;
      const node = random.pick(nodes, 1)[0] as SimNode;
      if (random.unit() < 0.5) {
        node.partition(true);
        await this.#net.pass(random.unit() * (ms / 6));
        node.partition(false);
      } else {
        await node.kill();
        await this.#net.pass(random.unit() * (ms / 6));
        await node.start();
      }
    }
  }

  async #settle(): Promise<string[]> {
    const end = this.#net.time.ms + (this.#options.settleMs ?? SETTLE_MS);
    let found = ['devices were never settled'];
    // What is shown at the end is what the storage has.
    let isReopened = false;
    while (this.#net.time.ms < end) {
      await this.#net.pass(LOOK_MS);
      const all = [...this.#devices, ...this.#peers];
      if (!(await Promise.all(all.map((device) => device.isSettled()))).every(Boolean)) continue;
      const snapshots = await Promise.all(this.#devices.map((device) => device.snapshot(this.#blocked)));
      found = this.#compare(snapshots);
      if (found.length > 0) continue;
      if (isReopened) {
        this.versions += versionsOf(snapshots[0]!);
        return this.#restored(snapshots[0]!);
      }
      isReopened = true;
      // Whatever is on its way still.
      await this.#net.pass(60_000);
      await Promise.all(this.#devices.map((device) => device.restart(1_000)));
    }
    return found;
  }

  /** One more device, which has only the phrase. */
  async #restored(wanted: Snapshot): Promise<string[]> {
    const options = { name: 'restored device', account: this.#account, pollEveryMs: POLL_MS };
    const device = new SyncDevice(this.#net, options);
    await device.open();
    try {
      let missing: readonly string[] = [];
      await device.act(async (client) => {
        missing = (await client.restore()).missing.map(({ code }) => code);
      });
      await this.#net.pass(60_000);
      const restored = await device.snapshot(this.#blocked);
      const found = [
        ...differences(this.#withoutDropped(wanted), this.#withoutDropped(restored)),
        ...differences(await this.#devices[0]!.snapshot(this.#blocked), restored),
      ];
      return found.map((line) => `restored device (missing: ${missing.join(', ')}): ${line}`);
    } finally {
      await device.close();
    }
  }

  /** Without what follows from messages that only some devices dropped. */
  #withoutDropped(snapshot: Snapshot): Snapshot {
    if (this.#blocked.size === 0) return snapshot;
    const { versions: _versions, contacts, ...others } = snapshot;
    const known = (contacts as readonly Contact[]).map((contact) => {
      if (!this.#blocked.has(contact.id)) return contact;
      const { id, approved, blocked, nickname, timer } = contact;
      return { id, approved, blocked, nickname, timer };
    });
    return { ...others, contacts: known };
  }

  #compare(snapshots: readonly Snapshot[]): string[] {
    const [first, ...others] = snapshots;
    const found = others.flatMap((other, i) =>
      differences(first, other).map((line) => `device 0 and ${i + 1}: ${line}`),
    );
    const contacts = (first?.contacts ?? []) as readonly {
      readonly id: string;
      readonly nickname?: string;
    }[];
    for (const [i, id] of this.#mine.entries()) {
      const wanted = this.#named[i];
      const nickname = contacts.find((contact) => contact.id === id)?.nickname;
      if (wanted === undefined || nickname === wanted) continue;
      found.push(`lost: device ${i} named its own contact ${wanted}, not ${nickname}`);
    }
    return found;
  }
}

function versionsOf({ versions }: Snapshot): number {
  return (versions as readonly string[]).reduce((sum, version) => sum + Number(version.split(' ')[1]), 0);
}
