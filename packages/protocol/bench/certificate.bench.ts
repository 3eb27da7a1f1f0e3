// SPDX-License-Identifier: MIT
// A membership certificate (spec/chain §4.22) of 2000 nodes, all of whom signed: its bytes, and the time to read and accept
// it, beside the bare signature checks that a client cannot save.
import { randomBytes } from 'node:crypto';
import { toHex } from '../src/bytes.ts';
import { ed25519KeyPair, ed25519Verify, sha256 } from '../src/crypto/node.ts';
import {
  acceptCertificate,
  encodeCertificate,
  type MembershipStatement,
  parseCertificate,
  signStatement,
} from '../src/membership/certificate.ts';
import { runAssignment } from '../src/swarm/assignment.ts';

const NODES = 2000;
const ROUNDS = 15;

export async function run(): Promise<void> {
  const keys = Array.from({ length: NODES }, () => ed25519KeyPair(randomBytes(32)));
  const hexes = keys.map((key) => toHex(key.publicKey));
  const { swarms } = runAssignment(new Map(), hexes, 1n);
  const trusted: MembershipStatement = {
    chainId: 42161,
    registry: randomBytes(20),
    epoch: 24,
    seed: sha256(randomBytes(32)),
    swarms,
  };
  const next = { ...trusted, epoch: 48 };
  const signatures = new Map(keys.map((key, index) => [hexes[index]!, signStatement(next, key.secretKey)]));
  const bytes = encodeCertificate({ ...next, signatures });
  const [key] = keys;
  const message = randomBytes(42);
  const signature = signatures.get(hexes[0]!)!;
  const needed = Math.ceil((2 * NODES) / 3);

  const whole: number[] = [];
  const bare: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    acceptCertificate(trusted, parseCertificate(bytes), { epochNow: 48, trustedAgeMs: 0 });
    const between = performance.now();
    for (let i = 0; i < needed; i++) ed25519Verify(signature, message, key!.publicKey);
    whole.push(between - start);
    bare.push(performance.now() - between);
  }
  const [wholeMs, bareMs] = [median(whole), median(bare)];
  console.log(`nodes ${NODES}, swarms ${swarms.size}, bytes ${bytes.length} (aim at most 200000)`);
  console.log(
    `read and accept ${wholeMs.toFixed(1)} ms (aim at most 100); ${needed} bare checks ${bareMs.toFixed(1)} ms; ratio ${(wholeMs / bareMs).toFixed(2)}`,
  );
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
