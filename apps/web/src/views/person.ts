// SPDX-License-Identifier: AGPL-3.0-or-later
// What a person is called where there is no name.
import { shortId } from '@allium/protocol/account-id';
import { tameLine } from '../components/rich-text.tsx';
import { t } from '../i18n/i18n.ts';
import type { PersonView } from '../model.ts';

export function titleOf(person: PersonView): string {
  if (person.isSelf) return t('note_to_self');
  return person.name === undefined || person.name.trim() === '' ? shortId(person.id) : tameLine(person.name);
}
