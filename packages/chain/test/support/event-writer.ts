// SPDX-License-Identifier: MIT
// Writes the events of a registry that obeys spec/chain §4.7–§4.11, without a chain, for tests and benchmarks of the fold.
import { toHex, u32be } from '@allium/protocol/bytes';
import { ed25519KeyPair } from '@allium/protocol/crypto';
import {
  type ChainNetwork,
  epochAt,
  epochStart,
  type Hex,
  INFINITE_EPOCH,
  type Slot,
} from '../../src/chain-view.ts';
import { drawProposer } from '../../src/draw.ts';
import type { ChainEvent, EventPlace, RegistryEvent } from '../../src/events.ts';
import { bytesOf, hexOf, keccak256 } from '../../src/packed.ts';
import { signRegistration } from '../../src/registration.ts';
import { genesisSeed, revealedSeed, skippedSeed } from '../../src/seeds.ts';

export const NETWORK: ChainNetwork = {
  chainId: 31337,
  registry: '0x5fbdb2315678afecb367f032d93f642f64180aa3',
  deploymentBlock: 1n,
  t0: 1_700_000_000,
  epochSeconds: 30,
  revealSeconds: 6,
  preset: 'local',
};

interface Node {
  slot: number;
  from: number;
  until: number;
  nonce: number;
  state: 'active' | 'decommissioned' | 'gone';
  decommissionedIn: number;
  /** Links of its beacon chain, the anchor last. */
  links: Uint8Array[];
}

export interface RegisterOptions {
  /** 32 bytes; default: from the node's id. */
  seed?: Uint8Array;
  validSignature?: boolean;
}

export function keyOf(seed: Uint8Array): string {
  return toHex(ed25519KeyPair(seed).publicKey);
}

export class EventWriter {
  readonly events: ChainEvent[] = [];
  readonly nodes: Node[] = [];
  readonly slots: Slot[] = [];
  /** Of each block, from the deployment's on. */
  readonly times: number[];
  now: number;
  readonly network: ChainNetwork;
  #slotStarts: number[] = [];
  #block = 1;
  #logIndex = 0;
  #lastSeed: { epoch: number; seed: Uint8Array };
  #seeds = new Map<number, Uint8Array>();

  constructor(network: ChainNetwork = NETWORK) {
    this.network = network;
    this.now = network.t0;
    this.times = [network.t0, network.t0];
    this.#lastSeed = { epoch: 0, seed: genesisSeed(network.chainId, network.registry) };
    this.#seeds.set(0, this.#lastSeed.seed);
  }

  get epoch(): number {
    return epochAt(this.network, this.now);
  }

  get block(): number {
    return this.#block;
  }

