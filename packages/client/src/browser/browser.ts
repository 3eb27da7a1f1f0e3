// SPDX-License-Identifier: MIT
// A client in a page or worker with ready-made ports: everything through one gateway, IndexedDB, the browser's clock. What the
// network is called and where its file servers are is asked of the gateway once and kept.
import type { Account } from '@allium/protocol/account';
import { fromUtf8 } from '@allium/protocol/bytes';
import { type Logger, TransportError } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import { type Json, type JsonObject, parseJson, stringifyJson } from '@allium/protocol/json';
import { Client } from '../client.ts';
import { ClientError } from '../errors.ts';
import { type FileServerAddress, NETWORKS, type NetworkPreset } from '../network/presets.ts';
import type { TrustOptions } from '../network/trust.ts';
import { parseTrustAnchor, type TrustAnchor } from '../network/trust-anchor.ts';
import type { BlobPort } from '../storage/blobs.ts';
import { IndexedDbStorage } from '../storage/indexeddb.ts';
import { IndexedDbBlobs } from '../storage/indexeddb-blobs.ts';
import type { Storage } from '../storage/storage.ts';
import { browserEnv } from './env.ts';
import { BrowserTransport, type NodeEntry } from './transport.ts';

export type { EntryState } from './entry-channel.ts';
export { browserEnv } from './env.ts';
export {
  BrowserTransport,
  type BrowserTransportEvents,
  type BrowserTransportOptions,
  type NodeEntry,
} from './transport.ts';

export interface OpenBrowserOptions {
  readonly account: Account;
  /** Origin of the gateway; default: where the page comes from. */
  readonly gateway?: string;
  /** Default: IndexedDB, one database for each account. Belongs to the client from now on. */
  readonly storage?: Storage;
  /** Where files are kept. Default: IndexedDB beside the default storage, else in memory. Belongs to the client from now on. */
  readonly blobs?: BlobPort;
  /** What `gateway` would say of the network; needed by a transport without gateway. */
  readonly network?: GatewayNetwork;
  /** Instead of one to `gateway`. Belongs to the client from now on. */
  readonly transport?: BrowserTransport;
  /** Default: the anchor that the gateway gave at the first start, if it has one. */
  readonly trust?: TrustOptions;
  /** Instead of those that the gateway names. */
  readonly fileServers?: readonly FileServerAddress[];
  /** False: only send. Default true. */
  readonly receive?: boolean;
  readonly pollEveryMs?: number;
  readonly waitMs?: number;
  /** Default: silent. */
  readonly log?: Logger;
}

/** What a gateway says of the network that it leads into (docs/formats/browser-entry.md). */
export interface GatewayNetwork {
  /** Name of the preset to begin with. */
  readonly network: keyof typeof NETWORKS;
  /** Tells one network of that name from another; empty when the gateway does not say. */
  readonly id: string;
  /** Nodes of its list; 0: it has none yet. */
  readonly nodes: number;
  readonly fileServers: readonly FileServerAddress[];
  /** Nodes that let pages in; they are there when the gateway is not. */
  readonly entries: readonly NodeEntry[];
  readonly anchor: TrustAnchor | undefined;
}

const SETTING = 'gateway_network';
// Ours.
const INFO_TIMEOUT_MS = 10_000;
/** Of a gateway that is known: offline a page must open all the same. */
const AGAIN_TIMEOUT_MS = 2_000;
const MAX_SERVERS = 16;

/**
 * Opens a client; close it with `close` or `await using`. Needs the gateway for the first start only.
 * @throws ClientError `wrong_account`; `no_network`: the gateway does not answer, `no_nodes`: it is none; StorageError
 */
export async function openBrowserClient(options: OpenBrowserOptions): Promise<Client> {
  const { account, gateway, receive, pollEveryMs, waitMs } = options;
  const env = browserEnv(options.log);
  const transport =
    options.transport ?? new BrowserTransport({ ...(gateway !== undefined && { gateway }), env });
  let { storage, blobs } = options;
  try {
    if (storage === undefined) blobs ??= await IndexedDbBlobs.open(`allium-${account.id}-files`);
    storage ??= await IndexedDbStorage.open(`allium-${account.id}`);
    const known = options.network ?? (await knownNetwork(storage, transport));
    transport.addEntries(known.entries);
    const trust = options.trust ?? (known.anchor === undefined ? undefined : { anchor: known.anchor });
    const client = await Client.open({
      account,
      network: {
        preset: presetOf(known, transport, options.fileServers),
        ...(trust !== undefined && { trust }),
      },
      ...(receive !== undefined && { receive }),
      ...(pollEveryMs !== undefined && { pollEveryMs }),
      ...(waitMs !== undefined && { waitMs }),
      storage,
      ...(blobs !== undefined && { blobs }),
      transport,
      env,
      onClose: () => transport.close(),
    });
    transport.events.on('state', (state) => {
      if (state === 'connected' || state === 'fallback') client.wake();
    });
    return client;
  } catch (error) {
    transport.close();
    await storage?.close();
    await blobs?.close();
    throw error;
  }
}

