// SPDX-License-Identifier: AGPL-3.0-or-later
// Loudness of a recording over time, for its wave form.
import { resample, WAVEFORM_BARS } from './voice-recorder.ts';

/** Longer ones would take too much memory once decoded. */
const MAX_BYTES = 2_000_000;
const RATE = 8_000;
/** Samples that become one level. */
const STEP = 400;

/** Undefined when the browser cannot decode it, or it is too large. */
export async function levelsOf(
  bytes: Uint8Array,
): Promise<{ readonly levels: readonly number[]; readonly durationMs: number } | undefined> {
  if (bytes.length > MAX_BYTES) return undefined;
  try {
    const context = new OfflineAudioContext(1, 1, RATE);
    const audio = await context.decodeAudioData(bytes.slice().buffer as ArrayBuffer);
    const samples = audio.getChannelData(0);
    const levels: number[] = [];
    for (let at = 0; at < samples.length; at += STEP) {
      let sum = 0;
      for (const sample of samples.subarray(at, at + STEP)) sum += sample * sample;
      levels.push(Math.min(1, Math.sqrt(Math.sqrt(sum / STEP)) * 1.25));
    }
    return { levels: resample(levels, WAVEFORM_BARS), durationMs: Math.round(audio.duration * 1000) };
  } catch {
    return undefined;
  }
}
