// What is to be studied: a network, what grows, the weather, and how many scenarios.
import { $, h, setText } from "./dom.js";
import { gridApi } from "./api.js";
import { icon } from "./icons.js";
import { lang, onLanguage, t, term } from "./i18n.js";
import { memory } from "./store.js";
import { toastError } from "./toast.js";

const FIRST = { network: "HV-mixed-", year: "0", grows: "pv", most: 7, other: 1, weather: "world", place: true, at: "", scenarios: 100, horizon: 24, placements: 10, risk: 5, limits: "all", seed: 0, storage: false };
const LEVELS = ["HV", "MV", "LV", "EHV", "more"];
const STEPS = [0.1, 0.2, 0.25, 0.5, 1, 2];
let draft = { ...FIRST, ...memory.read("grid", {}) };
let options = { available: false, networks: [], weathers: [] };
let files = []; // uploaded networks, weather and coordinates
let loaded = false;

const set = (patch) => {
  draft = { ...draft, ...patch };
  memory.write("grid", draft);
};

/** SimBench's codes as network and state: 1-HV-mixed--0-sw. Those without switches are the same networks once more. */
function parsed() {
  const found = new Map();
  for (const { id, name } of options.networks) {
    const match = /^1-([A-Z]+)-(\w+)-([\w.]*)-(\d)-sw$/.exec(name);
    if (!match) continue;
    const [, level, kind, part, year] = match;
    const key = `${level}-${kind}-${part}`;
    if (!found.has(key)) found.set(key, { key, level: LEVELS.includes(level) ? level : "more", name: [level.replace(/V(?=.)/g, "V+"), kind, part].filter(Boolean).join(" "), years: new Map() });
    found.get(key).years.set(year, id);
  }
  return found;
}

const byPurpose = (purpose) => files.filter((f) => f.purpose === purpose);
const option = (value, text) => h("option", { value, text });

function fill(select, groups, chosen) {
  select.replaceChildren(...groups.filter(([, rows]) => rows.length).map(([name, rows]) =>
    name ? h("optgroup", { label: name }, rows.map(([v, text]) => option(v, text))) : rows.map(([v, text]) => option(v, text))).flat());
  select.value = chosen;
  if (select.selectedIndex < 0) select.selectedIndex = 0;
  return select.value;
}

function showChoices() {
  const networks = parsed();
  const own = byPurpose("network").map((f) => [`file:${f.id}`, f.filename]);
  const groups = LEVELS.map((level) => [t(`levels_${level}`), [...networks.values()].filter((n) => n.level === level).map((n) => [n.key, n.name])]);
  const network = fill($("#grid-network"), [[t("yourFiles"), own], ...groups], draft.network);
  const years = [...(networks.get(network)?.years.keys() ?? [])].sort();
  $("#scenario-field").hidden = !years.length;
  fill($("#grid-year"), [["", years.map((y) => [y, term("gridYear", y)])]], draft.year);
  const host = options.weathers.filter((w) => w.id !== "world").map((w) => [w.id, w.id]);
  const weather = fill($("#grid-weather"), [["", [["world", term("weather", "world")]]], [t("hostFiles"), host], [t("yourFiles"), byPurpose("weather").map((f) => [`file:${f.id}`, f.filename])]], draft.weather);
  $("#place-field").hidden = $("#at-field").hidden = weather === "world";
  fill($("#grid-limits"), [["", ["all", "thermal", "voltage"].map((l) => [l, term("limits", l)])]], draft.limits);
  showCoordinates();
  showAxis();
}

function showCoordinates() {
  const said = $("#grid-file-said");
  const held = $("#grid-network").value.startsWith("file:") ? byPurpose("coordinates")[0] : null;
  const used = held && draft.coordinates !== "" ? held : null;
  said.hidden = !used;
  said.replaceChildren(...(used ? [t("withCoordinates", { name: used.filename }), " ",
    h("button", { type: "button", class: "linklike", text: t("dropCoordinates"), onclick: () => (set({ coordinates: "" }), showCoordinates()) })] : []));
  return used;
}

/** A dozen growths in steps that one can say. */
export function axis(most) {
  const step = STEPS.find((s) => (most - 1) / s <= 14) ?? 2;
  const count = Math.floor((most - 1) / step + 1e-9);
  return { text: `1:${most}:${step}`, count: count + 1 };
}

function showAxis() {
  const grows = draft.grows;
  for (const [id, value] of [["#grid-most", draft.most], ["#grid-other", draft.other]]) {
    const range = $(id);
    range.value = value;
    range.style.setProperty("--filled", `${(100 * (range.value - range.min)) / (range.max - range.min)}%`);
  }
  setText($("#grid-most-said"), t("inSteps", { n: draft.most, steps: axis(draft.most).count }));
  setText($("#grid-other-said"), t("times", { n: draft.other }));
  setText($("#grid-other-name"), t(grows === "pv" ? "windStands" : "pvStands"));
  $(`input[name="grows"][value="${grows}"]`).checked = true;
}

