// SPDX-License-Identifier: AGPL-3.0-or-later
// A person's picture; without one a flower that follows from the id, so that strangers with equal names differ.
import { memo, type ReactNode, useEffect, useState } from 'react';
import { useApp } from '../state/context.ts';
import './avatar.css';

interface AvatarProps {
  readonly id: string;
  readonly name?: string | undefined;
  readonly pictureTag?: string | undefined;
  readonly size?: number;
}

export function Avatar({ id, name, pictureTag, size = 44 }: AvatarProps) {
  return pictureTag === undefined ? (
    <Flower id={id} name={name} size={size} />
  ) : (
    <Portrait id={id} name={name} pictureTag={pictureTag} size={size} />
  );
}

type PortraitProps = AvatarProps & { readonly pictureTag: string; readonly size: number };

const Portrait = memo(function Portrait({ id, name, pictureTag, size }: PortraitProps) {
  const app = useApp();
  const [picture, setPicture] = useState<string>();
  useEffect(() => {
    setPicture(undefined);
    let gone = false;
    void app.picture(id, pictureTag).then((address) => {
      if (!gone) setPicture(address);
    });
    return () => {
      gone = true;
    };
  }, [app, id, pictureTag]);
  return picture === undefined ? (
    <Flower id={id} name={name} size={size} />
  ) : (
    <img
      className="avatar"
      width={size}
      height={size}
      src={picture}
      alt=""
      onError={() => setPicture(undefined)}
    />
  );
});

/** Numbers 0…255 from the hex digits of an id, or from any text. */
function numbersOf(id: string): number[] {
  const hex = /^05[0-9a-f]{64}$/.test(id) ? id.slice(2) : '';
  return Array.from({ length: 8 }, (_, i) =>
    hex === ''
      ? ((id.charCodeAt(i % Math.max(id.length, 1)) || 0) * (i + 7)) % 256
      : Number.parseInt(hex.slice(i * 2, i * 2 + 2), 16),
  );
}

/** Stems and petals as one path: a list of messages has many flowers, and each element costs when one scrolls. */
function ring(count: number, radius: number, size: number, offset: number): string {
  let path = '';
  for (let i = 0; i < count; i++) {
    const angle = ((i / count) * 360 + offset) * (Math.PI / 180);
    const x = 32 + Math.cos(angle) * radius;
    const y = 32 + Math.sin(angle) * radius;
    path += `M32 32L${x.toFixed(2)} ${y.toFixed(2)}m${-size} 0a${size} ${size} 0 1 0 ${2 * size} 0a${size} ${size} 0 1 0 ${-2 * size} 0`;
  }
  return path;
}

/** The drawings of the people in sight. */
const flowers = new Map<string, ReactNode>();
const MAX_FLOWERS = 300;

const Flower = memo(function Flower({ id, name, size }: Omit<PortraitProps, 'pictureTag'>) {
  const initial = initialOf(name);
  const key = `${id} ${initial}`;
  const known = flowers.get(key) ?? draw(id, initial);
  if (!flowers.has(key)) {
    if (flowers.size >= MAX_FLOWERS) flowers.clear();
    flowers.set(key, known);
  }
  return (
    <svg className="avatar" width={size} height={size} viewBox="0 0 64 64" aria-hidden="true">
      {known}
    </svg>
  );
});

function draw(id: string, initial: string): ReactNode {
  const [a = 0, b = 0, c = 0, d = 0, e = 0] = numbersOf(id);
  const hue = Math.round((a / 256) * 360);
  const turn = (b / 256) * 60;
  const petals = 5 + (c % 6);
  const inner = 3 + (d % 5);
  const chroma = 0.075 + (e % 4) * 0.012;
  return (
    <>
      <rect width="64" height="64" rx="21.76" fill={`oklch(0.56 ${chroma + 0.03} ${hue})`} />
      <circle
        cx="32"
        cy="32"
        r="30"
        fill={`oklch(0.5 ${chroma + 0.04} ${(hue + 24) % 360})`}
        opacity="0.55"
      />
      <path
        d={ring(petals, 21, 4.2, turn) + ring(inner, 11, 3, turn + 20)}
        stroke={`oklch(0.86 ${chroma} ${hue})`}
        fill={`oklch(0.86 ${chroma} ${hue})`}
        strokeWidth="1.6"
        opacity={initial === '' ? 0.95 : 0.34}
      />
      {initial !== '' && (
        <text x="32" y="33" className="avatar__initial" dominantBaseline="central" textAnchor="middle">
          {initial}
        </text>
      )}
    </>
  );
}

/** The first letter or digit; a name may begin with anything. */
function initialOf(name: string | undefined): string {
  const found = /[\p{L}\p{N}]/u.exec(name?.slice(0, 100) ?? '');
  return found?.[0]?.toUpperCase() ?? '';
}
