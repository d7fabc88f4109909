// Finished clips as cards, and the way in for those who have none yet.
import { $, calmMotion, h, keyed, setText } from "./dom.js";
import { extend } from "./actions.js";
import { media } from "./api.js";
import { carbon, energy, length, sizeOf, times } from "./format.js";
import { icon } from "./icons.js";
import { lang, onLanguage, t, term } from "./i18n.js";
import { byId, clips, isOpen, loadMore, onFinished } from "./jobs.js";
import { writePrompt } from "./prompt.js";
import { store } from "./store.js";
import { CLIP_TYPE } from "./timeline.js";
import { toastError } from "./toast.js";
import { openViewer } from "./viewer.js";

const EXAMPLES = {
  en: ["a drone shot of wind turbines at dusk, lonely", "a red ball bounces on sand at dusk, close-up", "six solar panels on snow, noon, clear sky, crane up"],
  zh: ["六塊太陽能板在雪地上，正午，晴朗，升鏡", "黃昏的風力發電機，航拍，孤獨", "紅球在沙地上彈跳，黃昏，特寫"],
};
const cards = new Map();
const fresh = new Set(); // ended while the page was open: shown as new until looked at

/** The clip itself plays over its picture while the card has the pointer or the focus. */
function play(card) {
  if (calmMotion() || $("video", card)) return;
  const { id } = card.dataset;
  const video = h("video", { muted: true, loop: true, playsinline: true, tabindex: "-1", "aria-hidden": "true", disablepictureinpicture: true });
  video.addEventListener("playing", () => video.classList.add("on"), { once: true });
  $(".picture", card).append(video);
  media(id, "video").then((url) => {
    video.src = url;
    return video.play();
  }).catch(() => video.remove()); // left before it began, or no such file: the picture stays
}

function rest(card) {
  if (card.matches(":hover") || card.contains(document.activeElement)) return;
  const video = $("video", card);
  video?.pause();
  video?.removeAttribute("src");
  video?.remove();
}

/** With a clip waiting for its second half, choosing a card connects the two; else it opens. */
function choose(id, view = "clip") {
  const { pick } = store.get();
  fresh.delete(id);
  cards.get(id)?.classList.remove("fresh");
  if (!pick) return openViewer(id, view);
  if (pick.video.id === id) return undefined;
  store.set({ pick: null });
  return extend(pick.video, "connect", pick.seconds, byId(id));
}

function makeCard({ id }) {
  const card = h("article", { class: "clip", data: { id }, draggable: "true" },
    h("button", { type: "button", class: "screen", onclick: () => choose(id) },
      h("span", { class: "glow" }), h("span", { class: "picture" }, h("img", { alt: "", draggable: "false", decoding: "async" }))),
    h("div", { class: "caption" },
      h("p", { class: "clip-prompt" }),
      h("div", { class: "clip-facts" }, h("span", { class: "facts" }),
        h("button", { type: "button", class: "bill show-label", onclick: () => choose(id, "label") }, icon("label"), h("span", { class: "bill-text" })))));
  for (const name of ["pointerenter", "focusin"]) card.addEventListener(name, () => play(card));
  for (const name of ["pointerleave", "focusout"]) card.addEventListener(name, () => setTimeout(() => rest(card), 0));
  card.addEventListener("dragstart", (e) => {
    e.dataTransfer.effectAllowed = "copy";
    e.dataTransfer.setData(CLIP_TYPE, id);
    e.dataTransfer.setData("text/plain", byId(id)?.prompt ?? "");
    const image = $("img", card);
    if (image.complete) e.dataTransfer.setDragImage(image, 40, 40);
    document.body.classList.add("carrying"); // the storyboard shows that it takes clips
  });
  card.addEventListener("dragend", () => document.body.classList.remove("carrying"));
  media(id, "thumbnail").then((url) => {
    $("img", card).src = url;
    $(".glow", card).style.backgroundImage = `url("${url}")`;
  }).catch(() => card.classList.add("no-picture"));
  return card;
}

