// What can be done with a finished clip. The gallery and the viewer show the same list.
import { api, bytes, labelBytes } from "./api.js";
import { copySettings } from "./composer.js";
import { $, saveFile } from "./dom.js";
import { t } from "./i18n.js";
import { drop, remember, request, upsert } from "./jobs.js";
import { store } from "./store.js";
import { placeClip } from "./timeline.js";
import { toast, toastError } from "./toast.js";

const short = (prompt) => prompt.slice(0, 60);

function queued(video, body, path) {
  remember(video.id, body, path);
  upsert(video);
  toast(t("queuedToast", { prompt: short(video.prompt) }), {
    action: { name: t("cancel"), run: () => api.cancel(video.id).then(upsert, toastError) },
  });
  return video;
}

const guarded = (run) => async (...args) => {
  try {
    return await run(...args);
  } catch (error) {
    toastError(error);
    return null;
  }
};

const ownSeconds = (video) => store.get().models.find((m) => m.id === video.model)?.seconds ?? video.seconds;

/** Let a clip go on in time: forward, backward, loop; or connect, to the clip `to`. */
export const extend = guarded(async (video, direction, seconds = null, to = null) => {
  const body = { prompt: video.prompt, seconds: String(seconds ?? ownSeconds(video)), video: { id: video.id }, direction };
  if (to) body.to = { id: to.id };
  return queued(await api.extend(body), body, "extend");
});

export const remix = guarded(async (video, prompt, strength) =>
  queued(await api.remix(video.id, prompt, strength), { id: video.id, prompt, strength }, "remix"));

/** Begin to connect: the next clip that is chosen follows this one. */
export function pickFor(video, seconds = null) {
  store.set({ pick: { video, seconds } });
  $("#picking").scrollIntoView({ block: "nearest" });
}

export const download = guarded(async (video) => saveFile(await bytes(video.id), `kinowatt-${video.id}.mp4`));

/** The drawn label as "svg" or "png". */
export const saveLabel = guarded(async (video, format) => saveFile(await labelBytes(video.id, format), `kinowatt-${video.id}-label.${format}`));

export const remove = guarded(async (video) => {
  await api.remove(video.id);
  drop(video.id);
  return true;
});

export const asAnchor = guarded((video) => placeClip(video));

export function copy(video) {
  copySettings(video);
  toast(t("copiedToast"));
}

/** The request a job was made with, if this browser sent it; else the one that its own fields describe. */
async function again(video) {
  const sent = request(video.id);
  const [source, other] = video.sources ?? [];
  if (sent?.path === "remix" || (!sent && video.mode === "remix")) {
    const { id = video.remixed_from_video_id ?? source, prompt = video.prompt, strength } = sent?.body ?? {};
    return [await api.remix(id, prompt, strength), { id, prompt, strength }, "remix"];
  }
  if (sent?.path === "extend" || (!sent && source && video.mode !== "create" && video.mode !== "edit")) {
    const body = sent?.body ?? { prompt: video.prompt, seconds: video.seconds, video: { id: source }, direction: video.mode, ...(other && { to: { id: other } }) };
    return [await api.extend(body), body, "extend"];
  }
  const { prompt, model, size, seconds, seed, steps, guidance, cache, budget_wh, budget_gco2e, negative_prompt, light, mood } = video;
  const camera = Object.fromEntries(Object.entries(video.camera ?? {}).filter(([, v]) => v !== null));
  const body = sent?.body ?? { prompt, model, size, seconds, seed, steps, guidance, cache, budget_wh, budget_gco2e, negative_prompt, light, mood, camera };
  return [await api.create(body), body, "create"];
}

export const retry = guarded(async (video) => {
  const made = queued(...(await again(video)));
  await remove(video);
  return made;
});
