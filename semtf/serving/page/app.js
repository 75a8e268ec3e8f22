// The page: what the parts do when something is dropped, chosen or answered.

import { Client } from "./api.js";
import { byId, html } from "./dom.js";
import * as downloads from "./downloads.js";
import { Queue } from "./queue.js";
import { Roll } from "./roll.js";
import { ResultView } from "./view.js";

const view = new ResultView();
const roll = new Roll(choose);
const client = new Client(askForToken);
const queue = new Queue(client, changed);
let chosen = null;

function choose(item) {
  chosen = item;
  item.neighbourError = null; // asking again may help
  roll.mark(item);
  show();
}

function show() {
  view.show(chosen);
  downloads.enable(queue, chosen);
  if (!chosen.neighbourError) queue.askNeighbours(chosen);
}

function changed(item) {
  if (!queue.items.includes(item)) return; // answered after "Clear"
  roll.update(item);
  byId("roll").hidden = false;
  byId("intake").classList.add("small");
  if (chosen === null) choose(item);
  else if (item === chosen) show();
  else downloads.enable(queue, chosen);
  progress();
}

function progress() {
  const { items, left } = queue;
  const failed = items.filter(({ state }) => state === "failed").length;
  const flagged = items.filter(({ flags }) => flags?.length).length;
  const parts = [
    left ? `${items.length - left} of ${items.length} estimated` : `${items.length} images`,
    failed ? `${failed} refused` : "",
    flagged ? `${flagged} flagged` : "",
  ];
  byId("count").textContent = parts.filter(Boolean).join(", ");
  byId("progress").textContent = left ? `Estimating ${left} images …` : "";
}

async function take(files) {
  if (!files.length) return;
  notice("");
  await queue.add(files);
  progress();
  connect(); // another version may have come in the meantime
}

function notice(text) {
  byId("notice").hidden = !text;
  byId("notice").textContent = text;
}

byId("files").addEventListener("change", (event) => {
  take([...event.target.files]);
  event.target.value = ""; // the same file again is a change, too
});
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    byId("drop").classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) byId("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  byId("drop").classList.remove("over");
  take([...event.dataTransfer.files]);
});
document.addEventListener("paste", (event) => take([...event.clipboardData.files]));

byId("clear").addEventListener("click", () => {
  queue.clear();
  roll.clear();
  chosen = null;
  for (const id of ["roll", "result"]) byId(id).hidden = true;
  byId("intake").classList.remove("small");
  byId("files").focus();
  byId("progress").textContent = "";
});

byId("scales").addEventListener("submit", (event) => event.preventDefault());
byId("scales").addEventListener("change", () => {
  const scales = {};
  for (const name of ["pixel", "level"]) {
    const value = Number(byId(name).value);
    scales[name] = value > 0 ? value : null;
    localStorage.setItem(`semtf-${name}`, value > 0 ? String(value) : "");
  }
  queue.scales = scales;
  queue.measure(queue.items.filter(({ state }) => state === "done"));
});
for (const name of ["pixel", "level"]) {
  const value = localStorage.getItem(`semtf-${name}`);
  if (value) {
    byId(name).value = value;
    queue.scales[name] = Number(value);
  }
}
downloads.connect(queue, () => chosen);

function showTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const now = document.documentElement.dataset.theme ?? system;
  byId("theme").textContent = now === "dark" ? "Light" : "Dark";
  byId("theme").setAttribute("aria-label", `Switch to ${now === "dark" ? "light" : "dark"} colours`);
  view.surface.draw();
  return now;
}
byId("theme").addEventListener("click", () => {
  const next = showTheme() === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  localStorage.setItem("semtf-theme", next);
  showTheme();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
showTheme();

let asking = null;
/** One dialog, however many requests wait for the token. */
function askForToken() {
  asking ??= new Promise((resolve) => {
    const dialog = byId("token");
    byId("token-button").hidden = false;
    dialog.returnValue = "";
    dialog.showModal();
    dialog.addEventListener("close", () => {
      const given = byId("token-field").value.trim();
      byId("token-field").value = "";
      asking = null;
      resolve(dialog.returnValue === "use" ? given : null);
    }, { once: true });
  });
  return asking;
}
byId("token-button").addEventListener("click", async () => {
  const token = await askForToken();
  if (token !== null) sessionStorage.setItem("semtf-token", token);
  connect();
});

async function connect() {
  try {
    const { name, version, state, cases, image } = await client.describe();
    byId("model").textContent = `${name}, version ${version}: ${state.toLowerCase()}`;
    byId("model").dataset.state = state;
    byId("curl").textContent = curl(name);
    byId("size").textContent = image ? `, ${image[0]} rows × ${image[1]} columns` : "";
    view.cases = cases;
    if (state !== "AVAILABLE") setTimeout(connect, 2000);
  } catch (error) {
    byId("model").textContent = "not connected";
    byId("model").dataset.state = "NONE";
    notice(error.message);
  }
}

const curl = (name) =>
  `base64 -w0 hole.png | sed 's/.*/{"instances": [{"b64": "&"}]}/' |\n` +
  `  curl -d @- ${new URL(`v1/models/${name}:predict`, location.href)}`;

async function samples() {
  const { images } = await (await fetch("samples/samples.json")).json();
  const file = async (name) =>
    new File([await (await fetch(`samples/${name}`)).blob()], name, { type: "image/png" });
  const all = html("button", { type: "button", id: "all-samples" }, `All ${images.length}`);
  all.addEventListener("click", async () => take(await Promise.all(images.map(file))));
  const buttons = images.map((name) => {
    const picture = html("img", { src: `samples/${name}`, alt: "", width: 24, height: 36 });
    const button = html("button", { type: "button", "aria-label": `Sample ${name}` }, picture);
    button.addEventListener("click", async () => take([await file(name)]));
    return button;
  });
  byId("samples").replaceChildren(...buttons, all);
}

connect();
samples();
