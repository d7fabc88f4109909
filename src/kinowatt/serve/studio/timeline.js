// The storyboard: a ruler of the clip's length, with footage on it.
import { $, h, keyed, setText } from "./dom.js";
import { addClip, addFile, change, extent, freePlace, isMedia, keepInRange, remove, secondOf, snap, WEAKEST } from "./anchors.js";
import { icon } from "./icons.js";
import { onLanguage, t } from "./i18n.js";
import { byId } from "./jobs.js";
import { draftSeconds, store } from "./store.js";
import { toast, toastError } from "./toast.js";

export const CLIP_TYPE = "application/x-kinowatt-clip";
const nodes = new Map();
let selected = null;

const round = (value) => Math.round(value * 100) / 100;
const limit = (value, low, high) => Math.min(high, Math.max(low, value));
const say = (text) => setText($("#timeline-said"), text);

const placeText = ({ at }) => (at === "start" ? t("atStart") : at === "end" ? t("atEnd") : `${round(at)} ${t("s")}`);
const strengthText = (v) => t(v >= 0.995 ? "strength1" : v >= 0.7 ? "strengthHigh" : v >= 0.3 ? "strengthMid" : "strengthLow");
const shortName = (name) => (name.length > 40 ? `${name.slice(0, 38)}…` : name);
const find = (key) => store.get().anchors.find((a) => a.key === key);

function tickStep(seconds) {
  return [0.1, 0.25, 0.5, 1, 2, 5, 10].find((step) => seconds / step <= 12) ?? 10;
}

function drawRuler() {
  const seconds = draftSeconds();
  const step = tickStep(seconds);
  const ticks = [];
  for (let i = 0; i * step <= seconds + 1e-9; i += 1) {
    const second = i * step;
    const left = `${(100 * second) / seconds}%`;
    const near = second > 0 && seconds - second < step * 0.6 && second !== seconds;
    ticks.push(h("span", { class: "tick major", style: { left } }, near ? null : h("i", { text: String(round(second)) })));
    for (let k = 1; k < 5 && second + (k * step) / 5 < seconds; k += 1)
      ticks.push(h("span", { class: "tick", style: { left: `${(100 * (second + (k * step) / 5)) / seconds}%` } }));
  }
  ticks.push(h("span", { class: "tick major last" }, seconds % step > 1e-6 ? h("i", { text: String(round(seconds)) }) : null));
  const reach = store.get().anchors.map((anchor) => {
    const [from, to] = extent(anchor, seconds);
    return h("span", { class: "reach", style: { left: `${(100 * from) / seconds}%`, width: `${(100 * (to - from)) / seconds}%`, "--strength": anchor.strength } });
  });
  $("#timeline .ruler").replaceChildren(...reach, ...ticks);
}

function makeAnchor(anchor) {
  const node = h("div", { class: "anchor", tabindex: "0", role: "slider", data: { key: anchor.key } },
    h("span", { class: "stem" }),
    h("span", { class: "frame" }, anchor.thumbnail ? h("img", { src: anchor.thumbnail, alt: "", draggable: "false" }) : icon("film")),
    h("span", { class: "force" }),
    // Not in the tab order: Delete does the same from the anchor itself.
    h("button", { type: "button", class: "take-off", tabindex: "-1", onclick: (e) => (e.stopPropagation(), takeOff(anchor.key)) }, icon("close")));
  node.addEventListener("pointerdown", startDrag);
  node.addEventListener("keydown", keys);
  node.addEventListener("focus", () => select(anchor.key));
  return node;
}

function updateAnchor(node, anchor) {
  const seconds = draftSeconds();
  const second = secondOf(anchor, seconds);
  const strength = anchor.strength.toFixed(2);
  node.style.setProperty("--place", second / seconds);
  node.style.setProperty("--strength", anchor.strength);
  node.classList.toggle("selected", anchor.key === selected);
  const said = { "aria-label": t("anchorLabel", { name: shortName(anchor.name), place: placeText(anchor), strength }), "aria-valuemin": 0,
    "aria-valuemax": seconds, "aria-valuenow": round(second), "aria-valuetext": `${placeText(anchor)}, ${t("strength")} ${strength}`, title: anchor.name };
  for (const [name, value] of Object.entries(said)) node.setAttribute(name, value);
  node.lastChild.setAttribute("aria-label", t("removeAnchor"));
}

