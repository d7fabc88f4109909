// The HTTP contract, and nothing else: no element is touched here.
import { memory } from "./store.js";

export class ApiError extends Error {
  constructor(status, body) {
    super(body?.error?.message || body?.detail || `HTTP ${status}`);
    this.status = status;
    this.code = body?.error?.code ?? null;
  }
}

let askKey = async () => null; // set by app.js: opens the dialog and gives the key or null
let asking = null;

export const onKeyWanted = (ask) => (askKey = ask);
export const hasKey = () => Boolean(memory.read("key"));

function headers(extra = {}) {
  const key = memory.read("key");
  return key ? { ...extra, Authorization: `Bearer ${key}` } : extra;
}

/** fetch with the key; on 401 one dialog serves every call that is waiting, then each is tried again. */
async function call(path, options = {}) {
  const sent = memory.read("key");
  const response = await fetch(path, { ...options, headers: headers(options.headers) });
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  if (response.status === 401) {
    if (memory.read("key") !== sent) return call(path, options); // given while this call was under way
    asking ??= askKey(sent ? body?.error?.message : "").finally(() => (asking = null));
    if (await asking) return call(path, options);
  }
  throw new ApiError(response.status, body);
}

const json = async (path, options) => (await call(path, options)).json();
const post = (path, body, signal) =>
  json(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal });
const of = (id) => `/v1/videos/${encodeURIComponent(id)}`;
const ofStudy = (id) => `/v1/studies/${encodeURIComponent(id)}`;

export const api = {
  health: () => json("/healthz"),
  models: () => json("/v1/models"),
  lexicon: (text, signal) => json(`/v1/lexicon?text=${encodeURIComponent(text)}`, { signal }),
  plan: (body, signal) => post("/v1/videos/plan", body, signal),
  create: (body) => post("/v1/videos", body),
  list: (after = "", limit = 24) => json(`/v1/videos?limit=${limit}&order=desc${after ? `&after=${encodeURIComponent(after)}` : ""}`),
  get: (id) => json(of(id)),
  remove: (id) => json(of(id), { method: "DELETE" }),
  label: (id) => json(`${of(id)}/label`),
  cancel: (id) => post(`${of(id)}/cancel`, {}),
  pause: (id) => post(`${of(id)}/pause`, {}),
  resume: (id) => post(`${of(id)}/resume`, {}),
  move: (id, before) => post(`${of(id)}/move`, { before }),
  remix: (id, prompt, strength) => post(`${of(id)}/remix`, { prompt, strength }),
  extend: (body) => post("/v1/videos/extensions", body),
  upload(file) {
    const form = new FormData();
    form.append("purpose", "vision");
    form.append("file", file);
    return json("/v1/files", { method: "POST", body: form });
  },
};

export const gridApi = {
  options: () => json("/v1/studies/options"),
  files: () => json("/v1/files?limit=100"),
  create: (body) => post("/v1/studies", body),
  list: () => json("/v1/studies?limit=50"),
  map: (id) => json(`${ofStudy(id)}/map`),
  summary: (id) => json(`${ofStudy(id)}/summary`),
  cancel: (id) => post(`${ofStudy(id)}/cancel`, {}),
  remove: (id) => json(ofStudy(id), { method: "DELETE" }),
  bytes: async (id, name) => (await call(`${ofStudy(id)}/files/${name}`)).blob(),
  path: (id, name) => `${ofStudy(id)}/files/${name}`,
  film: (id) => address(`${ofStudy(id)}/files/weather.mp4`),
  upload(file) {
    const form = new FormData();
    form.append("file", file);
    return json("/v1/studies/files", { method: "POST", body: form });
  },
};

const kept = new Map(); // path to a promise of an object URL

/** Address for <img> and <video>. Those cannot send a key: with one, the bytes are fetched and held as an object URL. */
function address(path) {
  if (!hasKey()) return Promise.resolve(path);
  if (!kept.has(path)) {
    const url = call(path).then((r) => r.blob()).then((blob) => URL.createObjectURL(blob));
    url.catch(() => kept.delete(path));
    kept.set(path, url);
  }
  return kept.get(path);
}

export const media = (id, variant) => address(`${of(id)}/content?variant=${variant}`);
export const drawnLabel = (id) => address(`${of(id)}/label?format=svg`);

/** The bytes of a clip or of its drawn label, for a download that works with and without a key. */
export const bytes = async (id) => (await call(`${of(id)}/content?variant=video`)).blob();
export const labelBytes = async (id, format) => (await call(`${of(id)}/label?format=${format}`)).blob();

/** A deleted clip's bytes need not stay in memory. */
export function forget(id) {
  for (const [path, url] of kept) {
    if (!path.startsWith(`${of(id)}/`)) continue;
    url.then(URL.revokeObjectURL, () => {});
    kept.delete(path);
  }
}

function* parse(block) {
  let name = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
  }
  if (data.length) yield [name, JSON.parse(data.join("\n"))];
}

async function readStream(response, onEvent) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text = (text + value).replace(/\r\n?/g, "\n");
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) for (const [name, data] of parse(block)) onEvent(name, data);
  }
}

/**
 * Follow all videos or studies until `signal` says to stop. Streaming through fetch because EventSource cannot send the key.
 * A lost line is taken up again after 0.5 s, then twice as long each time, at most 15 s, and at once when the network is back.
 */
export async function follow(path, { onEvent, onLink, signal }) {
  for (let wait_ms = 500; !signal.aborted; wait_ms = Math.min(wait_ms * 2, 15000)) {
    try {
      const response = await call(path, { headers: { Accept: "text/event-stream" }, cache: "no-store", signal });
      wait_ms = 250;
      onLink("live");
      await readStream(response, onEvent);
    } catch {
      // What went wrong does not matter: the answer is to try again.
    }
    if (signal.aborted) return;
    onLink("lost");
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, wait_ms * (0.8 + 0.4 * Math.random()));
      addEventListener("online", () => (clearTimeout(timer), resolve()), { once: true });
    });
  }
}
