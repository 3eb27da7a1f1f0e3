// SPDX-License-Identifier: AGPL-3.0-or-later
// What this app protects, and what it cannot.
import { Icon, type IconName } from '../components/icon.tsx';
import { type TextKey, t } from '../i18n/i18n.ts';
import { useApp } from '../state/context.ts';
import { useStore } from '../state/store.ts';
import { Card, Pane } from './pane.tsx';
import './protected-view.css';

type Entry = readonly [icon: IconName, title: TextKey, text: TextKey];

const YES: readonly Entry[] = [
  ['lock', 'protected.content', 'protected.content.text'],
  ['path', 'protected.address', 'protected.address.text'],
  ['user', 'protected.account', 'protected.account.text'],
  ['shield', 'protected.sender', 'protected.sender.text'],
];
const PARTLY: readonly Entry[] = [
  ['clock', 'protected.timing', 'protected.timing.text'],
  ['network', 'protected.list', 'protected.list.text'],
  ['disk', 'protected.device', 'protected.device.text'],
];
const NO: readonly Entry[] = [
  ['laptop', 'protected.code', 'protected.code.text'],
  ['key', 'protected.forward', 'protected.forward.text'],
  ['eye', 'protected.peer', 'protected.peer.text'],
  ['trash', 'protected.delete', 'protected.delete.text'],
];

export function ProtectedView() {
  const app = useApp();
  const session = useStore(app.session);
  const network = useStore(app.network);
  const sealedBy = session?.current?.sealedBy ?? 'browser';
  return (
    <Pane title={t('protected')}>
      <p className="protected__lead">{t('protected.lead')}</p>
      <Group kind="yes" title={t('protected.yes')} entries={YES} />
      <Group kind="partly" title={t('protected.partly')} entries={PARTLY} />
      <Group kind="no" title={t('protected.no')} entries={NO} />
      <Card title={t('protected.now')}>
        <ul className="protected__now">
          <li>
            <Icon name={network?.trust.state === 'verified' ? 'check' : 'alert'} size={18} />
            {network?.trust.state === 'verified' ? t('protected.now.list_yes') : t('protected.now.list_no')}
          </li>
          <li>
            <Icon name={sealedBy === 'browser' ? 'alert' : 'check'} size={18} />
            {t(`protected.now.sealed_${sealedBy}`)}
          </li>
          <li>
            <Icon name={session?.current?.phraseConfirmed === true ? 'check' : 'alert'} size={18} />
            {session?.current?.phraseConfirmed === true
              ? t('protected.now.phrase_yes')
              : t('protected.now.phrase_no')}
          </li>
        </ul>
      </Card>
    </Pane>
  );
}

function Group({
  kind,
  title,
  entries,
}: {
  readonly kind: 'yes' | 'partly' | 'no';
  readonly title: string;
  readonly entries: readonly Entry[];
}) {
  return (
    <section className={`protected protected--${kind}`}>
      <h3 className="protected__title">{title}</h3>
      <ul className="protected__list">
        {entries.map(([icon, name, text]) => (
          <li key={name}>
            <Icon name={icon} />
            <div>
              <h4>{t(name)}</h4>
              <p>{t(text)}</p>
            </div>
          </li>
        ))}
      </ul>
    </section>
  );
}
