// SPDX-License-Identifier: AGPL-3.0-or-later
// Passkeys that derive a key (WebAuthn `prf`, https://www.w3.org/TR/webauthn-3/#prf-extension). The key of the passkey
// stays in the device that has it; what it derives from a salt seals the account. Nothing is sent to a server.
import type { PasskeyName, Seal, Secret } from './api.ts';
import type { AccountEntry } from './model.ts';
import { AppError } from './rpc.ts';

const SALT_BYTES = 32;
/** Whoever has to look for a phone needs time. */
const TIMEOUT_MS = 120_000;
/** ES256, EdDSA, RS256: what authenticators can. The signature itself is of no use here. */
const ALGORITHMS = [-7, -8, -257];

interface PrfResults {
  readonly enabled?: boolean;
  readonly results?: { readonly first?: ArrayBuffer };
}

/** Whether this browser, at this address, may have passkeys that derive a key. */
export async function canUsePasskeys(): Promise<boolean> {
  // A passkey belongs to a name, never to a bare address.
  if (typeof PublicKeyCredential === 'undefined' || /^[\d.]+$|:/.test(location.hostname)) return false;
  const known = await PublicKeyCredential.getClientCapabilities?.().catch(() => undefined);
  return known?.['extension:prf'] !== false;
}

/**
 * A new passkey, and what it derives.
 * @throws AppError `passkey_cancelled`, `passkey_no_prf`, `passkey_address`, `passkey_failed`
 */
export async function createPasskey(name: string): Promise<Seal> {
  const salt = crypto.getRandomValues(new Uint8Array(SALT_BYTES));
  const credential = await ask(() =>
    navigator.credentials.create({
      publicKey: {
        rp: { name: 'Allium' },
        // No account id: the operating system shows and syncs what is written here.
        user: { id: crypto.getRandomValues(new Uint8Array(16)), name, displayName: name },
        challenge: crypto.getRandomValues(new Uint8Array(32)),
        pubKeyCredParams: ALGORITHMS.map((alg) => ({ type: 'public-key', alg })),
        authenticatorSelection: { residentKey: 'preferred', userVerification: 'required' },
        attestation: 'none',
        timeout: TIMEOUT_MS,
        extensions: { prf: { eval: { first: salt } } },
      },
    }),
  );
  const prf = prfOf(credential);
  if (prf?.enabled !== true) throw new AppError('passkey_no_prf', 'the passkey derives no keys');
  const passkey = { credentialId: new Uint8Array(credential.rawId), salt };
  // Many derive only when they are asked once more.
  const first = prf.results?.first;
  const output = first === undefined ? (await derive(passkey)).output : new Uint8Array(first);
  return { kind: 'passkey', ...passkey, output };
}

/** What opens the account: the passphrase that was typed, or the passkey, asked now. @throws AppError as `createPasskey` */
export async function secretOf(
  { sealedBy, passkey }: Pick<AccountEntry, 'sealedBy' | 'passkey'>,
  passphrase: string,
): Promise<Secret | undefined> {
  if (passkey !== undefined) return await derive(passkey);
  return sealedBy === 'passphrase' ? { kind: 'passphrase', passphrase } : undefined;
}

async function derive({ credentialId, salt }: PasskeyName): Promise<Secret & { kind: 'passkey' }> {
  const credential = await ask(() =>
    navigator.credentials.get({
      publicKey: {
        challenge: crypto.getRandomValues(new Uint8Array(32)),
        allowCredentials: [{ type: 'public-key', id: credentialId as Uint8Array<ArrayBuffer> }],
        userVerification: 'required',
        timeout: TIMEOUT_MS,
        extensions: { prf: { eval: { first: salt as Uint8Array<ArrayBuffer> } } },
      },
    }),
  );
  const first = prfOf(credential)?.results?.first;
  if (first === undefined) throw new AppError('passkey_no_prf', 'the passkey derived no key');
  return { kind: 'passkey', output: new Uint8Array(first) };
}

const prfOf = (credential: PublicKeyCredential): PrfResults | undefined =>
  (credential.getClientExtensionResults() as { prf?: PrfResults }).prf;

async function ask(question: () => Promise<Credential | null>): Promise<PublicKeyCredential> {
  try {
    const credential = await question();
    if (credential !== null) return credential as PublicKeyCredential;
  } catch (error) {
    throw new AppError(codeOf(error), String(error));
  }
  throw new AppError('passkey_failed', 'the browser gave no passkey');
}

/** Browsers tell little, so that pages cannot find out which passkeys there are. */
function codeOf(error: unknown): string {
  switch (error instanceof Error ? error.name : '') {
    case 'NotAllowedError':
    case 'AbortError':
      return 'passkey_cancelled';
    case 'SecurityError':
      return 'passkey_address';
    case 'NotSupportedError':
      return 'passkey_no_prf';
    default:
      return 'passkey_failed';
  }
}
