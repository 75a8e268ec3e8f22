// What the download buttons write.

import { byId } from "./dom.js";
import { csv, npy, png, save, zip } from "./files.js";

const stem = (name) => name.replace(/\.[^.]*$/, "");
const done = (items) => items.filter(({ state }) => state === "done");

/** One row of the table: the columns of predictions.csv, then the measurements. */
function row(item) {
  const { values } = item.sigma;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const close = (value) => value.toFixed(6);
  const neighbour = ({ name, shift, weight }) =>
    [name, ...shift.map((s) => (s < 0 ? s : `+${s}`)), weight.toFixed(4)].join(":");
  return {
    name: item.name,
    case: item.estimatedCase,
    case_probability: close(Math.max(...item.probabilities)),
    similarity: close(item.similarity),
    sigma_mean: mean.toFixed(4),
    flags: item.flags.join(" "),
    neighbours: (item.neighbours ?? []).map(neighbour).join(" "),
    ...item.measurement,
    ...uncertainties(item),
  };
}

/** Standard uncertainties that are known, as columns u_…. */
function uncertainties({ uncertainty }) {
  const known = Object.entries(uncertainty ?? {}).filter(
    ([name, value]) => name.startsWith("u_") && value >= 0,
  );
  return Object.fromEntries(known);
}

/** Names that differ, for files of one zip. */
function distinct(items) {
  const used = new Set();
  return items.map(({ name }) => {
    let free = stem(name);
    for (let n = 2; used.has(free); n++) free = `${stem(name)}-${n}`;
    used.add(free);
    return `${free}.png`;
  });
}

/** Connect the buttons; `queue` has all images, `chosen()` gives the one that is shown. */
export function connect(queue, chosen) {
  const on = (id, write) => byId(id).addEventListener("click", write);
  const all = () => done(queue.items);
  on("one-png", async () => {
    const { name, depth } = chosen();
    save(`${stem(name)}_depth.png`, await png(depth), "image/png");
  });
  on("one-npy", () => {
    const { name, depth } = chosen();
    save(`${stem(name)}_depth.npy`, npy([depth], true), "application/octet-stream");
  });
  on("one-csv", async () => {
    const item = chosen();
    await queue.askNeighbours(item);
    save(`${stem(item.name)}.csv`, csv([row(item)]), "text/csv");
  });
  on("all-csv", async () => {
    for (const item of all()) await queue.askNeighbours(item);
    save("depth.csv", csv(all().map(row)), "text/csv");
  });
  on("all-png", async () => {
    const items = all();
    const names = distinct(items);
    const members = items.map(async ({ depth }, i) => [names[i], await png(depth)]);
    save("depth.zip", zip(await Promise.all(members)), "application/zip");
  });
  const stack = (name, layer) => () =>
    save(name, npy(all().map((item) => item[layer])), "application/octet-stream");
  on("all-npy", stack("depth.npy", "depth"));
  on("all-sigma", stack("sigma.npy", "sigma"));
}

/** Only what exists can be downloaded. */
export function enable(queue, chosen) {
  const nothing = !done(queue.items).length;
  for (const id of ["all-csv", "all-png", "all-npy", "all-sigma"]) byId(id).disabled = nothing;
  for (const id of ["one-png", "one-csv", "one-npy"]) byId(id).disabled = chosen?.state !== "done";
}
