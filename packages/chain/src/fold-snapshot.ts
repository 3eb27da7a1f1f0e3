// SPDX-License-Identifier: MIT
// A state of the fold as a file, from which a restarted program goes on instead of reading the chain from the
// deployment block. JSON in one line after a line with its SHA-256: a torn or changed file is known as such. The file is
// ours, so it is trusted once its form is right; the block that it ends with is then held against the chain.
import { toHex, utf8 } from '@allium/protocol/bytes';
import { sha256 } from '@allium/protocol/crypto';
import {
  type ChainNetwork,
  type EpochView,
  epochStart,
  type NodeRecord,
  type Slot,
  STATE_NUMBERS,
  type Version,
} from './chain-view.ts';
import { FieldReader } from './fields.ts';
import type { FoldState } from './fold.ts';
import { bytesOf, hexOf } from './packed.ts';
import { PARAMETER_KEYS, type ParameterChange, type ParameterHistory } from './parameters.ts';
import { PRESETS } from './presets.ts';

const FORMAT = 'allium chain snapshot 2';

// Ours: bounds of a file that we made. Several times the largest network ever seen.
const MAX_CHARS = 256 * 1024 * 1024;
const MAX_RECORDS = 200_000;
const MAX_CONTRIBUTORS = 32;
const MAX_U16 = 0xffff;
const MAX_U32 = 0xffffffff;

const reader = new FieldReader('bad_snapshot', 'the snapshot of the chain');
const STATES = Object.keys(STATE_NUMBERS) as (keyof typeof STATE_NUMBERS)[];

export function encodeSnapshot(network: ChainNetwork, state: FoldState): string {
  const { cursor, logIndex, slotStarts, quietUntil, lastSeed, nextSeed } = state;
  const seedOf = (revealed: { epoch: number; seed: Uint8Array }) => [revealed.epoch, hexOf(revealed.seed)];
  const body = JSON.stringify({
    format: FORMAT,
    chainId: network.chainId,
    registry: network.registry,
    deploymentBlock: Number(network.deploymentBlock),
    t0: network.t0,
    epochSeconds: network.epochSeconds,
    cursor,
    logIndex,
    records: state.records.map(({ stake, contributors, ...record }) => ({
      ...record,
      stake: String(stake),
      contributors: contributors.map((one) => [one.staker, one.beneficiary, String(one.amount)]),
    })),
    slots: encodeSlots(state.slots),
    slotStarts,
    holders: [...state.holders],
    parameters: encodeParameters(state.parameters),
    minimumVersion: state.minimumVersion ?? null,
    lastSeed: seedOf(lastSeed),
    nextSeed: nextSeed === undefined ? null : seedOf(nextSeed),
    closed: state.closed === undefined ? null : encodeView(state.closed, state.records),
    quietUntil: Math.min(quietUntil, Number.MAX_SAFE_INTEGER),
  });
  return `${digestOf(body)}\n${body}\n`;
}

/** @throws ChainError `bad_snapshot`: torn, changed, of another network or version */
export function parseSnapshot(network: ChainNetwork, text: string): FoldState {
  if (text.length > MAX_CHARS) reader.fail(`it has ${text.length} characters`);
  const end = text.indexOf('\n');
  const body = text.slice(end + 1, -1);
  if (end !== 64 || !text.endsWith('\n') || digestOf(body) !== text.slice(0, end)) {
    reader.fail('its content does not fit its checksum');
  }
  return parseBody(network, body);
}

