// The result of one image: maps, surface, sections, measurements, evidence.

import * as colours from "./colours.js";
import { byId, html } from "./dom.js";
import { showCases, showFlags, showMeasurements, showNeighbours } from "./evidence.js";
import { MapView } from "./maps.js";
import { drawSection } from "./section.js";
import { Surface } from "./surface.js";

const SEM_RANGE = [0, 255];

export class ResultView {
  constructor() {
    const move = (row, column) => this.#move(row, column);
    this.maps = {
      sem: new MapView(byId("map-sem"), { label: "SEM image", scale: "grey", move }),
      depth: new MapView(byId("map-depth"), { label: "Depth map", scale: "viridis", move }),
      sigma: new MapView(byId("map-sigma"), { label: "Map of sigma", scale: "magma", move }),
    };
    this.surface = new Surface(byId("surface-canvas"));
    byId("surface-colour").addEventListener("change", () => this.#paintSurface());
    byId("surface-height").addEventListener("input", (event) => {
      this.surface.height = Number(event.target.value);
      this.surface.draw();
    });
    byId("surface-cut").addEventListener("change", () => this.#cut());
    byId("surface-reset").addEventListener("click", () => this.surface.reset());
  }

  /** Show an item of the queue in its present state. */
  show(item) {
    const fresh = this.item !== item || this.state !== item.state;
    this.item = item;
    this.state = item.state;
    const done = item.state === "done";
    byId("result").hidden = false;
    byId("result").classList.toggle("unfinished", !done);
    byId("name").textContent = item.name;
    byId("refusal").hidden = item.state !== "failed";
    byId("refusal").replaceChildren(...refusal(item));
    showFlags(byId("flags"), item.flags ?? []);
    if (!done) return;
    if (fresh) this.#draw(item);
    const unmeasured = item.measureError && `Not measured. ${item.measureError}`;
    for (const map of Object.values(this.maps)) map.showEdge(item.edge);
    showMeasurements(byId("measurements"), item, unmeasured);
    const unasked = item.neighbourError && `No neighbours. ${item.neighbourError}`;
    showNeighbours(byId("neighbours"), item.neighbours, unasked, this.ranges.depth);
    this.#sections();
  }

  #draw(item) {
    const { rows, columns } = item.depth;
    const image = item.image ?? { rows, columns, grey: new Float32Array(rows * columns) };
    this.maps.sem.show({ rows, columns, values: image.grey }, SEM_RANGE);
    this.ranges = {
      depth: colours.range(item.depth.values),
      sigma: [0, colours.range(item.sigma.values)[1]],
      sem: SEM_RANGE,
    };
    this.maps.depth.show(item.depth, this.ranges.depth);
    this.maps.sigma.show(item.sigma, this.ranges.sigma);
    this.layers = { depth: item.depth.values, sigma: item.sigma.values, sem: image.grey };
    showCases(byId("cases"), item, this.cases);
    const inside = this.cursor && this.cursor.row < rows && this.cursor.column < columns;
    const middle = { row: Math.floor(rows / 2), column: Math.floor(columns / 2) };
    const { row, column } = inside ? this.cursor : middle;
    this.#move(row, column);
    this.#paintSurface();
  }

  #paintSurface() {
    if (!this.layers) return;
    const layer = byId("surface-colour").value;
    const scale = this.maps[layer].colours;
    const [values, range] = [this.layers[layer], this.ranges[layer]];
    const colour = (i) => {
      const place = 3 * colours.index(values[i], range);
      return scale.subarray(place, place + 3);
    };
    this.surface.show(this.item.depth, colour);
  }

  #move(row, column) {
    this.cursor = { row, column };
    for (const map of Object.values(this.maps)) map.showCursor(row, column);
    this.#sections();
    this.#cut();
    const i = row * this.item.depth.columns + column;
    const { depth, sigma, sem } = this.layers;
    byId("readout").replaceChildren(
      pair("row", row), pair("column", column), pair("SEM", sem[i].toFixed(0)),
      pair("depth", depth[i].toFixed(1)), pair("σ", sigma[i].toFixed(2)),
    );
  }

  #cut() {
    this.surface.cut = byId("surface-cut").checked ? this.cursor : null;
    this.surface.draw();
  }

  #sections() {
    const { rows, columns } = this.item.depth;
    const { row, column } = this.cursor;
    const measured = this.item.measurement;
    const whole = measured && measured.floor_level !== null;
    const levels = whole ? [measured.plate_level, measured.floor_level] : [];
    const pick = (places) => {
      const of = (layer) => places.map((i) => this.layers[layer][i]);
      return { depth: of("depth"), sigma: of("sigma"), sem: of("sem"), levels };
    };
    const across = Array.from({ length: columns }, (_, i) => row * columns + i);
    const down = Array.from({ length: rows }, (_, i) => i * columns + column);
    const titles = [`Row ${row}, by column`, `Column ${column}, by row`];
    drawSection(byId("section-row"), { title: titles[0], at: column, ...pick(across) });
    drawSection(byId("section-column"), { title: titles[1], at: row, ...pick(down) });
  }
}

const pair = (name, value) => html("span", {}, `${name} `, html("b", {}, String(value)));

function refusal({ name, error }) {
  if (!error) return [];
  return [html("strong", {}, `${name} has no depth map.`), ` ${error}`];
}
