// SPDX-License-Identifier: AGPL-3.0-or-later
// Plain client RPC against one node, for tests that look at single nodes.

import type { Account } from '@allium/protocol/account';
import { toBase64, toHex, utf8 } from '@allium/protocol/bytes';
import { type Endpoint, post } from '../src/load/post.ts';

export interface RpcAnswer {
  readonly status: number;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly json: any;
}

export async function rpc(node: Endpoint, method: string, params: unknown): Promise<RpcAnswer> {
  const answer = await post(node, '/storage_rpc/v1', JSON.stringify({ method, params }), {
    timeoutMs: 20_000,
  });
  const text = answer.body.toString();
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return { status: answer.status, text, json };
}

/** Stores `text` for `account` in namespace 0, as anybody may. */
export function store(node: Endpoint, account: Account, text: string): Promise<RpcAnswer> {
  const data = toBase64(utf8(text));
  return rpc(node, 'store', { pubkey: account.id, timestamp: Date.now(), ttl: 86_400_000, data });
}

/** A signed retrieve of namespace 0. */
export function retrieve(node: Endpoint, account: Account): Promise<RpcAnswer> {
  const timestamp = Date.now();
  return rpc(node, 'retrieve', {
    pubkey: account.id,
    pubkey_ed25519: toHex(account.ed25519Key),
    timestamp,
    signature: toBase64(account.sign(utf8(`retrieve${timestamp}`))),
  });
}

/** The texts that a node holds for an account. */
export async function texts(node: Endpoint, account: Account): Promise<string[]> {
  const { json } = await retrieve(node, account);
  const messages = (json?.messages ?? []) as { data: string }[];
  return messages.map(({ data }) => Buffer.from(data, 'base64').toString());
}