function takeOff(key) {
  const anchors = store.get().anchors;
  const at = anchors.findIndex((a) => a.key === key);
  if (at < 0) return;
  const next = anchors[at + 1] ?? anchors[at - 1];
  remove(key);
  say(t("anchorGone", { name: shortName(anchors[at].name) }));
  (next ? nodes.get(next.key) : $("#add-files")).focus();
}

function keys(event) {
  const anchor = find(event.currentTarget.dataset.key);
  if (!anchor || event.ctrlKey || event.metaKey || event.altKey) return;
  const seconds = draftSeconds();
  const step = event.shiftKey ? 1 : 0.1;
  const second = secondOf(anchor, seconds);
  const turn = { ArrowLeft: -step, ArrowRight: step }[event.key];
  const force = { ArrowUp: 0.05, ArrowDown: -0.05 }[event.key];
  if (event.key === "Delete" || event.key === "Backspace") takeOff(anchor.key);
  else if (event.key === "Home") change(anchor.key, { at: "start" });
  else if (event.key === "End") change(anchor.key, { at: "end" });
  else if (turn) change(anchor.key, { at: snap(limit(second + turn, 0, seconds), seconds, 0.02) });
  else if (force) change(anchor.key, { strength: limit(round(anchor.strength + force), WEAKEST, 1) });
  else return;
  event.preventDefault();
}

const secondAt = (clientX) => {
  const box = $("#timeline .lane").getBoundingClientRect();
  return limit((clientX - box.left) / box.width, 0, 1) * draftSeconds();
};
const snapReach = () => (14 / $("#timeline .lane").clientWidth) * draftSeconds();

function startDrag(event) {
  if (event.button !== 0 || event.target.closest("button")) return;
  const node = event.currentTarget;
  const key = node.dataset.key;
  const offset = secondAt(event.clientX) - secondOf(find(key));
  const began = event.clientX;
  let moved = false;
  const drag = (e) => {
    moved ||= Math.abs(e.clientX - began) > 3;
    if (!moved) return;
    node.classList.add("dragging");
    change(key, { at: snap(limit(secondAt(e.clientX) - offset, 0, draftSeconds()), draftSeconds(), snapReach()) });
  };
  const end = () => {
    node.classList.remove("dragging");
    for (const name of ["pointermove", "pointerup", "pointercancel"]) node.removeEventListener(name, name === "pointermove" ? drag : end);
  };
  node.setPointerCapture(event.pointerId);
  node.addEventListener("pointermove", drag);
  node.addEventListener("pointerup", end);
  node.addEventListener("pointercancel", end);
}

function select(key) {
  if (selected === key) return;
  selected = key;
  show();
}

/** The line under the ruler: a hint, or the settings of the anchor that is selected. */
function showBench() {
  const bench = $("#anchor-bench");
  const anchor = find(selected);
  if (!anchor) {
    bench.dataset.key = "";
    bench.replaceChildren(h("p", { class: "said", text: store.get().anchors.length ? t("benchHint") : "" }));
    return;
  }
  if (bench.dataset.key !== anchor.key) {
    bench.dataset.key = anchor.key;
    bench.replaceChildren(...benchParts(anchor.key));
  }
  $(".bench-name", bench).textContent = anchor.name;
  $(".bench-place", bench).value = typeof anchor.at === "number" ? "second" : anchor.at;
  const second = $(".bench-second", bench);
  second.parentElement.hidden = typeof anchor.at !== "number";
  if (document.activeElement !== second) second.value = typeof anchor.at === "number" ? anchor.at : "";
  const force = $(".bench-strength", bench);
  force.value = anchor.strength;
  force.style.setProperty("--filled", `${anchor.strength * 100}%`);
  force.setAttribute("aria-valuetext", `${anchor.strength.toFixed(2)}, ${strengthText(anchor.strength)}`);
  $(".bench-force-said", bench).textContent = `${anchor.strength.toFixed(2)} · ${strengthText(anchor.strength)}`;
}

