// A map drawn pixel by pixel, with a cursor, the hole's edge and a colour bar.

import * as colours from "./colours.js";
import { html, svg } from "./dom.js";

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

export class MapView {
  /** `move(row, column)` is called when the user puts the cursor somewhere. */
  constructor(figure, { label, scale, move }) {
    this.colours = colours.table(scale);
    this.move = move;
    this.cursor = { row: 0, column: 0 };
    this.canvas = html("canvas", {
      tabindex: 0,
      role: "application",
      "aria-roledescription": "map",
      "aria-label": `${label}. Arrow keys move the cursor.`,
      "aria-describedby": "readout",
    });
    this.edge = svg("polygon", { class: "edge" });
    this.lines = [svg("line", { class: "cross" }), svg("line", { class: "cross" })];
    this.overlay = svg("svg", { "aria-hidden": "true" }, this.edge, ...this.lines);
    this.stage = html("div", { class: "stage" }, this.canvas, this.overlay);
    this.mark = html("i", { class: "mark" });
    this.low = html("span");
    this.high = html("span");
    this.bar = html("canvas", { "aria-hidden": "true" });
    const strip = html("div", { class: "strip" }, this.bar, this.mark);
    figure.append(this.stage, html("div", { class: "bar-scale" }, this.low, strip, this.high));
    this.#listen();
    const ramp = { rows: 1, columns: 256, values: Float32Array.from({ length: 256 }, (_, i) => i) };
    colours.paint(this.bar, ramp, this.colours, [0, 255]);
  }

  /** Draw a map; `range` are the values at the two ends of the colour scale. */
  show(map, range) {
    const { rows, columns } = map;
    this.map = map;
    this.range = range;
    this.stage.style.aspectRatio = `${columns} / ${rows}`;
    this.overlay.setAttribute("viewBox", `-0.5 -0.5 ${columns} ${rows}`);
    colours.paint(this.canvas, map, this.colours, range);
    this.low.textContent = range[0].toFixed(range[1] < 20 ? 1 : 0);
    this.high.textContent = range[1].toFixed(range[1] < 20 ? 1 : 0);
  }

  /** The contour of [row, column] points, or null. */
  showEdge(points) {
    this.edge.setAttribute("points", (points ?? []).map(([r, c]) => `${c},${r}`).join(" "));
  }

  showCursor(row, column) {
    const { rows, columns, values } = this.map;
    this.cursor = { row, column };
    const ends = [
      { x1: -0.5, x2: columns - 0.5, y1: row, y2: row },
      { x1: column, x2: column, y1: -0.5, y2: rows - 0.5 },
    ];
    ends.forEach((end, i) => {
      for (const [name, value] of Object.entries(end)) this.lines[i].setAttribute(name, value);
    });
    const place = colours.index(values[row * columns + column], this.range) / 255;
    this.mark.style.left = `${100 * place}%`;
  }

  #listen() {
    const follow = (event) => {
      if (!this.map) return;
      const box = this.canvas.getBoundingClientRect();
      const inside = (share, count) => Math.max(0, Math.min(count - 1, Math.floor(share * count)));
      this.move(
        inside((event.clientY - box.top) / box.height, this.map.rows),
        inside((event.clientX - box.left) / box.width, this.map.columns),
      );
    };
    this.canvas.addEventListener("pointermove", follow);
    this.canvas.addEventListener("pointerdown", follow);
    this.canvas.addEventListener("keydown", (event) => {
      if (!(event.key in STEPS) || !this.map) return;
      event.preventDefault();
      const step = event.shiftKey ? 10 : 1;
      const limit = (value, count) => Math.max(0, Math.min(count - 1, value));
      const [down, right] = STEPS[event.key];
      const { row, column } = this.cursor;
      this.move(
        limit(row + step * down, this.map.rows),
        limit(column + step * right, this.map.columns),
      );
    });
  }
}
