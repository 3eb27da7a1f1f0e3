// SPDX-License-Identifier: AGPL-3.0-or-later
// Disappearing messages of a conversation.
import { useState } from 'react';
import { Button } from '../components/button.tsx';
import { Dialog } from '../components/dialog.tsx';
import { Choice } from '../components/field.tsx';
import { Icon } from '../components/icon.tsx';
import { t } from '../i18n/i18n.ts';
import type { TimerMode } from '../model.ts';
import { useApp } from '../state/context.ts';
import { timerText } from './notice.ts';

const CHOICES = [0, 300, 3_600, 43_200, 86_400, 604_800, 1_209_600] as const;

interface TimerDialogProps {
  readonly id: string;
  /** A note to self is read when it is written. */
  readonly isSelf: boolean;
  readonly seconds: number;
  readonly mode: TimerMode;
  readonly onClose: () => void;
}

export function TimerDialog({ id, isSelf, seconds, mode, onClose }: TimerDialogProps) {
  const app = useApp();
  const [chosen, setChosen] = useState(mode);
  return (
    <Dialog title={t('timer.title')} onClose={onClose}>
      <p className="field__hint">{t('timer.about')}</p>
      {!isSelf && (
        <Choice
          label={t('timer.begins')}
          value={chosen}
          options={(['after_send', 'after_read'] as const).map((value) => ({
            value,
            label: t(`timer.${value}`),
          }))}
          onChange={setChosen}
        />
      )}
      <ul className="timer-choices">
        {CHOICES.map((choice) => (
          <li key={choice}>
            <Button
              wide
              look={choice === seconds ? 'soft' : 'plain'}
              aria-pressed={choice === seconds}
              onClick={() => {
                void app.call('setTimer', [id, choice, chosen]);
                onClose();
              }}
            >
              {choice === seconds && <Icon name="check" size={16} />} {timerText(choice)}
            </Button>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
