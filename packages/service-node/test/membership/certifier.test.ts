// SPDX-License-Identifier: AGPL-3.0-or-later
// Real nodes on loopback that certify their list (spec/chain §4.22).
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { systemEnv } from '@allium/net/system-env';
import { until } from '@allium/net/testing/until';
import { fromBase64, fromHex } from '@allium/protocol/bytes';
import { ParseError } from '@allium/protocol/errors';
import { parseJson } from '@allium/protocol/json';
import {
  acceptCertificate,
  type MembershipCertificate,
  parseCertificate,
  statementDigest,
  verifyStatement,
} from '@allium/protocol/membership/certificate';
import { CERTIFICATE_METHOD, parseCertificateAnswer } from '@allium/protocol/membership/evidence';
import { decodeSignedProof, verifyUptimeProof } from '@allium/protocol/membership/uptime-proof';
import { swarmMapDigest } from '@allium/protocol/swarm/assignment';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeSignatureNews, parseSignatureNews } from '../../src/membership/certificate-signatures.ts';
import { type CertificateFiles, CertificateStore } from '../../src/membership/certificate-store.ts';
import { ChainTestNetwork, type ChainTestNode } from '../support/chain-network.ts';

async function ask(node: ChainTestNode, params: object = {}) {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 0, method: CERTIFICATE_METHOD, params });
  return parseCertificateAnswer((await node.post('/json_rpc', body)).json.result);
}

async function certificateOf(
  node: ChainTestNode,
  epoch?: number,
): Promise<MembershipCertificate | undefined> {
  const { certificate } = await ask(node, epoch === undefined ? {} : { epoch });
  return certificate === undefined ? undefined : parseCertificate(certificate);
}

async function certified(node: ChainTestNode, epoch: number, signers: number) {
  await until(async () => {
    return ((await certificateOf(node, epoch))?.signatures.size ?? 0) >= signers;
  }, `the certificate of epoch ${epoch}`);
  return (await certificateOf(node, epoch))!;
}

describe('members certify their list', () => {
  test('every node serves it with all signatures, also through the storage RPC, and vouches for the next', async () => {
    await using net = await ChainTestNetwork.start({ swarms: [3, 2] });
    let first: MembershipCertificate | undefined;
    for (const node of net.nodes) first = await certified(node, 2, 5);
    expect(first!.swarms).toEqual(
      new Map([...net.view.epochView()!.swarms].map(([id, keys]) => [id, [...keys].sort()])),
    );
    for (const [key, signature] of first!.signatures) {
      expect(verifyStatement(first!, fromHex(key), signature)).toBe(true);
    }
    expect(await ask(net.node(0))).toMatchObject({
      epochs: [2],
      t0: net.view.network.t0,
      epochSeconds: 30,
    });
    const { status, text } = await net
      .node(1)
      .rpc('oxend_request', { endpoint: CERTIFICATE_METHOD, params: {} });
    expect(status).toBe(200);
    const { result } = parseJson(text) as { result: never };
    expect(parseCertificate(parseCertificateAnswer(result).certificate!).epoch).toBe(2);

    net.setSwarms(3, [3, 2]);
    net.setSwarms(4, [4, 1]);
    const next = await certified(net.node(4), 4, 5);
    acceptCertificate(first!, next, { epochNow: 4, trustedAgeMs: 0 });
    expect((await ask(net.node(4))).epochs).toEqual([2, 4]);
    expect((await certificateOf(net.node(4), 3)) === undefined).toBe(true);

    // One that starts anew has what it kept; one without its files gets them from others.
    const [kept, bare] = [net.node(0), net.node(1)];
    await until(() => existsSync(kept.folder.file('certificate-4.bt')), 'the file of epoch 4');
    await Promise.all([kept.service.stop(), bare.service.stop()]);
    expect(readdirSync(kept.folder.path)).toContain('certificate-4.bt');
    for (const name of readdirSync(bare.folder.path)) {
      if (name.startsWith('certificate')) rmSync(bare.folder.file(name));
    }
    await Promise.all([kept.make().start(), bare.make().start()]);
    expect((await ask(kept)).epochs).toEqual([2, 4]);
    // 4 is still signed; 2 is of the past, and it is learnt with the next epoch at the latest.
    await certified(bare, 4, 4);
    net.setSwarms(5, [4, 1]);
    await certified(bare, 2, 5);
  });

  test('one bad signature ends the part of its sender; strangers and floods are turned away', async () => {
    await using net = await ChainTestNetwork.prepare({ swarms: [4] });
    const [, , , liar] = net.nodes;
    await Promise.all(net.nodes.slice(0, 3).map((node) => node.service.start()));
    const target = net.node(0);
    const { epoch, seed, swarms } = net.view.epochView()!;
    const registry = fromHex(net.view.network.registry.slice(2));
    const statement = { chainId: net.view.network.chainId, registry, epoch, seed };
    const digest = statementDigest(statement, swarmMapDigest(swarms));
    const news = (signatures: Map<number, Uint8Array>, of = digest) =>
      encodeSignatureNews({ epoch, digest: of, held: new Set(), signatures }, 4);
    const say = async (part: Uint8Array) =>
      (await net.omq(target, 'sn.chain_cert', [part], liar!.keys)).map((reply) =>
        Buffer.from(reply).toString('latin1'),
      );
    await until(async () => (await say(news(new Map())))[0] === 'OK', 'the chain');
    expect((await say(news(new Map(), new Uint8Array(32))))[0]).toBe('other');
    expect((await say(new Uint8Array(3)))[0]).toBe('malformed');
    // At its own place: nobody can have its true signature.
    const place = [...swarms.values()].flat().sort().indexOf(liar!.hex);
    expect((await say(news(new Map([[place, new Uint8Array(64)]]))))[0]).toBe('signature');
    expect((await say(news(new Map())))[0]).toBe('signature');
    const words = new Set<string>();
    for (let i = 0; i < 70 && !words.has('busy'); i++) words.add((await say(news(new Map())))[0]!);
    expect(words).toContain('busy');
    await expect(net.omq(target, 'sn.chain_cert', [news(new Map())])).rejects.toThrow();
    // The others are three of four: enough.
    const certificate = await certified(net.node(1), 2, 3);
    expect(certificate.signatures.has(liar!.hex)).toBe(false);
  });

  test('the entries of the list prove themselves to those who ask for it', async () => {
    await using net = await ChainTestNetwork.start({ swarms: [2] });
    const { service_node_states: plain } = await net.node(0).list();
    expect(plain[0].proof).toBeUndefined();
    const { service_node_states: states } = await net
      .node(0)
      .list({ fields: ['proof', 'pubkey_ed25519', 'public_ip'] });
    expect(states).toHaveLength(2);
    for (const state of states) {
      const signed = decodeSignedProof(fromBase64(state.proof));
      expect(verifyUptimeProof(signed)).toBe(true);
      expect(signed.proof).toMatchObject({ ed25519Hex: state.pubkey_ed25519, host: state.public_ip });
    }
  });
});

