// The energy label of a clip: as the server draws it, and in words what is behind the drawing. Figures are those that were signed.
import { drawnLabel } from "./api.js";
import { saveLabel } from "./actions.js";
import { how, known, MEASURED, MODELLED, missing, phases } from "./bill.js";
import { h } from "./dom.js";
import { carbon, duration, energy, joules, length, number, when } from "./format.js";
import { icon } from "./icons.js";
import { t, tag, term } from "./i18n.js";

const DRAWN = { width: 420, height: 640 };
const LAMP_W = 10;
const english = () => (tag() === "en" ? null : "en"); // the server's sentences are English, whatever the page's language

/** The class from A to G as a badge; nothing where it is not known. */
export const grade = (figures) =>
  figures?.class ? h("span", { class: "grade", data: { grade: figures.class }, role: "img", "aria-label": `${t("labelClass")} ${figures.class}` }, figures.class) : null;

const list = (className, rows) => h("dl", { class: `fact-list ${className}` }, rows.filter(([, value]) => known(value) && value !== "")
  .map(([name, ...value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
const section = (title, ...content) => h("section", { class: "label-part" }, h("h3", { text: title }), content);
const sentences = (all) => h("ul", { class: "sentences", lang: english() }, all.map((text) => h("li", { text })));

/** The drawing, for those who cannot see it. */
function altText({ energy: bill }, figures) {
  return t("labelAlt", { grade: figures.class ?? t("notKnown"), energy: energy(bill.total_Wh), how: t(how(bill)), carbon: carbon(bill.carbon_gCO2e),
    perSecond: joules(figures.J_per_second), perFrame: joules(figures.J_per_megapixel_frame) });
}

function picture(video, label, figures) {
  const image = h("img", { class: "drawn-label", alt: altText(label, figures), ...DRAWN });
  drawnLabel(video.id).then((url) => (image.src = url), () => image.remove()); // the figures stand below in any case
  const save = (format) => h("button", { type: "button", class: `plain save-${format}`, onclick: () => saveLabel(video, format) },
    icon("download"), h("span", { text: t("labelSave", { format: format.toUpperCase() }) }));
  return [h("figure", {}, image), h("div", { class: "label-save" }, save("svg"), save("png"))];
}

/** Whether it was signed, and changed since: one headline, then the server's sentences. */
function verdict({ clean, intact, signature, footage, c2pa, sentences: said = [] }) {
  const changed = signature === "invalid" || footage === "changed" || c2pa === "invalid" || (signature === "valid" && !intact);
  const [state, word] = changed ? ["bad", "verdictChanged"] : signature !== "valid" ? ["open", "verdictUnsigned"] : clean ? ["good", "verdictClean"] : ["open", "verdictIntact"];
  return h("section", { class: "verdict", data: { state } }, icon(state === "good" ? "check" : "note"), h("div", {}, h("h3", { text: t(word) }), sentences(said)));
}

function lampTime(Wh) {
  const seconds = (Wh * 3600) / LAMP_W;
  return t("labelLamp", { W: LAMP_W, time: seconds < 100 ? `${number(seconds, 2)} ${t("s")}` : duration(seconds) });
}

const beside = (text) => h("span", { class: "beside", text });

/** Energy and carbon, operation and manufacture apart, and the figures by which clips of any length and size compare. */
function amounts(video, label, figures) {
  const { energy: bill } = label;
  const { total_Wh: Wh, pue } = bill;
  const grid = known(bill.intensity_gCO2e_per_kWh)
    ? t("labelGridLine", { zone: bill.zone, year: bill.intensity_year ?? "?", g: number(bill.intensity_gCO2e_per_kWh, 4) }) : t("notKnown");
  const building = known(pue) && pue !== 1 ? [String(pue), beside(t("labelFacility", { energy: energy(bill.facility_Wh) }))] : [known(pue) ? String(pue) : t("notKnown")];
  const full = video.energy?.total_Wh; // the label was written, and signed, before the file was
  const later = known(full) && full > Wh && energy(full) !== energy(Wh) ? t("labelLater", { energy: energy(full) }) : "";
  return list("amounts", [
    [t("labelClass"), grade(figures) ?? t("notKnown")],
    [t("labelTotal"), h("span", { class: "wh", text: energy(Wh) }), beside(t(how(bill))), known(Wh) ? beside(lampTime(Wh)) : null, later ? beside(later) : null],
    [t("labelPerSecond"), known(figures.J_per_second) ? joules(figures.J_per_second) : t("notKnown")],
    [t("labelPerFrame"), known(figures.J_per_megapixel_frame) ? joules(figures.J_per_megapixel_frame) : t("notKnown")],
    [t("labelCarbon"), carbon(bill.carbon_gCO2e)],
    [t("labelEmbodied"), known(bill.embodied_gCO2e) ? carbon(bill.embodied_gCO2e) : t("notKnown")],
    [t("labelGrid"), grid],
    [t("labelPue"), ...building],
  ]);
}

const amount = (J, none) => h("td", { class: known(J) ? null : "none", text: known(J) ? joules(J) : none });

/** Where it went: measured and modelled in columns of their own. By time where no phase has joules. */
function phaseTable(bill) {
  const rows = phases(bill);
  if (!rows.length) return null;
  const timed = rows.every((row) => !known(row.measured) && !known(row.modelled));
  const head = [t("labelPhase"), ...(timed ? [t("labelTime")] : [t("labelMeasured"), t("labelModelled")]), "%"];
  const line = ({ name, measured, modelled, wall_s, share }) => h("tr", { style: { "--share": `${share * 100}%` } },
    h("th", { scope: "row" }, term("phase", name), name === "load" ? beside(t("labelOnce")) : null),
    timed ? h("td", { text: duration(wall_s) }) : [amount(measured, "–"), amount(modelled, "–")], h("td", { text: share < 0.005 ? "< 1" : Math.round(share * 100) }));
  return section(t("labelPhases"), h("table", { class: "phases" }, h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col", text })))), h("tbody", {}, rows.map(line))));
}

/** Each device: how its joules are known, or why they are not. */
function devices(bill) {
  const row = (part, word) => known(bill[part]) ? [[term("device", part), beside(t(word))], joules(bill[part]), h("span", { class: "beside", lang: english(), text: bill.sources?.[part] ?? "" })] : null;
  const rows = [...MEASURED.map((part) => row(part, "labelMeasured")), ...MODELLED.map((part) => row(part, "labelModelled")),
    ...missing(bill).map(([part, why]) => [term("device", part), t("notMeasured"), h("span", { class: "beside", lang: english(), text: why })])];
  return rows.some(Boolean) ? section(t("labelHow"), list("devices", rows.filter(Boolean))) : null;
}

const shortHash = (weights) => {
  const hashes = typeof weights === "string" ? weights.split("+") : Object.values(weights ?? {});
  return hashes.map((hash) => String(hash).slice(0, 8)).join(" + ");
};

function notes(video, label) {
  const { frames, made_frames: made, fps } = label.clip ?? {};
  const anew = known(made) && made !== frames && fps ? t("labelAnew", { time: length(made / fps) }) : "";
  const said = [...new Set([...(label.warnings ?? []), ...(video.warnings ?? [])])];
  if (!anew && !said.length) return null;
  return section(t("labelNotes"), anew ? h("p", { class: "said", text: anew }) : null, said.length ? sentences(said) : null);
}

function foot(video, label) {
  const { energy: bill } = label;
  return list("", [[t("labelTime"), known(bill.wall_s) ? duration(bill.wall_s) : t("notMeasured")], [t("labelWeights"), shortHash(label.weights_sha256)],
    [t("labelRuntime"), label.runtime], [t("made"), video.completed_at ? when(video.completed_at) : null],
    [t("labelSource"), bill.intensity_source ? h("span", { class: "beside", lang: english(), text: bill.intensity_source }) : null]]);
}

/** All of the label view, from the server's answer. */
export function labelView(video, answer) {
  const label = { ...answer, energy: answer.energy ?? {} };
  const figures = answer.figures ?? {};
  return [picture(video, label, figures), answer.verdict ? verdict(answer.verdict) : null, amounts(video, label, figures), phaseTable(label.energy),
    devices(label.energy), notes(video, label), foot(video, label)].flat().filter(Boolean);
}