  /** A new block, `seconds` later. */
  pass(seconds: number): void {
    this.now += seconds;
    this.#block++;
    this.times[this.#block] = this.now;
    this.#logIndex = 0;
  }

  passTo(seconds: number): void {
    this.pass(Math.max(0, seconds - this.now));
  }

  register(options: RegisterOptions = {}): number {
    const nodeId = this.nodes.length + 1;
    const seed = options.seed ?? keccak256(u32be(nodeId));
    const keys = ed25519KeyPair(seed);
    const links = [keccak256(seed, u32be(nodeId))];
    while (links.length < 6) links.push(keccak256(links.at(-1) as Uint8Array));
    const beaconAnchor = hexOf(links.at(-1) as Uint8Array);
    const operator = hexOf(keccak256(u32be(nodeId), u32be(1)).subarray(12));
    const votingKey = hexOf(keccak256(u32be(nodeId), u32be(2)).subarray(12));
    const facts = { ...this.network, operator, votingKey, beaconAnchor };
    const signature = signRegistration(facts, keys.secretKey);
    if (options.validSignature === false) signature[0] = (signature[0] as number) ^ 1;
    this.nodes.push({ slot: 0, from: 0, until: 0, nonce: 0, state: 'active', decommissionedIn: -1, links });
    const stake = 100_000_000_000n;
    this.#emit({
      type: 'registered',
      nodeId,
      operator,
      ed25519Hex: toHex(keys.publicKey),
      signatureHex: toHex(signature),
      votingKey,
      beaconAnchor,
      feeBps: 0,
      stake,
      contributors: [{ staker: operator, beneficiary: operator, amount: stake }],
    });
    this.#place(nodeId, this.#freeSlot(), this.epoch + 2, INFINITE_EPOCH);
    return nodeId;
  }

  decommission(nodeId: number): boolean {
    const node = this.#node(nodeId);
    if (node.state !== 'active') return false;
    node.state = 'decommissioned';
    node.decommissionedIn = this.epoch;
    this.#state(nodeId, 'decommissioned', ++node.nonce);
    this.#place(nodeId, node.slot, node.from, Math.min(node.until, this.epoch + 1));
    return true;
  }

  recommission(nodeId: number): boolean {
    const node = this.#node(nodeId);
    if (node.state !== 'decommissioned' || this.epoch < node.decommissionedIn + 2) return false;
    node.state = 'active';
    this.#state(nodeId, 'active', ++node.nonce);
    this.#place(nodeId, node.slot, this.epoch + 2, INFINITE_EPOCH);
    return true;
  }

  deregister(nodeId: number): boolean {
    const node = this.#node(nodeId);
    if (node.state !== 'decommissioned' || this.epoch < node.decommissionedIn + 2) return false;
    node.state = 'gone';
    this.#state(nodeId, 'deregistered', ++node.nonce);
    return true;
  }

  changeVotingKey(nodeId: number, votingKey: Hex): void {
    this.#emit({ type: 'votingKey', nodeId, votingKey });
  }

  /** Reveals for the running epoch, when its window is open and somebody is to; the fold checks what comes of it. */
  reveal(): boolean {
    const { epoch } = this;
    const isOpen = this.now < epochStart(this.network, epoch) + this.network.revealSeconds;
    if (epoch === 0 || !isOpen || this.#lastSeed.epoch === epoch) return false;
    const previous = this.#seedOf(epoch - 1);
    const slotCount = this.#slotStarts.filter((start) => start <= epoch).length;
    const nodeId = drawProposer(previous, epoch, this.slots, slotCount)?.nodeId;
    const node = nodeId === undefined ? undefined : this.#node(nodeId);
    if (nodeId === undefined || node === undefined || node.links.length < 2) return false;
    node.links.pop();
    const preimage = node.links.at(-1) as Uint8Array;
    const seed = revealedSeed(previous, epoch, preimage);
    this.#lastSeed = { epoch, seed };
    this.#seeds.set(epoch, seed);
    this.#emit({ type: 'seed', epoch, nodeId, preimage: hexOf(preimage), seed: hexOf(seed) });
    return true;
  }

  emit(event: RegistryEvent): void {
    this.#emit(event);
  }

  #seedOf(epoch: number): Uint8Array {
    const known = this.#seeds.get(epoch);
    if (known !== undefined) return known;
    const { seed, epoch: from } = this.#lastSeed;
    return skippedSeed(seed, from, epoch);
  }

  #freeSlot(): number {
    const reusable = this.slots.findIndex(
      (slot) => this.#node(slot.nodeId).state === 'gone' && this.epoch >= slot.until + 3,
    );
    return reusable === -1 ? this.slots.length : reusable;
  }

  #place(nodeId: number, slot: number, from: number, until: number): void {
    const node = this.#node(nodeId);
    Object.assign(node, { slot, from, until });
    if (slot === this.slots.length) this.#slotStarts.push(from);
    this.slots[slot] = { nodeId, votingKey: `0x${'00'.repeat(20)}`, from, until };
    this.#emit({ type: 'membership', nodeId, slot, from, until });
  }

  #state(nodeId: number, state: 'active' | 'decommissioned' | 'deregistered', stateNonce: number): void {
    this.#emit({ type: 'state', nodeId, state, stateNonce, reasonsAll: 1, reasonsAny: 9 });
  }

  #emit(event: RegistryEvent): void {
    const place: EventPlace = {
      block: this.#block,
      blockHash: hexOf(keccak256(u32be(this.#block), bytesOf('0x00'))),
      timestamp: this.now,
      logIndex: this.#logIndex++,
    };
    this.events.push({ ...event, ...place });
  }

  #node(nodeId: number): Node {
    const node = this.nodes[nodeId - 1];
    if (node === undefined) throw new RangeError(`there is no node ${nodeId}`);
    return node;
  }
}
