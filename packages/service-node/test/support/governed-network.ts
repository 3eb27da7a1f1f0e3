// SPDX-License-Identifier: AGPL-3.0-or-later
// Nodes that judge and vote on one chain set by hand, in virtual time: real votes and signatures, real books, a bus instead
// of sockets, and a registry that accepts what the contract would.
import type { Hex, NodeRecord, StateChange, Submission } from '@allium/chain/chain-view';
import { FakeChainView, FakeChainWriter } from '@allium/chain/testing';
import { domainSeparator, recoverSigner, voteDigest, votingAddress } from '@allium/chain/votes';
import { type OmqEndpoint, OmqError } from '@allium/net/omq/endpoint';
import { systemRandom } from '@allium/net/system-env';
import { toHex } from '@allium/protocol/bytes';
import type { Clock, Env, Logger } from '@allium/protocol/env';
import { buildMembership, type Member, type Membership, memberOf } from '@allium/protocol/membership';
import { ClockWatch } from '../../src/membership/clock-watch.ts';
import { NodeKeys } from '../../src/node-keys.ts';
import { PeerBook } from '../../src/testing/peer-book.ts';
import { testTimings } from '../../src/testing/timings.ts';
import type { Verdict } from '../../src/voting/decision.ts';
import type { Seat } from '../../src/voting/judge.ts';
import { Voting } from '../../src/voting/voting.ts';
import { TestClock } from './test-clock.ts';

export const FINE: Verdict = { reasons: 0, proofAt: undefined, isBack: true, isFailing: false };
const TIMINGS = { repetition: 2_000, stagger: 1_000, validity: 25_000 };

export class GovernedNode {
  readonly nodeId: number;
  readonly keys: NodeKeys;
  readonly votingKey: Uint8Array;
  readonly writer: RegistryWriter;
  readonly voting: Voting;
  readonly book: PeerBook;
  readonly clocks: ClockWatch;
  readonly told: string[] = [];
  readonly env: Env;
  /** What this node finds, by node id; `FINE` where nothing is said. */
  readonly finds = new Map<number, Verdict>();
  watchedMs = 1e9;
  isUp = true;

  constructor(nodeId: number, net: GovernedNetwork) {
    this.nodeId = nodeId;
    this.keys = new NodeKeys(new Uint8Array(32).fill(nodeId));
    this.votingKey = new Uint8Array(32).fill(100 + nodeId);
    this.writer = new RegistryWriter(votingAddress(this.votingKey), net);
    const log: Logger = {
      error: (_, text) => void this.told.push(`error ${text}`),
      warn: (_, text) => void this.told.push(`warn ${text}`),
      info: (_, text) => void this.told.push(`info ${text}`),
      debug() {},
      child: () => log,
    };
    this.env = { clock: net.clock, random: systemRandom, log };
    this.clocks = new ClockWatch(() => net.size - 1, this.env);
    this.book = new PeerBook({ clocks: this.clocks, timings: testTimings('local') }, this.env);
    const { view } = net;
    const node = this;
    this.voting = new Voting(
      {
        view,
        writer: this.writer,
        votingKey: this.votingKey,
        ownHex: this.keys.ed25519Hex,
        omq: net.busOf(this),
        swarm: net,
        judge: {
          get seats() {
            return net.seatsOf(node.nodeId);
          },
          verdictOf: (target: NodeRecord) => this.finds.get(target.nodeId) ?? FINE,
        },
        book: this.book,
        clocks: this.clocks,
        vigil: {
          get watchedMs() {
            return node.watchedMs;
          },
        },
        timings: TIMINGS,
      },
      this.env,
    );
  }
}

/** Applies what the registry would accept, and refuses the rest. */
class RegistryWriter extends FakeChainWriter {
  readonly #net: GovernedNetwork;
  /** Instead of trying: no money, no endpoint. */
  fails: Submission | undefined;

  constructor(address: Hex, net: GovernedNetwork) {
    super(address);
    this.#net = net;
  }

  override async submitStateChange(change: StateChange): Promise<Submission> {
    this.changes.push(change);
    return this.fails ?? this.#net.apply(change);
  }

  override async reveal(preimage: Hex): Promise<Submission> {
    this.reveals.push(preimage);
    return this.fails ?? this.#net.reveal(preimage);
  }
}

export class GovernedNetwork {
  readonly clock: Clock & TestClock = new TestClock(1_700_000_000_000 + 300_000 + 7_000);
  readonly view = new FakeChainView();
  readonly nodes: GovernedNode[] = [];
  readonly size: number;
  readonly membership: Membership;
  /** Messages that went over the bus, by command. */
  readonly sent = new Map<string, number>();
  /** Whether a message from one node id to another arrives. */
  reaches: (from: number, to: number) => boolean = () => true;
  /** Handlers other than those of votes. */
  readonly handlers = new Map<
    string,
    (to: number, part: Uint8Array, peerHex: string) => [string] | undefined
  >();
  readonly changes: StateChange[] = [];
  readonly #epoch = 10;

