// SPDX-License-Identifier: AGPL-3.0-or-later
// The mark: an allium in flower, whose rings are the layers of an onion.
export function Brand({ size = 48 }: { readonly size?: number }) {
  const stems = Array.from({ length: 12 }, (_, i) => {
    const angle = (i / 12) * 2 * Math.PI - Math.PI / 2;
    const long = i % 2 === 0;
    const reach = long ? 25 : 18;
    return { x: 32 + Math.cos(angle) * reach, y: 32 + Math.sin(angle) * reach, r: long ? 3.4 : 2.6, key: i };
  });
  return (
    <svg width={size} height={size} viewBox="0 0 64 64" aria-hidden="true">
      <g stroke="var(--accent)" strokeWidth="1.8" strokeLinecap="round" fill="var(--accent)">
        {stems.map(({ x, y, r, key }) => (
          <g key={key}>
            <line x1={32} y1={32} x2={x} y2={y} opacity="0.55" />
            <circle cx={x} cy={y} r={r} stroke="none" />
          </g>
        ))}
      </g>
      <circle cx="32" cy="32" r="11.5" fill="none" stroke="var(--accent)" strokeWidth="1.8" opacity="0.45" />
      <circle cx="32" cy="32" r="5" fill="var(--leaf)" />
    </svg>
  );
}
