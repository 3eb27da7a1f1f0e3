// SPDX-License-Identifier: AGPL-3.0-or-later
// The worker of one tab. Of all tabs of a browser one worker holds the lock, and with it keys, storage and network; the
// others pass what their page asks on to it, and what it tells back. When its tab goes, the next one takes over.
import type { FromWorker, ToWorker } from '../rpc.ts';
import type { Host } from './host.ts';

const LOCK = 'allium-owner';
const CHANNEL = 'allium';
// Ours.
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;

interface WorkerScope {
  postMessage(message: FromWorker): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
}

type Shared =
  | { readonly to: 'owner'; readonly message: ToWorker }
  | { readonly to: 'pages'; readonly message: FromWorker }
  /** A new owner: what was asked before has to be asked again. */
  | { readonly to: 'followers'; readonly hello: true };

const scope = globalThis as unknown as WorkerScope;
const channel = new BroadcastChannel(CHANNEL);
/** Calls of this page that have no answer yet. */
const waiting = new Map<string, ToWorker & { kind: 'call' }>();
/** Those of them that an owner has begun to work on, and when, local time in ms. */
const taken = new Map<string, number>();
let host: Host | undefined;

/** Runs once more for a new owner without harm: everything that only reads. */
const REPEATABLE =
  /^(session|conversations|person|contacts|history|settings|network|sync|syncNow|search|picture|attachment|find|suggestWords|checkPhrase|safetyNumber)$/;

function toOwnPage(message: FromWorker): void {
  if ('id' in message) {
    if (!waiting.has(message.id)) return;
    if (message.kind === 'taken') {
      taken.set(message.id, Date.now());
      return;
    }
    if (message.kind !== 'progress') {
      waiting.delete(message.id);
      taken.delete(message.id);
    }
  }
  scope.postMessage(message);
}

scope.onmessage = ({ data }) => {
  if (data.kind === 'call') waiting.set(data.id, data);
  if (host !== undefined) host.receive(data);
  else channel.postMessage({ to: 'owner', message: data } satisfies Shared);
};

channel.onmessage = ({ data }: MessageEvent<Shared>) => {
  switch (data.to) {
    case 'owner':
      host?.receive(data.message);
      break;
    case 'pages':
      toOwnPage(data.message);
      break;
    case 'followers':
      askAgain((call) => channel.postMessage({ to: 'owner', message: call } satisfies Shared));
      toOwnPage({ kind: 'event', name: 'restarted', value: {} });
      break;
  }
};

function askAgain(ask: (call: ToWorker) => void): void {
  for (const call of [...waiting.values()]) {
    const since = taken.get(call.id);
    // What no owner has begun, or what can be told apart, does not happen twice.
    if (since === undefined || REPEATABLE.test(call.method)) ask(call);
    else if (call.method === 'send') ask({ ...call, againSince: since });
    else
      toOwnPage({
        kind: 'error',
        id: call.id,
        code: 'owner_lost',
        message: 'the tab that did this was closed',
      });
  }
}

void navigator.locks.request(LOCK, async () => {
  const own = await startHost();
  host = own;
  channel.postMessage({ to: 'followers', hello: true } satisfies Shared);
  askAgain((call) => own.receive(call));
  toOwnPage({ kind: 'event', name: 'restarted', value: {} });
  // For as long as this worker lives.
  await new Promise(() => undefined);
});

/** Again and again: the network may be away at the first visit, and nobody else would try. */
async function startHost(): Promise<Host> {
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
    try {
      // Loaded only here: tabs that follow do without the cryptography.
      const { Host } = await import('./host.ts');
      const own = new Host((message) => {
        if (message.kind === 'event' || !waiting.has(message.id)) {
          channel.postMessage({ to: 'pages', message } satisfies Shared);
        }
        toOwnPage(message);
      });
      await own.start();
      return own;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}
