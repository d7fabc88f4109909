// The energy label of a clip, drawn as SVG. It is paper: the same in every theme, and it can be saved as a file of its own,
// so its colours are written on it rather than taken from the page.
import { h, s } from "./dom.js";
import { length, number, sizeOf, times, wattHours, when } from "./format.js";
import { t, tag, term } from "./i18n.js";
import { store } from "./store.js";

const WIDTH = 360;
const EDGE = 24;
const INK = "#16181b";
const SOFT = "#565c64";
const RULE = "#cfd2d6";
const PAPER = "#fbfbf9";
const AMBER = "#ffb02e";
const PHASE_INKS = ["#ffb02e", "#16181b", "#8f959d", "#c98a1f", "#4f555c", "#c4c8cd"];
const FONT = '"Segoe UI", Roboto, "Helvetica Neue", "PingFang TC", "Noto Sans TC", "Noto Sans CJK TC", "Microsoft JhengHei", system-ui, sans-serif';
const LAMP_W = 10;

let pen = null;

/** Lines of at most `width`, broken at spaces, and anywhere in Chinese. SVG text does not wrap by itself. */
function wrap(text, width, size) {
  pen ??= document.createElement("canvas").getContext("2d");
  pen.font = `${size}px ${FONT}`;
  const lines = [];
  let line = "";
  for (const piece of String(text).match(/[\u2e80-\uffef]|\s+|[^\s\u2e80-\uffef]+/g) ?? []) {
    if (pen.measureText(line + piece).width <= width || !line) line += piece;
    else {
      lines.push(line.trim());
      line = piece.trimStart();
    }
  }
  return [...lines, line.trim()].filter(Boolean);
}

const text = (x, y, size, words, more = {}) => s("text", { x, y, "font-size": size, fill: INK, text: words, ...more });
const rule = (y, color = RULE) => s("line", { x1: EDGE, x2: WIDTH - EDGE, y1: y, y2: y, stroke: color, "stroke-width": 1 });

/** A paragraph; gives the nodes and the y below them. */
function paragraph(y, words, { size = 12, fill = SOFT, x = EDGE, width = WIDTH - 2 * EDGE } = {}) {
  const lines = wrap(words, width, size);
  return [lines.map((line, i) => text(x, y + i * size * 1.4, size, line, { fill })), y + lines.length * size * 1.4];
}

const sum = (values) => {
  const known = values.filter((v) => v !== null && v !== undefined);
  return known.length ? known.reduce((a, b) => a + b, 0) : null;
};
const measured = (row) => sum([row.gpu_J, row.cpu_J, row.dram_J]);
const total = (row) => sum([measured(row), row.modelled_J]);

/** What the label says, worked out from the bill. */
function figures(video, label) {
  const bill = video.energy ?? label.energy ?? {}; // the one inside the file was written before the file was
  // An extended clip is longer than what was made for it: the bill is for what was made.
  const seconds = Number(label.shot?.seconds ?? video.seconds) || null;
  const fps = store.get().models.find((m) => m.id === video.model)?.fps ?? null;
  const [width, height] = sizeOf(video.size) ?? [null, null];
  const joules = total(bill);
  const megapixelFrames = seconds && fps && width ? (seconds * fps * width * height) / 1e6 : null;
  const anew = ["forward", "backward", "loop", "connect"].includes(video.mode) ? t("labelAnew", { time: length(seconds) }) : "";
  return { bill, joules, anew, perSecond: joules !== null && seconds ? joules / seconds : null,
    perFrame: joules !== null && megapixelFrames ? joules / megapixelFrames : null };
}

function head(video) {
  return [s("rect", { width: WIDTH, height: 62, fill: INK }),
    s("path", { d: "M6 0L0 15h5.5L3 27 14 11H7.5L10 0z", transform: `translate(${EDGE} 18)`, fill: AMBER }),
    text(EDGE + 28, 38, 19, t("labelTitle"), { fill: "#ffffff", "font-weight": 650 }),
    text(WIDTH - EDGE, 30, 12, video.model, { fill: "#ffffff", "text-anchor": "end", "font-weight": 600 }),
    text(WIDTH - EDGE, 46, 11, `${times(video.size)} · ${Number(Number(video.seconds).toFixed(2))} ${t("s")}`, { fill: "#b9bec5", "text-anchor": "end" })];
}

