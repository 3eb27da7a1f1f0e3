// SPDX-License-Identifier: AGPL-3.0-or-later
// Votes of this node and of the quorums in which it sits (spec/chain §4.19): decides, signs, hands round, collects, and
// brings to the chain what enough members agree on.

import {
  type ChainView,
  type ChainWriter,
  epochStart,
  type NodeRecord,
  type StateAction,
  type Submission,
} from '@allium/chain/chain-view';
import { decodeVote, encodeVote, type VoteMessage } from '@allium/chain/vote-message';
import { domainSeparator, signDigest, voteDigest } from '@allium/chain/votes';
import type { OmqEndpoint } from '@allium/net/omq/endpoint';
import type { Cancel, Env } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import type { Member } from '@allium/protocol/membership';
import { reasonCodes, reasonWords } from '@allium/protocol/membership/reasons';
import { Background } from '../background.ts';
import type { ClockWatch } from '../membership/clock-watch.ts';
import { ask, hasAddress, peerOf } from '../peers.ts';
import type { Swarm } from '../swarm/swarm.ts';
import type { PeerBook } from '../testing/peer-book.ts';
import { decide } from './decision.ts';
import type { Judge } from './judge.ts';
import { Offenders } from './offenders.ts';
import type { Vigil } from './vigil.ts';
import { type Tally, VotePool, type VoteVerdict } from './vote-pool.ts';

// From the specification.
const MAX_TRIES = 3;

// Ours.
const TIMEOUT_MS = 10_000;
/** Looks for something to do this often per repetition of votes. */
const LOOKS_PER_REPETITION = 4;

const ACTION_WORDS: Readonly<Record<StateAction, string>> = { 1: 'suspend', 2: 'reinstate', 3: 'remove' };

interface VotingTimings {
  /** Ms between repetitions of a vote; before the deadline nobody submits for as long. */
  readonly repetition: number;
  /** Ms that each further voter waits for those before it. */
  readonly stagger: number;
  /** Ms that this node must have watched before it accuses others. */
  readonly validity: number;
}

/** For metrics. */
export interface VoteCounts {
  readonly cast: number;
  readonly received: number;
  readonly invalid: number;
  /** By outcome of the submission. */
  readonly submitted: ReadonlyMap<Submission['outcome'], number>;
}

export interface VotingParts {
  readonly view: ChainView;
  readonly writer: ChainWriter;
  /** Secret, 32 bytes. */
  readonly votingKey: Uint8Array;
  readonly ownHex: string;
  readonly omq: Pick<OmqEndpoint, 'request'>;
  readonly swarm: Pick<Swarm, 'membership'>;
  readonly judge: Pick<Judge, 'seats' | 'verdictOf'>;
  readonly book: PeerBook;
  readonly clocks: ClockWatch;
  readonly vigil: Pick<Vigil, 'watchedMs'>;
  readonly timings: VotingTimings;
}

interface CastVote {
  readonly message: VoteMessage;
  readonly bytes: Uint8Array;
  sentAt: number;
}

/** What this node does to bring a tally to the chain. */
interface Attempt {
  tries: number;
  /** Monotonic ms of the next try. */
  due: number;
  isOver: boolean;
}

