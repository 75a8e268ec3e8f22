// Writers of what can be downloaded: 8-bit grey PNG, .npy, CSV and zip.

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crc32(bytes) {
  let crc = -1;
  for (const byte of bytes) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

async function deflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function joined(parts) {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

const ascii = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

/** Numbers one after the other: [value, bytes] each, in little-endian order unless `big`. */
function packed(numbers, big = false) {
  const view = new DataView(new ArrayBuffer(numbers.reduce((sum, [, size]) => sum + size, 0)));
  let at = 0;
  for (const [value, size] of numbers) {
    const name = { 1: "setUint8", 2: "setUint16", 4: "setUint32" }[size];
    view[name](at, value, !big);
    at += size;
  }
  return new Uint8Array(view.buffer);
}

/** The map rounded to grey levels, as `semtf predict` writes it. */
export async function png({ rows, columns, values }) {
  const lines = new Uint8Array(rows * (columns + 1)); // each line starts with its filter, none
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const value = Math.round(values[row * columns + column]);
      lines[row * (columns + 1) + column + 1] = Math.max(0, Math.min(255, value));
    }
  }
  const chunk = (name, data) => {
    const body = joined([ascii(name), data]);
    return [packed([[data.length, 4]], true), body, packed([[crc32(body), 4]], true)];
  };
  const header = packed([[columns, 4], [rows, 4], [8, 1], [0, 1], [0, 1], [0, 1], [0, 1]], true);
  return joined([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    ...chunk("IHDR", header),
    ...chunk("IDAT", await deflate(lines)),
    ...chunk("IEND", new Uint8Array(0)),
  ]);
}

/** NumPy's format 1.0, float32; several maps become [n, rows, columns]. */
export function npy(maps, single = false) {
  const [{ rows, columns }] = maps;
  const shape = single ? `(${rows}, ${columns})` : `(${maps.length}, ${rows}, ${columns})`;
  let header = `{'descr': '<f4', 'fortran_order': False, 'shape': ${shape}, }`;
  header = header.padEnd(Math.ceil((10 + header.length + 1) / 64) * 64 - 11) + "\n";
  const numbers = new DataView(new ArrayBuffer(4 * maps.length * rows * columns));
  maps.forEach(({ values }, n) =>
    values.forEach((value, i) => numbers.setFloat32(4 * (n * rows * columns + i), value, true)),
  );
  return joined([
    Uint8Array.of(0x93),
    ascii("NUMPY"),
    Uint8Array.of(1, 0),
    packed([[header.length, 2]]),
    ascii(header),
    new Uint8Array(numbers.buffer),
  ]);
}

/** Rows of objects as CSV; columns are those of all rows, in order of appearance. */
export function csv(rows) {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = rows.map((row) => columns.map((column) => cell(row[column])).join(","));
  return new TextEncoder().encode([columns.join(","), ...lines, ""].join("\n"));
}

/** A zip file of stored (not compressed) members, [name, bytes] each. */
export function zip(members) {
  const MADE = [[20, 2], [0x800, 2], [0, 2], [0, 2], [0x21, 2]]; // version, UTF-8, stored, 1980
  const parts = [];
  const directory = [];
  let at = 0;
  for (const [name, bytes] of members) {
    const path = new TextEncoder().encode(name);
    const sizes = [[crc32(bytes), 4], [bytes.length, 4], [bytes.length, 4], [path.length, 2]];
    const local = packed([[0x04034b50, 4], ...MADE, ...sizes, [0, 2]]);
    parts.push(local, path, bytes);
    const rest = [[0, 2], [0, 2], [0, 2], [0, 2], [0, 4], [at, 4]];
    directory.push(packed([[0x02014b50, 4], [20, 2], ...MADE, ...sizes, ...rest]), path);
    at += local.length + path.length + bytes.length;
  }
  const index = joined(directory);
  const count = [members.length, 2];
  const end = [[0x06054b50, 4], [0, 2], [0, 2], count, count, [index.length, 4], [at, 4], [0, 2]];
  return joined([...parts, index, packed(end)]);
}

/** Hand bytes to the browser as a file to save. */
export function save(name, bytes, type) {
  const url = URL.createObjectURL(new Blob([bytes], { type }));
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
