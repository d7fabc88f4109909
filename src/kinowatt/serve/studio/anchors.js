// Footage placed in time: what anchors are, without any drawing.
import { api, media } from "./api.js";
import { draftSeconds, store } from "./store.js";

export const WEAKEST = 0.05; // at 0 an anchor says nothing at all
let count = 0;

const round = (seconds) => Math.round(seconds * 100) / 100;
const anchorsOf = () => store.get().anchors;

/** The second at which an anchor's flag stands. */
export const secondOf = (anchor, seconds = draftSeconds()) => (anchor.at === "start" ? 0 : anchor.at === "end" ? seconds : Number(anchor.at));

/** From where to where an anchor's own footage reaches; a picture has no length. */
export function extent(anchor, seconds = draftSeconds()) {
  const length = anchor.length_s ?? 0;
  if (anchor.at === "end") return [Math.max(0, seconds - length), seconds];
  const from = secondOf(anchor, seconds);
  return [from, Math.min(seconds, from + length)];
}

/** A time as the contract writes it. Near the borders it becomes "start" and "end", which stay there when the length changes. */
export function snap(second, seconds = draftSeconds(), reach_s = seconds * 0.02) {
  if (second <= reach_s) return "start";
  if (second >= seconds - reach_s) return "end";
  return round(second);
}

/** Where a new anchor goes when nobody says: the start, then the end, then the middle. */
export function freePlace() {
  const taken = anchorsOf().map((a) => a.at);
  return ["start", "end"].find((place) => !taken.includes(place)) ?? round(draftSeconds() / 2);
}

export function change(key, patch) {
  store.set({ anchors: anchorsOf().map((a) => (a.key === key ? { ...a, ...patch } : a)) });
}

export function remove(key) {
  store.set({ anchors: anchorsOf().filter((a) => a.key !== key) });
}

function add(anchor) {
  const full = { key: `anchor-${(count += 1)}`, strength: 1, length_s: null, ...anchor };
  store.set({ anchors: [...anchorsOf(), full] });
  return full;
}

/** First picture and length of a video file, read in the browser; null where it cannot play it. */
function look(url) {
  return new Promise((resolve) => {
    const video = document.createElement("video");
    video.muted = true;
    video.preload = "auto";
    const end = () => resolve(null);
    setTimeout(end, 8000);
    video.onerror = end;
    video.onloadeddata = () => {
      const canvas = document.createElement("canvas");
      const scale = Math.min(1, 240 / Math.max(video.videoWidth, video.videoHeight));
      canvas.width = Math.max(1, video.videoWidth * scale);
      canvas.height = Math.max(1, video.videoHeight * scale);
      canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
      resolve({ thumbnail: canvas.toDataURL("image/webp", 0.8), length_s: Number.isFinite(video.duration) ? video.duration : null });
    };
    video.src = url;
  });
}

export const isMedia = (file) => /^(image|video)\//.test(file.type);

/** Upload a file and place it. */
export async function addFile(file, at) {
  const url = URL.createObjectURL(file);
  const moving = file.type.startsWith("video/");
  const [stored, seen] = await Promise.all([api.upload(file), moving ? look(url) : null]);
  if (moving) URL.revokeObjectURL(url);
  return add({ kind: "file", id: stored.id, name: file.name, at, thumbnail: moving ? (seen?.thumbnail ?? null) : url, length_s: seen?.length_s ?? null });
}

/** Place a finished clip. */
export async function addClip(video, at) {
  const thumbnail = await media(video.id, "thumbnail").catch(() => null);
  return add({ kind: "video", id: video.id, name: video.prompt, at, thumbnail, length_s: Number(video.seconds) || null });
}

/** A shorter clip keeps its anchors: those that would fall behind its end move to the end. */
export function keepInRange() {
  const seconds = draftSeconds();
  const anchors = anchorsOf();
  if (!anchors.some((a) => typeof a.at === "number" && a.at >= seconds)) return;
  store.set({ anchors: anchors.map((a) => (typeof a.at === "number" && a.at >= seconds ? { ...a, at: "end" } : a)) });
}
