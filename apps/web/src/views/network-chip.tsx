// SPDX-License-Identifier: AGPL-3.0-or-later
// How the connection stands, always in sight; leads to the path.
import { Icon } from '../components/icon.tsx';
import { t } from '../i18n/i18n.ts';
import { useApp } from '../state/context.ts';
import { useStore } from '../state/store.ts';
import './network-chip.css';

export function NetworkChip() {
  const app = useApp();
  const network = useStore(app.network);
  const status = network?.status ?? 'connecting';
  const path = network?.paths.find(({ state }) => state === 'usable');
  return (
    <button
      type="button"
      className={`network-chip network-chip--${status}`}
      onClick={() => app.router.go({ at: 'network' })}
    >
      <span className="network-chip__hops" aria-hidden="true">
        <i />
        <i />
        <i />
      </span>
      <span className="network-chip__text" aria-live="polite">
        {status === 'online' && path !== undefined
          ? t('status.online', { n: path.hops.length })
          : t(status === 'offline' ? 'status.offline' : 'status.connecting')}
      </span>
      {network !== undefined && network.trust.state === 'verified' && (
        <span className="network-chip__verified" title={t('network.verified')}>
          <Icon name="shield" size={16} />
        </span>
      )}
    </button>
  );
}
