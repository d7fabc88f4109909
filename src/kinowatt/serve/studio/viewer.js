// One clip, large: what it is, what can be done with it, what it cost.
import { $, calmMotion, h } from "./dom.js";
import { asAnchor, copy, download, extend, pickFor, remix, remove } from "./actions.js";
import { api, media } from "./api.js";
import { how } from "./bill.js";
import { carbon, clock, duration, energy, length, times, when } from "./format.js";
import { icon } from "./icons.js";
import { onLanguage, t, term } from "./i18n.js";
import { byId, clips } from "./jobs.js";
import { grade, labelView } from "./label.js";
import { store } from "./store.js";

const dialog = () => $("#viewer");
let shown = null; // id
let label = null; // a promise of its label: asked for once, when the clip is shown
let opener = null; // where focus goes back to

const button = (className, picture, word, run) =>
  h("button", { type: "button", class: `tool ${className}`, onclick: run }, icon(picture), h("span", { text: t(word) }));

const close = () => dialog().close();

function adds() {
  const typed = Number.parseFloat($("#adds")?.value);
  return typed > 0 ? Math.min(60, typed) : null;
}

/** A deed that makes a new job: the dialog closes, and the queue shows what comes of it. */
const then = (run) => async () => {
  const done = await run();
  if (done) close();
};

function continueTools(video) {
  const own = store.get().models.find((m) => m.id === video.model)?.seconds ?? video.seconds;
  return h("section", { class: "tools" },
    h("div", { class: "tools-head" }, h("h3", { text: t("continues") }),
      h("label", { class: "number-unit adds" }, h("span", { text: t("adds") }),
        h("input", { id: "adds", type: "number", min: "0.1", max: "60", step: "0.1", value: String(Number(own)), "aria-label": t("addsLabel") }), h("span", { text: t("s") }))),
    h("div", { class: "tool-row" },
      button("extend-backward", "backward", "backward", then(() => extend(video, "backward", adds()))),
      button("extend-forward", "forward", "forward", then(() => extend(video, "forward", adds()))),
      button("loop", "loop", "loop", then(() => extend(video, "loop", adds()))),
      button("connect", "connect", "connect", () => {
        const seconds = adds();
        close();
        pickFor(video, seconds);
      })));
}

function remixForm(video, open) {
  const text = h("textarea", { id: "remix-prompt", rows: "2", value: video.prompt, required: true });
  const force = h("input", { id: "remix-strength", type: "range", min: "0.05", max: "1", step: "0.05", value: "0.5" });
  const said = h("span", { class: "said", text: "0.50" });
  const paint = () => {
    force.style.setProperty("--filled", `${force.value * 100}%`);
    said.textContent = Number(force.value).toFixed(2);
  };
  force.addEventListener("input", paint);
  paint();
  const go = then(() => text.value.trim() && remix(video, text.value.trim(), Number(force.value)));
  return h("form", { id: "remix-form", hidden: !open, onsubmit: (e) => (e.preventDefault(), go()) },
    h("label", { class: "field" }, h("span", { text: t("remixPrompt") }), text),
    h("label", { class: "bench-force" }, h("span", { text: t("remixStrength") }), force, said),
    h("button", { id: "remix-go", class: "accent" }, h("span", { text: t("remixGo") })));
}

/** Deleting asks once more, in place. */
function deleteButton(video) {
  const node = button("delete", "trash", "remove", async () => {
    if (!node.classList.contains("sure")) {
      node.classList.add("sure");
      node.lastChild.textContent = t("deleteSure");
      setTimeout(() => {
        node.classList.remove("sure");
        node.lastChild.textContent = t("remove");
      }, 4000);
      return;
    }
    if (await remove(video)) close();
  });
  return node;
}

function toolSections(video, view) {
  const toggle = () => {
    const form = $("#remix-form");
    form.hidden = !form.hidden;
    $(".remix", dialog()).setAttribute("aria-expanded", String(!form.hidden));
    if (!form.hidden) $("#remix-prompt").focus();
  };
  const remixButton = button("remix", "remix", "remix", toggle);
  remixButton.setAttribute("aria-expanded", String(view === "remix"));
  return [continueTools(video),
    h("section", { class: "tools" }, h("h3", { text: t("change") }), h("div", { class: "tool-row" }, remixButton,
      button("copy", "copy", "copy", () => (close(), copy(video))), button("as-anchor", "anchor", "asAnchor", () => (close(), asAnchor(video))),
      button("download", "download", "download", () => download(video)), deleteButton(video)), remixForm(video, view === "remix"))];
}

function facts(video) {
  const camera = video.camera ?? {};
  const look = [["move", camera.move], ["angle", camera.angle], ["shot", camera.shot], ["lens_mm", camera.lens_mm], ["light", video.light], ["mood", video.mood]]
    .filter(([, value]) => value != null && value !== "").map(([slot, value]) => term(slot, value));
  const source = (video.sources ?? []).map((id) => byId(id)?.prompt ?? id);
  const rows = [[t("size"), times(video.size)], [t("seconds"), length(video.seconds)], [t("seed"), video.seed], [t("steps"), video.steps], [t("guidance"), video.guidance],
    [t("cache"), video.cache > 1 ? video.cache : null],
    [t("budget"), video.budget_wh], [t("budgetCarbon"), video.budget_gco2e], [t("readyBy"), video.deadline ? clock(video.deadline) : null], [t("model"), video.model], [t("mode"), video.mode && video.mode !== "create" ? term("mode", video.mode) : null], [t("from"), source.join(" → ")],
    [t("camera"), look.join(" · ")], [t("negative"), video.negative_prompt], [t("unknownWords"), (video.not_understood ?? []).join(" · ")],
    [t("took"), video.energy?.wall_s != null ? duration(video.energy.wall_s) : null], [t("made"), video.completed_at ? when(video.completed_at) : null]];
  return h("dl", { class: "fact-list" }, rows.filter(([, value]) => value != null && value !== "").map(([name, value]) =>
    h("div", {}, h("dt", { text: name }), h("dd", { text: String(value) }))));
}

