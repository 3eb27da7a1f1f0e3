// SPDX-License-Identifier: AGPL-3.0-or-later
// What is to seal an account that is made or restored: a passphrase, a passkey where the browser has them, or nothing.
import { useEffect, useState } from 'react';
import type { Seal } from '../api.ts';
import { Button } from '../components/button.tsx';
import { Note } from '../components/feedback.tsx';
import { PassphraseField } from '../components/field.tsx';
import { errorText, t } from '../i18n/i18n.ts';
import { canUsePasskeys, createPasskey } from '../passkey.ts';
import { AppError } from '../rpc.ts';

interface SealChoiceProps {
  /** By which the system lists the passkey. */
  readonly name: string;
  readonly seal: Seal | undefined;
  readonly onChange: (seal: Seal | undefined) => void;
}

export function SealChoice({ name, seal, onChange }: SealChoiceProps) {
  const [passkeys, setPasskeys] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string>();
  useEffect(() => void canUsePasskeys().then(setPasskeys), []);
  const create = async () => {
    setBusy(true);
    setProblem(undefined);
    try {
      onChange(await createPasskey(name.trim() || 'Allium'));
    } catch (error) {
      setProblem(error instanceof AppError ? error.code : 'unexpected');
    }
    setBusy(false);
  };
  return (
    <details className="onboarding__more">
      <summary>{passkeys ? t('create.seal.more') : t('create.passphrase.more')}</summary>
      {seal?.kind === 'passkey' ? (
        <div className="stack">
          <Note kind="good" icon="key">
            {t('create.passkey.done')}
          </Note>
          <div className="actions">
            <Button look="plain" onClick={() => onChange(undefined)}>
              {t('create.passkey.without')}
            </Button>
          </div>
        </div>
      ) : (
        <div className="stack">
          <PassphraseField
            label={t('create.passphrase')}
            hint={t('create.passphrase.about')}
            value={seal?.passphrase ?? ''}
            onChange={({ target }) =>
              onChange(target.value === '' ? undefined : { kind: 'passphrase', passphrase: target.value })
            }
          />
          {passkeys && (
            <>
              <p className="field__hint">{t('passkey.about')}</p>
              {problem !== undefined && <Note kind="danger">{errorText(problem)}</Note>}
              <div className="actions">
                <Button icon="key" busy={busy} onClick={() => void create()}>
                  {t('passkey.set')}
                </Button>
              </div>
            </>
          )}
        </div>
      )}
    </details>
  );
}
