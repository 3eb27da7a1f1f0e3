// SPDX-License-Identifier: MIT
// Operations per second (median) of both crypto providers and of the text encodings, on one core of Node.
import { Bench } from 'tinybench';
import { fromBase64, fromHex, fromUtf8, toBase64, toHex, utf8 } from '../src/bytes.ts';
import type { CryptoProvider } from '../src/crypto/provider.ts';
import { Account } from '../src/identity/account.ts';

const SMALL = 512;
const LARGE = 3000;

function cryptoTasks(p: CryptoProvider): Record<string, () => unknown> {
  const key = p.randomBytes(32);
  const nonce = p.randomBytes(24);
  const nonce12 = p.randomBytes(12);
  const small = p.randomBytes(SMALL);
  const large = p.randomBytes(LARGE);
  const pair = p.x25519KeyPair();
  const signer = p.ed25519KeyPair(key);
  const signature = p.ed25519Sign(small, signer.secretKey);
  const gcm = p.aesGcmSeal(key, nonce12, large);
  const xchacha = p.xchacha20Poly1305Seal(key, nonce, large);
  const sealed = p.sealedBoxSeal(small, pair.publicKey);
  return {
    'X25519 key pair': () => p.x25519KeyPair(),
    'X25519 shared secret': () => p.x25519(pair.secretKey, pair.publicKey),
    'Ed25519 sign 512 B': () => p.ed25519Sign(small, signer.secretKey),
    'Ed25519 verify 512 B': () => p.ed25519Verify(signature, small, signer.publicKey),
    'Ed25519 key to X25519': () => p.ed25519PublicKeyToX25519(signer.publicKey),
    'AES-256-GCM seal 3 kB': () => p.aesGcmSeal(key, nonce12, large),
    'AES-256-GCM open 3 kB': () => p.aesGcmOpen(key, nonce12, gcm),
    'XChaCha20-Poly1305 seal 3 kB': () => p.xchacha20Poly1305Seal(key, nonce, large),
    'XChaCha20-Poly1305 open 3 kB': () => p.xchacha20Poly1305Open(key, nonce, xchacha),
    'BLAKE2b-256 512 B': () => p.blake2b(small, 32),
    'BLAKE2b-256 512 B in 3 parts': () => p.blake2b([key, nonce, small], 32),
    'HMAC-SHA-256 32 B': () => p.hmacSha256(key, key),
    'sealed box seal 512 B': () => p.sealedBoxSeal(small, pair.publicKey),
    'sealed box open 512 B': () => p.sealedBoxOpen(sealed, pair),
  };
}

function textTasks(p: CryptoProvider): Record<string, () => unknown> {
  const key = p.randomBytes(32);
  const hex = toHex(key);
  const small = p.randomBytes(SMALL);
  const large = p.randomBytes(60_000);
  const smallText = toBase64(small);
  const largeText = toBase64(large);
  const sentence = utf8('a sentence of forty-two letters, or nearly');
  const account = Account.create();
  const phrase = account.phrase();
  return {
    'hex encode 32 B': () => toHex(key),
    'hex decode 32 B': () => fromHex(hex),
    'base64 encode 512 B': () => toBase64(small),
    'base64 decode 512 B': () => fromBase64(smallText),
    'base64 encode 60 kB': () => toBase64(large),
    'base64 decode 60 kB': () => fromBase64(largeText),
    'UTF-8 decode 42 B': () => fromUtf8(sentence),
    'account from phrase': () => Account.fromPhrase(phrase),
  };
}

async function measure(tasks: Record<string, () => unknown>): Promise<Map<string, number>> {
  const bench = new Bench({ time: 150, warmupTime: 50 });
  for (const [name, run] of Object.entries(tasks)) bench.add(name, () => void run());
  await bench.run();
  return new Map(
    bench.tasks.map((task) => {
      if (task.result.state !== 'completed') throw new Error(`${task.name} did not complete`);
      return [task.name, 1000 / task.result.latency.p50] as const;
    }),
  );
}

function row(name: string, ...numbers: number[]): string {
  const cells = numbers.map((number) => Math.round(number).toLocaleString('en').padStart(12));
  return name.padEnd(30) + cells.join('');
}

export async function run(): Promise<void> {
  const node: CryptoProvider = await import('../src/crypto/node.ts');
  const web: CryptoProvider = await import('../src/crypto/web.ts');
  const results = [await measure(cryptoTasks(node)), await measure(cryptoTasks(web))] as const;
  console.log(`${'operations per second'.padEnd(30)}${'node'.padStart(12)}${'web'.padStart(12)}`);
  for (const [name, speed] of results[0]) console.log(row(name, speed, results[1].get(name) ?? Number.NaN));
  console.log();
  for (const [name, speed] of await measure(textTasks(node))) console.log(row(name, speed));
}
