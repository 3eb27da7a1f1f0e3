// SPDX-License-Identifier: MIT
import { describe, expect, test } from 'vitest';
import { blake2b } from '#crypto';
import { concat, fromBinary, fromHex, toBinary, toHex, utf8 } from '../../src/bytes.ts';
import { Config } from '../../src/config/config.ts';
import { fullDiff } from '../../src/config/diff.ts';
import {
  decryptConfig,
  encryptConfig,
  packPlaintext,
  padConfig,
  paddedSize,
  unpackPlaintext,
} from '../../src/config/encryption.ts';
import { mergeMessages } from '../../src/config/merge.ts';
import { type ConfigMessage, parseMessage, serializeVersion } from '../../src/config/message.ts';
import { unwrapConfig, wrapConfig } from '../../src/config/wrapper.ts';
import { ParseError } from '../../src/errors.ts';
import { Account } from '../../src/identity/account.ts';
import { CONFIG_KINDS, configOf, dictOf, edit, vectorsOf } from './vectors.ts';

const NOW = 1_767_225_600_000;
const KEY = new Uint8Array(32).fill(7);
const plain = (options: object = {}) =>
  new Config({ domain: 'Test', keys: [KEY], compress: false, ...options });

/** The plaintext of what a push stores, without wrapping. */
function plaintextOf(message: Uint8Array, key: Uint8Array, domain: string): Uint8Array {
  const padded = decryptConfig(message, [key], domain);
  const unpacked = padded && unpackPlaintext(padded);
  if (unpacked?.kind !== 'message') throw new Error('not a message');
  return unpacked.plaintext;
}

test.each(vectorsOf('config_chain'))('$id: each version has its bytes and its hash', ({ steps, results }) => {
  let config = plain();
  const check = (result: { seqno: number; plaintext: string; hash: string }, plaintext: Uint8Array) => {
    expect(toHex(plaintext)).toBe(result.plaintext);
    expect(toHex(blake2b(plaintext, 32))).toBe(result.hash);
    expect(parseMessage(plaintext).seqno).toBe(result.seqno);
  };
  check(results[0], plaintextOf(plain().push(NOW).messages[0]!, KEY, 'Test'));
  for (const [i, edits] of steps.entries()) {
    // These increments come without a change, which an edit alone never makes: another first key does.
    config.setKeys([new Uint8Array(32).fill(i)], { repush: true });
    for (const one of edits) edit(config, one);
    const { messages, seqno } = config.push(NOW);
    check(results[i + 1], plaintextOf(messages[0]!, new Uint8Array(32).fill(i), 'Test'));
    config.confirm(seqno, [`h${i}`]);
    config = plain({ dump: config.dump(NOW), keys: [new Uint8Array(32).fill(i)] });
  }
});

