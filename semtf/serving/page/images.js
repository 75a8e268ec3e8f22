// Files as they are dropped: base64 for the server, grey levels for the screen.

/** The bytes of a file as base64 text. */
export async function base64(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const parts = [];
  for (let start = 0; start < bytes.length; start += 0x8000) {
    parts.push(String.fromCharCode(...bytes.subarray(start, start + 0x8000)));
  }
  return btoa(parts.join(""));
}

/** A PNG file of base64 text. */
export function pngFile(b64) {
  const bytes = Uint8Array.from(atob(b64), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type: "image/png" });
}

/** Size and grey levels of an image; null where the browser cannot draw the file. */
export async function greyLevels(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    return null;
  }
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  const grey = new Float32Array(width * height);
  for (let i = 0; i < grey.length; i++) grey[i] = data[4 * i];
  return { rows: height, columns: width, grey };
}

/** Nested rows, as JSON has them, as one map. */
export function toMap(nested) {
  const values = new Float32Array(nested.length * nested[0].length);
  nested.forEach((row, i) => values.set(row, i * row.length));
  return { rows: nested.length, columns: nested[0].length, values };
}

/** A map as nested rows, with a thousandth of a grey level, for JSON. */
export function toNested({ rows, columns, values }) {
  return Array.from({ length: rows }, (_, row) =>
    Array.from(values.subarray(row * columns, (row + 1) * columns), (value) =>
      Math.round(1000 * value) / 1000,
    ),
  );
}
