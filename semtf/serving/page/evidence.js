// What an estimate rests on, as tables and words: measurements, case, neighbours, flags.

import * as colours from "./colours.js";
import { html } from "./dom.js";

const DEPTH_COLOURS = colours.table("viridis");
const SHOWN = 8; // neighbours before "show all"

/** Flags of an estimate, with what they mean for whoever reads the depth. */
export const FLAGS = {
  case_in_doubt: [
    "Case in doubt",
    "The classifier is not sure of the case. The depth blends the two likely cases; check the " +
      "plate level before you use it.",
  ],
  case_not_trained: [
    "Case not trained",
    "The likely case has no stored pairs in this model. The depth comes from another case and " +
      "its level is wrong.",
  ],
  unlike_storage: [
    "Unlike the stored pairs",
    "No stored pair looks as much like this image as fab images normally do. Do not rely on " +
      "the depth.",
  ],
  unusual_scale: [
    "Unusual scale",
    "The brightest pixel is darker or brighter than in the images that the model was trained on. " +
      "The case may be wrong; export the image with its usual brightness.",
  ],
};

export function showFlags(list, flags) {
  list.replaceChildren(
    ...flags.map((flag) => {
      const [name, meaning] = FLAGS[flag] ?? [flag, "The page does not know this flag."];
      return html("li", {}, html("strong", {}, name), ` ${meaning}`);
    }),
  );
}

// By row: name, column in pixels or grey levels, its unit, column in nanometres, its unit.
const MEASURES = [
  ["CD along rows (height)", "cd_rows_px", "px", "cd_rows_nm", "nm"],
  ["CD along columns (width)", "cd_columns_px", "px", "cd_columns_nm", "nm"],
  ["Major axis", "major_axis_px", "px", "major_axis_nm", "nm"],
  ["Minor axis", "minor_axis_px", "px", "minor_axis_nm", "nm"],
  ["Orientation", "orientation_deg", "°"],
  ["Area", "area_px2", "px²", "area_nm2", "nm²"],
  ["Equivalent diameter", "equivalent_diameter_px", "px", "equivalent_diameter_nm", "nm"],
  ["Centroid, row", "centroid_row_px", "px"],
  ["Centroid, column", "centroid_column_px", "px"],
  ["Plate", "plate_level", "level"],
  ["Floor, mean", "floor_level", "level"],
  ["Floor, minimum", "floor_minimum_level", "level"],
  ["Depth", "depth_levels", "levels", "depth_nm", "nm"],
  ["Maximum depth", "maximum_depth_levels", "levels", "maximum_depth_nm", "nm"],
  ["Volume", "volume_px2_levels", "px²·levels", "volume_nm3", "nm³"],
  ["Wall width, 20–80 %", "wall_width_px", "px", "wall_width_nm", "nm"],
  ["Sidewall angle", "sidewall_angle_deg", "°"],
  ["Edge roughness, 1 σ", "edge_roughness_sigma_px", "px", "edge_roughness_sigma_nm", "nm"],
];

/**
 * `measurement` is one of the server's rows, `uncertainty` what its signature `measure` gives, where
 * it has one; `error` says why there is no row.
 */
export function showMeasurements(parent, { measurement: row, uncertainty }, error) {
  if (!row) {
    parent.replaceChildren(html("p", { class: "dim" }, error ?? "measuring …"));
    return;
  }
  const scaled = MEASURES.some(([, , , column]) => column && column in row);
  const lines = MEASURES.map(([name, column, unit, scaledColumn, scaledUnit]) =>
    html(
      "tr",
      {},
      html("th", { scope: "row" }, name),
      quantity(row[column], unit, expanded(uncertainty, column)),
      scaled
        ? quantity(
            scaledColumn && row[scaledColumn],
            scaledUnit,
            (expanded(uncertainty, column) * row[scaledColumn]) / row[column],
          )
        : null,
    ),
  );
  const note = row.area_px2 === null ? "There is no whole hole in this depth map." : null;
  parent.replaceChildren(
    ...(note ? [html("p", { class: "refusal" }, note)] : []),
    html("table", {}, html("tbody", {}, ...lines)),
  );
}

