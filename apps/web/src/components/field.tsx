// SPDX-License-Identifier: AGPL-3.0-or-later
// Fields with label, hint and error; switches and choices.
import { Switch as BaseSwitch } from '@base-ui/react/switch';
import { type InputHTMLAttributes, type ReactNode, type Ref, useId, useState } from 'react';
import { t } from '../i18n/i18n.ts';
import { IconButton } from './button.tsx';
import './field.css';

interface FieldProps extends InputHTMLAttributes<HTMLInputElement> {
  readonly label: string;
  readonly hint?: string | undefined;
  readonly error?: string | undefined;
  readonly ref?: Ref<HTMLInputElement>;
  readonly after?: ReactNode;
}

export function Field({ label, hint, error, after, ...input }: FieldProps) {
  const id = useId();
  const about = error ?? hint;
  return (
    <div className="field">
      <label className="field__label" htmlFor={id}>
        {label}
      </label>
      <div className="field__box">
        <input
          dir="auto"
          {...input}
          id={id}
          className="field__input"
          aria-invalid={error !== undefined || undefined}
          aria-describedby={about === undefined ? undefined : `${id}-about`}
        />
        {after}
      </div>
      {about !== undefined && (
        <p
          id={`${id}-about`}
          className={error === undefined ? 'field__hint' : 'field__error'}
          role={error && 'alert'}
        >
          {about}
        </p>
      )}
    </div>
  );
}

export function PassphraseField(props: Omit<FieldProps, 'type' | 'after'>) {
  const [shown, setShown] = useState(false);
  return (
    <Field
      autoComplete="off"
      spellCheck={false}
      {...props}
      type={shown ? 'text' : 'password'}
      after={
        <IconButton
          size="s"
          icon={shown ? 'eyeOff' : 'eye'}
          label={shown ? t('passphrase.hide') : t('passphrase.show')}
          onClick={() => setShown(!shown)}
        />
      }
    />
  );
}

interface SwitchProps {
  readonly label: string;
  readonly hint?: string | undefined;
  readonly checked: boolean;
  readonly onChange: (checked: boolean) => void;
  readonly disabled?: boolean;
}

export function Switch({ label, hint, checked, onChange, disabled = false }: SwitchProps) {
  const id = useId();
  return (
    <div className="switch-row">
      <div className="switch-row__text">
        <span className="switch-row__label" id={id}>
          {label}
        </span>
        {hint !== undefined && (
          <p className="field__hint" id={`${id}-hint`}>
            {hint}
          </p>
        )}
      </div>
      <BaseSwitch.Root
        className="switch"
        checked={checked}
        onCheckedChange={onChange}
        disabled={disabled}
        aria-labelledby={id}
        {...(hint !== undefined && { 'aria-describedby': `${id}-hint` })}
      >
        <BaseSwitch.Thumb className="switch__thumb" />
      </BaseSwitch.Root>
    </div>
  );
}

interface ChoiceProps<T extends string> {
  readonly label: string;
  readonly hint?: string;
  readonly value: T;
  readonly options: readonly { readonly value: T; readonly label: string }[];
  readonly onChange: (value: T) => void;
}

/** One of a few. */
export function Choice<T extends string>({ label, hint, value, options, onChange }: ChoiceProps<T>) {
  const name = useId();
  return (
    <fieldset className="choice">
      <legend className="switch-row__label">{label}</legend>
      {hint !== undefined && <p className="field__hint">{hint}</p>}
      <div className="choice__options">
        {options.map((option) => (
          <label key={option.value} className="choice__option">
            <input
              type="radio"
              name={name}
              className="sr-only"
              checked={option.value === value}
              onChange={() => onChange(option.value)}
            />
            <span>{option.label}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}
