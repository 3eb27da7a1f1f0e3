// SPDX-License-Identifier: AGPL-3.0-or-later
// Loudness over time as bars; the part that was played is stronger.
import './waveform.css';

interface WaveformProps {
  readonly levels: readonly number[];
  /** 0…1. */
  readonly played: number;
}

export function Waveform({ levels, played }: WaveformProps) {
  const split = Math.min(levels.length, Math.ceil(played * levels.length));
  return (
    <svg
      className="waveform"
      viewBox={`0 0 ${levels.length * 4} 32`}
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      <path className="waveform__bar" d={barsOf(levels, split, levels.length)} />
      <path className="waveform__bar waveform__bar--played" d={barsOf(levels, 0, split)} />
    </svg>
  );
}

/** As one path: each element costs when one scrolls. */
function barsOf(levels: readonly number[], from: number, to: number): string {
  let path = '';
  for (let i = from; i < to; i++) {
    const half = Math.max(3, (levels[i] ?? 0) * 30) / 2;
    path += `M${i * 4 + 1.2} ${(17.2 - half).toFixed(1)}V${(14.8 + half).toFixed(1)}`;
  }
  return path;
}
