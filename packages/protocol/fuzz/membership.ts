// SPDX-License-Identifier: MIT
// Fuzz targets: what a node learns about the network from others. A target throws on a bug only.
import type { FuzzTarget } from '../../../scripts/fuzz.ts';
import { equal, fromBinary, fromUtf8, toBinary, toHex, utf8 } from '../src/bytes.ts';
import { parseJson } from '../src/codec/json.ts';
import { ed25519KeyPair, ed25519Sign } from '../src/crypto/node.ts';
import { ParseError } from '../src/errors.ts';
import { encodeCertificate, parseCertificate, signStatement } from '../src/membership/certificate.ts';
import { certificateAnswerJson, parseCertificateAnswer } from '../src/membership/evidence.ts';
import { isCanonicalIp } from '../src/membership/ip-address.ts';
import {
  acceptStaticList,
  addNodes,
  createStaticList,
  encodeStaticList,
  parseStaticList,
  type StaticList,
  signStaticList,
  staticListDigest,
} from '../src/membership/static-list.ts';
import {
  decodeSignedProof,
  encodeSignedProof,
  signUptimeProof,
  verifyUptimeProof,
} from '../src/membership/uptime-proof.ts';
import { parseSwarmId, swarmIdHex } from '../src/swarm/position.ts';

const ADMIN = ed25519KeyPair(new Uint8Array(32).fill(1));
const VALIDITY = { issued: 1_800_000_000, expires: 1_800_086_400 };
const node = (byte: number, host: string) => ({
  ed25519Hex: toHex(ed25519KeyPair(new Uint8Array(32).fill(byte)).publicKey),
  host,
  httpsPort: 443,
  omqPort: 22020,
});
const TRUSTED = signStaticList(
  createStaticList({
    ...VALIDITY,
    network: 'ab'.repeat(16),
    admins: [toHex(ADMIN.publicKey)],
    threshold: 1,
    nodes: [node(2, '192.0.2.1'), node(3, '2001:db8::1')],
  }),
  ADMIN,
);
const NEXT = signStaticList(addNodes(TRUSTED, [node(4, '192.0.2.2')], VALIDITY), ADMIN);

const STATEMENT = {
  chainId: 31337,
  registry: new Uint8Array(20).fill(1),
  epoch: 24,
  seed: new Uint8Array(32).fill(2),
  swarms: new Map([
    [1n, [toHex(ADMIN.publicKey)]],
    [2n, [node(2, '192.0.2.1').ed25519Hex]],
  ]),
};
const CERTIFICATE = {
  ...STATEMENT,
  signatures: new Map([[toHex(ADMIN.publicKey), signStatement(STATEMENT, ADMIN.secretKey)]]),
};

const EVIDENCE = certificateAnswerJson(
  { epochs: [2, 24], certificate: encodeCertificate(CERTIFICATE), t0: 1_800_000_000, epochSeconds: 30 },
  24,
);

const PROOF = signUptimeProof(
  {
    registry: `0x${'5f'.repeat(20)}`,
    chainId: 31_337,
    epoch: 8,
    blockNumber: 123_456,
    blockHash: `0x${'ab'.repeat(32)}`,
    host: '192.0.2.7',
    httpsPort: 443,
    omqPort: 22020,
    storageVersion: [2, 11, 0],
    nodeVersion: [0, 1, 0],
    time: 1_800_000_000,
  },
  {
    ed25519Key: ADMIN.publicKey,
    sign: (message) => ed25519Sign(message, ADMIN.secretKey),
  },
);

function assert(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

function parsed<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof ParseError) return undefined;
    throw error;
  }
}

export const targets: Record<string, FuzzTarget> = {
  /** Whatever is accepted is canonical; what replaces the list held is what its admin signed. */
  staticList: {
    seeds: [encodeStaticList(TRUSTED), encodeStaticList(NEXT)],
    run(input) {
      const list: StaticList | undefined = parsed(() => parseStaticList(input));
      if (list === undefined) return;
      const text = toBinary(input).replace(/\n$/, '');
      assert(toBinary(encodeStaticList(list)) === text, 'a form that is not canonical');
      const { accepted } = acceptStaticList(list, TRUSTED, VALIDITY.issued);
      if (accepted) assert(equal(staticListDigest(list), staticListDigest(NEXT)), 'a forged list');
    },
  },
  /** Whatever is read has one form. */
  certificate: {
    seeds: [encodeCertificate(CERTIFICATE), encodeCertificate({ ...STATEMENT, signatures: new Map() })],
    run(input) {
      const read = parsed(() => parseCertificate(input));
      if (read !== undefined) assert(equal(encodeCertificate(read), input), 'a second form');
    },
  },
  /** What a client reads about members is what a node could have written. */
  evidence: {
    seeds: [utf8(EVIDENCE), utf8(EVIDENCE.replace(/"certificate":"[^"]*",/, ''))],
    run(input) {
      const read = parsed(() => parseCertificateAnswer(parseJson(fromUtf8(input))));
      if (read === undefined) return;
      const again = parseCertificateAnswer(parseJson(certificateAnswerJson(read, read.epochs[0])));
      assert(JSON.stringify(again) === JSON.stringify(read), 'another answer');
    },
  },
  /** What is read is written the same; only what was signed verifies. */
  uptimeProof: {
    seeds: [encodeSignedProof(PROOF)],
    run(input) {
      const signed = parsed(() => decodeSignedProof(input));
      if (signed === undefined) return;
      assert(equal(encodeSignedProof(signed), input), 'two forms of one proof');
      if (verifyUptimeProof(signed)) assert(equal(signed.bytes, PROOF.bytes), 'a forged proof');
    },
  },
  ipAddress: {
    seeds: ['192.0.2.1', '::', '2001:db8::1:0:0:1', '1:2:3:4:5:6:7:8', '::ffff:1.2.3.4'].map(utf8),
    run(input) {
      const text = toBinary(input);
      if (!isCanonicalIp(text)) return;
      const host = text.includes(':') ? `[${text}]` : text;
      assert(new URL(`http://${host}/`).hostname === host, 'an address that URLs write otherwise');
    },
  },
  swarmId: {
    seeds: ['0', 'eaaaaaaaaaaaaaa7', 'ffffffffffffffff'].map(utf8),
    run(input) {
      const id = parsed(() => parseSwarmId(toBinary(input)));
      if (id === undefined) return;
      const digits = toBinary(input)
        .toLowerCase()
        .replace(/^0+(?=.)/, '');
      assert(equal(fromBinary(swarmIdHex(id)), fromBinary(digits)), 'another id');
    },
  },
};
