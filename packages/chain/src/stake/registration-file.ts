// SPDX-License-Identifier: MIT
// The file that a node writes for its operator (spec/chain §4.5): its keys, bound to one operator on one registry. It
// holds no secret: whoever has it can register the node only as that operator.
import { AlliumError } from '@allium/protocol/errors';
import type { Hex } from '../chain-view.ts';
import { bytesOf } from '../packed.ts';
import { boundKey, type RegistrationFacts } from '../registration.ts';

/** `malformed`: not such a file; `bad_signature`: its signature is not of its key, or somebody changed the file. */
export class RegistrationFileError extends AlliumError<'malformed' | 'bad_signature'> {
  override readonly name = 'RegistrationFileError';
}

export interface RegistrationFile extends RegistrationFacts {
  /** Identity key and its signature, 32 and 64 bytes. */
  readonly ed25519: Hex;
  readonly signature: Hex;
}

const FORMAT = 'allium-registration';
const VERSION = 1;
/** Ours. */
const MAX_TEXT = 8192;
const LENGTHS = {
  registry: 20,
  operator: 20,
  ed25519: 32,
  signature: 64,
  votingKey: 20,
  beaconAnchor: 32,
} as const;

export function encodeRegistrationFile(file: RegistrationFile): string {
  const { chainId, registry, operator, ed25519, signature, votingKey, beaconAnchor } = file;
  const fields = { chainId, registry, operator, ed25519, signature, votingKey, beaconAnchor };
  return `${JSON.stringify({ format: FORMAT, version: VERSION, ...fields }, undefined, 2)}\n`;
}

/** With a signature that holds. @throws RegistrationFileError */
export function parseRegistrationFile(text: string): RegistrationFile {
  const file = read(text);
  if (boundKey(file, bytesOf(file.ed25519), bytesOf(file.signature)) === undefined) {
    throw new RegistrationFileError(
      'bad_signature',
      'the signature in the registration file is not that of its node: make the file anew on the node',
    );
  }
  return file;
}

function read(text: string): RegistrationFile {
  let value: unknown;
  try {
    value = text.length > MAX_TEXT ? undefined : JSON.parse(text);
  } catch {
    value = undefined;
  }
  const fields = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  if (fields.format !== FORMAT) {
    throw malformed('that is no registration file: "allium node registration" on the node makes one');
  }
  if (fields.version !== VERSION) {
    throw malformed('the registration file is of another version of this software: make it anew on the node');
  }
  const { chainId } = fields;
  if (!Number.isSafeInteger(chainId) || (chainId as number) < 1) throw malformed('chainId is no chain id');
  const hex = (name: keyof typeof LENGTHS): Hex => {
    const member = fields[name];
    const isHex = typeof member === 'string' && /^0x[0-9a-f]*$/.test(member);
    if (!isHex || member.length !== 2 + 2 * LENGTHS[name]) {
      throw malformed(
        `the registration file is damaged: ${name} is not 0x and ${2 * LENGTHS[name]} hex digits`,
      );
    }
    return member as Hex;
  };
  return {
    chainId: chainId as number,
    registry: hex('registry'),
    operator: hex('operator'),
    ed25519: hex('ed25519'),
    signature: hex('signature'),
    votingKey: hex('votingKey'),
    beaconAnchor: hex('beaconAnchor'),
  };
}

const malformed = (message: string) => new RegistrationFileError('malformed', message);
