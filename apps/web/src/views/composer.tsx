// SPDX-License-Identifier: AGPL-3.0-or-later
// Where one writes: text with draft, answers and changes, files by button, paste or drop, voice notes.
import { type KeyboardEvent, type Ref, useEffect, useImperativeHandle, useRef, useState } from 'react';
import { Button, IconButton } from '../components/button.tsx';
import { EmojiPicker } from '../components/emoji-picker.tsx';
import { Icon } from '../components/icon.tsx';
import { mediaTypeOf } from '../components/media-type.ts';
import { tame } from '../components/rich-text.tsx';
import { bytesText, duration } from '../components/time.ts';
import { type Recording, VoiceRecorder } from '../components/voice-recorder.ts';
import { Waveform } from '../components/waveform.tsx';
import { t } from '../i18n/i18n.ts';
import type { MessageView, OutgoingFile, PersonView } from '../model.ts';
import { useApp } from '../state/context.ts';
import { useStore } from '../state/store.ts';
import { titleOf } from './person.ts';
import { isTouch } from './writing.ts';
import './composer.css';

/** Characters that a message can have (spec/client §3.5). */
const MAX_TEXT = 2_000;
const WARN_TEXT = 1_800;
const DRAFT_AFTER_MS = 400;
const MAX_FILES = 10;
const MAX_FILE_BYTES = 10_000_000;
const LIVE_BARS = 40;

export interface ComposerHandle {
  readonly addFiles: (files: readonly File[]) => void;
  readonly focus: () => void;
  readonly attach: () => void;
  readonly record: () => void;
  readonly emoji: () => void;
}

interface ComposerProps {
  readonly person: PersonView;
  readonly draft: string;
  readonly replyTo: MessageView | undefined;
  readonly editing: MessageView | undefined;
  readonly onDone: () => void;
  /** Whether there is one. */
  readonly onEditLast: () => boolean;
  readonly ref?: Ref<ComposerHandle>;
}

interface Pending {
  readonly file: OutgoingFile;
  readonly url: string | undefined;
}