/** The expanded uncertainty (k = 2) of a column in pixels or levels; NaN where it is not known. */
function expanded(uncertainty, column) {
  const standard = uncertainty?.[`u_${column}`];
  return standard >= 0 ? 2 * standard : NaN;
}

function quantity(value, unit, expandedUncertainty = NaN) {
  if (value === undefined) return html("td");
  if (value === null) return html("td", { title: "not known" }, "–");
  const digits = Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 100 ? 1 : 2;
  const known = Number.isFinite(expandedUncertainty);
  const range = known ? ` ± ${expandedUncertainty.toFixed(digits)}` : "";
  const title = known ? { title: "± two standard uncertainties, some 95 %" } : {};
  return html("td", title, value.toFixed(digits) + range, html("span", { class: "unit" }, ` ${unit}`));
}

/** `cases` are those of the probabilities; 1, 2, ... where they are not known. */
export function showCases(parent, { estimatedCase, probabilities, similarity }, cases) {
  const names = cases?.length === probabilities.length ? cases : probabilities.map((_, i) => i + 1);
  const rows = probabilities.map((probability, i) =>
    html(
      "tr",
      names[i] === estimatedCase ? { class: "chosen" } : {},
      html("th", { scope: "row" }, `Case ${names[i]}`),
      html("td", { class: "bar-cell" }, bar(probability)),
      html("td", {}, `${(100 * probability).toFixed(1)} %`),
    ),
  );
  parent.replaceChildren(
    html("table", {}, html("tbody", {}, ...rows)),
    html("p", {}, `Estimated as case ${estimatedCase}; similarity of the best stored pair `,
      html("b", {}, similarity.toFixed(4)), "."),
  );
}

/**
 * `neighbours` are the server's, or null while it is asked; `error` says why there are none.
 * `range` is that of the depth map's colours.
 */
export function showNeighbours(parent, neighbours, error, range, all = false) {
  if (!neighbours) {
    parent.replaceChildren(html("p", { class: "dim" }, error ?? "asking for the neighbours …"));
    return;
  }
  const largest = Math.max(...neighbours.map(({ weight }) => Math.abs(weight)), 1e-9);
  const shown = all ? neighbours : neighbours.slice(0, SHOWN);
  const rows = shown.map(({ name, shift, weight, similarity, sem, depth }, i) =>
    html(
      "tr",
      {},
      html("td", {}, String(i + 1)),
      html("td", { class: "pictures" }, ...(sem ? pictures(sem, depth, range) : [])),
      html("td", { class: "bar-cell" }, bar(Math.abs(weight) / largest, weight < 0)),
      html("td", {}, weight.toFixed(3).replace("-", "−")),
      html("td", {}, shift.map(signed).join(", ")),
      html("td", {}, similarity.toFixed(4)),
      html("td", { class: "pair" }, name),
    ),
  );
  const heads = ["", "", "", "Weight", "Shift", "Similarity", "Pair"];
  const head = html("tr", {}, ...heads.map((name) => html("th", { scope: "col" }, name)));
  const table = html("table", {}, html("thead", {}, head), html("tbody", {}, ...rows));
  parent.replaceChildren(html("div", { class: "scroll", tabindex: 0, role: "group",
    "aria-label": "Neighbours" }, table));
  if (shown.length < neighbours.length) {
    const more = html("button", { type: "button" }, `Show all ${neighbours.length}`);
    more.addEventListener("click", () => showNeighbours(parent, neighbours, error, range, true));
    parent.append(more);
  }
}

function pictures(sem, depth, range) {
  const canvas = html("canvas", { role: "img", "aria-label": "stored depth map" });
  colours.paint(canvas, depth, DEPTH_COLOURS, range);
  return [html("img", { src: sem, alt: "stored image" }), canvas];
}

const signed = (value) => (value > 0 ? `+${value}` : value < 0 ? `−${-value}` : "0");

function bar(share, negative = false) {
  const filledPart = html("i", negative ? { class: "negative" } : {});
  filledPart.style.width = `${100 * share}%`;
  return html("span", { class: "bar-share", "aria-hidden": "true" }, filledPart);
}
