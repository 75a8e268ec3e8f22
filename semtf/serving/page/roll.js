// The strip of images: one button each, with its picture, case and state.

import * as colours from "./colours.js";
import { byId, html } from "./dom.js";

const LEVELS = [20, 170]; // one scale for all, so that they can be compared
const COLOURS = colours.table("viridis");
const STATES = { waiting: "waiting", running: "estimating …", failed: "refused" };

export class Roll {
  /** `choose(item)` is called when the user picks an image. */
  constructor(choose) {
    this.choose = choose;
    this.buttons = new Map();
    byId("film").addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const buttons = [...this.buttons.values()];
      const next = buttons[buttons.indexOf(document.activeElement) + step];
      next?.focus();
      next?.click();
    });
  }

  /** Show or renew one item. */
  update(item) {
    if (!this.buttons.has(item)) this.#add(item);
    const button = this.buttons.get(item);
    button.className = item.flags?.length ? "flagged" : item.state;
    const words = STATES[item.state] ?? `case ${item.estimatedCase}`;
    const doubt = item.flags?.length ? " ⚑" : "";
    button.querySelector(".state").textContent = words + doubt;
    if (item.state === "done" && !button.querySelector("canvas")) {
      const canvas = html("canvas", { "aria-hidden": "true" });
      colours.paint(canvas, item.depth, COLOURS, LEVELS);
      button.querySelector(".pictures").append(canvas);
    }
    const spoken = item.flags?.length ? ", flagged" : "";
    button.setAttribute("aria-label", `${item.name}, ${words}${spoken}`);
  }

  mark(item) {
    for (const [other, button] of this.buttons) {
      button.setAttribute("aria-current", String(other === item));
      if (other === item) button.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  }

  clear() {
    this.buttons.clear();
    byId("film").replaceChildren();
  }

  #add(item) {
    const picture = html("img", { src: item.url, alt: "", width: 48, height: 72 });
    picture.addEventListener("error", () => picture.replaceWith(html("i", { class: "broken" })));
    const button = html("button", { type: "button" }, html("span", { class: "pictures" }, picture),
      html("span", { class: "name" }, item.name), html("span", { class: "state" }));
    button.addEventListener("click", () => this.choose(item));
    this.buttons.set(item, button);
    byId("film").append(html("li", {}, button));
  }
}
