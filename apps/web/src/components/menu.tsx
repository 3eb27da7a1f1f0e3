// SPDX-License-Identifier: AGPL-3.0-or-later
// A menu that opens at a button.
import { Menu as BaseMenu } from '@base-ui/react/menu';
import type { ReactElement } from 'react';
import { Icon, type IconName } from './icon.tsx';
import './menu.css';

export interface MenuItem {
  readonly label: string;
  readonly icon: IconName;
  readonly onSelect: () => void;
  readonly danger?: boolean;
}

interface MenuProps {
  readonly trigger: ReactElement;
  /** Groups are set apart by a line. */
  readonly groups: readonly (readonly MenuItem[])[];
  readonly onOpenChange?: (open: boolean) => void;
  /** What has the focus after it; else the trigger. */
  readonly finalFocus?: () => HTMLElement | null;
}

export function Menu({ trigger, groups, onOpenChange, finalFocus }: MenuProps) {
  const shown = groups.filter((group) => group.length > 0);
  return (
    <BaseMenu.Root modal={false} {...(onOpenChange && { onOpenChange })}>
      <BaseMenu.Trigger render={trigger} />
      <BaseMenu.Portal>
        <BaseMenu.Positioner className="menu__place" sideOffset={6} align="end" collisionPadding={8}>
          <BaseMenu.Popup className="menu" {...(finalFocus && { finalFocus })}>
            {shown.map((group, index) => (
              <BaseMenu.Group
                key={group[0]?.label}
                className="menu__group"
                data-first={index === 0 || undefined}
              >
                {group.map(({ label, icon, onSelect, danger }) => (
                  <BaseMenu.Item
                    key={label}
                    className={`menu__item ${danger === true ? 'menu__item--danger' : ''}`}
                    onClick={onSelect}
                  >
                    <Icon name={icon} size={18} />
                    <span>{label}</span>
                  </BaseMenu.Item>
                ))}
              </BaseMenu.Group>
            ))}
          </BaseMenu.Popup>
        </BaseMenu.Positioner>
      </BaseMenu.Portal>
    </BaseMenu.Root>
  );
}
