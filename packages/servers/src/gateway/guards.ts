// SPDX-License-Identifier: AGPL-3.0-or-later
// The one thing that a gateway does for browsers (spec/storage-server §9.3.12): an envelope to `POST /onion_req/v2` of the
// guard that they chose, and its answer back. Where that guard is says the node list, never the browser.
import type { EnvelopeResult } from '@allium/net/entry-sockets';
import { httpsOrigin } from '@allium/net/https-transport';
import { type Env, type Transport, TransportError } from '@allium/protocol/env';
import type { EntryFailure } from '@allium/protocol/onion/entry';
import type { GatewayMember } from './seeds.ts';

export interface GuardsOptions {
  /** Envelopes under way, held long polls among them; default 20 000. */
  readonly maxPending?: number;
  /** … to one guard; default 1000, and at most a quarter of them. */
  readonly maxPendingPerGuard?: number;
  /** Time for one exchange; default 60 000: files go through too. */
  readonly timeoutMs?: number;
}

// Ours.
const MAX_PENDING = 20_000;
const MAX_PENDING_PER_GUARD = 1_000;
const TIMEOUT_MS = 60_000;

export class Guards {
  readonly #options: GuardsOptions;
  readonly #members: () => ReadonlyMap<string, GatewayMember>;
  readonly #transport: Transport;
  readonly #env: Env;
  readonly #pendingOf = new Map<string, number>();
  #pending = 0;

  constructor(
    options: GuardsOptions,
    deps: {
      readonly members: () => ReadonlyMap<string, GatewayMember>;
      readonly transport: Transport;
      readonly env: Env;
    },
  ) {
    this.#options = options;
    this.#members = deps.members;
    this.#transport = deps.transport;
    this.#env = deps.env;
  }

  get pending(): number {
    return this.#pending;
  }

  /** Never rejects. @param node Ed25519 key in hex */
  async pass(node: string, body: Uint8Array, signal: AbortSignal): Promise<EnvelopeResult> {
    const members = this.#members();
    const member = members.get(node);
    if (member === undefined) return failure(members.size === 0 ? 'no_list' : 'unknown_node');
    const { maxPending = MAX_PENDING } = this.#options;
    const ofGuard = this.#pendingOf.get(node) ?? 0;
    if (this.#pending >= maxPending) return failure('busy');
    const { maxPendingPerGuard = Math.min(maxPending / 4, MAX_PENDING_PER_GUARD) } = this.#options;
    if (ofGuard >= maxPendingPerGuard) return failure('busy');
    this.#pending++;
    this.#pendingOf.set(node, ofGuard + 1);
    try {
      const { status, body: answer } = await this.#transport.request({
        url: `${httpsOrigin(member.host, member.httpsPort)}/onion_req/v2`,
        body,
        timeoutMs: this.#options.timeoutMs ?? TIMEOUT_MS,
        signal,
      });
      if (status < 200 || status > 599) return failure('bad_response');
      return { kind: 'answer', status, body: answer };
    } catch (error) {
      if (error instanceof TransportError) return failure(codeOf(error.code));
      this.#env.log.error({ error: String(error) }, 'an envelope was not passed on');
      return failure('bad_response');
    } finally {
      this.#pending--;
      const left = (this.#pendingOf.get(node) ?? 1) - 1;
      if (left === 0) this.#pendingOf.delete(node);
      else this.#pendingOf.set(node, left);
    }
  }
}

const failure = (code: EntryFailure): EnvelopeResult => ({ kind: 'failure', code });

function codeOf(code: TransportError['code']): EntryFailure {
  switch (code) {
    case 'timeout':
    case 'too_large':
    case 'bad_response':
      return code;
    default:
      return 'unreachable';
  }
}