  /** Nodes 1 … size; in epoch 10 everybody else is the quorum of each, at most ten. */
  constructor(size: number) {
    this.size = size;
    for (let id = 1; id <= size; id++) this.nodes.push(new GovernedNode(id, this));
    const members: Member[] = [];
    for (const node of this.nodes) {
      this.view.setNode({
        nodeId: node.nodeId,
        ed25519Hex: node.keys.ed25519Hex,
        votingKey: node.writer.address,
      });
      members.push(
        memberOf({
          ed25519Key: node.keys.ed25519Key,
          host: '127.0.0.1',
          httpsPort: 1000 + node.nodeId,
          omqPort: 2000 + node.nodeId,
          swarmId: 1n,
        })!,
      );
    }
    this.membership = buildMembership({
      epoch: 1,
      seed: new Uint8Array(32),
      height: 1,
      blockHash: '00'.repeat(32),
      members,
    });
    this.#block();
    this.view.setEpoch(this.#epoch - 1);
    this.setEpoch(this.#epoch);
    for (const node of this.nodes) node.voting.start();
  }

  node(nodeId: number): GovernedNode {
    return this.nodes[nodeId - 1]!;
  }

  setEpoch(epoch: number): void {
    for (let id = 1; id <= this.size; id++) {
      const others = this.nodes.map(({ nodeId }) => nodeId).filter((other) => other !== id);
      this.view.setQuorum(id, epoch, others.slice(0, 10));
    }
    this.view.setEpoch(epoch);
  }

  seatsOf(nodeId: number): Seat[] {
    const seats: Seat[] = [];
    for (const epoch of [this.view.epochView()?.epoch, this.view.previousEpochView()?.epoch]) {
      for (let id = 1; id <= this.size && epoch !== undefined; id++) {
        for (const member of this.view.quorumOf(id, epoch)?.members ?? []) {
          if (member.nodeId === nodeId) seats.push({ nodeId: id, epoch, index: member.index });
        }
      }
    }
    return seats;
  }

  busOf(from: GovernedNode): Pick<OmqEndpoint, 'request'> {
    return {
      request: async (peer, command, [part]) => {
        const to = this.nodes.find(({ nodeId }) => 2000 + nodeId === peer.port)!;
        this.sent.set(command, (this.sent.get(command) ?? 0) + 1);
        if (!to.isUp || !from.isUp || !this.reaches(from.nodeId, to.nodeId)) {
          throw new OmqError('unreachable', 'nobody listens there');
        }
        const answer =
          command === 'sn.chain_vote'
            ? to.voting.answer(from.keys.x25519Hex, part as Uint8Array)
            : this.handlers.get(command)?.(to.nodeId, part as Uint8Array, from.keys.x25519Hex);
        if (answer === undefined) throw new OmqError('timeout', 'no reply');
        return answer.map((text) => new TextEncoder().encode(text));
      },
    };
  }

  apply(change: StateChange): Submission {
    const submission = applyStateChange(this.view, change, Math.floor(this.clock.now() / 1000));
    if (submission.outcome === 'done') this.changes.push(change);
    return submission;
  }

  /** Set by tests of the beacon. */
  reveal: (preimage: Hex) => Submission = () => ({ outcome: 'refused', reason: 'no turn' });

  #block(): void {
    const timestamp = Math.floor(this.clock.now() / 1000);
    this.view.setHead({ number: BigInt(timestamp), hash: `0x${'11'.repeat(32)}`, timestamp });
  }

  /** Time goes by in steps of a quarter of a second, with a block each. */
  async pass(ms: number): Promise<void> {
    for (let done = 0; done < ms; done += 250) {
      this.clock.advance(250);
      this.#block();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map(({ voting }) => voting.stop()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** What testers find at a node that is silent. */
export const SILENT: Verdict = { reasons: 0x0009, proofAt: undefined, isBack: false, isFailing: true };

/** As `submitStateChange` of the registry (spec/chain §4.10): applies what it would accept. */
export function applyStateChange(view: FakeChainView, change: StateChange, nowSeconds: number): Submission {
  const { nodeId, action, epoch, stateNonce, votes } = change;
  const node = view.nodes().get(nodeId)!;
  const refused = (reason: string): Submission => ({ outcome: 'refused', reason });
  if (stateNonce !== node.stateNonce) return { outcome: 'already' };
  const quorum = view.quorumOf(nodeId, epoch);
  if (quorum?.threshold === undefined || votes.length < quorum.threshold) return refused('too few votes');
  const { chainId, registry } = view.network;
  let last = -1;
  for (const { index, reasons, signature } of votes) {
    if (index <= last) return refused('order');
    last = index;
    const vote = { nodeId, action, epoch, stateNonce, reasons };
    const signer = recoverSigner(voteDigest(domainSeparator(chainId, registry), vote), signature);
    if (signer === undefined || signer !== quorum.members[index]?.votingKey) return refused('signer');
  }
  const common = {
    stateNonce: stateNonce + 1,
    reasonsAny: votes.reduce((bits, { reasons }) => bits | reasons, 0),
  };
  if (action === 1) {
    view.changeNode(nodeId, { ...common, state: 'decommissioned', decommissionedAt: nowSeconds });
  } else if (action === 2) view.changeNode(nodeId, { ...common, state: 'active', activeSince: nowSeconds });
  else view.changeNode(nodeId, { ...common, state: 'deregistered' });
  return { outcome: 'done', hash: `0x${toHex(new Uint8Array(32))}`, gasUsed: 150_000n };
}
