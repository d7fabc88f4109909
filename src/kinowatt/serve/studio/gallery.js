// Finished clips as cards, and the way in for those who have none yet.
import { $, calmMotion, h, keyed, setText } from "./dom.js";
import { extend, pickFor } from "./actions.js";
import { media } from "./api.js";
import { energy, length, times } from "./format.js";
import { icon } from "./icons.js";
import { lang, onLanguage, t, term } from "./i18n.js";
import { byId, clips, isOpen, loadMore, onFinished } from "./jobs.js";
import { writePrompt } from "./prompt.js";
import { store } from "./store.js";
import { CLIP_TYPE } from "./timeline.js";
import { toastError } from "./toast.js";
import { openViewer } from "./viewer.js";

const EXAMPLES = {
  en: ["a drone shot of wind turbines at dusk, lonely", "a red ball bounces on sand at dusk, close-up", "a blue sphere crashes into a yellow cube in thick fog"],
  zh: ["六塊太陽能板在雪地上，正午，晴朗，升鏡", "黃昏的風力發電機，航拍，孤獨", "紅球在沙地上彈跳，黃昏，特寫"],
};
const cards = new Map();
const fresh = new Set(); // ended while the page was open: marked until looked at

/** The clip itself plays over its picture while the card has the pointer or the focus; it is fetched then, and not before. */
function play(card) {
  if (calmMotion() || $("video", card)) return;
  const video = h("video", { muted: true, loop: true, playsinline: true, tabindex: "-1", "aria-hidden": "true", disablepictureinpicture: true });
  video.addEventListener("playing", () => card.classList.add("playing"), { once: true });
  $(".screen", card).append(video);
  media(card.dataset.id, "video").then((url) => {
    video.src = url;
    return video.play();
  }).catch(() => video.remove()); // left before it began, or no such file: the picture stays
}

function rest(card) {
  if (card.matches(":hover") || card.contains(document.activeElement)) return;
  const video = $("video", card);
  card.classList.remove("playing");
  video?.pause();
  video?.removeAttribute("src");
  video?.remove();
}

/** With a clip waiting for the one that follows it, choosing a card connects the two; else it opens. */
function choose(id, view = "") {
  const { pick } = store.get();
  fresh.delete(id);
  cards.get(id)?.classList.remove("fresh");
  if (!pick) return openViewer(id, view);
  if (pick.video.id === id) return undefined;
  store.set({ pick: null });
  return extend(pick.video, "connect", pick.seconds, byId(id));
}

function quickButtons(id) {
  const video = () => byId(id);
  const quick = (className, picture, word, run) =>
    h("button", { type: "button", class: `round ${className}`, "aria-label": t(word), title: t(word), onclick: run }, icon(picture));
  return h("div", { class: "quick" },
    quick("extend-backward", "backward", "backward", () => extend(video(), "backward")),
    quick("loop", "loop", "loop", () => extend(video(), "loop")),
    quick("extend-forward", "forward", "forward", () => extend(video(), "forward")),
    quick("connect", "connect", "connect", () => pickFor(video())),
    quick("remix", "remix", "remix", () => choose(id, "remix")),
    quick("show-label", "label", "showLabel", () => choose(id, "label")));
}

function carryable(card, id) {
  card.addEventListener("dragstart", (e) => {
    e.dataTransfer.effectAllowed = "copy";
    e.dataTransfer.setData(CLIP_TYPE, id);
    e.dataTransfer.setData("text/plain", byId(id)?.prompt ?? "");
    e.dataTransfer.setDragImage($(".still", card), 40, 40);
    document.body.classList.add("carrying"); // the storyboard shows that it takes clips
  });
  card.addEventListener("dragend", () => document.body.classList.remove("carrying"));
}