/** The second line of the file. Exported for the fuzz target, which cannot guess the checksum. */
export function parseBody(network: ChainNetwork, body: string): FoldState {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return reader.fail('it is no JSON');
  }
  const o = reader.object(json, 'it');
  if (o.format !== FORMAT) reader.fail('it is of another version');
  const isOurs =
    o.chainId === network.chainId &&
    o.registry === network.registry &&
    o.deploymentBlock === Number(network.deploymentBlock) &&
    o.t0 === network.t0 &&
    o.epochSeconds === network.epochSeconds;
  if (!isOurs) reader.fail('it is of another network');
  const records = reader.array(o.records, 'records', MAX_RECORDS).map(parseRecord);
  const slots = parseSlots(o.slots, records.length);
  const starts = reader.array(o.slotStarts, 'slotStarts', MAX_RECORDS);
  if (starts.length !== slots.length) reader.fail('it has slots without a start');
  const holders = reader.array(o.holders, 'holders', MAX_RECORDS).map((value): [string, number] => {
    const [key, nodeId] = reader.array(value, 'holder', 2);
    return [reader.digits(key, 'key', 64), nodeOf(nodeId, records.length)];
  });
  const cursor = reader.object(o.cursor, 'cursor');
  return {
    cursor: {
      block: reader.integer(cursor.block, 'block'),
      hash: cursor.hash === '' ? '' : reader.bytes(cursor.hash, 'block hash', 32),
      timestamp: reader.integer(cursor.timestamp, 'block time'),
    },
    logIndex: o.logIndex === -1 ? -1 : reader.integer(o.logIndex, 'logIndex'),
    records,
    slots,
    slotStarts: starts.map((value) => reader.integer(value, 'start of a slot', MAX_U32)),
    holders: new Map(holders),
    parameters: parseParameters(o.parameters),
    minimumVersion: o.minimumVersion === null ? undefined : parseVersion(o.minimumVersion),
    lastSeed: parseSeed(o.lastSeed),
    nextSeed: o.nextSeed === null ? undefined : parseSeed(o.nextSeed),
    closed: o.closed === null ? undefined : parseView(network, o.closed, records),
    quietUntil: reader.integer(o.quietUntil, 'quietUntil'),
  };
}

function nodeOf(value: unknown, count: number): number {
  const id = reader.integer(value, 'node', count);
  return id === 0 ? reader.fail('a node has the id 0') : id;
}

function encodeSlots(slots: readonly Slot[]): unknown {
  return slots.map(({ nodeId, votingKey, from, until }) => [nodeId, votingKey, from, until]);
}

function parseSlots(value: unknown, nodeCount: number): Slot[] {
  return reader.array(value, 'slots', MAX_RECORDS).map((slot) => {
    const [nodeId, votingKey, from, until] = reader.array(slot, 'slot', 4);
    return {
      nodeId: nodeOf(nodeId, nodeCount),
      votingKey: reader.bytes(votingKey, 'votingKey', 20),
      from: reader.integer(from, 'from', MAX_U32),
      until: reader.integer(until, 'until', MAX_U32),
    };
  });
}

function parseRecord(value: unknown, index: number): NodeRecord {
  const o = reader.object(value, 'record');
  if (o.nodeId !== index + 1) reader.fail(`record ${index} is of another node`);
  const time = (name: string) => reader.integer(o[name], name);
  const u32 = (name: string) => reader.integer(o[name], name, MAX_U32);
  return {
    nodeId: index + 1,
    operator: reader.bytes(o.operator, 'operator', 20),
    votingKey: reader.bytes(o.votingKey, 'votingKey', 20),
    ed25519Hex: reader.digits(o.ed25519Hex, 'ed25519Hex', 64),
    beaconAnchor: reader.bytes(o.beaconAnchor, 'beaconAnchor', 32),
    feeBps: u32('feeBps'),
    stake: reader.decimal(o.stake, 'stake'),
    contributors: reader.array(o.contributors, 'contributors', MAX_CONTRIBUTORS).map((one) => {
      const [staker, beneficiary, amount] = reader.array(one, 'contributor', 3);
      return {
        staker: reader.bytes(staker, 'staker', 20),
        beneficiary: reader.bytes(beneficiary, 'beneficiary', 20),
        amount: reader.decimal(amount, 'amount'),
      };
    }),
    state: reader.oneOf(o.state, 'state', STATES),
    stateNonce: u32('stateNonce'),
    valid: reader.boolean(o.valid, 'valid'),
    slot: u32('slot'),
    from: u32('from'),
    until: u32('until'),
    registeredAt: time('registeredAt'),
    activeSince: time('activeSince'),
    decommissionedAt: time('decommissionedAt'),
    credit: u32('credit'),
    payable: reader.boolean(o.payable, 'payable'),
    unlockAt: time('unlockAt'),
    reasonsAll: u32('reasonsAll'),
    reasonsAny: u32('reasonsAny'),
    missedTurns: u32('missedTurns'),
  };
}

