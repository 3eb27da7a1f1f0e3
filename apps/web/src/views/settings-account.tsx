// SPDX-License-Identifier: AGPL-3.0-or-later
// Settings of what is kept: accounts of this browser, storage, archive.
import { shortId } from '@allium/protocol/account-id';
import { useEffect, useRef, useState } from 'react';
import { Avatar } from '../components/avatar.tsx';
import { Button, IconButton } from '../components/button.tsx';
import { Dialog } from '../components/dialog.tsx';
import { Note, ProgressBar } from '../components/feedback.tsx';
import { PassphraseField, Switch } from '../components/field.tsx';
import { bytesText } from '../components/time.ts';
import { errorText, t } from '../i18n/i18n.ts';
import { AppError } from '../rpc.ts';
import { useApp } from '../state/context.ts';
import { useStore } from '../state/store.ts';
import { Card } from './pane.tsx';
import { SealCard } from './seal-card.tsx';

const codeOf = (error: unknown): string => (error instanceof AppError ? error.code : 'unexpected');

export function AccountsPage() {
  const app = useApp();
  const session = useStore(app.session);
  const [removing, setRemoving] = useState<string>();
  const [network, setNetwork] = useState(false);
  const [busy, setBusy] = useState(false);
  const current = session?.current?.key;
  return (
    <>
      <Card>
        <ul>
          {session?.accounts.map(({ key, id, name }) => (
            <li key={key} className="account-row">
              <button
                type="button"
                className="row"
                aria-current={key === current ? 'true' : undefined}
                onClick={() => key !== current && void app.call('switchAccount', [key])}
              >
                <Avatar id={id === '' ? key : id} name={name} size={42} />
                <span className="row__text">
                  <bdi className="row__title">{name ?? (id === '' ? t('account.locked') : shortId(id))}</bdi>
                  <span className="row__preview">{key === current ? t('account.current') : ''}</span>
                </span>
              </button>
              <IconButton
                icon="trash"
                label={t('account.remove')}
                onClick={() => {
                  setNetwork(false);
                  setRemoving(key);
                }}
              />
            </li>
          ))}
        </ul>
        <Button icon="plus" onClick={() => void app.call('switchAccount', [undefined])}>
          {t('account.add')}
        </Button>
      </Card>
      <SealCard />
      {removing !== undefined && (
        <Dialog
          title={t('account.remove')}
          onClose={() => setRemoving(undefined)}
          actions={
            <>
              <Button look="plain" onClick={() => setRemoving(undefined)}>
                {t('cancel')}
              </Button>
              <Button
                look="danger"
                busy={busy}
                onClick={() => {
                  setBusy(true);
                  void app
                    .call('removeAccount', [removing, { network: network && removing === current }])
                    .then(() => {
                      setBusy(false);
                      setRemoving(undefined);
                    });
                }}
              >
                {t('account.remove.do')}
              </Button>
            </>
          }
        >
          <p>{t('account.remove.about')}</p>
          {removing === current && (
            <Switch
              label={t('account.remove.network')}
              hint={t('account.remove.network.about')}
              checked={network}
              onChange={setNetwork}
            />
          )}
        </Dialog>
      )}
    </>
  );
}

export function StoragePage() {
  const [estimate, setEstimate] = useState<StorageEstimate>();
  const [persisted, setPersisted] = useState<boolean>();
  useEffect(() => {
    void navigator.storage?.estimate?.().then(setEstimate);
    void navigator.storage?.persisted?.().then(setPersisted);
  }, []);
  const used = estimate?.usage ?? 0;
  const quota = estimate?.quota ?? 0;
  return (
    <>
      <Card title={t('storage.title')}>
        <div className="stack">
          <ProgressBar label={t('storage.title')} value={quota === 0 ? 0 : used / quota} />
          <p className="field__hint">
            {t('storage.used', { used: bytesText(used), quota: bytesText(quota) })}
          </p>
          {persisted === true && <Note kind="good">{t('storage.persisted')}</Note>}
          {persisted === false && (
            <Note kind="warning">
              <p>{t('storage.evictable')}</p>
              <Button look="plain" onClick={() => void navigator.storage.persist().then(setPersisted)}>
                {t('storage.persist')}
              </Button>
            </Note>
          )}
        </div>
      </Card>
      <FetchedFilesCard />
      <SetAsideCard />
      <ArchiveCard />
    </>
  );
}