export class Voting {
  readonly #parts: VotingParts;
  readonly #env: Env;
  readonly #pool: VotePool;
  readonly #domain: Uint8Array;
  readonly #offenders: Offenders;
  /** Own votes, one per node, epoch and state. */
  readonly #cast = new Map<string, CastVote>();
  readonly #attempts = new Map<string, Attempt>();
  /** Votes against this node that its operator was told of. */
  readonly #told = new Map<string, number>();
  readonly #running: Background;
  readonly #counts = {
    cast: 0,
    received: 0,
    invalid: 0,
    submitted: new Map<Submission['outcome'], number>(),
  };
  #ownState: NodeRecord | undefined;
  #hasWrongKey = false;
  #stopping = new AbortController();
  #cancels: Cancel[] = [];
  #next: Cancel | undefined;

  constructor(parts: VotingParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
    this.#running = new Background('voting failed', env, () => this.#stopping.signal.aborted);
    const { view } = parts;
    this.#domain = domainSeparator(view.network.chainId, view.network.registry);
    this.#pool = new VotePool({ view, ownNodeId: () => this.#own()?.nodeId }, env.clock);
    this.#offenders = new Offenders(env.clock);
  }

  get counts(): VoteCounts {
    return this.#counts;
  }

  /** Votes held, of this node and of others. */
  get held(): number {
    return this.#pool.size;
  }

  start(): void {
    const { view } = this.#parts;
    this.#stopping = new AbortController();
    this.#ownState = this.#own();
    this.#checkKey();
    this.#cancels = [
      view.onEpoch(() => this.#forget()),
      view.onNodes(() => {
        this.#tellOwnState();
        this.#checkKey();
        this.#forget();
      }),
    ];
    this.#schedule();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#next?.();
    for (const cancel of this.#cancels) cancel();
    await this.#running.settled();
  }

  /** Handler of `sn.chain_vote`. @returns a word about it; undefined: no reply */
  answer(peerKeyHex: string, part: Uint8Array | undefined): [string] | undefined {
    if (this.#offenders.isDropped(peerKeyHex)) return undefined;
    let verdict: VoteVerdict = 'invalid';
    let vote: VoteMessage | undefined;
    try {
      vote = decodeVote(part ?? new Uint8Array(0));
      verdict = this.#pool.offer(vote);
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
    }
    this.#counts.received++;
    if (verdict === 'invalid') {
      this.#counts.invalid++;
      this.#offenders.note(peerKeyHex);
      this.#env.log.debug({ peer: peerKeyHex.slice(0, 8) }, 'an invalid vote came in');
    }
    if (verdict === 'new' && vote !== undefined) this.#tellIfOwn(vote);
    return [verdict === 'new' ? 'OK' : verdict];
  }

  #schedule(): void {
    this.#next = this.#env.clock.after(this.#parts.timings.repetition / LOOKS_PER_REPETITION, () => {
      this.look();
      this.#schedule();
    });
  }

  /** Decides, repeats, submits what is due. */
  look(): void {
    if (!this.#parts.view.isFresh()) return;
    const own = this.#own();
    if (own?.state === 'active' && own.valid) this.#decide();
    this.#repeat();
    this.#submitDue();
  }

  #decide(): void {
    const { view, judge, book, clocks, vigil, timings } = this.#parts;
    const chainNow = view.head()?.timestamp;
    if (chainNow === undefined) return;
    const mayAccuse = vigil.watchedMs >= timings.validity && !clocks.isPresumedWrong;
    for (const seat of judge.seats) {
      const node = view.nodes().get(seat.nodeId);
      if (node === undefined || this.#cast.has(`${seat.nodeId}/${seat.epoch}/${node.stateNonce}`)) continue;
      if (view.quorumOf(seat.nodeId, seat.epoch)?.threshold === undefined) continue;
      if (this.#isLate(seat.epoch)) continue;
      const decision = decide(node, judge.verdictOf(node, book), chainNow, view.parameters());
      if (decision === undefined) continue;
      if (decision.action !== 2 && !mayAccuse) continue;
      // spec/chain §4.11: a quorum of a later epoch than that of the decommission.
      if (decision.action === 3 && epochStart(view.network, seat.epoch) <= node.decommissionedAt) continue;
      this.#vote({ ...seat, ...decision, stateNonce: node.stateNonce });
    }
  }

  #vote(vote: Omit<VoteMessage, 'signature'>): void {
    const { view, votingKey } = this.#parts;
    const message: VoteMessage = {
      ...vote,
      signature: signDigest(voteDigest(this.#domain, vote), votingKey),
    };
    const verdict = this.#pool.offer(message);
    if (verdict !== 'new' && verdict !== 'known') {
      // Our voting key is not the one that the registry has for us, for instance after a rotation.
      this.#env.log.debug({ target: vote.nodeId, verdict }, 'an own vote would not count');
      return;
    }
    const key = `${vote.nodeId}/${vote.epoch}/${vote.stateNonce}`;
    this.#cast.set(key, { message, bytes: encodeVote(message), sentAt: Number.NEGATIVE_INFINITY });
    this.#counts.cast++;
    this.#env.log.info(
      {
        target: view.nodes().get(vote.nodeId)?.ed25519Hex.slice(0, 8),
        epoch: vote.epoch,
        reasons: reasonCodes(vote.reasons).join(','),
      },
      `voted to ${ACTION_WORDS[vote.action]} a node`,
    );
  }

  /** To the other members of the quorum and, ours, to the node itself, whose operator should hear of it. */
  #repeat(): void {
    const now = this.#env.clock.monotonic();
    for (const vote of this.#cast.values()) {
      if (now - vote.sentAt < this.#parts.timings.repetition) continue;
      vote.sentAt = now;
      const { nodeId, epoch } = vote.message;
      const quorum = this.#parts.view.quorumOf(nodeId, epoch);
      for (const id of [nodeId, ...(quorum?.members ?? []).map((member) => member.nodeId)]) {
        const member = this.#memberOf(id);
        if (member !== undefined) this.#running.run(this.#send(member, vote.bytes));
      }
    }
  }

  #submitDue(): void {
    const { timings } = this.#parts;
    const own = this.#own()?.nodeId;
    const now = this.#env.clock.monotonic();
    for (const tally of this.#pool.decided()) {
      if (this.#isLate(tally.epoch)) continue;
      const position = this.#positionIn(tally, own);
      if (position === undefined) continue;
      const key = `${tally.nodeId}/${tally.epoch}/${tally.stateNonce}/${tally.action}`;
      let attempt = this.#attempts.get(key);
      if (attempt === undefined) {
        // spec/chain §4.19: each voter gives those before it time to do it.
        attempt = { tries: 0, due: now + position * timings.stagger, isOver: false };
        this.#attempts.set(key, attempt);
      }
      if (attempt.isOver || now < attempt.due) continue;
      attempt.tries++;
      attempt.due = Number.POSITIVE_INFINITY;
      this.#running.run(this.#submit(tally, attempt));
    }
  }

  /** Place among the voters; undefined for one who did not vote. */
  #positionIn({ nodeId, epoch, votes }: Tally, own: number | undefined): number | undefined {
    const members = this.#parts.view.quorumOf(nodeId, epoch)?.members ?? [];
    const position = votes.findIndex(
      ({ index }) => members.find((member) => member.index === index)?.nodeId === own,
    );
    return position < 0 ? undefined : position;
  }

  async #submit(tally: Tally, attempt: Attempt): Promise<void> {
    const { nodeId, action, epoch, stateNonce, votes, threshold } = tally;
    const target = this.#parts.view.nodes().get(nodeId)?.ed25519Hex.slice(0, 8);
    // More votes than needed cost gas and decide nothing.
    const change = { nodeId, action, epoch, stateNonce, votes: votes.slice(0, threshold) };
    const submission = await this.#parts.writer.submitStateChange(change, this.#stopping.signal);
    const { outcome } = submission;
    this.#counts.submitted.set(outcome, (this.#counts.submitted.get(outcome) ?? 0) + 1);
    const what = `the decision of a quorum to ${ACTION_WORDS[action]} a node`;
    if (outcome === 'done') {
      attempt.isOver = true;
      this.#env.log.info({ target, epoch, gas: String(submission.gasUsed) }, `${what} is on the chain`);
      return;
    }
    if (outcome === 'already') {
      attempt.isOver = true;
      return;
    }
    attempt.isOver = attempt.tries >= MAX_TRIES;
    // What is refused now may be allowed later: the rate of suspensions is limited, times are the chain's.
    attempt.due = this.#env.clock.monotonic() + this.#parts.timings.repetition;
    this.#env.log.warn(
      { target, epoch, reason: submission.reason, try: attempt.tries },
      `${what} could not be brought to the chain`,
    );
  }

  /** spec/chain §4.19: the end of the next epoch, minus 2 min in production. */
  #isLate(epoch: number): boolean {
    const { view, timings } = this.#parts;
    const end = epochStart(view.network, epoch + 2) * 1000 - timings.repetition;
    return this.#env.clock.now() >= end;
  }

  #forget(): void {
    const { view } = this.#parts;
    this.#pool.prune();
    const isOver = ({ nodeId, epoch, stateNonce }: { nodeId: number; epoch: number; stateNonce: number }) =>
      epoch < (view.epochView()?.epoch ?? 0) - 1 || view.nodes().get(nodeId)?.stateNonce !== stateNonce;
    // After a reorganisation the vote may be of a quorum that never was.
    for (const [key, { message }] of this.#cast) {
      if (isOver(message) || !this.#pool.has(message)) this.#cast.delete(key);
    }
    for (const key of this.#attempts.keys()) {
      const [nodeId, epoch, stateNonce] = key.split('/').map(Number) as [number, number, number];
      if (isOver({ nodeId, epoch, stateNonce })) this.#attempts.delete(key);
    }
    for (const key of this.#told.keys()) {
      const [nodeId, epoch, stateNonce] = key.split('/').map(Number) as [number, number, number];
      if (isOver({ nodeId, epoch, stateNonce })) this.#told.delete(key);
    }
  }

  /** In plain words when it is this node that is voted on. */
  #tellIfOwn(vote: VoteMessage): void {
    if (vote.nodeId !== this.#own()?.nodeId) return;
    const tally = this.#pool.tally(vote);
    if (tally === undefined) return;
    const key = `${vote.nodeId}/${vote.epoch}/${vote.stateNonce}/${vote.action}`;
    const before = this.#told.get(key) ?? 0;
    // The first, and the one that decides.
    const count = tally.votes.length;
    if (before > 0 && count !== tally.threshold) return;
    this.#told.set(key, count);
    const fields = { votes: count, needed: tally.threshold, epoch: vote.epoch };
    if (vote.action === 2) {
      this.#env.log.info(fields, 'other nodes vote to reinstate this node');
      return;
    }
    this.#env.log.warn(
      { ...fields, failing: reasonCodes(vote.reasons).join(','), why: ownWords(vote.reasons) },
      vote.action === 1 ? 'other nodes vote to suspend this node' : 'other nodes vote to remove this node',
    );
  }

  #tellOwnState(): void {
    const before = this.#ownState;
    const now = this.#own() ?? this.#parts.view.nodes().get(before?.nodeId ?? 0);
    this.#ownState = now;
    if (before === undefined || now === undefined || before.nodeId !== now.nodeId) return;
    if (before.stateNonce === now.stateNonce && before.state === now.state) return;
    const { log } = this.#env;
    const failing = reasonCodes(now.reasonsAny).join(',');
    if (now.state === 'decommissioned') {
      log.error(
        { failing, why: ownWords(now.reasonsAny), graceSeconds: this.#graceOf(now) },
        'a quorum suspended this node: mend it before the grace time is over, or it is removed and its stake is locked',
      );
    } else if (now.state === 'deregistered') {
      log.error(
        { failing },
        'a quorum removed this node: its stake is locked for a while, then it can be withdrawn',
      );
    } else if (now.state === 'exited') log.info({}, 'this node left the network: its stake can be withdrawn');
    else log.info({}, 'a quorum reinstated this node');
  }

  /** The operator may have rotated the key and left the old one on the machine: then no vote of it counts. */
  #checkKey(): void {
    const registered = this.#own()?.votingKey;
    const { address } = this.#parts.writer;
    const isWrong = registered !== undefined && registered !== address;
    if (isWrong === this.#hasWrongKey) return;
    this.#hasWrongKey = isWrong;
    if (!isWrong)
      this.#env.log.info({ address }, 'the voting key is the one that the registry has for this node');
    else {
      this.#env.log.error(
        { address, registered },
        'the voting key is not the one that the registry has for this node: its votes do not count. Use the key of that ' +
          'address, or register this one with "allium stake set-voting-key"',
      );
    }
  }

  #graceOf({ credit }: NodeRecord): number {
    return Math.max(credit, this.#parts.view.parameters().minGrace);
  }

  #own(): NodeRecord | undefined {
    return this.#parts.view.nodeByEd25519(this.#parts.ownHex);
  }

  /** Where a node can be reached; undefined for this one. */
  #memberOf(nodeId: number): Member | undefined {
    const { view, swarm, ownHex } = this.#parts;
    const key = view.nodes().get(nodeId)?.ed25519Hex;
    const member = key === undefined || key === ownHex ? undefined : swarm.membership.byEd25519.get(key);
    return member !== undefined && hasAddress(member) ? member : undefined;
  }

  async #send(member: Member, bytes: Uint8Array): Promise<void> {
    const options = { timeoutMs: TIMEOUT_MS, signal: this.#stopping.signal };
    // Unanswered, it comes again.
    await ask(this.#parts.omq, peerOf(member), 'sn.chain_vote', [bytes], options);
  }
}

/** Words of others about us, turned to us. */
const ownWords = (bits: number) => `they say of this node: ${reasonWords(bits)}`;
