// SPDX-License-Identifier: AGPL-3.0-or-later
// Attachments of a message: pictures, voice notes, files. What a file says of itself counts for nothing: pictures are
// only shown when their first bytes are those of a picture, everything else can only be saved.
import { useEffect, useRef, useState } from 'react';
import { bytesText, duration } from '../components/time.ts';
import { t } from '../i18n/i18n.ts';
import type { AttachmentView, MessageView } from '../model.ts';
import { useApp } from '../state/context.ts';
import { levelsOf } from './audio-levels.ts';
import { Button, IconButton } from './button.tsx';
import { Dialog } from './dialog.tsx';
import { Icon } from './icon.tsx';
import { mediaTypeOf } from './media-type.ts';
import { tameLine } from './rich-text.tsx';
import { Waveform } from './waveform.tsx';
import './attachment.css';

type Loaded =
  | { readonly state: 'waiting' }
  | { readonly state: 'loading'; readonly done: number }
  | { readonly state: 'failed' }
  | {
      readonly state: 'there';
      readonly bytes: Uint8Array;
      readonly url: string;
      readonly type: string | undefined;
    };

/** Fetched at once: pictures of this size at most. */
const AUTOMATIC_BYTES = 6_000_000;
const MAX_SIDE = 320;

interface AttachmentProps {
  readonly message: MessageView;
  readonly attachment: AttachmentView;
  /** Of people who were not accepted nothing is fetched without being asked for. */
  readonly trusted: boolean;
}

