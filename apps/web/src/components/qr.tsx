// SPDX-License-Identifier: AGPL-3.0-or-later
// QR codes: drawn as SVG, and read from the camera. Pictures of the camera never leave the page.
import encodeQR from 'qr';
import { useEffect, useMemo, useRef, useState } from 'react';
import { errorText, t } from '../i18n/i18n.ts';
import { Note } from './feedback.tsx';
import './qr.css';

const QUIET = 2;
const SCAN_EVERY_MS = 160;
/** Width of what the decoder sees. */
const SCAN_PIXELS = 560;

export function QrCode({ text, label }: { readonly text: string; readonly label: string }) {
  const { path, size } = useMemo(() => {
    const rows = encodeQR(text, 'raw', { ecc: 'medium', border: QUIET });
    const path = rows
      .map((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : '')).join(''))
      .join('');
    return { path, size: rows.length };
  }, [text]);
  return (
    <svg
      className="qr"
      viewBox={`0 0 ${size} ${size}`}
      role="img"
      aria-label={label}
      shapeRendering="crispEdges"
    >
      <rect width={size} height={size} className="qr__paper" />
      <path d={path} className="qr__ink" />
    </svg>
  );
}

export function QrScanner({ onFound }: { readonly onFound: (text: string) => void }) {
  const video = useRef<HTMLVideoElement>(null);
  const [problem, setProblem] = useState<string>();
  const found = useRef(onFound);
  found.current = onFound;
  useEffect(() => {
    let stream: MediaStream | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let over = false;
    const canvas = document.createElement('canvas');
    void (async () => {
      try {
        const { decodeQR } = await import('qr/decode.js');
        stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
        if (over) return stop();
        const element = video.current;
        if (element === null) return;
        element.srcObject = stream;
        await element.play();
        const look = () => {
          if (over) return;
          const scale = Math.min(1, SCAN_PIXELS / Math.max(element.videoWidth, 1));
          canvas.width = Math.round(element.videoWidth * scale);
          canvas.height = Math.round(element.videoHeight * scale);
          const context = canvas.getContext('2d', { willReadFrequently: true });
          if (context !== null && canvas.width > 0) {
            context.drawImage(element, 0, 0, canvas.width, canvas.height);
            try {
              found.current(decodeQR(context.getImageData(0, 0, canvas.width, canvas.height)));
            } catch {
              // No code in this picture.
            }
          }
          timer = setTimeout(look, SCAN_EVERY_MS);
        };
        look();
      } catch (error) {
        const { name } = error as Error;
        setProblem(name === 'NotAllowedError' ? 'camera_denied' : 'camera_missing');
      }
    })();
    function stop(): void {
      for (const track of stream?.getTracks() ?? []) track.stop();
    }
    return () => {
      over = true;
      clearTimeout(timer);
      stop();
    };
  }, []);
  if (problem !== undefined) return <Note kind="warning">{errorText(problem)}</Note>;
  return (
    <div className="qr-scanner">
      <video ref={video} muted playsInline aria-label={t('qr.camera')} />
      <span className="qr-scanner__frame" />
    </div>
  );
}