/** The total, and beneath it which part was read from counters and which was reckoned. */
function totals(y, { bill, joules, anew }) {
  const Wh = wattHours(bill.total_Wh);
  const big = s("text", { class: "total", x: EDGE, y: y + 66, fill: INK },
    Wh === null ? s("tspan", { "font-size": 34, "font-weight": 650, text: t("notMeasured") })
      : [s("tspan", { "font-size": 56, "font-weight": 650, "letter-spacing": "-1.5", text: Wh }), s("tspan", { "font-size": 24, dx: 3, fill: INK, text: " Wh" })]);
  const nodes = [big];
  let below = y + 90;
  if (joules !== null) {
    const lamp = lampTime(joules);
    nodes.push(text(EDGE, below, 12, `${t("labelTotal")} · ${t("labelLamp", { W: LAMP_W, time: lamp })}`, { fill: SOFT }));
    below += 16;
    const part = joules > 0 ? (measured(bill) ?? 0) / joules : 0;
    const wide = WIDTH - 2 * EDGE;
    nodes.push(s("rect", { x: EDGE, y: below, width: wide, height: 10, rx: 2, fill: "url(#reckoned)", stroke: INK, "stroke-width": 1 }),
      part > 0 ? s("rect", { x: EDGE, y: below, width: wide * part, height: 10, rx: 2, fill: INK }) : null);
    below += 26;
    const percent = Math.round(part * 100);
    if (part > 0) nodes.push(text(EDGE, below, 12, `${t("labelMeasured")} ${percent} %`, { "font-weight": 600 }));
    if (part < 1) nodes.push(text(part > 0 ? WIDTH - EDGE : EDGE, below, 12, `${t("labelModelled")} ${100 - percent} %`, { "font-weight": 600, "text-anchor": part > 0 ? "end" : "start" }));
    if (part < 1) {
      const [why, next] = paragraph(below + 17, t("labelModelledWhy"));
      nodes.push(why);
      below = next - 12;
    }
  }
  if (anew) {
    const [lines, next] = paragraph(below + 18, anew, { fill: INK });
    nodes.push(lines);
    below = next - 12;
  }
  const missing = (bill.not_measured ?? []).map((device) => term("device", device));
  if (missing.length) {
    const [lines, next] = paragraph(below + 18, t("labelMissing", { what: missing.join(", ") }), { fill: INK });
    nodes.push(lines);
    below = next - 12;
  }
  return [nodes, below + 14];
}

function lampTime(joules) {
  const seconds = joules / LAMP_W;
  if (seconds < 100) return `${number(seconds, 2)} ${t("s")}`;
  return seconds < 6000 ? `${number(seconds / 60, 2)} ${t("min")}` : `${number(seconds / 3600, 2)} ${t("h")}`;
}

/** Three cells: carbon, and the two figures by which clips of different length and size can be compared. */
function cells(y, { bill, perSecond, perFrame }) {
  const rows = [[bill.carbon_gCO2e, "g CO₂e"], [perSecond, t("labelPerSecond")], [perFrame, t("labelPerFrame")]];
  const wide = (WIDTH - 2 * EDGE) / 3;
  const nodes = [rule(y, INK)];
  let bottom = y + 62;
  rows.forEach(([value, name], i) => {
    const x = EDGE + i * wide + (i ? 10 : 0);
    if (i) nodes.push(s("line", { x1: EDGE + i * wide, x2: EDGE + i * wide, y1: y + 10, y2: y + 62, stroke: RULE }));
    const unknown = value === null || value === undefined;
    nodes.push(text(x, y + 32, unknown ? 13 : 21, number(value), { "font-weight": 650 }));
    const [lines, next] = paragraph(y + 48, name, { size: 10.5, x, width: wide - 12 });
    nodes.push(lines);
    bottom = Math.max(bottom, next);
  });
  return [nodes, bottom + 8];
}

/** Where the energy went: phase, amount with its unit, share in percent. By time where no phase has joules. */
function phaseParts(bill) {
  const known = Object.entries(bill.phases ?? {}).map(([name, row]) => [name, total(row), row.wall_s ?? 0]);
  const byEnergy = known.some(([, joules]) => joules > 0);
  const parts = known.map(([name, joules, wall_s]) => [name, byEnergy ? (joules ?? 0) : wall_s]).filter(([, v]) => v > 0);
  const all = parts.reduce((a, [, v]) => a + v, 0);
  return parts.map(([name, v]) => [name, `${number(v)} ${byEnergy ? "J" : t("s")}`, v / all < 0.01 ? "< 1" : String(Math.round((100 * v) / all)), v / all]);
}

function phases(y, { bill }) {
  const parts = phaseParts(bill);
  if (!parts.length) return [[], y];
  const wide = WIDTH - 2 * EDGE;
  const nodes = [rule(y), text(EDGE, y + 20, 11, t("labelPhases"), { fill: SOFT })];
  let x = EDGE;
  let row = y + 58;
  const bySize = parts.map(([name, , , share]) => [name, share]).sort((a, b) => b[1] - a[1]).map(([name]) => name);
  parts.forEach(([name, amount, percent, share]) => {
    const ink = PHASE_INKS[bySize.indexOf(name) % PHASE_INKS.length]; // the largest part has the colour
    const w = wide * share;
    nodes.push(s("rect", { x, y: y + 30, width: Math.max(w - 1, 0.75), height: 10, fill: ink }));
    x += w;
    nodes.push(s("rect", { x: EDGE, y: row - 8, width: 9, height: 9, fill: ink }), text(EDGE + 16, row, 12, term("phase", name)),
      text(WIDTH - EDGE - 52, row, 12, amount, { "text-anchor": "end", fill: SOFT }),
      text(WIDTH - EDGE, row, 12, `${percent} %`, { "text-anchor": "end" }));
    row += 18;
  });
  return [nodes, row - 4];
}

