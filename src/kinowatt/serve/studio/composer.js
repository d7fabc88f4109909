// Everything of a shot but its words and its footage: camera, light, size, length, and what is under "advanced".
import { $, h, s, setText } from "./dom.js";
import { duration, sizeOf, times } from "./format.js";
import { onLanguage, t, term } from "./i18n.js";
import { EMPTY_DRAFT, currentModel, draftSeconds, setDraft, store } from "./store.js";
import { SLOT_OF } from "./terms.js";
import { writePrompt } from "./prompt.js";

const CONTROLS = Object.keys(SLOT_OF);
const PLAIN = ["negative_prompt", "seed", "steps", "guidance", "cache", "budget_wh", "budget_gco2e", "deadline"];
const LONGEST_S = 60;

// The slider is quadratic: most clips are short, and a tenth of a second matters more at 1 s than at 50 s.
const toSlider = (seconds) => Math.round(1000 * Math.sqrt(seconds / LONGEST_S));
const fromSlider = (place) => {
  const seconds = LONGEST_S * (place / 1000) ** 2;
  const step = seconds < 4 ? 0.1 : seconds < 12 ? 0.5 : 1;
  return Number(Math.max(0.2, Math.round(seconds / step) * step).toFixed(2));
};

/** What the prompt's own words say about a control, so that an open control can tell. */
function fromWords(control) {
  const slot = SLOT_OF[control];
  const span = store.get().reading.spans.findLast(([, , token]) => token?.startsWith(`${slot}=`));
  return span ? span[2].slice(slot.length + 1) : "";
}

function fillControl(control) {
  const select = $(`#${control}`);
  const values = currentModel()?.controls?.[control] ?? [];
  const said = fromWords(control);
  const { draft } = store.get();
  const chosen = draft[control];
  const first = said ? t("fromWords", { value: term(control, said) }) : t("open");
  // A value copied from an older clip may be one that this model does not name.
  const all = chosen && !values.map(String).includes(String(chosen)) ? [...values, chosen] : values;
  const options = [["", first], ...all.map((value) => [String(value), term(control, value)])];
  const now = [...select.options].map((o) => `${o.value}|${o.text}`).join();
  if (now !== options.map(([v, text]) => `${v}|${text}`).join())
    select.replaceChildren(...options.map(([value, text]) => h("option", { value, text })));
  select.value = String(chosen);
  select.classList.toggle("set", Boolean(chosen));
  select.classList.toggle("said", !chosen && Boolean(said));
}

const fillControls = () => CONTROLS.forEach(fillControl);

function shape([width, height]) {
  const scale = 15 / Math.max(width, height);
  const [w, hh] = [width * scale, height * scale];
  return s("svg", { class: "shape", viewBox: "0 0 18 18", "aria-hidden": "true" },
    s("rect", { x: 9 - w / 2, y: 9 - hh / 2, width: w, height: hh, rx: 1.5 }));
}

function ratio([width, height]) {
  const common = (a, b) => (b ? common(b, a % b) : a);
  const by = common(width, height);
  return `${width / by}:${height / by}`;
}

const draftSize = () => store.get().draft.size || currentModel()?.size || "";

function showSize() {
  const size = draftSize();
  const field = $("#size");
  if (document.activeElement !== field) field.value = size;
  const parsed = sizeOf(size);
  const good = !size || parsed;
  field.setAttribute("aria-invalid", String(!good));
  $("#size-said").hidden = Boolean(good);
  setText($("#size-said"), good ? "" : t("sizeBad"));
  for (const chip of $("#size-chips").children) chip.setAttribute("aria-pressed", String(chip.dataset.size === size));
}

function fillSizes() {
  const sizes = currentModel()?.sizes ?? [];
  $("#size-chips").replaceChildren(...sizes.map((size) => {
    const parsed = sizeOf(size) ?? [1, 1];
    return h("button", { type: "button", class: "chip", data: { size }, "aria-label": `${times(size)}, ${t("trained")}`,
      onclick: () => setDraft({ size }) }, shape(parsed), h("span", { text: ratio(parsed) }));
  }));
  showSize();
}

function showSeconds() {
  const seconds = draftSeconds();
  const field = $("#seconds");
  if (document.activeElement !== field) field.value = String(Math.round(seconds * 100) / 100);
  const range = $("#seconds-range");
  if (document.activeElement !== range) range.value = String(toSlider(seconds));
  range.style.setProperty("--filled", `${range.value / 10}%`);
  range.setAttribute("aria-valuetext", duration(seconds));
}