function parseSeed(value: unknown): { epoch: number; seed: Uint8Array } {
  const [epoch, seed] = reader.array(value, 'seed', 2);
  return { epoch: reader.integer(epoch, 'epoch', MAX_U32), seed: bytesOf(reader.bytes(seed, 'seed', 32)) };
}

function encodeParameters({ base, later }: ParameterHistory): unknown {
  return {
    base: { ...base, stakingRequirement: String(base.stakingRequirement) },
    later: later.map(({ key, value, fromEpoch }) => [key, String(value), fromEpoch]),
  };
}

function parseParameters(value: unknown): ParameterHistory {
  const o = reader.object(value, 'parameters');
  const base = reader.object(o.base, 'base');
  const numbers = Object.keys(PRESETS.local.params)
    .filter((key) => key !== 'stakingRequirement')
    .map((key) => [key, reader.integer(base[key], key)]);
  return {
    base: {
      ...PRESETS.local.params,
      ...Object.fromEntries(numbers),
      stakingRequirement: reader.decimal(base.stakingRequirement, 'stakingRequirement'),
    },
    later: reader.array(o.later, 'later', 1024).map((one): ParameterChange => {
      const [key, amount, fromEpoch] = reader.array(one, 'change', 3);
      return {
        key: reader.oneOf(key, 'key', PARAMETER_KEYS),
        value: reader.decimal(amount, 'value'),
        fromEpoch: reader.integer(fromEpoch, 'fromEpoch', MAX_U32),
      };
    }),
  };
}

function parseVersion(value: unknown): Version {
  const [major, minor, patch] = reader.array(value, 'minimumVersion', 3);
  const part = (one: unknown) => reader.integer(one, 'minimumVersion', MAX_U16);
  return [part(major), part(minor), part(patch)];
}

function encodeView(view: EpochView, records: readonly NodeRecord[]): unknown {
  const ids = new Map(view.memberIds.map((id) => [records[id - 1]?.ed25519Hex, id]));
  return {
    epoch: view.epoch,
    seed: hexOf(view.seed),
    slotCount: view.slotCount,
    quorumSize: view.quorumSize,
    minVoters: view.minVoters,
    proposerId: view.proposerId ?? 0,
    revealed: view.revealed,
    // Swarms of node ids: the keys stand in the records. The order within a swarm is kept, draws depend on it.
    swarms: [...view.swarms].map(([id, keys]) => [id.toString(16), keys.map((key) => ids.get(key))]),
    slots: encodeSlots(view.slots),
  };
}

function parseView(network: ChainNetwork, value: unknown, records: readonly NodeRecord[]): EpochView {
  const o = reader.object(value, 'closed');
  const memberIds: number[] = [];
  const swarms = reader.array(o.swarms, 'swarms', MAX_RECORDS).map((entry): [bigint, string[]] => {
    const [id, members] = reader.array(entry, 'swarm', 2);
    if (typeof id !== 'string' || !/^[0-9a-f]{1,16}$/.test(id)) reader.fail('the id of a swarm is none');
    const keys = reader.array(members, 'members', MAX_RECORDS).map((member) => {
      const nodeId = reader.integer(member, 'member', records.length);
      memberIds.push(nodeId);
      return records[nodeId - 1]?.ed25519Hex ?? reader.fail('a member of a swarm is no node');
    });
    return [BigInt(`0x${id}`), keys];
  });
  memberIds.sort((a, b) => a - b);
  if (memberIds.some((id, index) => id === memberIds[index + 1])) reader.fail('a node is in two swarms');
  const epoch = reader.integer(o.epoch, 'epoch', MAX_U32);
  const proposerId = reader.integer(o.proposerId, 'proposerId', records.length);
  return {
    epoch,
    startsAt: epochStart(network, epoch),
    seed: bytesOf(reader.bytes(o.seed, 'seed', 32)),
    slotCount: reader.integer(o.slotCount, 'slotCount', MAX_U32),
    slots: parseSlots(o.slots, records.length),
    quorumSize: reader.integer(o.quorumSize, 'quorumSize', 255),
    minVoters: reader.integer(o.minVoters, 'minVoters', 255),
    swarms: new Map(swarms),
    memberIds,
    proposerId: proposerId === 0 ? undefined : proposerId,
    revealed: reader.boolean(o.revealed, 'revealed'),
  };
}

function digestOf(body: string): string {
  return toHex(sha256(utf8(body)));
}
