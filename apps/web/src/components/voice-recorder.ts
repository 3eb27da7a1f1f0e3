// SPDX-License-Identifier: AGPL-3.0-or-later
// Records from the microphone; measures loudness on the way, for the wave form.

const MEASURE_EVERY_MS = 60;
/** Bars of a wave form that is sent. */
export const WAVEFORM_BARS = 48;
const TYPES = ['audio/webm;codecs=opus', 'audio/ogg;codecs=opus', 'audio/mp4'];

export interface Recording {
  readonly bytes: Uint8Array;
  readonly contentType: string;
  readonly durationMs: number;
  /** 0…1 each. */
  readonly waveform: readonly number[];
}

export class VoiceRecorder {
  readonly #stream: MediaStream;
  readonly #recorder: MediaRecorder;
  readonly #context: AudioContext;
  readonly #chunks: Blob[] = [];
  readonly #levels: number[] = [];
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #began = performance.now();

  private constructor(stream: MediaStream, onLevel: (levels: readonly number[], ms: number) => void) {
    this.#stream = stream;
    const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    this.#recorder = new MediaRecorder(stream, {
      ...(mimeType !== undefined && { mimeType }),
      audioBitsPerSecond: 32_000,
    });
    this.#recorder.ondataavailable = ({ data }) => this.#chunks.push(data);
    this.#context = new AudioContext();
    const analyser = this.#context.createAnalyser();
    analyser.fftSize = 1024;
    this.#context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    this.#timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      let sum = 0;
      for (const sample of samples) sum += sample * sample;
      // Ears hear powers: the root of the root mean square looks right.
      this.#levels.push(Math.min(1, Math.sqrt(Math.sqrt(sum / samples.length)) * 1.25));
      onLevel(this.#levels, performance.now() - this.#began);
    }, MEASURE_EVERY_MS);
    this.#recorder.start(500);
  }

  /** @throws DOMException when the microphone is not allowed or not there */
  static async start(onLevel: (levels: readonly number[], ms: number) => void): Promise<VoiceRecorder> {
    return new VoiceRecorder(await navigator.mediaDevices.getUserMedia({ audio: true }), onLevel);
  }

  async finish(): Promise<Recording> {
    const durationMs = Math.round(performance.now() - this.#began);
    const stopped = new Promise((resolve) =>
      this.#recorder.addEventListener('stop', resolve, { once: true }),
    );
    this.#recorder.stop();
    await stopped;
    this.#release();
    const contentType = (this.#recorder.mimeType || 'audio/webm').split(';')[0] ?? 'audio/webm';
    const bytes = new Uint8Array(await new Blob(this.#chunks).arrayBuffer());
    return { bytes, contentType, durationMs, waveform: resample(this.#levels, WAVEFORM_BARS) };
  }

  cancel(): void {
    if (this.#recorder.state !== 'inactive') this.#recorder.stop();
    this.#release();
  }

  #release(): void {
    clearInterval(this.#timer);
    for (const track of this.#stream.getTracks()) track.stop();
    void this.#context.close();
  }
}

/** To so many bars: the peak of what falls into each. */
export function resample(levels: readonly number[], bars: number): readonly number[] {
  if (levels.length === 0) return Array.from({ length: bars }, () => 0);
  return Array.from({ length: bars }, (_, bar) => {
    const from = Math.floor((bar * levels.length) / bars);
    const to = Math.max(from + 1, Math.floor(((bar + 1) * levels.length) / bars));
    return Math.round(Math.max(...levels.slice(from, to)) * 100) / 100;
  });
}
