// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium path`: builds the paths of an account and shows their nodes.
import { chosenSeeds } from '../home.ts';
import { explain, openSession, type SessionOptions, silentNetwork } from '../session.ts';
import { onStopSignal } from '../stop-signal.ts';
import { print, printJson, styled } from '../terminal.ts';
import { trustLine } from '../trust.ts';

/** Ours: a path that needs longer is of no use to the person who waits. */
const READY_TIMEOUT_MS = 30_000;
/** Ours: after the first usable path, the others get this much longer. */
const OTHERS_TIMEOUT_MS = 3_000;

export async function showPath(options: SessionOptions & { readonly json?: boolean }): Promise<number> {
  const stop = onStopSignal();
  try {
    await using session = await openSession(options, 'send');
    const { client } = session;
    await client.ready({ signal: AbortSignal.any([stop.signal, AbortSignal.timeout(READY_TIMEOUT_MS)]) });
    const end = performance.now() + OTHERS_TIMEOUT_MS;
    while (client.paths().some((path) => path.state !== 'usable') && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const paths = client.paths().map(({ hops, state, probeMs }) => ({
      state,
      probeMs: probeMs === undefined ? undefined : Math.round(probeMs * 10) / 10,
      hops: hops.map(({ ed25519Hex, host, httpsPort }) => ({ ed25519: ed25519Hex, host, port: httpsPort })),
    }));
    if (options.json === true) {
      printJson({ paths, trust: client.health().trust });
      return 0;
    }
    for (const [index, { hops, state, probeMs }] of paths.entries()) {
      const took = probeMs === undefined ? '' : `, ${probeMs} ms there and back`;
      print(styled('bold', `Path ${index + 1} (${state}${took})`));
      print('  you');
      for (const [place, hop] of hops.entries()) {
        const role =
          place === 0
            ? '  guard: sees you, not what you ask'
            : place === hops.length - 1
              ? '  exit: sees what node you ask, not you'
              : '';
        print(`   └ ${hop.ed25519.slice(0, 8)}  ${`${hop.host}:${hop.port}`.padEnd(21)}${role}`);
      }
    }
    print(trustLine(client.health().trust));
    return 0;
  } catch (error) {
    if (error instanceof DOMException && error.name === 'TimeoutError') {
      throw silentNetwork(READY_TIMEOUT_MS / 1000, chosenSeeds(options));
    }
    throw explain(error, chosenSeeds(options));
  }
}
