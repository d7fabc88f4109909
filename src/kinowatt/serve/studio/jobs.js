// All videos of this key, kept true by the event stream.
import { api, follow, forget } from "./api.js";
import { memory, store } from "./store.js";

const gone = new Set(); // deleted here; an event that was already on its way must not bring one back
let order = []; // ids of open jobs as they stand in the queue
let oldest = ""; // last id of the last page that was asked for
const finished = [];

export const onFinished = (run) => finished.push(run);
export const isOpen = (video) => video.status === "queued" || video.status === "in_progress";
export const byId = (id) => store.get().videos.get(id);

/** Newest first. */
export const clips = () => [...store.get().videos.values()].filter((v) => v.status === "completed")
  .sort((a, b) => b.created_at - a.created_at || (a.id < b.id ? 1 : -1));

export const failures = () => [...store.get().videos.values()].filter((v) => v.status === "failed").sort((a, b) => b.created_at - a.created_at);

/** Running jobs, then the others in the order in which they will run. */
export function queue() {
  const open = [...store.get().videos.values()].filter(isOpen);
  const rank = (v) => v.position ?? order.indexOf(v.id);
  return open.sort((a, b) => (b.status === "in_progress") - (a.status === "in_progress") || b.priority - a.priority || rank(a) - rank(b));
}

/** A job that is new here goes behind those made before it: list and stream arrive in any order. */
function queueUp(video, videos) {
  if (order.includes(video.id)) return;
  const before = order.findLastIndex((id) => (videos.get(id)?.created_at ?? 0) <= video.created_at);
  order = order.toSpliced(before + 1, 0, video.id);
}

export function upsert(...arrived) {
  const videos = new Map(store.get().videos);
  const previews = new Map(store.get().previews);
  for (const { preview, ...video } of arrived) {
    if (gone.has(video.id)) continue;
    const before = videos.get(video.id);
    videos.set(video.id, video);
    if (preview) previews.set(video.id, preview);
    if (isOpen(video)) {
      queueUp(video, videos);
      continue;
    }
    previews.delete(video.id);
    order = order.filter((id) => id !== video.id);
    if (before && isOpen(before)) for (const run of finished) run(video);
  }
  store.set({ videos, previews });
}

export function drop(id) {
  gone.add(id);
  forget(id);
  order = order.filter((other) => other !== id);
  const videos = new Map(store.get().videos);
  if (videos.delete(id)) store.set({ videos });
}

/** Put a waiting job before another (null: last), here at once and then on the server. */
export async function move(id, before) {
  const was = order;
  const ids = order.filter((other) => other !== id);
  ids.splice(before ? ids.indexOf(before) : ids.length, 0, id);
  order = ids;
  store.set({ videos: new Map(store.get().videos) });
  try {
    upsert(await api.move(id, before));
  } catch (error) {
    order = was;
    store.set({ videos: new Map(store.get().videos) });
    throw error;
  }
}

/** What was asked for, so that a failed job can be tried again with its footage: the video object does not name that. */
export function remember(id, body, path = "create") {
  const all = memory.read("requests", []).filter(([other]) => other !== id);
  memory.write("requests", [[id, { path, body }], ...all].slice(0, 60));
}

export const request = (id) => memory.read("requests", []).find(([other]) => other === id)?.[1] ?? null;

/** The newest page again, or the one behind `after`. */
export async function loadPage(after = "") {
  const page = await api.list(after);
  upsert(...page.data.toReversed());
  const { loaded } = store.get();
  if (after || !loaded) {
    oldest = page.last_id ?? page.data.at(-1)?.id ?? oldest;
    store.set({ hasMore: page.has_more });
  }
  store.set({ loaded: true });
}

export const loadMore = () => loadPage(oldest);

let first = true;
let line = null; // ends the stream; a browser has few connections to a server, so only the page that is seen holds one

export function startJobs() {
  if (line) return;
  line = new AbortController();
  follow("/v1/videos/events", {
    signal: line.signal,
    onEvent(name, data) {
      if (name === "video") upsert(data);
      else if (name === "deleted") drop(data.id);
    },
    onLink(link) {
      store.set({ link });
      // While the line was down clips may have ended: the stream begins with open jobs only.
      if (link === "live" && !first) loadPage().catch(() => {});
      first = false;
    },
  });
}

export function stopJobs() {
  line?.abort();
  line = null;
}