function showModel() {
  const { models } = store.get();
  const model = currentModel();
  $("#model").replaceChildren(...models.map((m) => h("option", { value: m.id, text: m.id })));
  if (!model) return;
  $("#model").value = model.id;
  setText($("#model-said"), [model.licence, `${model.fps} fps`, times(model.size)].filter(Boolean).join(" · "));
  $("#steps").placeholder = String(model.steps);
  $("#guidance").placeholder = String(model.guidance);
}

function showPlain({ draft }) {
  for (const name of PLAIN) if (document.activeElement !== $(`#${name}`)) $(`#${name}`).value = draft[name];
}

function showAll() {
  showModel();
  fillControls();
  fillSizes();
  showSeconds();
  showPlain(store.get());
  showDeadline();
}

const whole = (text) => (/^\d+$/.test(String(text).trim()) ? Number(text) : undefined);
const real = (text) => (String(text).trim() && Number.isFinite(Number(text)) ? Number(text) : undefined);

/** Seconds since 1970 of a local date and time. */
const moment = (text) => (text && !Number.isNaN(Date.parse(text)) ? Math.floor(Date.parse(text) / 1000) : undefined);
const isPast = (text) => moment(text) * 1000 < Date.now();

function showDeadline() {
  const past = isPast(store.get().draft.deadline);
  $("#deadline").setAttribute("aria-invalid", String(past));
  setText($("#deadline-said"), t(past ? "readyByPast" : "readyByHint"));
}

/** The request that the composer stands for. Open controls are left out, so that the model's own defaults hold. */
export function requestBody() {
  const { draft, anchors } = store.get();
  const camera = { move: draft.move || undefined, lens_mm: real(draft.lens_mm), shot: draft.shot || undefined, angle: draft.angle || undefined };
  return {
    prompt: draft.prompt.trim(),
    model: currentModel()?.id,
    size: draftSize() ? draftSize().replace(/\s*[×x*,]\s*/i, "x").trim() : undefined,
    seconds: String(draftSeconds()), // a string, as in the Videos API
    seed: whole(draft.seed), steps: whole(draft.steps), guidance: real(draft.guidance), cache: whole(draft.cache),
    budget_wh: real(draft.budget_wh), budget_gco2e: real(draft.budget_gco2e), deadline: moment(draft.deadline),
    negative_prompt: draft.negative_prompt.trim() || undefined,
    camera: Object.values(camera).some((v) => v !== undefined) ? camera : undefined,
    light: draft.light || undefined, mood: draft.mood || undefined,
    anchors: anchors.length ? anchors.map(({ kind, id, at, strength }) => ({ [`${kind}_id`]: id, at, strength })) : undefined,
  };
}

/** Fill the composer with what made a clip. */
export function copySettings(video) {
  const { camera } = video;
  setDraft({ ...EMPTY_DRAFT, model: video.model, size: video.size, seconds: String(video.seconds), seed: String(video.seed ?? ""),
    steps: String(video.steps ?? ""), guidance: String(video.guidance ?? ""), cache: String(video.cache ?? ""), negative_prompt: video.negative_prompt ?? "",
    move: camera?.move ?? "", angle: camera?.angle ?? "", shot: camera?.shot ?? "", lens_mm: camera?.lens_mm ? String(camera.lens_mm) : "",
    light: video.light ?? "", mood: video.mood ?? "" });
  writePrompt(video.prompt);
}

function clearAll() {
  setDraft({ ...EMPTY_DRAFT });
  store.set({ anchors: [] });
  writePrompt("");
  $("#prompt").focus();
}

export function startComposer() {
  if (isPast(store.get().draft.deadline)) setDraft({ deadline: "" }); // of a visit before this one
  for (const name of [...CONTROLS, "model"]) $(`#${name}`).addEventListener("change", (e) => setDraft({ [name]: e.target.value }));
  for (const name of PLAIN) $(`#${name}`).addEventListener("input", (e) => setDraft({ [name]: e.target.value }));
  $("#size").addEventListener("input", (e) => setDraft({ size: e.target.value.trim() }));
  $("#size").addEventListener("blur", showSize);
  $("#seconds").addEventListener("input", (e) => setDraft({ seconds: e.target.value }));
  $("#seconds").addEventListener("blur", showSeconds);
  $("#seconds-range").addEventListener("input", (e) => setDraft({ seconds: String(fromSlider(Number(e.target.value))) }));
  $("#clear").addEventListener("click", clearAll);
  const advanced = $(".advanced");
  advanced.addEventListener("toggle", () => advanced.open && advanced.scrollIntoView({ block: "nearest" }));
  store.on(["models"], showAll);
  store.on(["draft"], (state) => {
    fillControls();
    showSize();
    showSeconds();
    showPlain(state);
    showDeadline();
  });
  store.on(["reading"], fillControls);
  onLanguage(showAll);
  showAll();
}
