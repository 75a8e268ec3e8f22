// Colour scales. The stops are matplotlib's own:
// matplotlib.colormaps[name](numpy.linspace(0, 1, 33)), in hexadecimal.
const STOPS = {
  viridis:
    "440154470d6048186a482374472d7b4537814240863e49893b528b375b8d33638d2f6b8e2c728e297a8e26828e" +
    "23898e21918c1f988b1fa08822a78528ae8032b67a3fbc734ec36b5ec96270cf5784d44b98d83eaddc30c2df23" +
    "d8e219ece51bfde725",
  magma:
    "0000040303120a0822130d341d114729115a36106b440f7651127c5d177f6a1c81762181832681902a819c2e7f" +
    "aa337db73779c43c75d0416fdc4869e75263ef5d5ef56b5cf9795dfc8961fd9869fea772feb67cfec488fed395" +
    "fde2a3fcf0b2fcfdbf",
  grey: "000000ffffff",
};

/** 256 colours of a scale, as a flat array of red, green and blue. */
export function table(name) {
  const stops = STOPS[name].match(/../g).map((pair) => parseInt(pair, 16));
  const last = stops.length / 3 - 1;
  const colours = new Uint8ClampedArray(256 * 3);
  for (let i = 0; i < 256; i++) {
    const place = (i / 255) * last;
    const low = Math.min(Math.floor(place), last - 1);
    for (let channel = 0; channel < 3; channel++) {
      const start = stops[3 * low + channel];
      const end = stops[3 * low + 3 + channel];
      colours[3 * i + channel] = start + (place - low) * (end - start);
    }
  }
  return colours;
}

/** Place of a value in a table of 256 colours, for the range [low, high]. */
export function index(value, [low, high]) {
  const share = high > low ? (value - low) / (high - low) : 0;
  return Math.max(0, Math.min(255, Math.round(255 * share)));
}

/** Smallest and largest value. */
export function range(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/** Draw a map on a canvas, one pixel a value. */
export function paint(canvas, { rows, columns, values }, colours, range) {
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  values.forEach((value, i) => {
    const place = 3 * index(value, range);
    image.data.set(colours.subarray(place, place + 3), 4 * i);
    image.data[4 * i + 3] = 255;
  });
  context.putImageData(image, 0, 0);
}
