// One study: its progress, its map while it fills, and what it found.
import { $, h, saveFile, setText } from "./dom.js";
import { gridApi, hasKey } from "./api.js";
import { carbon, duration, energy, energyParts, megawatts, percent } from "./format.js";
import { dropStudy, isOpen, shortName, upsertStudies } from "./grid.js";
import { drawChart, numbers, WEATHERS } from "./grid-chart.js";
import { classOf, colourBar, drawMap } from "./grid-map.js";
import { icon } from "./icons.js";
import { onLanguage, t, term } from "./i18n.js";
import { toastError } from "./toast.js";

const LISTED = 6;
let study = null;
let map = null; // the map's numbers, and how many growths were in it when it was fetched
let fetched = { id: "", maps: -1 };
let summary = null;
let drawing = null;
let weather = "field";
let index = 0;
let chosen = false; // the growth was picked by hand: it no longer follows the computation
let root = null;
let asked = ""; // what is being fetched

/** The last growth that the weather has: the map fills from the left. */
const latest = () => Math.max(0, map.weathers[weather].risk.findLastIndex((r) => r !== null));

export function showStudy(next) {
  if (next?.id !== study?.id) {
    Object.assign(fetched, { id: next?.id ?? "", maps: -1 });
    [map, summary, drawing, index, chosen, weather] = [null, null, null, 0, false, "field"];
    study = next;
    layOut();
  }
  study = next;
  if (!study) return;
  showHead();
  fetchMore();
}

/** The map whenever it has grown, the summary at the end. */
async function fetchMore() {
  const { id, maps, status } = study;
  const wantsMap = maps !== null && maps > fetched.maps;
  const wantsSummary = status === "completed" && !summary;
  if (asked === id || !(wantsMap || wantsSummary)) return;
  asked = id;
  try {
    const [newMap, newSummary] = await Promise.all([wantsMap ? gridApi.map(id) : map, wantsSummary ? gridApi.summary(id) : summary]);
    if (study?.id !== id) return;
    fetched.maps = maps;
    map = newMap;
    summary = newSummary;
    if (summary && !chosen) index = Math.max(0, map.growth.indexOf(summary.map.growth));
    else if (map && !chosen) index = latest();
    showMap();
    showFound();
  } catch (error) {
    toastError(error);
  } finally {
    asked = "";
    if (study?.id === id && (study.maps !== maps || study.status !== status)) fetchMore(); // it went on meanwhile
  }
}

function layOut() {
  drawing = null;
  if (!study) {
    root.replaceChildren(h("div", { class: "study-empty" }, h("h2", { text: t("gridEmpty") }), h("p", { class: "said", text: t("gridEmptyText") })));
    return;
  }
  root.replaceChildren(
    h("header", { class: "study-head" }, h("div", {}, h("h2", { class: "study-name" }), h("p", { class: "said study-line" })), h("div", { class: "study-buttons" })),
    h("div", { class: "study-progress" }),
    h("p", { class: "study-fault", role: "alert", lang: "en", hidden: true }),
    h("dl", { class: "found", hidden: true }),
    h("div", { class: "study-cards", hidden: true },
      h("section", { class: "card map-card", "aria-labelledby": "map-title" }), h("section", { class: "card chart-card", "aria-labelledby": "chart-title" }),
      h("section", { class: "card film-card", "aria-labelledby": "film-title", hidden: true }), h("section", { class: "card files-card", "aria-labelledby": "files-title", hidden: true })));
}

function showHead() {
  setText($(".study-name", root), shortName(study.network));
  setText($(".study-line", root), t("studyLine", { weather: study.at ? t("goesOn", { weather: study.weather, at: study.at }) : term("weather", study.weather), n: study.scenarios, h: study.horizon_h, p: study.placements, risk: percent(study.risk) }));
  const buttons = $(".study-buttons", root);
  const kind = isOpen(study) ? "cancel" : "delete";
  if (buttons.dataset.kind !== kind) {
    buttons.dataset.kind = kind;
    buttons.replaceChildren(kind === "cancel"
      ? h("button", { type: "button", class: "plain study-cancel", onclick: stop }, icon("close"), h("span", { text: t("cancelStudy") }))
      : h("button", { type: "button", class: "quiet round study-delete", title: t("deleteStudy"), "aria-label": t("deleteStudy"), onclick: remove }, icon("trash")));
  }
  showProgress();
  const fault = $(".study-fault", root);
  fault.hidden = study.status !== "failed";
  setText(fault, study.status === "failed" ? study.error.message : "");
}