describe('merging', () => {
  test.each(vectorsOf('config_merge'))('$id', (vector) => {
    const { inputs, rejected, sign_seed, sign_pubkey, mode } = vector;
    const verifyKey = sign_pubkey && fromHex(sign_pubkey);
    const signKey = mode === 'verify-and-sign' ? fromHex(sign_seed + sign_pubkey) : undefined;
    const accepted: ConfigMessage[] = [];
    const refused: number[] = [];
    for (const [i, input] of inputs.entries()) {
      try {
        accepted.push(parseMessage(fromHex(input), verifyKey));
      } catch (error) {
        expect(error).toBeInstanceOf(ParseError);
        refused.push(i);
      }
    }
    expect(refused).toEqual(rejected);
    if (vector.error !== undefined) {
      expect(accepted).toEqual([]);
      return;
    }
    const result = mergeMessages(accepted, mode !== 'verify-only');
    if (result.kind === 'adopted') {
      const adopted = accepted[result.index] as ConfigMessage;
      expect(result.index).toBe(vector.unmerged_index);
      expect(toHex(adopted.plaintext)).toBe(vector.plaintext_clean);
      expect(toHex(fromBinary(adopted.hash))).toBe(vector.hash);
      expect(adopted.seqno).toBe(vector.seqno);
      expect(adopted.data).toEqual(dictOf(vector.data));
      return;
    }
    expect(vector.unmerged_index).toBe(-1);
    expect(result.seqno).toBe(vector.seqno);
    expect(result.data).toEqual(dictOf(vector.data));
    const version = { ...result, unknown: new Map(), diff: new Map() };
    const clean = serializeVersion(version, signKey);
    expect(toHex(clean.plaintext)).toBe(vector.plaintext_clean);
    expect(toHex(fromBinary(clean.hash))).toBe(vector.hash);
    const full = serializeVersion({ ...version, diff: fullDiff(result.data) }, signKey);
    expect(toHex(full.plaintext)).toBe(vector.plaintext_full_diff);
  });

  test('unsigned vectors come to the same through a config, dirty or clean', () => {
    let merged = 0;
    for (const vector of vectorsOf('config_merge')) {
      if (vector.sign_seed !== undefined || vector.error !== undefined || vector.unmerged_index !== -1)
        continue;
      const stored = vector.inputs.map((input: string, i: number) => {
        return { hash: `h${i}`, data: encryptConfig(padConfig(fromHex(input)), KEY, 'Test') };
      });
      const config = plain();
      const result = config.merge(stored, NOW);
      expect(result.refused.map(({ hash }) => hash)).toEqual(vector.rejected.map((i: number) => `h${i}`));
      const [message] = config.push(NOW).messages;
      expect(toHex(plaintextOf(message!, KEY, 'Test'))).toBe(vector.plaintext_full_diff);
      merged++;
    }
    expect(merged).toBeGreaterThan(20);
  });
});

describe('parsing', () => {
  test.each(vectorsOf('config_parse').flatMap(({ cases }) => cases))('$name', (one) => {
    const read = () => parseMessage(fromHex(one.plaintext));
    if (!one.accepted) {
      expect(read).toThrow(ParseError);
      return;
    }
    const message = read();
    expect(message.seqno).toBe(one.seqno);
    expect(toHex(serializeVersion(message).plaintext)).toBe(one.reserialized);
  });

  test.each([
    ['a seqno that leaves no next one', 'd1:#i9007199254740993e1:&de1:<le1:=dee'],
    ['data nested without end', `d1:#i1e1:&${'d1:a'.repeat(40)}i1e${'e'.repeat(40)}1:<le1:=dee`],
    ['a member nested without end', `d1:#i1e1:$${'l'.repeat(100)}${'e'.repeat(100)}1:&de1:<le1:=dee`],
    ['a change of another kind', 'd1:#i1e1:&d1:ai1ee1:<le1:=d1:a1:xee'],
    ['a set with a text before a number', 'd1:#i1e1:&d1:al1:xi1eee1:<le1:=dee'],
    ['a member after the signature', `d1:#i1e1:&de1:<le1:=de1:~64:${'s'.repeat(64)}2:~~i1ee`],
    ['a member that sorts after the signature', 'd1:#i1e1:&de1:<le1:=de2:~~i1ee'],
    ['a row of four', `d1:#i3e1:&de1:<lli2e32:${'h'.repeat(32)}dei1eee1:=dee`],
    ['an old row that is not sound', 'd1:#i9e1:&de1:<lli1e5:abe1:=dee'],
    ['a length beyond all', 'd1:#i1e1:&d1:a99999999999999999999:xe1:<le1:=dee'],
    ['a minus alone', 'd1:#i-e1:&de1:<le1:=dee'],
  ])('refuses %s', (_, input) => {
    expect(() => parseMessage(utf8(input))).toThrow(ParseError);
  });

  test('refuses more values than any config has', () => {
    const items = Array.from({ length: 500_000 }, (_, i) => `i${i}e`).join('');
    expect(() => parseMessage(utf8(`d1:#i1e1:&d1:al${items}ee1:<le1:=dee`))).toThrow('too many values');
  });

  test('holds integers of 64 bits', () => {
    const input =
      'd1:#i1e1:&d1:ali-9223372036854775808ei-1ei9007199254740993ei9223372036854775807eee1:<le1:=dee';
    const message = parseMessage(utf8(input));
    expect(message.data.get('a')).toEqual(
      new Set([-9223372036854775808n, -1, 9007199254740993n, 9223372036854775807n]),
    );
    expect(toBinary(serializeVersion(message).plaintext)).toBe(input);
  });
});