describe('signatures on their way', () => {
  test('come back from their bytes', () => {
    const positions = fc.uniqueArray(fc.nat(199));
    fc.assert(
      fc.property(positions, positions, fc.nat(0xffffffff), (held, given, epoch) => {
        const signatures = new Map(
          given.sort((a, b) => a - b).map((position) => [position, new Uint8Array(64).fill(position)]),
        );
        const news = {
          epoch,
          digest: new Uint8Array(32).fill(9),
          held: new Set(held.sort((a, b) => a - b)),
          signatures,
        };
        expect(parseSignatureNews(encodeSignatureNews(news, 200))).toEqual(news);
      }),
    );
  });

  test('whatever bytes come, the outcome is news or a ParseError', () => {
    const good = encodeSignatureNews(
      {
        epoch: 4,
        digest: new Uint8Array(32),
        held: new Set([1]),
        signatures: new Map([[1, new Uint8Array(64)]]),
      },
      9,
    );
    const changed = fc
      .tuple(fc.nat(good.length - 1), fc.nat(255))
      .map(([at, byte]) => good.map((value, i) => (i === at ? byte : value)));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), changed), (bytes) => {
        try {
          parseSignatureNews(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(ParseError);
        }
      }),
      { numRuns: 500 },
    );
    expect(() => parseSignatureNews(new Uint8Array(2_000_000))).toThrow(/2000000 bytes/);
  });
});

describe('the store of certificates', () => {
  const REGISTRY = `0x${'07'.repeat(20)}` as const;
  const at = (epoch: number): MembershipCertificate => ({
    chainId: 1,
    registry: fromHex(REGISTRY.slice(2)),
    epoch,
    seed: new Uint8Array(32),
    swarms: new Map([[1n, ['aa'.repeat(32)]]]),
    signatures: new Map([['aa'.repeat(32), new Uint8Array(64)]]),
  });

  function memoryFiles(): CertificateFiles & { readonly held: Map<string, Uint8Array> } {
    const held = new Map<string, Uint8Array>();
    return {
      held,
      read: async (path) => held.get(path),
      write: async (path, bytes) => void held.set(path, bytes),
      remove: async (path) => void held.delete(path),
    };
  }

  test('keeps ninety, then every thirtieth, over a restart, and nothing of another network', async () => {
    const files = memoryFiles();
    const parts = { files, folder: '/f', chainId: 1, registry: REGISTRY, certifyEvery: 24 };
    const store = new CertificateStore(parts, systemEnv());
    for (let i = 1; i <= 400; i++) store.put(at(24 * i));
    await store.stop();
    const places = store.epochs().map((epoch) => epoch / 24);
    expect(places.filter((place) => place <= 310)).toEqual([30, 60, 90, 120, 150, 180, 210, 240, 270, 300]);
    expect(places.filter((place) => place > 310)).toHaveLength(90);
    expect(files.held.size).toBe(101);
    expect(store.wants(24 * 31)).toBe(false);
    expect(store.wants(24 * 401)).toBe(true);
    expect(store.wants(24 * 401 + 1)).toBe(false);

    const again = new CertificateStore(parts, systemEnv());
    await again.start();
    expect(again.epochs()).toEqual(store.epochs());
    expect(again.newest()?.epoch).toBe(24 * 400);
    const other = new CertificateStore({ ...parts, chainId: 2 }, systemEnv());
    await other.start();
    expect(other.epochs()).toEqual([]);

    files.held.set('/f/certificate-9600.bt', new Uint8Array(7));
    const damaged = new CertificateStore(parts, systemEnv());
    await damaged.start();
    expect(damaged.newest()?.epoch).toBe(24 * 399);
  });
});
