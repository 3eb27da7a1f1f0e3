// SPDX-License-Identifier: AGPL-3.0-or-later
// What became of the messages of a chaos run, and its figures in words.
import type { AccountId } from '@allium/protocol/account-id';
import type { Device } from './chaos-device.ts';

/** A message that was given to `send`. */
export interface Sending {
  readonly text: string;
  readonly from: AccountId;
  readonly to: AccountId;
  /** Its sender was told that the recipient's swarm keeps it. */
  isStored: boolean;
  /** Its sender was told that it failed. Some of these arrive all the same. */
  isFailed: boolean;
  /** What its sender was told of those who keep it. */
  proof?: { readonly hash: string; readonly signers: readonly string[] };
}

/** What happened to the network and to devices, counted as it happens. */
export interface ChaosEvents {
  kills: number;
  joins: number;
  leaves: number;
  /** Node lists that took effect. */
  lists: number;
  swarmsDissolved: number;
  swarmsCreated: number;
  partitions: number;
  /** Nodes whose clock was set wrong for a while. */
  wrongClocks: number;
  /** Devices whose clock is wrong from the beginning to the end. */
  wrongDevices: number;
  /** Devices that were closed and opened again from their storage. */
  restarts: number;
  /** Devices that died and were opened again from their storage. */
  crashes: number;
}

export interface ChaosVerdict {
  readonly sent: number;
  readonly stored: number;
  readonly failed: number;
  /** Appearances that were owed: of each stored message on each device of its recipient and of its sender. */
  readonly owed: number;
  /** … of them missing on the screen or in the history. */
  readonly lost: number;
  /** Appearances of a message on a screen, or in a history, that has it already. */
  readonly doubled: number;
  /** Conversations that two devices of an account show in different orders. */
  readonly disordered: number;
}

export interface ChaosResult extends ChaosVerdict {
  readonly events: ChaosEvents;
  readonly virtualMs: number;
  readonly realMs: number;
}

export const NO_EVENTS: ChaosEvents = {
  kills: 0,
  joins: 0,
  leaves: 0,
  lists: 0,
  swarmsDissolved: 0,
  swarmsCreated: 0,
  partitions: 0,
  wrongClocks: 0,
  wrongDevices: 0,
  restarts: 0,
  crashes: 0,
};

/** What is told of each thing that is wrong. */
export interface Complaints {
  missing(sending: Sending, device: Device): Promise<void>;
  doubled(text: string, device: Device): Promise<void>;
}

export async function judge(
  sendings: readonly Sending[],
  devices: ReadonlyMap<AccountId, readonly Device[]>,
  complaints: Complaints,
): Promise<ChaosVerdict> {
  const stored = sendings.filter((sending) => sending.isStored);
  const owedTo = new Map<AccountId, Sending[]>();
  const owe = (account: AccountId, sending: Sending) => {
    const list = owedTo.get(account);
    if (list === undefined) owedTo.set(account, [sending]);
    else list.push(sending);
  };
  for (const sending of stored) {
    owe(sending.to, sending);
    owe(sending.from, sending);
  }
  let [owed, lost, doubled, disordered] = [0, 0, 0, 0];
  for (const [account, list] of devices) {
    const orders: Map<AccountId, readonly string[]>[] = [];
    for (const device of list) {
      const conversations = await device.conversations();
      orders.push(new Map(conversations.map(({ id, texts }) => [id, texts])));
      const all = conversations.flatMap(({ texts }) => texts);
      const kept = new Set<string>();
      const twice = all.filter((text) => kept.size === kept.add(text).size);
      // On the screen, whatever it showed before its last start, and in the history.
      for (const text of [...device.doubled, ...twice]) {
        doubled++;
        await complaints.doubled(text, device);
      }
      for (const sending of owedTo.get(account) ?? []) {
        owed++;
        if (kept.has(sending.text) && device.shows(sending.text)) continue;
        lost++;
        await complaints.missing(sending, device);
      }
    }
    disordered += countDisordered(orders);
  }
  return {
    sent: sendings.length,
    stored: stored.length,
    failed: sendings.filter((sending) => sending.isFailed && !sending.isStored).length,
    owed,
    lost,
    doubled,
    disordered,
  };
}

/** In how many conversations of an account two of its devices differ in the order of what both have. */
function countDisordered(orders: readonly ReadonlyMap<AccountId, readonly string[]>[]): number {
  const [first, ...others] = orders;
  if (first === undefined) return 0;
  let differing = 0;
  for (const [id, mine] of first) {
    const isAlike = others.every((other) => {
      const theirs = other.get(id) ?? [];
      const [a, b] = [new Set(mine), new Set(theirs)];
      const [left, right] = [mine.filter((text) => b.has(text)), theirs.filter((text) => a.has(text))];
      return left.every((text, i) => text === right[i]);
    });
    if (!isAlike) differing++;
  }
  return differing;
}

export const hasFailed = ({ lost, doubled, disordered }: ChaosVerdict): boolean =>
  lost + doubled + disordered > 0;

/** The figures of a run; the last line says whether all is well. */
export function describeChaos(result: ChaosResult): string[] {
  const { sent, stored, failed, owed, events, virtualMs, realMs } = result;
  return [
    `${sent} messages sent: ${stored} stored, ${failed} told as failed, ${sent - stored - failed} never finished; ` +
      `${owed} appearances owed`,
    `nodes: ${events.kills} kills, ${events.joins} joins, ${events.leaves} leaves, ${events.wrongClocks} wrong clocks`,
    `network: ${events.lists} new lists, ${events.swarmsDissolved} swarms dissolved, ` +
      `${events.swarmsCreated} created, ${events.partitions} partitions`,
    `devices: ${events.restarts} restarts, ${events.crashes} crashes, ${events.wrongDevices} with a wrong clock`,
    `${seconds(virtualMs)} virtual seconds in ${seconds(realMs)} s, ${(sent / (realMs / 1000)).toFixed(1)} messages/s`,
    `lost ${result.lost}, doubled ${result.doubled}, disordered ${result.disordered}`,
  ];
}

export const seconds = (ms: number): string => (ms / 1000).toFixed(0);
