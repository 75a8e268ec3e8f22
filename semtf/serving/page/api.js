// The REST endpoint, called as any other client of TensorFlow Serving's contract calls it.

const RETRIES = 4;
const TOKEN = "semtf-token";

/** What the server, or the way to it, answered instead of a result. */
export class ServerError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export class Client {
  /** `askForToken()` resolves to a token, or to null where there is none to be had. */
  constructor(askForToken) {
    this.askForToken = askForToken;
    this.model = new URLSearchParams(location.search).get("model");
  }

  /** Name, version and state of the model; cases and size of its images where they are known. */
  async describe() {
    const { model, cases, image } = await this.#call("page.json");
    this.model ??= model;
    const versions = (await this.#call(this.#path())).model_version_status ?? [];
    const ready = versions.filter((one) => one.state === "AVAILABLE");
    const newest = (ready.length ? ready : versions).at(-1);
    const { version = null, state = "UNKNOWN" } = newest ?? {};
    return { name: this.model, version, state, cases, image };
  }

  /** Resolves when a version is served: a large model takes a while to load. */
  async ready() {
    while (!this.served) {
      this.served = (await this.describe()).state === "AVAILABLE";
      if (!this.served) await pause(1);
    }
  }

  /** One object for each instance, such as `{ b64 }` for a PNG file. */
  async predict(signature, instances) {
    const body = { signature_name: signature, instances };
    return (await this.#call(`${this.#path()}:predict`, body)).predictions;
  }

  /** Measurements and edges of depth maps; the scales, in nm, may be null. */
  async measure(depth, { pixel, level }) {
    const body = { depth };
    if (pixel) body.pixel_size_nm = pixel;
    if (level) body.level_nm = level;
    return this.#call("measure", body);
  }

  #path() {
    return `v1/models/${encodeURIComponent(this.model)}`;
  }

  async #call(path, body) {
    for (let attempt = 0; ; attempt++) {
      const response = await this.#fetch(path, body);
      if (response.ok) return response.json();
      if (response.status === 401) {
        const token = await this.askForToken();
        if (token === null) throw new ServerError(401, "The server asks for a token.");
        sessionStorage.setItem(TOKEN, token);
      } else if (response.status === 429 && attempt < RETRIES) {
        const seconds = Number(response.headers.get("Retry-After")) || 0.5 * 2 ** attempt;
        await pause(seconds);
      } else {
        throw new ServerError(response.status, await reason(response));
      }
    }
  }

  async #fetch(path, body) {
    const token = sessionStorage.getItem(TOKEN);
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const options = body ? { method: "POST", body: JSON.stringify(body), headers } : { headers };
    try {
      return await fetch(path, options);
    } catch {
      throw new ServerError(0, "The server does not answer. Is semtf serve still running?");
    }
  }
}

const pause = (seconds) => new Promise((resume) => setTimeout(resume, 1000 * seconds));

const WORDS = {
  413: "The request is larger than the server takes.",
  429: "The server is busy. Try again in a moment.",
  503: "The model is not ready yet. Try again in a moment.",
  504: "The server took too long. Try again, or with fewer images.",
};

async function reason(response) {
  const text = await response.text();
  let said = text;
  try {
    said = JSON.parse(text).error ?? text;
  } catch {
    // Not JSON: the text itself is what there is.
  }
  return [WORDS[response.status], said].filter(Boolean).join(" ") || `HTTP ${response.status}`;
}