function useAttachment({ message, attachment, trusted }: AttachmentProps, automatic: boolean) {
  const app = useApp();
  const [loaded, setLoaded] = useState<Loaded>({ state: 'waiting' });
  const abort = useRef<AbortController>(undefined);
  const url = useRef<string>(undefined);
  const { sender, timestamp } = message;
  const { index } = attachment;
  const load = () => {
    const own = new AbortController();
    abort.current = own;
    setLoaded({ state: 'loading', done: 0 });
    app.backend
      .call('attachment', [{ sender, timestamp }, index], {
        signal: own.signal,
        onProgress: (done) => {
          if (!own.signal.aborted) setLoaded({ state: 'loading', done: Number(done) });
        },
      })
      .then((bytes) => {
        if (own.signal.aborted) return;
        const type = mediaTypeOf(bytes);
        url.current = URL.createObjectURL(
          new Blob([bytes as BlobPart], { type: type ?? 'application/octet-stream' }),
        );
        setLoaded({ state: 'there', bytes, url: url.current, type });
      })
      .catch(() => {
        if (!own.signal.aborted) setLoaded({ state: 'failed' });
      });
  };
  const cancel = () => {
    abort.current?.abort();
    setLoaded({ state: 'waiting' });
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: once for each attachment
  useEffect(() => {
    if (automatic && trusted) load();
    return () => {
      abort.current?.abort();
      if (url.current !== undefined) URL.revokeObjectURL(url.current);
    };
  }, [sender, timestamp, index]);
  return { loaded, load, cancel };
}

export function Attachment(props: AttachmentProps) {
  const { attachment } = props;
  if (attachment.isVoice || attachment.contentType.startsWith('audio/')) return <Voice {...props} />;
  if (attachment.contentType.startsWith('image/')) return <Picture {...props} />;
  return <FileCard {...props} />;
}

function Picture(props: AttachmentProps) {
  const { attachment } = props;
  const { loaded, load, cancel } = useAttachment(props, attachment.sizeBytes <= AUTOMATIC_BYTES);
  const [large, setLarge] = useState(false);
  const [broken, setBroken] = useState(false);
  const isPicture = loaded.state === 'there' && loaded.type?.startsWith('image/') === true && !broken;
  if (loaded.state === 'there' && !isPicture)
    return <FileCard {...props} note={t('attachment.no_picture')} />;
  const { width = 4, height = 3 } = attachment;
  const waiting =
    loaded.state === 'loading'
      ? `${bytesText(loaded.done)} / ${bytesText(attachment.sizeBytes)}`
      : loaded.state === 'failed'
        ? t('attachment.failed')
        : bytesText(attachment.sizeBytes);
  const scale = Math.min(1, MAX_SIDE / Math.max(width, height));
  const w = Math.max(96, Math.round(width * (width > 4 ? scale : 80)));
  const h = Math.max(72, Math.min(MAX_SIDE, Math.round(height * (width > 4 ? scale : 80))));
  return (
    <>
      <button
        type="button"
        className="picture"
        style={{ inlineSize: w, aspectRatio: `${w} / ${h}` }}
        aria-label={
          loaded.state === 'there'
            ? t('attachment.enlarge', { name: attachment.name })
            : `${t('attachment.load')}, ${waiting}`
        }
        onClick={() =>
          loaded.state === 'there' ? setLarge(true) : loaded.state === 'loading' ? cancel() : load()
        }
      >
        {loaded.state === 'there' ? (
          <img src={loaded.url} alt="" onError={() => setBroken(true)} />
        ) : (
          <span className="picture__wait">
            <Icon
              name={loaded.state === 'failed' ? 'retry' : loaded.state === 'loading' ? 'close' : 'download'}
            />
            <span>{waiting}</span>
          </span>
        )}
      </button>
      {large && loaded.state === 'there' && (
        <Dialog
          look="stage"
          title={attachment.name || t('attachment.picture')}
          onClose={() => setLarge(false)}
          actions={<Save {...props} url={loaded.url} name={attachment.name} />}
        >
          <div className="viewer">
            <img src={loaded.url} alt={attachment.caption ?? attachment.name} />
          </div>
        </Dialog>
      )}
    </>
  );
}

function Voice(props: AttachmentProps) {
  const { attachment } = props;
  const { loaded, load } = useAttachment(
    props,
    attachment.isVoice && attachment.sizeBytes <= AUTOMATIC_BYTES,
  );
  const audio = useRef<HTMLAudioElement>(null);
  const [playing, setPlaying] = useState(false);
  const [at, setAt] = useState(0);
  const [broken, setBroken] = useState(false);
  const [told, setKnown] = useState(attachment.durationMs ?? 0);
  const heard = useLevels(loaded, attachment.waveform === undefined);
  const levels = attachment.waveform ?? heard?.levels ?? FLAT;
  const known = told || (heard?.durationMs ?? 0);
  const total = Math.max(known, 1);
  if (broken || (loaded.state === 'there' && loaded.type?.startsWith('audio/') !== true)) {
    return <FileCard {...props} note={t('attachment.no_audio')} />;
  }
  const player = (
    <div className="voice">
      <IconButton
        icon={playing ? 'pause' : loaded.state === 'failed' ? 'retry' : 'play'}
        look="primary"
        label={playing ? t('voice.pause') : t('voice.play')}
        aria-busy={loaded.state === 'loading' || undefined}
        onClick={() => {
          if (loaded.state !== 'there') return load();
          if (playing) audio.current?.pause();
          else audio.current?.play().catch(() => setBroken(true));
        }}
      />
      <div className="voice__wave">
        <Waveform levels={levels} played={at / total} />
        <input
          type="range"
          className="voice__seek"
          aria-label={t('voice.position')}
          aria-valuetext={duration(at)}
          min={0}
          max={total}
          value={Math.min(at, total)}
          onChange={({ target }) => {
            if (audio.current !== null) audio.current.currentTime = Number(target.value) / 1000;
            setAt(Number(target.value));
          }}
        />
      </div>
      <span className="voice__time">{duration(playing || at > 0 ? at : known)}</span>
      {loaded.state === 'there' && (
        // biome-ignore lint/a11y/useMediaCaption: nobody has written down what is said
        <audio
          ref={audio}
          src={loaded.url}
          preload="metadata"
          onPlay={() => setPlaying(true)}
          onPause={() => setPlaying(false)}
          onEnded={() => setAt(0)}
          onError={() => setBroken(true)}
          onTimeUpdate={({ currentTarget }) => setAt(currentTarget.currentTime * 1000)}
          onLoadedMetadata={({ currentTarget }) => {
            if (Number.isFinite(currentTarget.duration) && known === 0)
              setKnown(currentTarget.duration * 1000);
          }}
        />
      )}
    </div>
  );
  // A voice note has no name; music has.
  if (attachment.isVoice) return player;
  return (
    <div className="audio">
      <span className="audio__name">
        <bdi>{tameLine(attachment.name) || t('attachment.unnamed')}</bdi>
        <span>{bytesText(loaded.state === 'loading' ? loaded.done : attachment.sizeBytes)}</span>
      </span>
      {player}
      {loaded.state === 'there' && <Save {...props} url={loaded.url} name={attachment.name} />}
    </div>
  );
}

/** The wave form of what was loaded: messages do not carry one. */
function useLevels(loaded: Loaded, wanted: boolean) {
  const [heard, setHeard] = useState<{ levels: readonly number[]; durationMs: number }>();
  const bytes =
    loaded.state === 'there' && loaded.type?.startsWith('audio/') === true ? loaded.bytes : undefined;
  useEffect(() => {
    if (bytes === undefined || !wanted) return;
    let gone = false;
    void levelsOf(bytes).then((found) => {
      if (!gone && found !== undefined) setHeard(found);
    });
    return () => {
      gone = true;
    };
  }, [bytes, wanted]);
  return heard;
}

const FLAT: readonly number[] = Array.from({ length: 48 }, (_, i) => 0.2 + 0.1 * Math.abs(Math.sin(i * 1.7)));

function FileCard({ note, ...props }: AttachmentProps & { readonly note?: string }) {
  const { attachment } = props;
  const { loaded, load, cancel } = useAttachment(props, false);
  return (
    <div className="file-card">
      <span className="file-card__icon">
        <Icon name="file" />
      </span>
      <span className="file-card__text">
        <bdi className="file-card__name">{tameLine(attachment.name) || t('attachment.unnamed')}</bdi>
        <span>
          {loaded.state === 'loading' && `${bytesText(loaded.done)} / `}
          {bytesText(attachment.sizeBytes)}
          {note !== undefined && ` · ${note}`}
          {loaded.state === 'failed' && ` · ${t('attachment.failed')}`}
        </span>
      </span>
      {loaded.state === 'there' ? (
        <Save {...props} url={loaded.url} name={attachment.name} />
      ) : (
        <IconButton
          icon={loaded.state === 'loading' ? 'close' : loaded.state === 'failed' ? 'retry' : 'download'}
          label={loaded.state === 'loading' ? t('cancel') : t('attachment.load')}
          onClick={loaded.state === 'loading' ? cancel : load}
        />
      )}
    </div>
  );
}

function Save({
  message,
  trusted,
  url,
  name,
}: AttachmentProps & { readonly url: string; readonly name: string }) {
  const app = useApp();
  const { mine, conversation, sender, timestamp } = message;
  const isTold = !mine && trusted;
  return (
    <Button
      icon="download"
      look="plain"
      title={isTold ? t('attachment.save_told') : undefined}
      onClick={() => {
        const link = document.createElement('a');
        link.href = url;
        // Characters that turn the direction could make one ending look like another.
        link.download =
          name.replaceAll(/[\u200e\u200f\u202a-\u202e\u2066-\u2069/\\:*?"<>|\p{Cc}]/gu, '_') || 'file';
        link.click();
        if (!isTold) return;
        // It is saved, whether that can be told or not.
        app.backend.call('tellSaved', [conversation, { sender, timestamp }]).catch(() => undefined);
      }}
    >
      {t('attachment.save')}
    </Button>
  );
}