function body() {
  const picked = (value, otherwise) => (value.startsWith("file:") ? { file_id: value.slice(5) } : otherwise(value));
  const main = axis(draft.most).text;
  const { grows } = draft;
  const coordinates = showCoordinates();
  return {
    network: picked($("#grid-network").value, (key) => parsed().get(key)?.years.get($("#grid-year").value) ?? key),
    weather: picked($("#grid-weather").value, (name) => name),
    ...(coordinates ? { coordinates: { file_id: coordinates.id } } : {}),
    pv_growth: grows === "pv" ? main : String(draft.other),
    wind_growth: grows === "wind" ? main : String(draft.other),
    scenarios: Number($("#grid-scenarios").value), horizon_h: Number($("#grid-horizon").value),
    placements: Number($("#grid-placements").value), risk: Number($("#grid-risk").value) / 100,
    limits: $("#grid-limits").value, storage: $("#grid-storage").checked, seed: Number($("#grid-seed").value) || 0,
    place: !$("#place-field").hidden && $("#grid-place").checked,
    ...($("#at-field").hidden || !$("#grid-at").value ? {} : { at: $("#grid-at").value }),
  };
}

function say(text) {
  const box = $("#study-error");
  box.hidden = !text;
  setText(box, text);
}

async function upload(input) {
  const given = [...input.files];
  input.value = "";
  say("");
  for (const file of given) {
    try {
      const kept = await gridApi.upload(file);
      files = [kept, ...files];
      if (kept.purpose === "network") set({ network: `file:${kept.id}` });
      if (kept.purpose === "weather") set({ weather: `file:${kept.id}`, place: false });
      if (kept.purpose === "coordinates") set({ coordinates: kept.id });
    } catch (error) {
      say(error.message);
    }
  }
  $("#grid-place").checked = draft.place;
  showChoices();
}

export async function loadOptions() {
  if (loaded) return;
  try {
    const [found, held] = await Promise.all([gridApi.options(), gridApi.files()]);
    options = found;
    files = held.data;
    loaded = options.ready;
    if (!loaded) setTimeout(loadOptions, 1000); // SimBench's networks come a little later
  } catch (error) {
    toastError(error);
  }
  const missing = $("#study-missing");
  missing.hidden = !options.why;
  missing.lang = "en";
  setText(missing, options.why ?? "");
  $("#study-run").disabled = !options.available;
  showChoices();
}

function bind() {
  for (const [id, name] of [["#grid-scenarios", "scenarios"], ["#grid-horizon", "horizon"], ["#grid-placements", "placements"], ["#grid-risk", "risk"], ["#grid-seed", "seed"], ["#grid-at", "at"]]) {
    $(id).value = draft[name];
    $(id).addEventListener("input", () => set({ [name]: $(id).value }));
  }
  for (const [id, name] of [["#grid-network", "network"], ["#grid-year", "year"], ["#grid-weather", "weather"], ["#grid-limits", "limits"]])
    $(id).addEventListener("change", () => (set({ [name]: $(id).value }), showChoices()));
  for (const [id, name] of [["#grid-storage", "storage"], ["#grid-place", "place"]]) {
    $(id).checked = draft[name];
    $(id).addEventListener("change", () => set({ [name]: $(id).checked }));
  }
  for (const [id, name] of [["#grid-most", "most"], ["#grid-other", "other"]]) $(id).addEventListener("input", () => (set({ [name]: Number($(id).value) }), showAxis()));
  for (const radio of document.querySelectorAll('input[name="grows"]')) radio.addEventListener("change", () => (set({ grows: radio.value }), showAxis()));
}

function nameButtons() {
  for (const [id, label] of [["#grid-upload", "uploadNetworkLabel"], ["#weather-upload", "uploadWeatherLabel"]]) {
    const button = $(id);
    button.replaceChildren(icon("add"), h("span", { text: t("uploadNetwork") }));
    button.title = t(label);
    button.setAttribute("aria-label", t(label));
  }
}

export function startForm(onMade) {
  bind();
  nameButtons();
  showChoices();
  $("#grid-upload").addEventListener("click", () => $("#grid-files").click());
  $("#weather-upload").addEventListener("click", () => $("#weather-files").click());
  for (const input of [$("#grid-files"), $("#weather-files")]) input.addEventListener("change", () => upload(input));
  $("#study-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = $("#study-run");
    button.disabled = true;
    say("");
    try {
      onMade(await gridApi.create(body()));
    } catch (error) {
      say(error.message);
    } finally {
      button.disabled = false;
    }
  });
  onLanguage(() => {
    nameButtons();
    showChoices();
    $("#study-error").lang = lang() === "en" ? "" : "en";
  });
}
