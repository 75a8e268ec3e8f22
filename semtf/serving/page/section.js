// A section through depth map and image along one row or column, as SVG.

import { html, svg } from "./dom.js";

const [WIDTH, HEIGHT] = [440, 150];
const FRAME = { left: 34, right: 432, top: 8, bottom: 126 };

/**
 * Draw the values along a line.
 *
 * `line` has `title`, `depth`, `sigma` and `sem` (arrays of equal length), `at` (the cursor's
 * place along the line) and `levels` (plate and floor, or nothing).
 */
export function drawSection(parent, { title, depth, sigma, sem, at, levels }) {
  const x = linear([0, depth.length - 1], [FRAME.left, FRAME.right]);
  const y = linear([0, 220], [FRAME.bottom, FRAME.top]);
  const place = (value, i) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`;
  const upper = depth.map((value, i) => place(value + sigma[i], i));
  const lower = depth.map((value, i) => place(value - sigma[i], i)).reverse();
  const chart = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": summary(title, depth, at) },
    ...[0, 50, 100, 150, 200].map((value) => tick(FRAME.left - 5, y(value), value, "end")),
    ...[0, 50, 100, 150, 200].map((value) => rule(y(value), "grid")),
    ...(levels ?? []).map((value) => rule(y(value), "level")),
    ...every(depth.length).map((value) => tick(x(value), FRAME.bottom + 15, value, "middle")),
    svg("polygon", { class: "band", points: [...upper, ...lower].join(" ") }),
    svg("polyline", { class: "sem", points: [...sem].map(place).join(" ") }),
    svg("polyline", { class: "depth", points: [...depth].map(place).join(" ") }),
    svg("line", { class: "cross", x1: x(at), x2: x(at), y1: FRAME.top, y2: FRAME.bottom }),
  );
  parent.replaceChildren(html("h4", {}, title), chart);
}

function summary(title, depth, at) {
  const low = depth.reduce((a, b) => Math.min(a, b));
  return `${title}: depth ${depth[at].toFixed(1)} at the cursor, ${low.toFixed(1)} at the deepest`;
}

function linear([from, to], [start, end]) {
  return (value) => start + ((value - from) / (to - from)) * (end - start);
}

function every(length) {
  const step = length > 60 ? 12 : 8;
  return Array.from({ length: Math.ceil(length / step) }, (_, i) => i * step);
}

const rule = (y, name) =>
  svg("line", { class: name, x1: FRAME.left, x2: FRAME.right, y1: y, y2: y });

const tick = (x, y, value, anchor) =>
  svg("text", { x, y: anchor === "end" ? y + 3.5 : y, "text-anchor": anchor }, String(value));
