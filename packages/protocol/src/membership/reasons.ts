// SPDX-License-Identifier: MIT
// Why a node fails its tests: a bit each, as votes and the contract carry them, and its code, as interfaces show it
// (spec/chain §1.9, §4.18, §4.21).

export const REASON = {
  /** No uptime proof within the validity time. */
  uptime: 0x0001,
  /** Its HTTPS or OMQ port cannot be reached. */
  storage: 0x0008,
  /** Does not say what time it is. */
  timecheck: 0x0010,
  /** Its clock is wrong. */
  timesync: 0x0020,
  /** Sees another chain than the tester, or an old state of it. */
  l2: 0x0080,
  /** Its registration is invalid. */
  binding: 0x0200,
  /** Does not give out messages that its swarm has. */
  probe: 0x0400,
  /** Kept back the seeds that it had to reveal. */
  beacon: 0x0800,
} as const;

/** Code of a reason, as in `last_decomm_reasons`. */
export type ReasonCode = keyof typeof REASON;

/** Bits 0x0002, 0x0004, 0x0040 and 0x0100 keep upstream's meaning, and are not ours to set. */
export const KNOWN_REASONS = Object.values(REASON).reduce((all, bit) => all | bit, 0);

/** Codes of the bits that we know, lowest first. */
export function reasonCodes(bits: number): ReasonCode[] {
  return (Object.keys(REASON) as ReasonCode[]).filter((code) => (bits & REASON[code]) !== 0);
}

const WORDS: Readonly<Record<ReasonCode, string>> = {
  uptime: 'no uptime proof of it has come',
  storage: 'it cannot be reached',
  timecheck: 'it does not say what time it is',
  timesync: 'its clock is wrong',
  l2: 'it sees another chain, or an old state of it',
  binding: 'its registration is invalid',
  probe: 'it does not give out messages that its swarm has',
  beacon: 'it kept back the seeds that it had to reveal',
};

/** A sentence part for people, such as `it cannot be reached; its clock is wrong`. */
export function reasonWords(bits: number): string {
  return reasonCodes(bits)
    .map((code) => WORDS[code])
    .join('; ');
}
