// A depth map as a block that turns: quadrilaterals painted from back to front, which is exact for
// a height field in parallel projection. Plain 2D canvas, so it needs no graphics card.

const START = { azimuth: -0.8, elevation: 0.98, zoom: 1 };
const LIGHT = [-0.45, -0.35, 0.82]; // fixed to the viewer: from the left, above
const TURN = 0.01; // radians a pixel dragged
const STEP = 0.1; // radians a key press
const SIDE = 10; // grey levels of the block below its deepest point

export class Surface {
  constructor(canvas) {
    this.canvas = canvas;
    this.height = 0.35; // pixels a grey level
    this.cut = null; // {row, column}: what lies before it is left away
    Object.assign(this, START);
    this.#listen();
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** Show a map; `colour(i)` gives red, green and blue of its i-th pixel. */
  show(map, colour) {
    this.map = map;
    this.colour = colour;
    this.lowest = map.values.reduce((low, value) => Math.min(low, value), Infinity);
    this.highest = map.values.reduce((high, value) => Math.max(high, value), -Infinity);
    this.draw();
  }

  reset() {
    Object.assign(this, START);
    this.draw();
  }

  /** Draw with the next frame, however often it is asked for. */
  draw() {
    if (this.pending || !this.map) return;
    this.pending = requestAnimationFrame(() => {
      this.pending = null;
      this.#paint();
    });
  }

  #paint() {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.canvas;
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    const context = this.canvas.getContext("2d");
    const style = getComputedStyle(this.canvas);
    const project = this.#projection();
    const span = this.#span();
    this.#top(context, project, span);
    this.#sides(context, project, span, style.getPropertyValue("--side"));
  }