const shortHash = (weights) => {
  const hashes = typeof weights === "string" ? weights.split("+") : Object.values(weights ?? {});
  return hashes.map((hash) => String(hash).slice(0, 8)).join(" + ");
};

const gridLine = (bill) =>
  bill.zone ? t("labelGridLine", { zone: bill.zone, year: bill.intensity_year ?? "?", g: number(bill.intensity_gCO2e_per_kWh, 4) }) : t("notMeasured");

/** Grid, weights, runtime, date, and what was said about the clip. */
function foot(y, video, label, bill) {
  const rows = [[t("labelGrid"), gridLine(bill)], [t("labelTime"), bill.wall_s != null ? `${number(bill.wall_s)} ${t("s")}` : t("notMeasured")],
    [t("labelWeights"), shortHash(label.weights_sha256) || "–"], [t("labelRuntime"), label.runtime || "–"], [t("made"), video.completed_at ? when(video.completed_at, tag()) : "–"]];
  const nodes = [rule(y)];
  let at = y + 20;
  for (const [name, value] of rows) {
    nodes.push(text(EDGE, at, 12, name, { fill: SOFT }));
    const [lines, next] = paragraph(at, value, { x: EDGE + 84, width: WIDTH - 2 * EDGE - 84, fill: INK });
    nodes.push(lines);
    at = next + 1;
  }
  for (const note of label.warnings ?? []) {
    nodes.push(s("path", { d: "M6 0l6 10.5H0z", transform: `translate(${EDGE} ${at - 4})`, fill: "none", stroke: INK, "stroke-width": 1.2 }));
    const [lines, next] = paragraph(at + 5, note, { x: EDGE + 20, width: WIDTH - 2 * EDGE - 20, fill: INK });
    nodes.push(lines);
    at = next + 4;
  }
  if (bill.intensity_source) {
    const [lines, next] = paragraph(at + 6, `${t("labelSource")}: ${bill.intensity_source}`, { size: 9.5 });
    nodes.push(lines);
    at = next;
  }
  return [nodes, at + 8];
}

/** The same in words, for those who hear the page. */
export function labelWords(video, label) {
  const { bill, anew, perSecond, perFrame } = figures(video, label);
  const Wh = wattHours(bill.total_Wh);
  const how = [measured(bill) !== null && t("labelMeasured"), bill.modelled_J != null && t("labelModelled")].filter(Boolean).join(", ");
  const rows = [[t("labelTotal"), h("span", { class: "wh", text: Wh === null ? t("notMeasured") : `${Wh} Wh` })], [t("labelHow"), how || t("notMeasured")],
    [t("labelNotMeasured"), (bill.not_measured ?? []).map((device) => term("device", device)).join(", ") || "–"],
    ["g CO₂e", number(bill.carbon_gCO2e)], [t("labelPerSecond"), number(perSecond)], [t("labelPerFrame"), number(perFrame)], [t("labelGrid"), gridLine(bill)],
    [t("labelPhases"), phaseParts(bill).map(([name, , share]) => `${term("phase", name)} ${share} %`).join(", ")], [t("labelNotes"), [anew, ...(label.warnings ?? [])].filter(Boolean).join(" ")]];
  return h("dl", {}, rows.map(([name, value]) => h("div", {}, h("dt", { text: name }), h("dd", {}, value))));
}

/** The label as an SVG element. It is hidden from screen readers: labelWords says it better. */
export function drawLabel(video, label) {
  const known = figures(video, label);
  const hatch = s("pattern", { id: "reckoned", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    s("rect", { width: 6, height: 6, fill: PAPER }), s("rect", { width: 2, height: 6, fill: INK }));
  const parts = [head(video)];
  let y = 62;
  for (const draw of [(at) => totals(at, known), (at) => cells(at, known), (at) => phases(at, known), (at) => foot(at, video, label, known.bill)]) {
    const [nodes, next] = draw(y);
    parts.push(nodes);
    y = next;
  }
  const height = Math.ceil(y + 8);
  return s("svg", { class: "energy-label", xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${WIDTH} ${height}`, width: WIDTH, height, "aria-hidden": "true", "font-family": FONT },
    s("defs", {}, hatch), s("rect", { width: WIDTH, height, fill: PAPER }), parts);
}

/** The label as a file. */
export function saveLabel(drawing, video) {
  const url = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(drawing)], { type: "image/svg+xml" }));
  Object.assign(document.createElement("a"), { href: url, download: `kinowatt-${video.id}-label.svg` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
