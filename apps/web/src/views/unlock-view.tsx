// SPDX-License-Identifier: AGPL-3.0-or-later
// An account with a passphrase, before it was given.
import { useState } from 'react';
import { Brand } from '../components/brand.tsx';
import { Button } from '../components/button.tsx';
import { PassphraseField } from '../components/field.tsx';
import { errorText, t } from '../i18n/i18n.ts';
import { AppError } from '../rpc.ts';
import { useApp } from '../state/context.ts';
import { useStore } from '../state/store.ts';

export function UnlockView() {
  const app = useApp();
  const session = useStore(app.session);
  const [passphrase, setPassphrase] = useState('');
  const [problem, setProblem] = useState<string>();
  const [busy, setBusy] = useState(false);
  const account = session?.current;
  if (account === undefined) return null;
  return (
    <main className="onboarding scroll">
      <form
        className="onboarding__card stack"
        onSubmit={(event) => {
          event.preventDefault();
          setBusy(true);
          setProblem(undefined);
          app.backend
            .call('unlock', [account.key, passphrase])
            .catch((error: unknown) => setProblem(error instanceof AppError ? error.code : 'unexpected'))
            .finally(() => setBusy(false));
        }}
      >
        <div className="onboarding__self">
          <Brand size={72} />
        </div>
        <h1>
          {account.name === undefined ? t('unlock.title') : t('unlock.title_name', { name: account.name })}
        </h1>
        <PassphraseField
          label={t('create.passphrase')}
          value={passphrase}
          error={problem && errorText(problem)}
          autoFocus
          onChange={({ target }) => setPassphrase(target.value)}
        />
        <p className="onboarding__text">{t('unlock.forgotten')}</p>
        <div className="actions actions--spread">
          <Button look="plain" disabled={busy} onClick={() => void app.call('switchAccount', [undefined])}>
            {t('unlock.other')}
          </Button>
          <Button type="submit" look="primary" busy={busy}>
            {t('unlock')}
          </Button>
        </div>
      </form>
    </main>
  );
}