/** The preset of the network behind a gateway; entries are its only seeds. */
function presetOf(
  known: GatewayNetwork,
  { gateway, entries }: BrowserTransport,
  fileServers: readonly FileServerAddress[] = known.fileServers,
): NetworkPreset {
  const preset = NETWORKS[known.network];
  return {
    ...preset,
    // What was known of another one is forgotten.
    name: known.id === '' ? preset.name : `${preset.name}-${known.id}`,
    seeds: [...(gateway === '' ? [] : [{ url: gateway }]), ...entries.map(({ url }) => ({ url }))],
    fileServers: fileServers.length > 0 ? fileServers : preset.fileServers,
  };
}

async function knownNetwork(storage: Storage, transport: BrowserTransport): Promise<GatewayNetwork> {
  const text = await storage.setting(SETTING);
  const kept = text === undefined ? undefined : parseGatewayNetwork(text);
  // What was trusted once stays; but a network for tests may be another one every day.
  if (text !== undefined && kept !== undefined && kept.network !== 'local') {
    void renewAddresses(text, storage, transport).catch(() => undefined);
    return kept;
  }
  try {
    const answer = await askGateway(transport, kept === undefined ? INFO_TIMEOUT_MS : AGAIN_TIMEOUT_MS);
    await storage.write({ settings: { [SETTING]: answer } });
    return parseGatewayNetwork(answer);
  } catch (error) {
    if (kept === undefined) throw error;
    return kept;
  }
}

/** For the next start: where servers and entries are now. Network and anchor stay as they are. */
async function renewAddresses(text: string, storage: Storage, transport: BrowserTransport): Promise<void> {
  const now = parseJson(await askGateway(transport, INFO_TIMEOUT_MS)) as JsonObject;
  const kept = parseJson(text) as JsonObject;
  if (now.network !== kept.network || now.id !== kept.id) return;
  const { file_servers = [], entries = [] } = now;
  await storage.write({ settings: { [SETTING]: stringifyJson({ ...kept, file_servers, entries }) } });
}

async function askGateway(transport: BrowserTransport, timeoutMs: number): Promise<string> {
  try {
    const url = `${transport.gateway}/v1/network`;
    const answer = await transport.request({ url, timeoutMs });
    if (answer.status !== 200) throw new TransportError('bad_response', `status ${answer.status}`);
    const text = fromUtf8(answer.body);
    parseGatewayNetwork(text);
    return text;
  } catch (cause) {
    if (cause instanceof ParseError || (cause instanceof TransportError && cause.code === 'bad_response')) {
      throw new ClientError('no_nodes', 'the address given is no gateway', { cause });
    }
    throw new ClientError('no_network', 'the gateway does not answer', { cause });
  }
}

/** Reads the answer of `GET /v1/network`. @throws ParseError */
export function parseGatewayNetwork(text: string): GatewayNetwork {
  const {
    network,
    id = '',
    nodes,
    file_servers: servers = [],
    entries = [],
    anchor,
  } = (parseJson(text) ?? {}) as JsonObject;
  const isKnown = typeof network === 'string' && Object.hasOwn(NETWORKS, network);
  if (!isKnown) throw new ParseError('node_list', 'a gateway without the name of a network');
  if (typeof id !== 'string' || !/^[0-9a-f]{0,64}$/.test(id)) {
    throw new ParseError('node_list', 'a malformed id of a network');
  }
  if (typeof nodes !== 'number' || !Number.isSafeInteger(nodes) || nodes < 0) {
    throw new ParseError('node_list', 'a gateway without the number of its nodes');
  }
  const isAnchor = anchor !== undefined && anchor !== null;
  return {
    network: network as keyof typeof NETWORKS,
    id,
    nodes,
    fileServers: addresses(servers, /^https?:\/\/[^/?#]+$/),
    entries: addresses(entries, /^https:\/\/[^/?#]+$/),
    anchor: isAnchor ? parseTrustAnchor(new TextEncoder().encode(String(anchor))) : undefined,
  };
}

function addresses(list: Json, form: RegExp): readonly { url: string; ed25519Hex: string }[] {
  if (!Array.isArray(list) || list.length > MAX_SERVERS) {
    throw new ParseError('node_list', 'malformed addresses of a gateway');
  }
  return (list as readonly Json[]).map((one) => {
    const { url, ed25519_key: ed25519Hex } = (one ?? {}) as JsonObject;
    const isAddress = typeof url === 'string' && form.test(url) && URL.canParse(url);
    if (!isAddress || typeof ed25519Hex !== 'string' || !/^[0-9a-f]{64}$/.test(ed25519Hex)) {
      throw new ParseError('node_list', 'a malformed address of a gateway');
    }
    return { url, ed25519Hex };
  });
}
