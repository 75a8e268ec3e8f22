// The dropped images and their way through the server.

import { ServerError } from "./api.js";
import { base64, greyLevels, pngFile, toMap, toNested } from "./images.js";

const BATCH = 16; // images a request
const PICTURES = 32; // neighbours that are shown with their pictures
const MAX_BYTES = 8 << 20;

/**
 * Every item has `name`, `url` (for a thumbnail), `state` (waiting, running, done or failed), and
 * as they come `image`, `depth`, `sigma`, `estimatedCase`, `probabilities`, `similarity`, `flags`,
 * `measurement`, `uncertainty`, `edge`, `neighbours`, and `error`, `measureError` or `neighbourError`.
 */
export class Queue {
  /** `changed(item)` is called when an item has something new. */
  constructor(client, changed) {
    this.client = client;
    this.changed = changed;
    this.items = [];
    this.scales = { pixel: null, level: null };
  }

  /** Add files and send them; resolves when all that wait are through. */
  async add(files) {
    for (const file of files) {
      const item = { name: file.name, file, url: URL.createObjectURL(file), state: "waiting" };
      this.items.push(item);
      this.changed(item);
    }
    if (!this.working) this.working = this.#work().finally(() => (this.working = null));
    return this.working;
  }

  clear() {
    for (const { url } of this.items) URL.revokeObjectURL(url);
    this.items = [];
  }

  get left() {
    return this.items.filter(({ state }) => state === "waiting" || state === "running").length;
  }

  async #work() {
    for (;;) {
      const batch = this.items.filter(({ state }) => state === "waiting").slice(0, BATCH);
      if (!batch.length) return;
      for (const item of batch) item.state = "running";
      await Promise.all(batch.map((item) => this.#read(item)));
      const readable = batch.filter(({ state }) => state === "running");
      if (readable.length) await this.#estimate(readable);
      const done = readable.filter(({ state }) => state === "done");
      await this.measure(done);
      await this.#askUncertainty(done);
    }
  }

  async #read(item) {
    if (item.file.size > MAX_BYTES) {
      this.#fail(item, `It has ${(item.file.size / 2 ** 20).toFixed(0)} MB, too many for one image.`);
      return;
    }
    try {
      item.b64 = await base64(item.file);
    } catch {
      this.#fail(item, "The browser cannot read the file any more. Drop it again.");
      return;
    }
    item.image = await greyLevels(item.file);
  }

  /** One bad file fails a whole request, so a failed one is sent again in halves. */
  async #estimate(batch) {
    try {
      await this.client.ready();
      const found = await this.client.predict("serving_default", batch.map(({ b64 }) => ({ b64 })));
      batch.forEach((item, i) => this.#finish(item, found[i]));
    } catch (error) {
      if (batch.length > 1 && [400, 413, 504].includes(error.status)) {
        const half = Math.ceil(batch.length / 2);
        await this.#estimate(batch.slice(0, half));
        await this.#estimate(batch.slice(half));
        return;
      }
      for (const item of batch) this.#fail(item, message(error));
    }
  }

  #finish(item, found) {
    item.depth = toMap(found.depth);
    item.sigma = toMap(found.sigma);
    item.estimatedCase = found.case;
    item.probabilities = found.case_probabilities;
    item.similarity = found.similarity;
    item.flags = found.flags.split(" ").filter(Boolean);
    item.state = "done";
    this.changed(item);
  }

  #fail(item, error) {
    item.state = "failed";
    item.error = error;
    this.changed(item);
  }

  /** Measure the holes of items anew, with the scales as they are now. */
  async measure(items) {
    const { scales } = this;
    for (let start = 0; start < items.length; start += BATCH) {
      const some = items.slice(start, start + BATCH);
      try {
        const depth = some.map((item) => toNested(item.depth));
        const { measurements, edges } = await this.client.measure(depth, scales);
        if (scales !== this.scales) return; // whoever changed them has asked again
        some.forEach((item, i) => {
          Object.assign(item, { measurement: measurements[i], edge: edges[i], measureError: null });
        });
      } catch (error) {
        for (const item of some) item.measureError = message(error);
      }
      some.forEach(this.changed);
    }
  }

  /** Standard uncertainties of measurements in pixels and levels; older exports have none. */
  async #askUncertainty(items) {
    if (!items.length) return;
    try {
      const found = await this.client.predict("measure", items.map(({ b64 }) => ({ b64 })));
      items.forEach((item, i) => (item.uncertainty = found[i]));
      items.forEach(this.changed);
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
    }
  }

  /** The stored images and depth maps of the heaviest neighbours; older exports have none. */
  async #askPictures(item) {
    const some = item.neighbours.slice(0, PICTURES);
    const asked = some.map(({ pair, shift }) => ({ case: item.estimatedCase, pair, shift }));
    try {
      const found = await this.client.predict("stored", asked);
      const maps = found.map(({ depth_png_bytes }) => greyLevels(pngFile(depth_png_bytes.b64)));
      (await Promise.all(maps)).forEach((map, i) => {
        some[i].sem = `data:image/png;base64,${found[i].sem_png_bytes.b64}`;
        some[i].depth = { ...map, values: map.grey };
      });
    } catch (error) {
      if (error.status !== 400) throw error;
    }
  }

  /** Ask once for the pairs that an estimate was made from. */
  async askNeighbours(item) {
    if (item.state !== "done" || item.neighbours) return;
    item.asking ??= this.client
      .predict("neighbours", [{ b64: item.b64 }])
      .then(([found]) => (item.neighbours = neighbours(found)))
      .then(() => this.#askPictures(item))
      .catch((error) => (item.neighbourError = message(error)))
      .finally(() => {
        item.asking = null;
        this.changed(item);
      });
    await item.asking;
  }
}

function neighbours({ pair, name, shifts, weights, similarities }) {
  return name
    .map((word, i) => ({
      pair: pair[i],
      name: word,
      shift: shifts[i],
      weight: weights[i],
      similarity: similarities[i],
    }))
    .filter((one) => one.pair >= 0)
    .sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight));
}

function message(error) {
  if (error instanceof ServerError) return error.message;
  console.error(error);
  return `The page failed: ${error.message}`;
}
