// SPDX-License-Identifier: AGPL-3.0-or-later
// People who wrote and were not accepted yet.
import { Empty } from '../components/feedback.tsx';
import { useToday } from '../components/today.ts';
import { t } from '../i18n/i18n.ts';
import { useApp } from '../state/context.ts';
import { useStore } from '../state/store.ts';
import { ConversationRow } from './conversation-list.tsx';
import { Card, Pane } from './pane.tsx';

export function RequestsView() {
  const app = useApp();
  const requests = useStore(app.conversations)?.requests ?? [];
  const today = useToday();
  return (
    <Pane title={t('requests')}>
      {requests.length === 0 ? (
        <Empty icon="inbox" title={t('requests.empty')} />
      ) : (
        <>
          <p className="field__hint">{t('requests.about')}</p>
          <Card>
            <ul>
              {requests.map((conversation) => (
                <li key={conversation.person.id}>
                  <ConversationRow conversation={conversation} selected={false} today={today} />
                </li>
              ))}
            </ul>
          </Card>
        </>
      )}
    </Pane>
  );
}
