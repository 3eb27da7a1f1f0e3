// SPDX-License-Identifier: AGPL-3.0-or-later
// A sealed account, before its passphrase was given or its passkey asked.
import { useState } from 'react';
import { Brand } from '../components/brand.tsx';
import { Button } from '../components/button.tsx';
import { Note } from '../components/feedback.tsx';
import { PassphraseField } from '../components/field.tsx';
import { errorText, t } from '../i18n/i18n.ts';
import { secretOf } from '../passkey.ts';
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
  const byPasskey = account.sealedBy === 'passkey';
  const unlock = async () => {
    setBusy(true);
    setProblem(undefined);
    try {
      await app.backend.call('unlock', [account.key, await secretOf(account, passphrase)]);
    } catch (error) {
      setProblem(error instanceof AppError ? error.code : 'unexpected');
    }
    setBusy(false);
  };
  return (
    <main className="onboarding scroll">
      <form
        className="onboarding__card stack"
        onSubmit={(event) => {
          event.preventDefault();
          void unlock();
        }}
      >
        <div className="onboarding__self">
          <Brand size={72} />
        </div>
        <h1>
          {account.name === undefined ? t('unlock.title') : t('unlock.title_name', { name: account.name })}
        </h1>
        {!byPasskey && (
          <PassphraseField
            label={t('create.passphrase')}
            value={passphrase}
            error={problem && errorText(problem)}
            autoFocus
            onChange={({ target }) => setPassphrase(target.value)}
          />
        )}
        {byPasskey && problem !== undefined && <Note kind="danger">{errorText(problem)}</Note>}
        <p className="onboarding__text">{byPasskey ? t('unlock.passkey_lost') : t('unlock.forgotten')}</p>
        <div className="actions actions--spread">
          <Button look="plain" disabled={busy} onClick={() => void app.call('switchAccount', [undefined])}>
            {t('unlock.other')}
          </Button>
          <Button
            type="submit"
            look="primary"
            busy={busy}
            {...(byPasskey && { icon: 'key', autoFocus: true })}
          >
            {byPasskey ? t('unlock.passkey') : t('unlock')}
          </Button>
        </div>
      </form>
    </main>
  );
}
