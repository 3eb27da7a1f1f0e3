// SPDX-License-Identifier: AGPL-3.0-or-later
// Messages stored at single nodes and looked for there, without onions: for experiments that count them.
import type { Agent } from 'node:https';
import { systemClock } from '@allium/net/system-env';
import type { Account } from '@allium/protocol/account';
import { toBase64, toHex, utf8 } from '@allium/protocol/bytes';
import { type Endpoint, newAgent, post } from './post.ts';

const TTL_MS = 86_400_000;

export class MailboxClient {
  readonly #agent: Agent;
  readonly #timeoutMs: number;

  constructor(connections: number, timeoutMs: number) {
    this.#agent = newAgent(connections);
    this.#timeoutMs = timeoutMs;
  }

  /** The hash is undefined when the message is not stored. Rejects without an answer. */
  async store(node: Endpoint, account: Account, text: string): Promise<{ status: number; hash?: string }> {
    const { status, json } = await this.#rpc(node, 'store', {
      pubkey: account.id,
      timestamp: systemClock.now(),
      ttl: TTL_MS,
      data: toBase64(utf8(text)),
    });
    return status === 200 && typeof json.hash === 'string' ? { status, hash: json.hash } : { status };
  }

  /** Of the messages that the node holds for the account; empty when it does not answer. */
  async hashes(node: Endpoint, account: Account): Promise<ReadonlySet<string>> {
    const timestamp = systemClock.now();
    try {
      const { json } = await this.#rpc(node, 'retrieve', {
        pubkey: account.id,
        pubkey_ed25519: toHex(account.ed25519Key),
        timestamp,
        signature: toBase64(account.sign(utf8(`retrieve${timestamp}`))),
      });
      return new Set((json.messages ?? []).map(({ hash }) => hash));
    } catch {
      return new Set();
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  async #rpc(node: Endpoint, method: string, params: object) {
    const answer = await post(node, '/storage_rpc/v1', JSON.stringify({ method, params }), {
      agent: this.#agent,
      timeoutMs: this.#timeoutMs,
    });
    const text = answer.body.toString();
    const json = (text.startsWith('{') ? JSON.parse(text) : {}) as {
      hash?: string;
      messages?: { hash: string }[];
    };
    return { status: answer.status, json };
  }
}
