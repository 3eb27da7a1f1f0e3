// SPDX-License-Identifier: AGPL-3.0-or-later
// A picture made small and square, and rid of whatever else was in its file (place, camera).

const SIDE = 512;
const QUALITY = 0.85;

/** JPEG of at most 512 × 512 pixels, its middle; undefined when the browser cannot read the file. */
export async function shrinkPicture(file: Blob): Promise<Uint8Array | undefined> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return undefined;
  }
  const side = Math.min(bitmap.width, bitmap.height);
  const size = Math.min(SIDE, side);
  const canvas = document.createElement('canvas');
  canvas.width = size;
  canvas.height = size;
  canvas
    .getContext('2d')
    ?.drawImage(bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, 0, 0, size, size);
  bitmap.close();
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/jpeg', QUALITY));
  return blob === null ? undefined : new Uint8Array(await blob.arrayBuffer());
}