/** What can be given back at once when space runs short. */
function FetchedFilesCard() {
  const app = useApp();
  const [busy, setBusy] = useState(false);
  return (
    <Card title={t('files.title')}>
      <div className="stack">
        <p className="field__hint">{t('files.about')}</p>
        <div className="actions">
          <Button
            icon="trash"
            look="plain"
            busy={busy}
            onClick={async () => {
              setBusy(true);
              await app.backend.call('clearFiles', []).then(
                () => app.toast('files_cleared', 'done'),
                (error: unknown) => app.fail(error),
              );
              setBusy(false);
            }}
          >
            {t('files.clear')}
          </Button>
        </div>
      </div>
    </Card>
  );
}

/** Databases that could not be read: kept until somebody says that nothing is missing. */
function SetAsideCard() {
  const app = useApp();
  const session = useStore(app.session);
  const [erasing, setErasing] = useState(false);
  if ((session?.current?.setAside.length ?? 0) === 0) return null;
  return (
    <Card title={t('set_aside.title')}>
      <div className="stack">
        <p className="field__hint">{t('set_aside.about')}</p>
        <div className="actions">
          <Button onClick={() => void app.call('openSetAside', [])}>{t('set_aside.open')}</Button>
          <Button look="plain" icon="trash" onClick={() => setErasing(true)}>
            {t('set_aside.erase')}
          </Button>
        </div>
      </div>
      {erasing && (
        <Dialog
          title={t('set_aside.erase')}
          onClose={() => setErasing(false)}
          actions={
            <>
              <Button look="plain" onClick={() => setErasing(false)}>
                {t('cancel')}
              </Button>
              <Button
                look="danger"
                onClick={() => {
                  setErasing(false);
                  void app.call('eraseSetAside', []);
                }}
              >
                {t('delete')}
              </Button>
            </>
          }
        >
          <p>{t('set_aside.erase.about')}</p>
        </Dialog>
      )}
    </Card>
  );
}

function ArchiveCard() {
  const app = useApp();
  const [passphrase, setPassphrase] = useState('');
  const [busy, setBusy] = useState<'export' | 'import'>();
  /** Done, 0…1; of an import nobody knows. */
  const [share, setShare] = useState<number>();
  const [problem, setProblem] = useState<string>();
  const abort = useRef<AbortController>(undefined);
  const picker = useRef<HTMLInputElement>(null);
  const run = async (what: 'export' | 'import', work: (signal: AbortSignal) => Promise<void>) => {
    const own = new AbortController();
    abort.current = own;
    setBusy(what);
    setShare(undefined);
    setProblem(undefined);
    try {
      await work(own.signal);
      app.toast(what === 'export' ? 'exported' : 'imported', 'done');
    } catch (error) {
      if (!own.signal.aborted) setProblem(codeOf(error));
    }
    setBusy(undefined);
  };
  return (
    <Card title={t('archive.title')}>
      <div className="stack">
        <p className="field__hint">{t('archive.about')}</p>
        <PassphraseField
          label={t('archive.passphrase')}
          value={passphrase}
          error={problem && errorText(problem)}
          onChange={({ target }) => setPassphrase(target.value)}
        />
        {busy !== undefined && <ProgressBar label={t(`archive.${busy}`)} value={share} />}
        <div className="actions">
          <Button
            icon="download"
            busy={busy === 'export'}
            disabled={passphrase.length < 8 || busy !== undefined}
            onClick={() =>
              void run('export', async (signal) => {
                const archive = await app.backend.call('exportArchive', [passphrase], {
                  signal,
                  onProgress: (done) => setShare(Number(done)),
                });
                const url = URL.createObjectURL(new Blob([archive as BlobPart]));
                const link = document.createElement('a');
                link.href = url;
                link.download = `allium-${new Date().toISOString().slice(0, 10)}.archive`;
                link.click();
                setTimeout(() => URL.revokeObjectURL(url), 60_000);
              })
            }
          >
            {t('archive.export')}
          </Button>
          <Button
            icon="upload"
            look="plain"
            busy={busy === 'import'}
            disabled={passphrase === '' || busy !== undefined}
            onClick={() => picker.current?.click()}
          >
            {t('archive.import')}
          </Button>
          {busy !== undefined && (
            <Button look="plain" onClick={() => abort.current?.abort()}>
              {t('cancel')}
            </Button>
          )}
        </div>
        <input
          ref={picker}
          type="file"
          hidden
          onChange={({ target }) => {
            const file = target.files?.[0];
            target.value = '';
            if (file === undefined) return;
            void run('import', async (signal) => {
              const bytes = new Uint8Array(await file.arrayBuffer());
              await app.backend.call('importArchive', [bytes, passphrase], { signal });
              await app.refresh();
            });
          }}
        />
      </div>
    </Card>
  );
}