  /** Rows and columns to draw: all, or those behind the cut. */
  #span() {
    const { rows, columns } = this.map;
    const span = { top: 0, bottom: rows - 1, left: 0, right: columns - 1 };
    if (!this.cut) return span;
    const towards = [Math.cos(this.azimuth), Math.sin(this.azimuth)]; // of the row and column axes
    if (Math.abs(towards[0]) >= Math.abs(towards[1])) {
      const row = Math.max(1, Math.min(rows - 2, this.cut.row));
      span[towards[0] > 0 ? "bottom" : "top"] = row;
    } else {
      const column = Math.max(1, Math.min(columns - 2, this.cut.column));
      span[towards[1] > 0 ? "right" : "left"] = column;
    }
    return span;
  }

  #projection() {
    const { rows, columns } = this.map;
    const { width, height } = this.canvas;
    const [cos, sin] = [Math.cos(this.azimuth), Math.sin(this.azimuth)];
    const [flat, upright] = [Math.sin(this.elevation), Math.cos(this.elevation)];
    const middle = (this.highest + this.lowest - SIDE) / 2;
    const tall = (this.highest - this.lowest + SIDE) * this.height;
    const across = Math.hypot(rows, columns);
    const fit = Math.min(width / across, height / (across * flat + tall * upright));
    const scale = 0.98 * fit * this.zoom;
    return (row, column, value) => {
      const x = column - (columns - 1) / 2;
      const y = row - (rows - 1) / 2;
      const z = (value - middle) * this.height;
      return [
        width / 2 + scale * (x * cos - y * sin),
        height / 2 + scale * ((x * sin + y * cos) * flat - z * upright),
      ];
    };
  }

  #top(context, project, { top, bottom, left, right }) {
    const { columns, values } = this.map;
    const points = new Map();
    for (let row = top; row <= bottom; row++) {
      for (let column = left; column <= right; column++) {
        const i = row * columns + column;
        points.set(i, project(row, column, values[i]));
      }
    }
    context.lineWidth = 1;
    for (const row of order(top, bottom, Math.cos(this.azimuth) > 0)) {
      for (const column of order(left, right, Math.sin(this.azimuth) > 0)) {
        const i = row * columns + column;
        const corners = [i, i + 1, i + columns + 1, i + columns];
        context.fillStyle = context.strokeStyle = this.#shade(corners);
        trace(context, corners.map((corner) => points.get(corner)));
        context.fill();
        context.stroke(); // closes the hairline gaps that smoothed edges leave
      }
    }
  }

  #shade(corners) {
    const [a, b, c, d] = corners.map((i) => this.map.values[i] * this.height);
    const slopeX = (b + c - a - d) / 2;
    const slopeY = (c + d - a - b) / 2;
    const [cos, sin] = [Math.cos(this.azimuth), Math.sin(this.azimuth)];
    const normal = [-(slopeX * cos - slopeY * sin), -(slopeX * sin + slopeY * cos), 1];
    const dot = normal.reduce((sum, value, i) => sum + value * LIGHT[i], 0);
    const light = 0.5 + 0.6 * Math.max(0, dot / Math.hypot(...normal));
    const mean = [0, 1, 2].map((channel) =>
      corners.reduce((sum, i) => sum + this.colour(i)[channel], 0) / 4,
    );
    return `rgb(${mean.map((value) => Math.min(255, Math.round(value * light))).join()})`;
  }

  /** The two sides of the block that face the viewer. */
  #sides(context, project, { top, bottom, left, right }, fill) {
    const { columns, values } = this.map;
    const base = this.lowest - SIDE;
    const row = Math.cos(this.azimuth) > 0 ? bottom : top;
    const column = Math.sin(this.azimuth) > 0 ? right : left;
    const along = [
      [...order(left, right + 1, true)].map((c) => [row, c]),
      [...order(top, bottom + 1, true)].map((r) => [r, column]),
    ];
    for (const line of along) {
      const upper = line.map(([r, c]) => project(r, c, values[r * columns + c]));
      const lower = [line.at(-1), line[0]].map(([r, c]) => project(r, c, base));
      context.fillStyle = fill;
      context.strokeStyle = "rgba(128, 128, 128, 0.6)";
      trace(context, [...upper, ...lower]);
      context.fill();
      context.stroke();
    }
  }

  #turn(azimuth, elevation) {
    this.azimuth += azimuth;
    this.elevation = Math.max(0.15, Math.min(Math.PI / 2, this.elevation + elevation));
    this.draw();
  }

  #scale(factor) {
    this.zoom = Math.max(0.5, Math.min(6, this.zoom * factor));
    this.draw();
  }

  #listen() {
    const { canvas } = this;
    const pointers = new Map();
    const spread = () => {
      const [a, b] = [...pointers.values()];
      return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, event);
    });
    canvas.addEventListener("pointermove", (event) => {
      const last = pointers.get(event.pointerId);
      if (!last) return;
      const before = pointers.size === 2 ? spread() : null;
      pointers.set(event.pointerId, event);
      if (before !== null) this.#scale(spread() / before);
      else this.#turn(-TURN * (event.clientX - last.clientX), TURN * (event.clientY - last.clientY));
    });
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, (event) => pointers.delete(event.pointerId));
    }
    canvas.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas) return; // the page scrolls unless the surface is used
      event.preventDefault();
      this.#scale(Math.exp(-event.deltaY / 500));
    }, { passive: false });
    const keys = {
      ArrowLeft: () => this.#turn(STEP, 0),
      ArrowRight: () => this.#turn(-STEP, 0),
      ArrowUp: () => this.#turn(0, -STEP),
      ArrowDown: () => this.#turn(0, STEP),
      "+": () => this.#scale(1.15),
      "=": () => this.#scale(1.15),
      "-": () => this.#scale(1 / 1.15),
      Home: () => this.reset(),
    };
    canvas.addEventListener("keydown", (event) => {
      if (!(event.key in keys)) return;
      event.preventDefault();
      keys[event.key]();
    });
  }
}

/** From `first` up to but without `last`, or the other way round. */
function* order(first, last, up) {
  for (let i = 0; i < last - first; i++) yield up ? first + i : last - 1 - i;
}

function trace(context, points) {
  context.beginPath();
  for (const point of points) context.lineTo(...point);
  context.closePath();
}