export function Composer({ person, draft, replyTo, editing, onDone, onEditLast, ref }: ComposerProps) {
  const app = useApp();
  const { enterSends } = useStore(app.preferences);
  const takesFiles = useStore(app.network)?.hasFileServer !== false;
  const [text, setText] = useState(draft);
  const [files, setFiles] = useState<readonly Pending[]>([]);
  const [voice, setVoice] = useState<{ levels: readonly number[]; ms: number }>();
  const recorder = useRef<VoiceRecorder>(undefined);
  const area = useRef<HTMLTextAreaElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  const kept = useRef(draft);
  const touched = useRef(draft !== '');
  const latest = useRef(text);
  latest.current = editing === undefined ? text : kept.current;
  const count = text.length < WARN_TEXT ? 0 : [...text].length;
  const canSend = voice === undefined && count <= MAX_TEXT && (text.trim() !== '' || files.length > 0);

  useImperativeHandle(ref, () => ({
    addFiles: (given) => void addFiles(given),
    focus: () => area.current?.focus(),
    attach: () => editing === undefined && attach(),
    record: () => {
      const isFree = text.trim() === '' && files.length === 0 && editing === undefined;
      if (voice === undefined && isFree) void record();
    },
    emoji: () => area.current?.parentElement?.querySelector('button')?.click(),
  }));

  useEffect(() => {
    if (editing !== undefined) setText(editing.text);
    if (editing !== undefined || replyTo !== undefined) area.current?.focus();
  }, [editing, replyTo]);

  // Who opens a conversation wants to write; a touch screen's keyboard would cover it.
  useEffect(() => {
    const element = area.current;
    if (isTouch() || element === null) return;
    element.focus({ preventScroll: true });
    element.setSelectionRange(element.value.length, element.value.length);
  }, []);

  // After a reload the draft comes later than the place for it.
  useEffect(() => {
    if (touched.current || draft === '') return;
    touched.current = true;
    kept.current = draft;
    setText(draft);
  }, [draft]);

  // The draft is kept a moment after the last key, and when one leaves.
  useEffect(() => {
    if (editing !== undefined || text === kept.current) return;
    const timer = setTimeout(() => {
      kept.current = text;
      void app.backend.call('setDraft', [person.id, text]).catch(() => undefined);
    }, DRAFT_AFTER_MS);
    return () => clearTimeout(timer);
  }, [app, person.id, text, editing]);
  useEffect(
    () => () => {
      recorder.current?.cancel();
      if (latest.current !== kept.current) {
        void app.backend.call('setDraft', [person.id, latest.current]).catch(() => undefined);
      }
    },
    [app, person.id],
  );

  // Locking closes the account before this view is gone.
  useEffect(() => {
    const keep = async () => {
      if (latest.current === kept.current) return;
      kept.current = latest.current;
      await app.backend.call('setDraft', [person.id, latest.current]);
    };
    app.beforeLock.add(keep);
    return () => {
      app.beforeLock.delete(keep);
    };
  }, [app, person.id]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: its height follows the text
  useEffect(() => {
    const element = area.current;
    if (element === null) return;
    element.style.blockSize = 'auto';
    element.style.blockSize = `${Math.min(element.scrollHeight, 200)}px`;
  }, [text]);

  /** Tells what is missing; what cannot be done by a button cannot be done by a key or by dropping either. */
  function canSendFiles(): boolean {
    if (!takesFiles) app.toast('no_file_server', 'error');
    return takesFiles;
  }

  function attach(): void {
    if (canSendFiles()) picker.current?.click();
  }

  async function addFiles(given: readonly File[]): Promise<void> {
    if (given.length === 0 || !canSendFiles()) return;
    const added: Pending[] = [];
    for (const file of given.slice(0, MAX_FILES - files.length)) {
      if (file.size > MAX_FILE_BYTES) {
        app.toast('too_large', 'error');
        continue;
      }
      const bytes = new Uint8Array(await file.arrayBuffer());
      const type = mediaTypeOf(bytes);
      const isPicture = type?.startsWith('image/') === true;
      const size = isPicture ? await sizeOf(file) : undefined;
      added.push({
        file: {
          name: file.name,
          contentType: type ?? (file.type || 'application/octet-stream'),
          bytes,
          ...size,
        },
        url: isPicture ? URL.createObjectURL(file) : undefined,
      });
    }
    if (given.length > MAX_FILES - files.length) app.toast('too_many_files', 'error');
    setFiles((before) => [...before, ...added]);
    area.current?.focus();
  }

  function dropFile(index: number): void {
    const url = files[index]?.url;
    if (url !== undefined) URL.revokeObjectURL(url);
    setFiles(files.toSpliced(index, 1));
  }

  async function send(): Promise<void> {
    if (!canSend) return;
    const body = text.trim();
    const given = files;
    setText('');
    kept.current = '';
    setFiles([]);
    onDone();
    // The button that was pressed is another one now.
    area.current?.focus({ preventScroll: true });
    try {
      if (editing !== undefined) await app.backend.call('edit', [person.id, editing.timestamp, body]);
      else {
        await app.backend.call('send', [
          person.id,
          body,
          {
            ...(replyTo && { quote: { sender: replyTo.sender, timestamp: replyTo.timestamp } }),
            ...(given.length > 0 && { files: given.map(({ file }) => file) }),
          },
        ]);
        void app.backend.call('setDraft', [person.id, '']).catch(() => undefined);
      }
      for (const { url } of given) if (url !== undefined) URL.revokeObjectURL(url);
    } catch (error) {
      // Nothing that was written is lost.
      setText((now) => (now === '' ? body : now));
      setFiles((now) => (now.length === 0 ? given : now));
      app.fail(error);
    }
  }

  async function record(): Promise<void> {
    if (!canSendFiles()) return;
    try {
      setVoice({ levels: [], ms: 0 });
      recorder.current = await VoiceRecorder.start((levels, ms) =>
        setVoice({ levels: levels.slice(-LIVE_BARS), ms }),
      );
    } catch (error) {
      setVoice(undefined);
      app.toast(
        (error as Error).name === 'NotAllowedError' ? 'microphone_denied' : 'microphone_missing',
        'error',
      );
    }
  }

  async function finishRecording(): Promise<void> {
    const own = recorder.current;
    recorder.current = undefined;
    setVoice(undefined);
    if (own === undefined) return;
    const { bytes, contentType, durationMs, waveform }: Recording = await own.finish();
    const file: OutgoingFile = { name: 'voice', contentType, bytes, isVoice: true, durationMs, waveform };
    await app.call('send', [person.id, '', { files: [file] }]);
    onDone();
  }

  function onKeyDown(event: KeyboardEvent): void {
    // While an input method composes, Enter is its own.
    if (event.nativeEvent.isComposing) return;
    const wantsSend =
      event.key === 'Enter' && (enterSends ? !event.shiftKey : event.ctrlKey || event.metaKey);
    if (wantsSend) {
      event.preventDefault();
      void send();
    }
    const isBare = !event.shiftKey && !event.altKey && !event.ctrlKey && !event.metaKey;
    if (event.key === 'ArrowUp' && isBare && text === '' && files.length === 0 && onEditLast()) {
      event.preventDefault();
    }
    if (event.key === 'Escape' && (replyTo !== undefined || editing !== undefined)) {
      event.preventDefault();
      if (editing !== undefined) setText('');
      onDone();
    }
  }

  // They can be reached and pressed all the same: where there is no pointer to hover, pressing tells why.
  const refusal = takesFiles
    ? {}
    : {
        'aria-disabled': true,
        'aria-describedby': 'composer-no-files',
        title: t('error.no_file_server'),
      };

  return (
    <form
      className="composer"
      aria-label={t('composer')}
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      {(replyTo ?? editing) !== undefined && (
        <div className="composer__about">
          <Icon name={editing === undefined ? 'reply' : 'edit'} size={18} />
          <span className="composer__about-text">
            <strong>
              {editing !== undefined
                ? t('composer.editing')
                : t('composer.reply', { name: replyTo?.mine === true ? t('you') : titleOf(person) })}
            </strong>
            <bdi>{tame((editing ?? replyTo)?.text ?? '') || t('attachment.file')}</bdi>
          </span>
          <IconButton
            size="s"
            icon="close"
            label={t('cancel')}
            onClick={() => {
              if (editing !== undefined) setText('');
              onDone();
            }}
          />
        </div>
      )}
      {files.length > 0 && (
        <ul className="composer__files">
          {files.map(({ file, url }, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: two files may be equal
            <li key={index} className="composer__file">
              {url === undefined ? <Icon name="file" size={26} /> : <img src={url} alt="" />}
              <span className="composer__file-name">
                <bdi>{file.name}</bdi>
                <span>{bytesText(file.bytes.length)}</span>
              </span>
              <IconButton
                size="s"
                icon="close"
                label={t('composer.remove_file', { name: file.name })}
                onClick={() => dropFile(index)}
              />
            </li>
          ))}
        </ul>
      )}
      {voice === undefined ? (
        <div className="composer__row">
          {!takesFiles && (
            <span id="composer-no-files" hidden>
              {t('error.no_file_server')}
            </span>
          )}
          <input
            ref={picker}
            type="file"
            multiple
            hidden
            onChange={({ target }) => {
              void addFiles([...(target.files ?? [])]);
              target.value = '';
            }}
          />
          {editing === undefined && (
            <IconButton icon="attach" label={t('composer.attach')} {...refusal} onClick={attach} />
          )}
          <div className="composer__box">
            <textarea
              ref={area}
              className="composer__text scroll"
              rows={1}
              dir="auto"
              value={text}
              placeholder={t('composer.placeholder')}
              aria-label={t('composer.placeholder')}
              aria-describedby={count > 0 ? 'composer-count' : undefined}
              onChange={({ target }) => {
                touched.current = true;
                setText(target.value);
                void app.backend.call('typing', [person.id, target.value !== '']).catch(() => undefined);
              }}
              onKeyDown={onKeyDown}
              onPaste={(event) => {
                const pasted = [...event.clipboardData.files];
                if (pasted.length === 0) return;
                event.preventDefault();
                void addFiles(pasted);
              }}
            />
            <EmojiPicker
              trigger={<IconButton size="s" icon="smile" label={t('composer.emoji')} />}
              onPick={(emoji) => {
                const element = area.current;
                const at = element?.selectionStart ?? text.length;
                setText(text.slice(0, at) + emoji + text.slice(element?.selectionEnd ?? at));
                requestAnimationFrame(() => {
                  element?.focus();
                  element?.setSelectionRange(at + emoji.length, at + emoji.length);
                });
              }}
            />
          </div>
          {count > 0 && (
            <span
              id="composer-count"
              className={count > MAX_TEXT ? 'composer__count composer__count--over' : 'composer__count'}
            >
              {MAX_TEXT - count}
            </span>
          )}
          {text.trim() === '' && files.length === 0 && editing === undefined ? (
            <IconButton icon="mic" label={t('composer.voice')} {...refusal} onClick={() => void record()} />
          ) : (
            <span className="icon-flip">
              <IconButton
                type="submit"
                icon={editing === undefined ? 'send' : 'check'}
                look="primary"
                label={editing === undefined ? t('composer.send') : t('save')}
                disabled={!canSend}
              />
            </span>
          )}
        </div>
      ) : (
        <div className="composer__row composer__row--voice">
          <span className="composer__live" aria-hidden="true" />
          <span className="composer__voice-time" role="timer">
            {duration(voice.ms)}
          </span>
          <div className="composer__voice-wave">
            <Waveform
              levels={[...Array.from({ length: LIVE_BARS - voice.levels.length }, () => 0), ...voice.levels]}
              played={1}
            />
          </div>
          <Button
            look="plain"
            onClick={() => {
              recorder.current?.cancel();
              recorder.current = undefined;
              setVoice(undefined);
            }}
          >
            {t('cancel')}
          </Button>
          <span className="icon-flip">
            <IconButton
              icon="send"
              look="primary"
              label={t('composer.send_voice')}
              onClick={() => void finishRecording()}
            />
          </span>
        </div>
      )}
    </form>
  );
}

/** Pixels of a picture, when the browser can read it. */
async function sizeOf(file: Blob): Promise<{ width: number; height: number } | undefined> {
  try {
    const bitmap = await createImageBitmap(file);
    const { width, height } = bitmap;
    bitmap.close();
    return { width, height };
  } catch {
    return undefined;
  }
}