function benchParts(key) {
  const place = (e) => {
    const at = e.target.value;
    change(key, { at: at === "second" ? snap(limit(secondOf(find(key)), 0.1, draftSeconds() - 0.1), draftSeconds(), 0) : at });
  };
  const second = (e) => {
    const typed = Number.parseFloat(e.target.value);
    if (typed >= 0) change(key, { at: Math.min(round(typed), draftSeconds()) });
  };
  const options = [["start", "atStart"], ["second", "atSecond"], ["end", "atEnd"]].map(([value, word]) => h("option", { value, text: t(word) }));
  return [
    h("span", { class: "bench-name" }),
    h("select", { class: "bench-place", "aria-label": t("place"), onchange: place }, options),
    h("span", { class: "number-unit" }, h("input", { class: "bench-second", type: "number", min: "0", step: "0.1", "aria-label": t("atSecond"), oninput: second }),
      h("span", { "aria-hidden": "true", text: t("s") })),
    h("label", { class: "bench-force" }, h("span", { text: t("strength") }),
      h("input", { class: "bench-strength", type: "range", min: String(WEAKEST), max: "1", step: "0.05", oninput: (e) => change(key, { strength: Number(e.target.value) }) })),
    h("span", { class: "bench-force-said said" }),
    h("button", { type: "button", class: "quiet round", "aria-label": t("removeAnchor"), title: t("removeAnchor"), onclick: () => takeOff(key) }, icon("trash"))];
}

function show() {
  const { anchors } = store.get();
  if (selected && !find(selected)) selected = null;
  const items = anchors.map((a) => ({ ...a, id: a.key, file: a.id }));
  keyed($("#timeline .lane"), items, nodes, makeAnchor, updateAnchor);
  $("#timeline").classList.toggle("empty", !anchors.length);
  $(".lane-hint").hidden = anchors.length > 0;
  drawRuler();
  showBench();
}

/** Upload files and place them, the first at `at`. */
export async function placeFiles(files, at = null) {
  let place = at;
  for (const file of files) {
    if (!isMedia(file)) {
      toast(t("notMedia", { name: file.name }), { error: true });
      continue;
    }
    const timeline = $("#timeline");
    timeline.classList.add("busy");
    say(t("uploading", { name: file.name }));
    try {
      placed(await addFile(file, place ?? freePlace()));
    } catch (error) {
      toastError(error);
    } finally {
      timeline.classList.remove("busy");
    }
    place = null;
  }
}

function placed(anchor) {
  selected = anchor.key;
  show();
  say(t("anchorAdded", { name: shortName(anchor.name), place: placeText(anchor) }));
}

export const placeClip = (video, at = null) => addClip(video, at ?? freePlace()).then(placed);

function startDrops() {
  const timeline = $("#timeline");
  const wanted = (e) => e.dataTransfer && [...e.dataTransfer.types].some((type) => type === "Files" || type === CLIP_TYPE);
  const over = (e) => {
    if (!wanted(e)) return;
    e.preventDefault();
    e.dataTransfer.dropEffect = "copy";
    timeline.classList.add("over");
    timeline.style.setProperty("--drop", secondAt(e.clientX) / draftSeconds());
  };
  timeline.addEventListener("dragenter", over);
  timeline.addEventListener("dragover", over);
  timeline.addEventListener("dragleave", (e) => timeline.contains(e.relatedTarget) || timeline.classList.remove("over"));
  timeline.addEventListener("drop", (e) => {
    timeline.classList.remove("over");
    if (!wanted(e)) return;
    e.preventDefault();
    const at = snap(secondAt(e.clientX), draftSeconds(), snapReach());
    const clip = byId(e.dataTransfer.getData(CLIP_TYPE));
    if (clip) placeClip(clip, at).catch(toastError);
    else placeFiles([...e.dataTransfer.files], at);
  });
  // A file that misses the ruler must not replace the page.
  for (const name of ["dragover", "drop"]) addEventListener(name, (e) => wanted(e) && e.preventDefault());
}

function labelButton() {
  $("#add-files").replaceChildren(icon("add"), h("span", { text: t("addFiles") }));
}

export function startTimeline() {
  startDrops();
  labelButton();
  $("#add-files").addEventListener("click", () => $("#files").click());
  $("#files").addEventListener("change", (e) => {
    placeFiles([...e.target.files]);
    e.target.value = "";
  });
  addEventListener("paste", (e) => {
    const files = [...(e.clipboardData?.files ?? [])].filter(isMedia);
    if (files.length) placeFiles(files);
  });
  let seconds = draftSeconds();
  const lengthChanged = () => {
    if (seconds === draftSeconds()) return;
    seconds = draftSeconds();
    keepInRange();
    show();
  };
  store.on(["draft", "models"], lengthChanged);
  store.on(["anchors"], show);
  onLanguage(() => {
    $("#anchor-bench").dataset.key = "";
    labelButton();
    show();
  });
  show();
}
