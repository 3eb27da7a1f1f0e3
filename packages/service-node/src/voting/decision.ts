// SPDX-License-Identifier: AGPL-3.0-or-later
// What a member of a quorum votes for (spec/chain §4.11, §4.19).
import { type ChainParameters, type NodeRecord, StateAction } from '@allium/chain/chain-view';
import { REASON } from '@allium/protocol/membership/reasons';

/** What tests say of a node. */
export interface Verdict {
  /** Bits of `REASON`; 0: it passes all. */
  readonly reasons: number;
  /** Its newest uptime proof, unix ms of receipt. */
  readonly proofAt: number | undefined;
  /** Reachable over some time without a failure since. */
  readonly isBack: boolean;
  /** Its last reachability test failed. */
  readonly isFailing: boolean;
}

export interface Decision {
  readonly action: StateAction;
  readonly reasons: number;
}

/** `nowSeconds`: of the chain, which lags behind the clock, so that the registry agrees. Undefined: no vote. */
export function decide(
  node: NodeRecord,
  verdict: Verdict,
  nowSeconds: number,
  { minGrace }: Pick<ChainParameters, 'minGrace'>,
): Decision | undefined {
  const { reasons, proofAt, isBack, isFailing } = verdict;
  if (node.state === 'active') {
    return reasons === 0 ? undefined : { action: StateAction.decommission, reasons };
  }
  if (node.state !== 'decommissioned') return undefined;
  const hasProof = proofAt !== undefined && proofAt > node.decommissionedAt * 1000;
  if (reasons === 0 && hasProof && isBack) {
    const isLeaving = node.unlockAt !== 0 && nowSeconds >= node.unlockAt;
    return isLeaving ? undefined : { action: StateAction.recommission, reasons: 0 };
  }
  if (nowSeconds < node.decommissionedAt + Math.max(node.credit, minGrace)) return undefined;
  const all = reasons | (hasProof ? 0 : REASON.uptime) | (isFailing ? REASON.storage : 0);
  // Ours: one that passes, and was only not looked at for long enough, is waited for.
  return all === 0 ? undefined : { action: StateAction.deregister, reasons: all };
}