describe('encryption', () => {
  test.each(vectorsOf('config_encrypt'))('$id', ({ key_base, domain, message, ciphertext }) => {
    const [key, bytes] = [fromHex(key_base), fromHex(message)];
    expect(toHex(encryptConfig(bytes, key, domain))).toBe(ciphertext);
    expect(decryptConfig(fromHex(ciphertext), [KEY, key], domain)).toEqual(bytes);
    expect(decryptConfig(fromHex(ciphertext), [KEY], domain)).toBeUndefined();
    expect(decryptConfig(fromHex(ciphertext), [key], `${domain}x`)).toBeUndefined();
    const broken = fromHex(ciphertext);
    broken[0]! ^= 1;
    expect(decryptConfig(broken, [key], domain)).toBeUndefined();
    expect(decryptConfig(broken.subarray(0, 39), [key], domain)).toBeUndefined();
  });

  test.each(vectorsOf('padded_size').flatMap(({ pairs }) => pairs))(
    '%i bytes are padded to %i',
    (length, padded) => {
      expect(paddedSize(length as number)).toBe(padded);
    },
  );

  test.each(vectorsOf('protobuf_wrap'))('$id', (vector) => {
    const { seed, seqno, data, message, blake2b256, id } = vector;
    const account = Account.fromSeed(fromHex(seed));
    const kind = CONFIG_KINDS[id.slice('protobuf-wrap-'.length)]!;
    const wrapped = wrapConfig(fromHex(data), kind, seqno, account);
    expect(toHex(wrapped)).toBe(message);
    expect(toHex(blake2b(wrapped, 32))).toBe(blake2b256);
    expect(toHex(unwrapConfig(wrapped, kind, account))).toBe(data);
    const twice = wrapConfig(wrapped, kind, seqno, account);
    expect(toHex(unwrapConfig(twice, kind, account))).toBe(data);
    const otherKind = ((kind % 4) + 1) as typeof kind;
    expect(unwrapConfig(wrapped, otherKind, account)).toBe(wrapped);
    expect(unwrapConfig(wrapped, kind, Account.create())).toBe(wrapped);
    expect(unwrapConfig(utf8('bare'), kind, account)).toEqual(utf8('bare'));
  });
});

test.each(vectorsOf('config_push'))('$id', (vector) => {
  const { result, ops, seqno, domain } = vector;
  const config = configOf(vector);
  for (const op of ops) edit(config, op);
  const { messages, ...pushed } = config.push(NOW);
  expect(pushed).toEqual({ seqno, obsolete: [] });
  expect(messages).toHaveLength(1);
  expect(messages[0]).toHaveLength(result.message_size);
  const key = fromHex(vector.group_enc_key ?? vector.seed);
  const kind = CONFIG_KINDS[vector.config_type];
  const open = (message: Uint8Array) =>
    plaintextOf(
      kind ? unwrapConfig(message, kind, Account.fromSeed(fromHex(vector.seed))) : message,
      key,
      domain,
    );
  const plaintext = open(messages[0]!);
  expect(toHex(plaintext)).toBe(result.plaintext);
  expect(toHex(blake2b(plaintext, 32))).toBe(result.plaintext_hash);
  expect(toHex(open(fromHex(result.message)))).toBe(result.plaintext);
  // Compressed bytes are not normative, but from the payload on all is.
  const payload =
    result.payload === undefined ? packPlaintext(plaintext, vector.compression) : fromHex(result.payload);
  const unwrapped = encryptConfig(padConfig(payload), key, domain);
  expect(toHex(unwrapped)).toBe(result.unwrapped ?? result.message);
  if (!result.compressed) expect(toHex(messages[0]!)).toBe(result.message);

  // Another device understands what the reference made, and has the same to push.
  const other = configOf(vector);
  expect(other.merge([{ hash: 'h', data: fromHex(result.message) }], NOW)).toEqual({
    accepted: ['h'],
    refused: [],
    changed: true,
  });
  expect(toHex(open(other.push(NOW).messages[0]!))).toBe(result.plaintext);
});

