// SPDX-License-Identifier: MIT
// What an onion request costs a relay, a destination and a client, on one core of Node (median), beside the bare
// cryptography of one hop: the difference is what our reading and writing adds.
import { Bench } from 'tinybench';
import { utf8 } from '../src/bytes.ts';
import {
  aesGcmOpen,
  aesGcmSeal,
  ed25519KeyPair,
  ed25519SecretKeyToX25519,
  hmacSha256,
  randomBytes,
  x25519,
  x25519PublicKey,
} from '../src/crypto/node.ts';
import type { KeyPair } from '../src/crypto/provider.ts';
import { openLayer } from '../src/onion/layer.ts';
import {
  buildOnion,
  encodeHop,
  type Hop,
  openFinalReply,
  parseEntry,
  parseHop,
  parseLayer,
  sealFinalReply,
} from '../src/onion/request.ts';

interface BenchNode {
  readonly ed25519Key: Uint8Array;
  readonly x25519Key: Uint8Array;
  readonly keyPair: KeyPair;
}

function makeNode(): BenchNode {
  const { publicKey, secretKey } = ed25519KeyPair(randomBytes(32));
  const secret = ed25519SecretKeyToX25519(secretKey);
  const x25519Key = x25519PublicKey(secret);
  return { ed25519Key: publicKey, x25519Key, keyPair: { publicKey: x25519Key, secretKey: secret } };
}

const LOKI = utf8('LOKI');

/** The least that any implementation does for one hop: derive the key, open the layer. */
function bareHop(sizeBytes: number): () => unknown {
  const node = makeNode();
  const client = makeNode().keyPair;
  const nonce = randomBytes(12);
  const key = hmacSha256(LOKI, x25519(client.secretKey, node.x25519Key));
  const ciphertext = aesGcmSeal(key, nonce, new Uint8Array(sizeBytes));
  return () =>
    aesGcmOpen(hmacSha256(LOKI, x25519(node.keyPair.secretKey, client.publicKey)), nonce, ciphertext);
}

function opened(hop: Hop, node: BenchNode) {
  const layer = openLayer(hop.encType, hop.ciphertext, hop.ephemeralKey, node.keyPair);
  if (layer === undefined) throw new Error('a layer does not open');
  return layer;
}

/** All that a relay between two nodes does with a request: read the hop, open it, write the next hop. */
function relay(
  body: Uint8Array,
  guard: BenchNode,
  second: BenchNode,
): { run: () => unknown; hop: Uint8Array } {
  const next = (hop: Hop, node: BenchNode) => {
    const layer = parseLayer(opened(hop, node).plaintext);
    if (layer.kind !== 'node') throw new Error('the layer is not for a relay');
    return encodeHop({ ...layer, hopNo: hop.hopNo + 1 });
  };
  const hop = next(parseEntry(body), guard);
  return { run: () => next(parseHop(hop), second), hop };
}

function tasks(sizeBytes: number): Record<string, () => unknown> {
  const nodes = Array.from({ length: 4 }, makeNode);
  const [guard, second, third, target] = nodes as [BenchNode, BenchNode, BenchNode, BenchNode];
  const path = [guard, second, third];
  const payload = utf8(JSON.stringify({ method: 'store', params: { data: 'x'.repeat(sizeBytes - 40) } }));
  const destination = { kind: 'node', ...target } as const;
  const { body, replyKey } = buildOnion({ path, destination, payload });
  const entry = parseEntry(body);
  const { run } = relay(body, guard, second);
  const reply = { status: 200, body: 'y'.repeat(600), isJson: true };
  const final = { kind: 'final', body: payload, embedJson: false, base64: true } as const;
  const answer = sealFinalReply(reply, final, replyKey);
  return {
    'bare x25519 + hmac + aes-gcm': bareHop(sizeBytes),
    openLayer: () => opened(entry, guard),
    'relay: parseHop … encodeHop': run,
    'destination: sealFinalReply': () => sealFinalReply(reply, final, replyKey),
    'client: buildOnion, 4 layers': () => buildOnion({ path, destination, payload }),
    'client: openFinalReply': () => openFinalReply(answer, replyKey),
  };
}

export async function run(): Promise<void> {
  const sizes = [1000, 3000];
  const columns: Map<string, number>[] = [];
  for (const size of sizes) {
    const bench = new Bench({ time: 400, warmupTime: 100 });
    for (const [name, task] of Object.entries(tasks(size))) bench.add(name, () => void task());
    await bench.run();
    columns.push(
      new Map(
        bench.tasks.map((task) => {
          if (task.result.state !== 'completed') throw new Error(`${task.name} did not complete`);
          return [task.name, task.result.latency.p50 * 1000] as const;
        }),
      ),
    );
  }
  const cells = (texts: string[]) => texts.map((text) => text.padStart(10)).join('');
  console.log(`${'µs per operation, payload of'.padEnd(32)}${cells(sizes.map((size) => `${size} B`))}`);
  for (const name of columns[0]?.keys() ?? []) {
    const times = columns.map((column) => (column.get(name) ?? Number.NaN).toFixed(1));
    console.log(name.padEnd(32) + cells(times));
  }
}
