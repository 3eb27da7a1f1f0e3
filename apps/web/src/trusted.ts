// SPDX-License-Identifier: AGPL-3.0-or-later
// The two scripts that the page starts, through the only policy for Trusted Types: no other address passes.

import type { FromWorker, ToWorker, Wire } from './rpc.ts';
import workerUrl from './worker/main.ts?worker&url';

const SERVICE_WORKER = './sw.js';

interface TrustedTypes {
  createPolicy(
    name: string,
    rules: { createScriptURL(url: string): string },
  ): { createScriptURL(url: string): string };
}

const types = (globalThis as { trustedTypes?: TrustedTypes }).trustedTypes;
const policy = types?.createPolicy('allium', {
  createScriptURL(url) {
    if (url !== workerUrl && url !== SERVICE_WORKER) throw new TypeError('no script of this page');
    return url;
  },
});
const trusted = (url: string): string => policy?.createScriptURL(url) ?? url;

export function openWorker(): Wire {
  const worker = new Worker(trusted(workerUrl), { type: 'module', name: 'allium' });
  return {
    post: (message: ToWorker) => worker.postMessage(message),
    listen: (receive) => {
      worker.onmessage = ({ data }: MessageEvent<FromWorker>) => receive(data);
    },
  };
}

export function registerServiceWorker(): void {
  if (!('serviceWorker' in navigator) || import.meta.env.DEV) return;
  navigator.serviceWorker.register(trusted(SERVICE_WORKER)).catch((error: unknown) => {
    // The page works without; only not when its server is away.
    console.warn('no service worker', error);
  });
}