describe('multi-part', () => {
  const blobOf = ({ label, blob_size }: { label: string; blob_size: number }) => {
    const blocks = Array.from({ length: Math.ceil(blob_size / 64) }, (_, i) =>
      blake2b(utf8(`${label}#${i}`), 64),
    );
    return toBinary(concat(...blocks).subarray(0, blob_size));
  };

  test.each(vectorsOf('config_multipart'))('$id', (vector) => {
    // The vectors push these without wrapping when they are of groups, and sign none of them.
    const config = configOf(vector);
    config.set(['B'], blobOf(vector));
    const { messages, seqno } = config.push(NOW);
    expect(seqno).toBe(vector.seqno);
    expect(messages).toHaveLength(vector.parts.length);
    const key = fromHex(vector.seed);
    for (const [i, part] of vector.parts.entries()) {
      let message = messages[i]!;
      if (part.protobuf_wrapped) {
        expect(message).toHaveLength(part.wrapped_size);
        expect(toHex(blake2b(message, 32))).toBe(part.wrapped_blake2b256);
        message = unwrapConfig(message, CONFIG_KINDS[vector.config_type]!, Account.fromSeed(key));
      }
      expect(message).toHaveLength(part.encrypted_size);
      expect(toHex(blake2b(message, 32))).toBe(part.encrypted_blake2b256);
      const piece = decryptConfig(message, [key], vector.domain)!;
      expect(piece).toHaveLength(part.plain_size);
      expect(toHex(piece.subarray(0, 80))).toBe(part.plain_first_80);
      expect(toHex(piece.subarray(-16))).toBe(part.plain_last_16);
      expect(toHex(blake2b(piece, 32))).toBe(part.plain_blake2b256);
    }
    const stored = messages.map((data, i) => ({ hash: `p${i}`, data })).reverse();
    const other = configOf(vector);
    expect(other.merge(stored, NOW).accepted).toEqual(stored.map(({ hash }) => hash).sort());
    expect(other.get('B')).toBe(blobOf(vector));
    expect(other.currentHashes).toEqual(stored.map(({ hash }) => hash).sort());
  });
});

describe('scenarios', () => {
  test.each(vectorsOf('config_scenario'))('$id', (vector) => {
    const key = fromHex(vector.seed);
    const make = (dump?: Uint8Array) =>
      new Config({ domain: vector.domain, keys: [key], compress: vector.compression, dump });
    const clients = new Map<string, Config>();
    const messages = new Map<string, Uint8Array>();
    for (const [i, step] of vector.steps.entries()) {
      const what = `step ${i}: ${step.client} ${step.op}`;
      let config = clients.get(step.client) ?? make();
      if (step.op === 'edit') for (const op of step.ops) edit(config, op);
      else if (step.op === 'push') {
        const pushed = config.push(NOW);
        const [message] = pushed.messages as [Uint8Array];
        messages.set(step.as, message);
        expect(pushed.seqno, what).toBe(step.result.returned_seqno);
        expect(toHex(plaintextOf(message, key, vector.domain)), what).toBe(step.result.plaintext);
        expect(toHex(message), what).toBe(step.result.message);
        expect(pushed.obsolete, what).toEqual(step.result.obsolete);
      } else if (step.op === 'confirm') config.confirm(step.seqno, [step.hash]);
      else if (step.op === 'merge') {
        const stored = step.messages.map(([hash, name]: [string, string]) => {
          return { hash, data: messages.get(name) as Uint8Array };
        });
        expect(config.merge(stored, NOW).accepted, what).toEqual(step.result.accepted);
      } else {
        const dump = config.dump(NOW);
        expect(toHex(dump), what).toBe(step.result.dump);
        if (step.op === 'reload') config = make(dump);
      }
      clients.set(step.client, config);
      expect(
        {
          state: config.state,
          seqno: config.seqno,
          needs_push: config.needsPush,
          needs_dump: config.needsDump,
          curr_hashes: config.currentHashes,
        },
        what,
      ).toEqual(step.result.after);
    }
  });
});
