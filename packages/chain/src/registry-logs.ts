// SPDX-License-Identifier: MIT
// Logs of the registry as events of the fold (spec/chain §4.15). Events that it does not need are passed over.
import { decodeEventLog, toEventSelector } from 'viem/utils';
import { ChainError } from './chain-error.ts';
import { type Contributor, type Hex, type NodeState, STATE_NUMBERS } from './chain-view.ts';
import { abi } from './contracts/generated/IServiceNodeRegistry.ts';
import type { ChainEvent, RegistryEvent } from './events.ts';
import type { RpcLog } from './json-rpc.ts';
import { PARAMETER_KEYS } from './parameters.ts';

const NEEDED = [
  'NodeRegistered',
  'MembershipChanged',
  'StateChanged',
  'SeedRevealed',
  'VotingKeyChanged',
  'PayableChanged',
  'ExitRequested',
  'BeneficiaryChanged',
  'ParamChanged',
  'MinimumVersion',
] as const;

const neededAbi = abi.filter(
  (item): item is Extract<(typeof abi)[number], { type: 'event'; name: (typeof NEEDED)[number] }> =>
    item.type === 'event' && NEEDED.some((name) => name === item.name),
);
const selectors = new Set<Hex>(neededAbi.map((item) => toEventSelector(item)));
const stateNames = new Map<number, NodeState>(
  Object.entries(STATE_NUMBERS).map(([name, number]) => [number, name as NodeState]),
);

/** Does the fold need it? Its block's time must then be known. */
export function isNeeded(log: RpcLog): boolean {
  const [selector] = log.topics;
  return selector !== undefined && selectors.has(selector);
}

/** `timestamp`: of the log's block. @throws ChainError `bad_answer` for a log that this contract cannot have made */
export function readEvent(log: RpcLog, timestamp: number): ChainEvent {
  const { block, blockHash, logIndex } = log;
  return { ...decode(log), block, blockHash, logIndex, timestamp };
}

function decode(log: RpcLog): RegistryEvent {
  let decoded: ReturnType<typeof decodeNeeded>;
  try {
    decoded = decodeNeeded(log);
  } catch (error) {
    throw new ChainError('bad_answer', `an event in block ${log.block} is not of this registry`, {
      cause: error,
    });
  }
  const { eventName, args } = decoded;
  switch (eventName) {
    case 'NodeRegistered':
      return {
        type: 'registered',
        nodeId: args.nodeId,
        operator: lower(args.operator),
        ed25519Hex: args.ed25519.slice(2),
        signatureHex: args.edSig0.slice(2) + args.edSig1.slice(2),
        votingKey: lower(args.votingKey),
        beaconAnchor: args.beaconAnchor,
        feeBps: args.feeBps,
        stake: args.stake,
        contributors: args.contributors.map(
          (one): Contributor => ({
            staker: lower(one.staker),
            beneficiary: lower(one.beneficiary),
            amount: one.amount,
          }),
        ),
      };
    case 'MembershipChanged':
      return { type: 'membership', ...args };
    case 'StateChanged': {
      const { nodeId, stateNonce, reasonsAll, reasonsAny } = args;
      const state = stateNames.get(args.state);
      if (state === undefined) {
        throw new ChainError('bad_answer', `an event in block ${log.block} names the state ${args.state}`);
      }
      return { type: 'state', nodeId, state, stateNonce, reasonsAll, reasonsAny };
    }
    case 'SeedRevealed':
      return { type: 'seed', epoch: args.epoch, nodeId: args.nodeId, preimage: args.pre, seed: args.seed };
    case 'VotingKeyChanged':
      return { type: 'votingKey', nodeId: args.nodeId, votingKey: lower(args.key) };
    case 'PayableChanged':
      return { type: 'payable', nodeId: args.nodeId, payable: args.payable_ };
    case 'ExitRequested':
      return { type: 'exitRequested', nodeId: args.nodeId, unlockAt: args.unlockAt };
    case 'BeneficiaryChanged':
      return {
        type: 'beneficiary',
        nodeId: args.nodeId,
        index: args.index,
        beneficiary: lower(args.beneficiary),
      };
    case 'ParamChanged': {
      const key = PARAMETER_KEYS[args.key];
      if (key === undefined) {
        throw new ChainError(
          'bad_answer',
          `an event in block ${log.block} changes the parameter ${args.key}`,
        );
      }
      return { type: 'parameter', key, value: args.value, fromEpoch: args.fromEpoch };
    }
    case 'MinimumVersion':
      return { type: 'minimumVersion', version: [args.major, args.minor, args.patch] };
  }
}

function decodeNeeded(log: RpcLog) {
  return decodeEventLog({
    abi: neededAbi,
    topics: [...log.topics] as [Hex, ...Hex[]],
    data: log.data,
    strict: true,
  });
}

function lower(address: Hex): Hex {
  return address.toLowerCase() as Hex;
}