function bill(video) {
  const { energy: spent } = video;
  const known = spent?.total_Wh == null ? "" : t(how(spent));
  const badge = h("span", { class: "bill-grade" });
  label.then(({ figures }) => badge.append(grade(figures) ?? ""), () => {}); // without a label there is no class
  return h("button", { type: "button", class: "bill-card show-label", onclick: () => showLabel(video) },
    badge, h("span", { class: "bill-figures" }, h("span", { class: "big", text: energy(spent?.total_Wh) }), h("span", { class: "said", text: [carbon(spent?.carbon_gCO2e), known].filter(Boolean).join(" · ") })),
    h("span", { class: "bill-open" }, icon("label"), h("span", { text: t("showLabel") })));
}

async function showLabel(video) {
  const side = $(".viewer-side", dialog());
  const panel = $("#label");
  side.classList.add("with-label");
  panel.hidden = false;
  panel.replaceChildren(h("p", { class: "said", text: "…" }));
  const back = h("button", { type: "button", class: "plain", onclick: () => hideLabel(true) }, icon("left"), h("span", { text: t("labelBack") }));
  try {
    const found = await label;
    if (shown !== video.id) return;
    panel.replaceChildren(h("div", { class: "label-tools" }, back), ...labelView(video, found));
  } catch (error) {
    panel.replaceChildren(h("div", { class: "label-tools" }, back), h("p", { text: t("labelNone") }), h("p", { class: "said", text: error.message }));
  }
  back.focus({ preventScroll: true });
  side.scrollTop = 0;
}

function hideLabel(focus) {
  $(".viewer-side", dialog()).classList.remove("with-label");
  $("#label").hidden = true;
  if (focus) $(".show-label", dialog()).focus();
}

const view = () => ($("#label")?.hidden === false ? "label" : "");

function step(by) {
  const all = clips();
  const next = all[all.findIndex((v) => v.id === shown) + by];
  if (next) render(next, view());
}

function stage(video) {
  const all = clips();
  const at = all.findIndex((v) => v.id === video.id);
  const picture = h("video", { loop: true, muted: true, controls: true, playsinline: true, autoplay: !calmMotion(), "aria-label": video.prompt });
  const [width, height] = video.size.split("x").map(Number);
  picture.style.setProperty("--ratio", width / height);
  picture.width = width;
  picture.height = height;
  media(video.id, "thumbnail").then((url) => (picture.poster = url), () => {});
  media(video.id, "video").then((url) => (picture.src = url), () => {});
  const turn = (by, className, picture, word) => h("button", { type: "button", class: `round turn ${className}`, "aria-label": t(word), title: t(word), disabled: !all[at + by],
    onclick: () => step(by) }, icon(picture));
  return h("div", { class: "stage" }, picture, turn(-1, "newer", "left", "previous"), turn(1, "older", "right", "next"));
}

function render(video, view = "") {
  shown = video.id;
  label = api.label(video.id);
  label.catch(() => {}); // told of where it is shown
  const held = dialog().contains(document.activeElement) ? document.activeElement.className : "";
  dialog().setAttribute("aria-label", video.prompt);
  dialog().dataset.id = video.id;
  dialog().replaceChildren(stage(video),
    h("div", { class: "viewer-side" },
      h("button", { type: "button", class: "quiet round viewer-close", "aria-label": t("close"), title: t("close"), onclick: close }, icon("close")),
      h("p", { class: "viewer-prompt", text: video.prompt }),
      h("div", { class: "viewer-info" }, bill(video), toolSections(video, view), facts(video)),
      h("div", { id: "label", hidden: true })));
  if (view === "label") showLabel(video);
  else if (view === "remix") $("#remix-prompt").focus();
  else if (held) [...dialog().querySelectorAll("button")].find((b) => b.className === held && !b.disabled)?.focus();
}

export function openViewer(id, view = "") {
  const video = byId(id);
  if (!video) return;
  opener = document.activeElement;
  dialog().replaceChildren();
  if (!dialog().open) dialog().showModal();
  render(video, view);
  if (!view) $(".viewer-close", dialog()).focus();
}

export function startViewer() {
  dialog().addEventListener("click", (e) => e.target === dialog() && close());
  dialog().addEventListener("close", () => {
    shown = null;
    document.body.append($("#toasts"));
    dialog().replaceChildren();
    if (opener?.isConnected) opener.focus();
  });
  dialog().addEventListener("keydown", (e) => {
    if (e.target.closest("input, textarea, select, video") || e.altKey || e.ctrlKey || e.metaKey) return;
    const by = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
    if (by) step(by);
  });
  store.on(["videos"], () => shown && !byId(shown) && close());
  onLanguage(() => shown && render(byId(shown), view()));
}
