// SPDX-License-Identifier: AGPL-3.0-or-later
// The way of a message: entry, three hops, swarm; who sees what; and how the network is.
import { useEffect, useState } from 'react';
import { Note } from '../components/feedback.tsx';
import { Icon, type IconName } from '../components/icon.tsx';
import { shortTime } from '../components/time.ts';
import { errorText, type TextKey, t } from '../i18n/i18n.ts';
import type { HopView, NetworkView as Network } from '../model.ts';
import { useApp } from '../state/context.ts';
import { useStore } from '../state/store.ts';
import { Card, Pane } from './pane.tsx';
import './network-view.css';

const REFRESH_MS = 4_000;
const CLOCK_DOUBT_MS = 10_000;

export function NetworkView() {
  const app = useApp();
  const network = useStore(app.network);
  useEffect(() => {
    const read = () =>
      void app.backend
        .call('network', [])
        .then((now) => app.network.set(now))
        .catch(() => undefined);
    read();
    const timer = setInterval(read, REFRESH_MS);
    return () => clearInterval(timer);
  }, [app]);
  return (
    <Pane title={t('network')}>
      {network !== undefined && (
        <>
          <Advice network={network} />
          <PathCard network={network} />
          <Facts network={network} />
        </>
      )}
    </Pane>
  );
}

function Advice({ network }: { readonly network: Network }) {
  const { entry, status, lastError, clockOffsetMs, trust } = network;
  return (
    <>
      {entry.state === 'unreachable' && <Note kind="danger">{t('network.entry_lost')}</Note>}
      {status !== 'online' && entry.state !== 'unreachable' && (
        <Note kind="warning">
          {lastError === undefined ? t('status.connecting.about') : errorText(lastError)}
        </Note>
      )}
      {Math.abs(clockOffsetMs) > CLOCK_DOUBT_MS && (
        <Note kind="warning">{t('network.clock', { n: Math.round(clockOffsetMs / 1000) })}</Note>
      )}
      {trust.state !== 'verified' && <Note kind="warning">{t('network.unverified.about')}</Note>}
      {!network.hasFileServer && <Note>{t('error.no_file_server')}</Note>}
    </>
  );
}

function PathCard({ network }: { readonly network: Network }) {
  const path = network.paths.find(({ state }) => state === 'usable') ?? network.paths[0];
  const [open, setOpen] = useState<number>();
  const hop = (index: number) => path?.hops[index];
  const stops: readonly (readonly [
    name: TextKey,
    sees: TextKey,
    icon: IconName,
    hop?: HopView | undefined,
    where?: string,
  ])[] = [
    ['path.you', 'path.you.sees', 'laptop'],
    ['path.entry', 'path.entry.sees', 'network', undefined, hostOf(network.entry.url)],
    ['path.guard', 'path.guard.sees', 'shieldPlain', hop(0)],
    ['path.middle', 'path.middle.sees', 'path', hop(1)],
    ['path.exit', 'path.exit.sees', 'forward', hop(2)],
    ['path.swarm', 'path.swarm.sees', 'users'],
  ];
  return (
    <Card title={t('path.title')}>
      <p className="field__hint">{t('path.about')}</p>
      <ol className="path">
        {stops.map(([name, sees, icon, node, where], index) => (
          <li key={name} className={`path__stop ${index >= 2 && index <= 4 ? 'path__stop--hop' : ''}`}>
            <span className="path__glyph">
              <Icon name={icon} size={18} />
            </span>
            <div className="path__text">
              <button
                type="button"
                className="path__name"
                aria-expanded={open === index}
                onClick={() => setOpen(open === index ? undefined : index)}
              >
                <span>{t(name)}</span>
                <span className="path__where mono" dir="ltr">
                  {node === undefined ? (where ?? '') : `${node.host}:${node.port}`}
                </span>
                <Icon name="down" size={16} />
              </button>
              <p className="path__sees">{t(sees)}</p>
              {open === index && node !== undefined && (
                <p className="path__key mono" dir="ltr">
                  {node.ed25519Hex}
                  {node.operator !== undefined && ` · ${node.operator}`}
                </p>
              )}
            </div>
          </li>
        ))}
      </ol>
      {path === undefined && <Note>{t('path.none')}</Note>}
    </Card>
  );
}

function Facts({ network }: { readonly network: Network }) {
  const { nodes, paths, ownSwarm, lastPollAt, trust, entry, clockOffsetMs } = network;
  const usable = paths.filter(({ state }) => state === 'usable');
  return (
    <Card title={t('network.facts')}>
      <dl className="facts">
        <div>
          <dt>{t('network.nodes')}</dt>
          <dd>{nodes}</dd>
        </div>
        <div>
          <dt>{t('network.paths')}</dt>
          <dd>{t('network.paths.value', { n: usable.length, of: paths.length })}</dd>
        </div>
        <div>
          <dt>{t('network.swarm')}</dt>
          <dd>{ownSwarm}</dd>
        </div>
        <div>
          <dt>{t('network.probe')}</dt>
          <dd>{usable[0]?.probeMs === undefined ? '–' : `${Math.round(usable[0].probeMs)} ms`}</dd>
        </div>
        <div>
          <dt>{t('network.last_poll')}</dt>
          <dd>{lastPollAt === undefined ? '–' : shortTime(lastPollAt)}</dd>
        </div>
        <div>
          <dt>{t('network.list')}</dt>
          <dd className={trust.state === 'verified' ? 'facts__good' : 'facts__doubt'}>
            <Icon name={trust.state === 'verified' ? 'shield' : 'alert'} size={16} />
            {t(`network.trust.${trust.state}`)}
          </dd>
        </div>
        <div>
          <dt>{t('network.entry')}</dt>
          <dd>{t(`entry.${entry.state}`)}</dd>
        </div>
        <div>
          <dt>{t('network.clock_offset')}</dt>
          <dd>{Math.round(clockOffsetMs)} ms</dd>
        </div>
      </dl>
      {trust.state === 'verified' && (
        <p className="facts__about field__hint">{t('network.verified.about')}</p>
      )}
    </Card>
  );
}

function hostOf(url: string): string {
  try {
    return new URL(url).host;
  } catch {
    return url;
  }
}