function makeCard({ id }) {
  const image = (className) => h("img", { class: className, alt: "", draggable: "false", decoding: "async" });
  const card = h("article", { class: "clip", data: { id }, draggable: "true" },
    h("button", { type: "button", class: "screen", onclick: () => choose(id) }, image("glow"), image("still")),
    quickButtons(id),
    h("div", { class: "caption" }, h("p", { class: "clip-prompt" }),
      h("p", { class: "clip-facts" }, h("span", { class: "facts" }), h("span", { class: "cost" }))));
  for (const name of ["pointerenter", "focusin"]) card.addEventListener(name, () => play(card));
  for (const name of ["pointerleave", "focusout"]) card.addEventListener(name, () => setTimeout(() => rest(card), 0));
  carryable(card, id);
  media(id, "thumbnail").then((url) => {
    for (const picture of card.querySelectorAll("img")) picture.src = url;
  }, () => {});
  return card;
}

function updateCard(card, video) {
  const { pick } = store.get();
  const waits = pick?.video.id === video.id;
  card.classList.toggle("fresh", fresh.has(video.id));
  card.classList.toggle("picked", waits);
  $(".screen", card).disabled = waits;
  $(".screen", card).setAttribute("aria-label", `${pick ? `${t("pick")} ` : ""}${t("openClip", { prompt: video.prompt })}`);
  setText($(".clip-prompt", card), video.prompt);
  const kind = video.mode && video.mode !== "create" ? [term("mode", video.mode)] : [];
  // A card is narrow: where its kind is said, its size is left to the viewer.
  setText($(".facts", card), (kind.length ? [...kind, length(video.seconds)] : [times(video.size), length(video.seconds)]).join(" · "));
  const Wh = video.energy?.total_Wh;
  setText($(".cost", card), energy(Wh));
  $(".cost", card).classList.toggle("unknown", Wh == null);
}

/** Someone's first visit: the dark screen, and words to begin with. */
function showEmpty(empty) {
  const box = $("#empty");
  box.hidden = !empty;
  if (!empty || box.dataset.language === lang()) return;
  box.dataset.language = lang();
  const example = (text) => h("li", {}, h("button", { type: "button", class: "example", onclick: () => {
    writePrompt(text);
    $("#prompt").focus();
    $("#prompt-title").scrollIntoView({ block: "nearest", behavior: calmMotion() ? "auto" : "smooth" });
  } }, h("span", { text }), icon("right")));
  // One sentence of the other language stands among them, because the model reads both.
  const sentences = lang() === "en" ? [...EXAMPLES.en, EXAMPLES.zh[0]] : [...EXAMPLES.zh, EXAMPLES.en[0]];
  box.replaceChildren(h("h2", { text: t("emptyTitle") }), h("p", { class: "said", text: t("emptyText") }), h("ul", {}, sentences.map(example)));
}

/** Only what has been loaded is summed, so the number of clips is said with it. */
function showSum(all) {
  const known = all.map((v) => v.energy?.total_Wh).filter((Wh) => Wh != null);
  const parts = [];
  if (known.length) parts.push(t("sum", { n: known.length, energy: energy(known.reduce((a, b) => a + b, 0)) }));
  if (known.length < all.length) parts.push(t("sumUnknown", { n: all.length - known.length }));
  setText($("#gallery-sum"), parts.join(" · "));
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
  const empty = loaded && !all.length && !open;
  keyed($("#gallery"), all, cards, makeCard, updateCard);
  showEmpty(empty);
  $(".library").classList.toggle("dark-screen", empty);
  $("#gallery-section .section-head").hidden = !all.length;
  $("#more").hidden = !hasMore;
  showSum(all);
}

export function startGallery() {
  $("#more").addEventListener("click", () => loadMore().catch(toastError));
  onFinished((video) => video.status === "completed" && fresh.add(video.id));
  store.on(["videos", "hasMore", "loaded", "pick"], show);
  store.on(["pick"], showPicking);
  onLanguage(() => {
    for (const node of cards.values()) node.remove(); // names of buttons are written when a card is made
    cards.clear();
    show();
    showPicking();
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && store.get().pick && !$("dialog[open]")) store.set({ pick: null });
  });
  show();
}
