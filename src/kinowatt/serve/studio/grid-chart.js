// Risk against growth for three weathers: the field beside the two simpler ones that most studies make do with.
import { h, s } from "./dom.js";
import { megawatts, number, percent } from "./format.js";
import { t } from "./i18n.js";

export const WEATHERS = ["field", "pixel", "independent"];
const [WIDTH, HEIGHT] = [520, 310];
const [LEFT, RIGHT, TOP, BOTTOM] = [44, 14, 16, 54];
const NICE = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 25, 50];
const NICE_MW = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 250, 500, 1000, 2000, 5000, 10000, 20000, 50000];

function ticks(high, steps, most) {
  const step = steps.find((n) => high / n <= most) ?? steps.at(-1);
  const out = [];
  for (let v = 0; v <= high + 1e-9; v += step) out.push(Number(v.toFixed(6)));
  return out;
}

/** Lines of the growths that are there, as one path with gaps. */
function path(points) {
  let pen = "M";
  return points.map((p) => {
    if (!p) return (pen = "M", "");
    const text = `${pen}${p[0].toFixed(1)} ${p[1].toFixed(1)}`;
    pen = "L";
    return text;
  }).join("");
}

/** The chart; `onPick(index of a growth)` when it is clicked. `summary` may be null while the study runs. */
export function drawChart(map, summary, index, onPick) {
  const mw = map.installed_MW;
  const risks = WEATHERS.map((w) => map.weathers[w].risk);
  const seen = risks.flat().filter((r) => r !== null);
  const top = 100 * Math.min(1, Math.max(1.15 * Math.max(0, ...seen), 2 * map.planned_risk));
  const [low, high] = [mw[0], mw.at(-1) > mw[0] ? mw.at(-1) : mw[0] + 1];
  const x = (v) => LEFT + ((v - low) / (high - low)) * (WIDTH - LEFT - RIGHT);
  const y = (share) => HEIGHT - BOTTOM - ((100 * share) / top) * (HEIGHT - TOP - BOTTOM);
  const parts = [];
  const hosted = summary?.hosting_capacity?.[0];
  if (hosted) {
    const inside = (v) => Math.min(Math.max(v, low), high);
    parts.push(s("rect", { class: "band", x: x(inside(hosted.P5_MW)), y: TOP, width: Math.max(x(inside(hosted.P95_MW)) - x(inside(hosted.P5_MW)), 2), height: HEIGHT - TOP - BOTTOM }));
    parts.push(s("path", { class: "median", d: `M${x(inside(hosted.P50_MW))} ${TOP}V${HEIGHT - BOTTOM}` }));
  }
  for (const v of ticks(top, NICE, 5)) parts.push(s("path", { class: "rule", d: `M${LEFT} ${y(v / 100)}H${WIDTH - RIGHT}` }), s("text", { class: "y", x: LEFT - 8, y: y(v / 100) + 4 }, String(v)));
  for (const v of ticks(high, NICE_MW, 6).filter((v) => v >= low)) parts.push(s("text", { class: "x", x: x(v), y: HEIGHT - BOTTOM + 20 }, String(v)));
  parts.push(s("text", { class: "axis", x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 6 }, t("installedAxis", { kind: t(map.kind) })));
  parts.push(s("path", { class: "planned", d: `M${LEFT} ${y(map.planned_risk)}H${WIDTH - RIGHT}` }),
    s("text", { class: "planned-words", x: LEFT + 6, y: y(map.planned_risk) - 6 }, t("plannedRisk", { risk: percent(map.planned_risk) })));
  parts.push(s("path", { class: "here", d: `M${x(mw[index])} ${TOP}V${HEIGHT - BOTTOM}` }));
  for (const [w, risk] of WEATHERS.map((w, i) => [w, risks[i]]).toReversed()) {
    const points = risk.map((r, i) => (r === null ? null : [x(mw[i]), y(r)]));
    parts.push(s("path", { class: `curve ${w}`, d: path(points) }));
    points.forEach((p, i) => p && parts.push(s("circle", { class: `mark ${w}${i === index ? " at" : ""}`, cx: p[0], cy: p[1], r: i === index ? 5 : 3 })));
  }
  const svg = s("svg", { class: "risk-chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": t("riskAlt", { kind: t(map.kind), risk: percent(map.planned_risk) }) }, parts);
  svg.addEventListener("click", (event) => {
    const box = svg.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * WIDTH;
    const away = mw.map((v) => Math.abs(x(v) - at));
    onPick(away.indexOf(Math.min(...away)));
  });
  const legend = h("ul", { class: "legend" }, WEATHERS.map((w) => h("li", {}, h("i", { class: w }), t(w))));
  return h("div", {}, h("p", { class: "said y-words", text: t("riskAxis") }), svg, legend);
}

/** The same in numbers, with hours of lines where the study has ended. */
export function numbers(map, summary, index) {
  const hours = (w, i) => summary?.weathers[w].line_hours[i];
  const head = h("tr", {}, h("th", { text: t("installedMW") }), WEATHERS.map((w) => h("th", { text: t(w) })), summary && WEATHERS.map((w) => h("th", { text: `${t("lineHours")}, ${t(w)}` })));
  const rows = map.installed_MW.map((mw, i) => h("tr", { class: i === index ? "at" : null }, h("th", { scope: "row", text: megawatts(mw) }),
    WEATHERS.map((w) => map.weathers[w].risk[i]).map((r) => h("td", { text: r === null ? "–" : percent(r) })),
    summary && WEATHERS.map((w) => h("td", { text: number(hours(w, i)) }))));
  return h("div", { class: "numbers" }, h("table", {}, h("thead", {}, head), h("tbody", {}, rows)));
}
