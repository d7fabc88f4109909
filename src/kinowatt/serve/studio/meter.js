// Before: what the shot will cost, drawn as an instrument. And the button that spends it.
import { $, debounce, h, s, setText } from "./dom.js";
import { api } from "./api.js";
import { carbon, clock, duration, energyBand, energyParts, sizeOf } from "./format.js";
import { onLanguage, t, tag } from "./i18n.js";
import { requestBody } from "./composer.js";
import { remember, upsert } from "./jobs.js";
import { store } from "./store.js";
import { toast } from "./toast.js";

const LOW_WH = 1e-4;
const LABELS = ["0.1 mWh", "1", "10", "100", "1 Wh", "10", "100"];
const DECADES = LABELS.length - 1;
const place = (Wh) => Math.min(1, Math.max(0, Math.log10(Wh / LOW_WH) / DECADES));
const WIDTH = 1000;

/** A logarithmic scale: ticks, the band where 8 of 10 clips fell, and a needle at the prediction. */
function gauge(predicted) {
  const ticks = [];
  for (let decade = 0; decade <= DECADES; decade += 1) {
    for (let i = 1; i < 10 && (decade < DECADES || i === 1); i += 1) {
      const x = (WIDTH * (decade + Math.log10(i))) / DECADES;
      ticks.push(s("line", { class: i === 1 ? "tick decade" : "tick", x1: x, x2: x, y1: i === 1 ? 12 : 17, y2: 24 }));
    }
  }
  const parts = [...ticks];
  if (predicted) {
    const [low, high] = [predicted.p10_Wh ?? predicted.Wh, predicted.p90_Wh ?? predicted.Wh].map((v) => WIDTH * place(v));
    parts.push(s("rect", { class: "band", x: low, y: 12, width: Math.max(4, high - low), height: 12, rx: 2 }));
    const x = WIDTH * place(predicted.Wh);
    parts.push(s("rect", { class: "needle", x: x - 2.5, y: 3, width: 5, height: 24, rx: 2.5 }));
  }
  const scale = LABELS.map((text, d) => h("span", { text, style: { left: `${(100 * d) / DECADES}%` } }));
  return h("div", { class: "gauge", "aria-hidden": "true" },
    s("svg", { viewBox: `-4 0 ${WIDTH + 8} 28`, preserveAspectRatio: "none" }, parts), h("div", { class: "scale" }, scale));
}

function words(title, text) {
  return h("div", { class: "readout" }, h("p", { class: "headline", text: title }), h("p", { class: "said", text }));
}

/** Grams of what is predicted, at the present intensity of the server's grid. */
function predictedCarbon({ carbon_gCO2e: grams, zone, intensity_year: year, intensity_gCO2e_per_kWh: g }) {
  if (grams == null) return null;
  return h("span", { class: "grams", text: carbon(grams), title: t("labelGridLine", { zone, year: year ?? "?", g: Math.round(g) }) });
}

function readout(predicted) {
  const [value, unit] = energyParts(predicted.Wh);
  const { p10_Wh: low, p90_Wh: high } = predicted;
  const spread = low != null && high != null ? energyBand(low, high) : null;
  return h("div", { class: "readout" },
    h("p", { class: "figures" }, h("span", { class: "unseen", text: `${t("predicted")}: ` }),
      h("span", { class: "big" }, h("span", { class: "value", text: value }), " ", h("span", { class: "unit", text: unit })),
      h("span", { class: "time" }, h("span", { text: t("about", { time: duration(predicted.seconds) }) }), predictedCarbon(predicted))),
    spread ? h("p", { class: "said", text: spread }) : null,
    h("p", { class: "said basis", title: predicted.how ?? null, text: predicted.clips ? t("basisClips", { n: predicted.clips }) : t("basisGuess") }));
}

function showPredicted() {
  const { plan, planError } = store.get();
  const box = $("#predicted");
  const predicted = plan?.predicted && plan.predicted.Wh != null ? plan.predicted : null;
  box.classList.toggle("idle", !predicted);
  if (predicted) box.replaceChildren(readout(predicted), gauge(predicted));
  else if (plan) box.replaceChildren(words(t("noPrediction"), t("noPredictionHint")), gauge(null));
  else box.replaceChildren(words(t("idlePrediction"), t("idlePredictionHint")), gauge(null));
  const error = $("#generate-error");
  error.hidden = !planError;
  error.lang = "en";
  setText(error, planError);
  $("#frames").textContent = plan?.frames ? t("frames", { n: plan.frames }) : "";
}

function showNotes() {
  const { plan, draft } = store.get();
  const warnings = plan?.warnings ?? [];
  // What a limit decides stands among the plan's warnings; on a guess nothing is decided yet.
  const later = plan?.predicted?.clips === 0 && (draft.budget_wh || draft.budget_gco2e) ? t("budgetLater") : "";
  $(".notes").hidden = !warnings.length && !later;
  // One line for each sentence: three pictures that are cut alike are told of once. The server's sentences are English, whatever the page's language.
  const often = (text) => warnings.filter((other) => other === text).length;
  const lines = [...new Set(warnings)].map((text) => (often(text) > 1 ? `${text} (${often(text)} ×)` : text));
  $("#notes").replaceChildren(...(later ? [h("li", { text: later })] : []), ...lines.map((text) => h("li", { text, lang: tag() === "en" ? null : "en" })));
}

let asking = null;

const plan = debounce(250, async () => {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const body = requestBody();
  // A size that is still being typed is told of beside its field, and needs no server.
  if (!body.prompt || (body.size && !sizeOf(body.size))) return store.set({ plan: null, planError: "" });
  try {
    store.set({ plan: await api.plan(body, signal), planError: "" });
  } catch (error) {
    if (!signal.aborted) store.set({ plan: null, planError: error.message });
  }
});

/** What came of "ready by": that it waits, or the server's sentence why it does not. */
function deadlineWords({ deadline, not_before: begin, warnings }) {
  if (!deadline) return "";
  if (begin * 1000 > Date.now()) return t("waitsGreen", { time: clock(begin) });
  const planned = new Set(store.get().plan?.warnings);
  return warnings.filter((text) => !planned.has(text)).join(" · ");
}

export async function generate() {
  const button = $("#generate");
  if (button.getAttribute("aria-busy") === "true") return;
  const body = requestBody();
  if (!body.prompt) {
    $("#prompt").focus();
    return toast(t("idlePredictionHint"));
  }
  button.setAttribute("aria-busy", "true");
  try {
    const video = await api.create(body);
    remember(video.id, body);
    upsert(video);
    toast(deadlineWords(video) || t("queuedToast", { prompt: body.prompt.slice(0, 60) }));
  } catch (error) {
    store.set({ planError: error.message });
  } finally {
    button.removeAttribute("aria-busy");
  }
}

export function startMeter() {
  $("#generate").addEventListener("click", generate);
  addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || $("dialog[open]")) return;
    event.preventDefault();
    generate();
  });
  store.on(["draft", "anchors", "models"], plan);
  store.on(["plan", "planError", "loaded"], () => {
    showPredicted();
    showNotes();
  });
  onLanguage(() => {
    showPredicted();
    showNotes();
  });
  showPredicted();
  plan();
}

/** After a clip has been made there is more history: ask again. */
export const planAgain = plan;