function updateCard(card, video) {
  const { pick } = store.get();
  const [width, height] = sizeOf(video.size) ?? [1, 1];
  $(".picture", card).style.setProperty("--ratio", width / height);
  card.classList.toggle("tall", height > width);
  card.classList.toggle("fresh", fresh.has(video.id));
  card.classList.toggle("waiting", pick?.video.id === video.id);
  const open = $(".screen", card);
  open.setAttribute("aria-label", `${pick ? `${t("pick")} ` : ""}${t("openClip", { prompt: video.prompt })}`);
  open.disabled = pick?.video.id === video.id;
  setText($(".clip-prompt", card), video.prompt);
  $(".clip-prompt", card).title = video.prompt;
  const kind = video.mode && video.mode !== "create" ? [term("mode", video.mode)] : [];
  setText($(".facts", card), [...kind, length(video.seconds), times(video.size)].join(" · "));
  const cost = energy(video.energy?.total_Wh);
  setText($(".bill-text", card), cost);
  $(".bill", card).setAttribute("aria-label", `${t("showLabel")}: ${cost}`);
  $(".bill", card).title = t("showLabel");
}

/** Someone's first visit: the dark screen, and words to begin with. */
function showEmpty(empty) {
  const box = $("#empty");
  box.hidden = !empty;
  if (!empty || box.dataset.lang === lang()) return;
  box.dataset.lang = lang();
  const example = (text) => h("li", {}, h("button", { type: "button", class: "example", onclick: () => {
    writePrompt(text);
    $("#prompt").focus();
    $("#prompt-title").scrollIntoView({ block: "start", behavior: calmMotion() ? "auto" : "smooth" });
  } }, h("span", { text }), icon("right")));
  // One sentence of the other language stands among them, because the model reads both.
  const sentences = lang() === "en" ? [...EXAMPLES.en, EXAMPLES.zh[0]] : [...EXAMPLES.zh, EXAMPLES.en[0]];
  box.replaceChildren(h("p", { class: "empty-title", text: t("emptyTitle") }), h("p", { class: "said", text: t("emptyText") }),
    h("ul", { class: "examples" }, sentences.map(example)));
}

function showSum(all) {
  const known = all.map((v) => v.energy?.total_Wh).filter((Wh) => Wh != null);
  const grams = all.map((v) => v.energy?.carbon_gCO2e).filter((g) => g != null);
  const sum = (values) => values.reduce((a, b) => a + b, 0);
  // Only what has been loaded is summed, so the number of clips is said with it.
  setText($("#gallery-sum"), known.length ? t("gallerySum", { n: known.length, energy: energy(sum(known)), carbon: carbon(grams.length ? sum(grams) : null) }) : "");
}

function showPicking() {
  const { pick } = store.get();
  const box = $("#picking");
  document.body.classList.toggle("picking", Boolean(pick));
  box.hidden = !pick;
  if (!pick) return box.replaceChildren();
  const leave = h("button", { type: "button", class: "plain", text: t("pickCancel"), onclick: () => store.set({ pick: null }) });
  return box.replaceChildren(icon("connect"), h("p", {}, h("strong", { text: t("pick") }), " ", h("span", { class: "said", text: pick.video.prompt })), leave);
}

function show() {
  const { loaded, hasMore, videos } = store.get();
  const all = clips();
  const open = [...videos.values()].some(isOpen);
  keyed($("#gallery"), all, cards, makeCard, updateCard);
  showEmpty(loaded && !all.length && !open);
  $("#gallery-section").classList.toggle("none", !all.length);
  $("#gallery-section").hidden = loaded && !all.length && open;
  $("#more").hidden = !hasMore;
  showSum(all);
}

export function startGallery() {
  $("#more").addEventListener("click", () => loadMore().catch(toastError));
  onFinished((video) => video.status === "completed" && fresh.add(video.id));
  store.on(["videos", "hasMore", "loaded", "pick"], show);
  store.on(["pick"], showPicking);
  onLanguage(() => {
    show();
    showPicking();
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && store.get().pick && !$("dialog[open]")) store.set({ pick: null });
  });
  show();
}