function showProgress() {
  const box = $(".study-progress", root);
  box.hidden = !isOpen(study);
  if (box.hidden) return box.replaceChildren();
  if (!box.firstChild) {
    box.append(h("div", { class: "bar-track", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100", "aria-label": t("studies") }, h("span", { class: "bar-fill" })),
      h("p", { class: "job-state" }, h("span", { class: "phase" }), h("span", { class: "cost" })), h("p", { class: "said study-note", lang: "en" }));
  }
  const track = $(".bar-track", box);
  track.setAttribute("aria-valuenow", study.progress);
  track.firstChild.style.setProperty("--done", study.progress / 100);
  const waits = study.status === "queued";
  setText($(".study-note", box), map ? "" : (study.notes.at(-1) ?? ""));
  setText($(".phase", box), waits ? t(study.done ? "waiting" : "queuedStudy") : `${term("study", study.phase)}${study.of > 1 ? ` · ${t("nOf", { done: study.done, of: study.of })}` : ""}`);
  setText($(".cost", box), study.energy?.total_Wh == null ? "" : `${t("soFar", { energy: energy(study.energy.total_Wh) })} · ${duration(study.energy.wall_s)}`);
  return undefined;
}

async function stop(event) {
  event.currentTarget.disabled = true;
  try {
    upsertStudies(await gridApi.cancel(study.id));
  } catch (error) {
    toastError(error);
  }
}

async function remove(event) {
  const button = event.currentTarget;
  if (!button.classList.contains("sure")) {
    button.classList.replace("round", "sure");
    button.append(h("span", { text: t("deleteSure") }));
    return;
  }
  try {
    await gridApi.remove(study.id);
    dropStudy(study.id);
  } catch (error) {
    toastError(error);
  }
}

/** What stands beside the pointer; on a touch screen, beside the finger until something else is touched. */
function tip(event, rows) {
  const box = $(".tip", root);
  if (!box) return;
  box.hidden = !event;
  if (!event) return;
  box.replaceChildren(...rows.map(([name, value]) => h("div", {}, h("b", { text: name }), value && h("span", { text: value }))));
  const card = $(".map-holder", root).getBoundingClientRect();
  const [x, y] = [event.clientX - card.left, event.clientY - card.top];
  box.style.left = `${Math.min(Math.max(x, 0), card.width - box.offsetWidth / 2) - (x > card.width / 2 ? box.offsetWidth + 12 : -14)}px`;
  box.style.top = `${Math.min(Math.max(y - box.offsetHeight / 2, 0), card.height - box.offsetHeight)}px`;
}

function makeMapCard() {
  const card = $(".map-card", root);
  drawing = drawMap(map, tip);
  const chips = h("div", { class: "choice small", role: "radiogroup", "aria-label": t("weatherSort") }, WEATHERS.map((w) =>
    h("label", {}, h("input", { type: "radio", name: "map-weather", value: w, checked: w === weather, onchange: () => ((weather = w), paint()) }), h("span", { text: t(w) }))));
  const slider = h("input", { type: "range", id: "map-growth", min: 0, max: map.growth.length - 1, step: 1, "aria-label": t("growth"),
    oninput: (e) => ((chosen = true), (index = Number(e.target.value)), paint()) });
  card.replaceChildren(h("div", { class: "card-head" }, h("h3", { id: "map-title", text: t("mapTitle") }), chips),
    h("div", { class: "map-holder" }, drawing.svg, h("div", { class: "tip", hidden: true, role: "status" })), colourBar(),
    h("div", { class: "growth" }, slider, h("output", { for: "map-growth", class: "growth-said" })), h("div", { class: "worst" }));
}

function showMap() {
  $(".study-cards", root).hidden = !map;
  if (!map) return;
  if (!drawing) makeMapCard();
  paint();
}

function paint() {
  const held = map.weathers[weather];
  const shares = held.elements[index];
  drawing.paint(shares, held.buses[index], map.growth[index]);
  const slider = $("#map-growth", root);
  slider.value = index;
  slider.style.setProperty("--filled", `${map.growth.length > 1 ? (100 * index) / (map.growth.length - 1) : 100}%`);
  const at = t("atGrowth", { growth: map.growth[index], mw: megawatts(map.installed_MW[index]) });
  const said = held.risk[index] === null ? t("notYet") : t("riskHere", { risk: percent(held.risk[index]) });
  slider.setAttribute("aria-valuetext", `${at}: ${said}`);
  $(".growth-said", root).replaceChildren(h("b", { text: at }), h("span", { text: said }));
  const hit = shares?.filter((p) => p > 0).length ?? 0;
  drawing.svg.setAttribute("aria-label", t("mapAlt", { network: map.network, lines: map.elements.length, buses: map.buses.length, growth: map.growth[index], hit }));
  showWorst(shares);
  showChart();
}

function showWorst(shares) {
  const ranked = (shares ?? []).map((p, i) => [p, i]).filter(([p]) => p > 0).sort((a, b) => b[0] - a[0]).slice(0, LISTED);
  const marks = (i) => ({ onpointerenter: () => drawing.mark(i), onpointerleave: () => drawing.mark(null), onfocus: () => drawing.mark(i), onblur: () => drawing.mark(null) });
  $(".worst", root).replaceChildren(h("h4", { text: t("worstElements") }),
    ranked.length ? h("ol", {}, ranked.map(([p, i]) => h("li", {}, h("button", { type: "button", class: "worst-row", ...marks(i) }, h("i", { class: `swatch p${classOf(p)}` }), h("span", { text: map.elements[i].name || map.elements[i].kind }), h("b", { text: percent(p) })))))
      : h("p", { class: "said", text: shares ? t("noneAbove") : t("notYet") }));
}

function showChart() {
  const card = $(".chart-card", root);
  const open = $("details", card)?.open ?? false;
  const pick = (i) => ((chosen = true), (index = i), paint());
  card.replaceChildren(h("div", { class: "card-head" }, h("h3", { id: "chart-title", text: t("riskTitle") })), drawChart(map, summary, index, pick),
    h("details", { class: "advanced numbers-box", open }, h("summary", { text: t("numbers") }), numbers(map, summary, index)));
}

/** Hosting capacity, what limits it, and what the study itself has cost. */
function showFound() {
  const box = $(".found", root);
  box.hidden = !summary;
  if (!summary) return;
  const row = summary.hosting_capacity[0];
  const mw = (v) => `${megawatts(v)} MW`;
  const [limit, times] = Object.entries(row.limiting)[0];
  const [value, unit] = energyParts(study.energy?.total_Wh);
  const figure = (name, big, words, more) => h("div", { class: name }, h("dt", { text: words }), h("dd", {}, h("b", {}, big), more && h("span", { text: more })));
  box.replaceChildren(
    figure("capacity", mw(row.P50_MW), t("hosting", { kind: t(summary.axis.kind) }), t("hostingBand", { low: megawatts(row.P5_MW), high: megawatts(row.P95_MW) })),
    figure("in-place", mw(summary.weathers.field.hosted_MW), t("inPlace"), t("inPlaceBeside", { pixel: mw(summary.weathers.pixel.hosted_MW), independent: mw(summary.weathers.independent.hosted_MW) })),
    figure("limit", limit, t("limitedBy", { n: times, all: row.placements.length })),
    figure("energy", `${value} ${unit}`, t("studyEnergy", { time: duration(study.energy?.wall_s) }), carbon(study.energy?.carbon_gCO2e)));
  showFilm();
  showFiles();
}

function showFilm() {
  const card = $(".film-card", root);
  card.hidden = false;
  const film = h("video", { controls: true, muted: true, loop: true, playsinline: true, preload: "metadata" });
  gridApi.film(study.id).then((url) => (film.src = url), () => (card.hidden = true));
  card.replaceChildren(h("div", { class: "card-head" }, h("h3", { id: "film-title", text: t("filmTitle") })), film);
}

/** A link to a file; with a key, which links cannot send, the bytes are fetched and saved. */
function link(name, text, className, opens = false) {
  const take = async (event) => {
    if (!hasKey()) return;
    event.preventDefault();
    try {
      saveFile(await gridApi.bytes(study.id, name), name);
    } catch (error) {
      toastError(error);
    }
  };
  return h("a", { class: className, href: gridApi.path(study.id, name), target: opens ? "_blank" : null, rel: opens ? "noopener" : null, download: opens ? null : name, onclick: take }, text);
}

function showFiles() {
  const card = $(".files-card", root);
  card.hidden = false;
  const there = new Set(study.files.map((f) => f.name));
  const tables = study.files.filter((f) => /\.(csv|nc)$/.test(f.name) && f.bytes > 0);
  card.replaceChildren(h("div", { class: "card-head" }, h("h3", { id: "files-title", text: t("filesTitle") })),
    h("div", { class: "file-buttons" }, there.has("report.html") && link("report.html", t("openReport"), "plain report", true), there.has("study.zip") && link("study.zip", t("saveAll"), "plain"), there.has("weather.mp4") && link("weather.mp4", t("saveFilm"), "plain")),
    h("p", { class: "tables" }, tables.map((f) => link(f.name, f.name, "linklike"))));
}

export function startResult() {
  root = $("#study");
  layOut();
  onLanguage(() => {
    layOut();
    if (!study) return;
    showHead();
    if (map) showMap();
    showFound();
  });
}
