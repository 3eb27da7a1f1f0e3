// SPDX-License-Identifier: AGPL-3.0-or-later
// Loudness over time as bars; the part that was played is stronger.
import './waveform.css';

interface WaveformProps {
  readonly levels: readonly number[];
  /** 0…1. */
  readonly played: number;
}

export function Waveform({ levels, played }: WaveformProps) {
  return (
    <svg
      className="waveform"
      viewBox={`0 0 ${levels.length * 4} 32`}
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      {levels.map((level, i) => {
        const height = Math.max(3, level * 30);
        return (
          <rect
            // biome-ignore lint/suspicious/noArrayIndexKey: bars have no other name
            key={i}
            className={i / levels.length < played ? 'waveform__bar waveform__bar--played' : 'waveform__bar'}
            x={i * 4}
            y={16 - height / 2}
            width={2.4}
            height={height}
            rx={1.2}
          />
        );
      })}
    </svg>
  );
}
