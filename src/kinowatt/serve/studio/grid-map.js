// A network as a map: lines and transformers coloured by how often they are above their limits, buses as dots with what is installed.
import { h, s } from "./dom.js";
import { megawatts, percent } from "./format.js";
import { t } from "./i18n.js";

const WIDTH = 720;
const EDGE = 26;
const BOUNDS = [0, 0.001, 0.01, 0.05, 0.2]; // shares of steps: above each begins the next colour
const LABELS = ["0", "0.1", "1", "5", "20 %"];

/** 0 for never, then 1 to 5. */
export const classOf = (share) => BOUNDS.filter((b) => share > b).length;

/** A colour bar: classes are the same in all studies, so that two maps can be compared. */
export function colourBar() {
  const cells = BOUNDS.map((_, i) => h("span", { class: `cell p${i + 1}` }, h("i", { text: LABELS[i] })));
  return h("div", { class: "colour-bar", "aria-hidden": "true" },
    h("p", { class: "key" }, h("span", { text: t("stepsAbove") }), [["sun", "pv"], ["air", "wind"], ["station", "transformer"]].map(([kind, word]) => h("b", {}, h("i", { class: kind }), t(word)))),
    h("p", { class: "cells" }, h("span", { class: "cell p0" }), cells));
}

/** Places in degrees to the drawing: degrees of longitude are as wide as they are at the network's latitude. */
function projection(map) {
  const at = [...map.buses.map((b) => b.at), ...map.elements.flatMap((e) => [e.from, e.to])];
  const [lats, lons] = [at.map((p) => p[0]), at.map((p) => p[1])];
  const [south, north, west, east] = [Math.min(...lats), Math.max(...lats), Math.min(...lons), Math.max(...lons)];
  const shrink = Math.cos((((south + north) / 2) * Math.PI) / 180);
  const wide = Math.max((east - west) * shrink, 1e-6);
  const high = Math.max(north - south, 1e-6);
  const inner = WIDTH - 2 * EDGE;
  const tall = Math.min(Math.max((inner * high) / wide, 0.42 * inner), 0.86 * inner);
  const scale = Math.min(inner / wide, tall / high); // pixels per degree of latitude
  const [left, top] = [EDGE + (inner - wide * scale) / 2, EDGE + (tall - high * scale) / 2];
  const place = ([lat, lon]) => [left + (lon - west) * shrink * scale, top + (north - lat) * scale].map((v) => Math.round(v * 10) / 10);
  return { place, height: Math.round(tall + 2 * EDGE), pixelsPerKm: scale / 111.2 };
}

/** Elements that lie upon each other (parallel systems, transformers of one station) are one shape. */
function grouped(map, place) {
  const groups = new Map();
  map.elements.forEach((element, index) => {
    const [from, to] = [place(element.from), place(element.to)];
    const point = element.kind !== "line";
    const key = point ? `at ${from}` : [from, to].map(String).sort().join(" ");
    if (!groups.has(key)) groups.set(key, { point, from, to, members: [] });
    groups.get(key).members.push(index);
  });
  return [...groups.values()];
}

const dot = ([x, y]) => `M${x} ${y}h0`;

function scaleBar(pixelsPerKm, height) {
  const km = [200, 100, 50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05].find((k) => k * pixelsPerKm < WIDTH / 4) ?? 0.05;
  const right = WIDTH - EDGE;
  return s("g", { class: "scale-bar" }, s("path", { d: `M${right - km * pixelsPerKm} ${height - 14}v4H${right}v-4` }),
    s("text", { x: right - (km * pixelsPerKm) / 2, y: height - 18, "text-anchor": "middle" }, t("scale", { km })));
}

/** The drawing, with `paint(shares of elements, shares of buses, growth)` and `mark(element)`. Shares are null where nothing is computed. */
export function drawMap(map, onTip) {
  const { place, height, pixelsPerKm } = projection(map);
  const groups = grouped(map, place);
  const largest = Math.max(1e-9, ...map.buses.flatMap((b) => ["pv", "wind"].map((k) => (b[k] ? b[k][0] + (map.growth.at(-1) - 1) * b[k][1] : 0))));
  const plants = { pv: [], wind: [] };
  const circles = map.buses.flatMap((bus, i) => ["pv", "wind"].filter((k) => bus[k]?.some((mw) => mw > 0)).map((kind) => {
    const node = s("path", { class: `plant ${kind}`, d: dot(place(bus.at)) });
    plants[kind].push([node, bus[kind], i]);
    return node;
  }));
  const shapes = groups.map((group) => {
    const d = group.point ? dot(group.from) : `M${group.from}L${group.to}`;
    const seen = s("path", { class: group.point ? "element point" : "element", d });
    const hit = s("path", { class: group.point ? "hit point" : "hit", d });
    return { group, seen, hit };
  });
  const dots = map.buses.map((bus) => s("path", { class: "bus", d: dot(place(bus.at)) }));
  const hits = map.buses.map((bus) => s("path", { class: "hit bus-hit", d: dot(place(bus.at)) }));
  const lines = shapes.filter((x) => !x.group.point);
  const points = shapes.filter((x) => x.group.point);
  const layer = (name, nodes) => s("g", { class: name }, nodes);
  const seenLines = layer("lines", lines.map((x) => x.seen));
  const svg = s("svg", { class: "network-map", viewBox: `0 0 ${WIDTH} ${height}`, role: "img" }, layer("plants", circles), seenLines, layer("dots", dots),
    layer("stations", points.map((x) => x.seen)), layer("hits", [...lines.map((x) => x.hit), ...hits, ...points.map((x) => x.hit)]), scaleBar(pixelsPerKm, height));
  let now = { elements: null, buses: null, growth: 1 };

  const grown = (pair, kind) => pair[0] + ((kind === map.kind ? now.growth : map.other_growth) - 1) * pair[1];
  const tell = (rows) => (event) => onTip(event, rows());
  for (const { group, hit, seen } of shapes) {
    const rows = () => group.members.map((i) => [map.elements[i].name || map.elements[i].kind, now.elements?.[i]]).sort((a, b) => (b[1] ?? 0) - (a[1] ?? 0)).slice(0, 6)
      .map(([name, share]) => [name, share == null ? t("notYet") : share ? t("ofSteps", { p: percent(share) }) : t("never")]);
    listen(hit, tell(rows), onTip, seen);
  }
  map.buses.forEach((bus, i) => {
    const rows = () => [[bus.name, ""], [t("voltage"), now.buses == null ? t("notYet") : now.buses[i] ? t("ofSteps", { p: percent(now.buses[i]) }) : t("never")],
      ...["pv", "wind"].filter((k) => bus[k]?.some((mw) => mw > 0)).map((k) => [t("installed", { kind: t(k), mw: megawatts(grown(bus[k], k)) }), ""])];
    listen(hits[i], tell(rows), onTip, dots[i]);
  });

  return {
    svg,
    paint(elements, buses, growth) {
      now = { elements, buses, growth };
      for (const { group, seen } of shapes) {
        const worst = elements ? Math.max(...group.members.map((i) => elements[i])) : null;
        seen.setAttribute("class", `element${group.point ? " point" : ""} ${worst == null ? "open" : `p${classOf(worst)}`}`);
        seen.dataset.share = worst ?? "";
      }
      // The worst on top: SVG has no other order than that of its nodes.
      seenLines.append(...lines.toSorted((a, b) => a.seen.dataset.share - b.seen.dataset.share).map((x) => x.seen));
      dots.forEach((node, i) => node.setAttribute("class", `bus${buses?.[i] ? ` p${classOf(buses[i])}` : ""}`));
      for (const kind of ["pv", "wind"])
        for (const [node, pair] of plants[kind]) node.style.strokeWidth = `${Math.max(0, 46 * Math.sqrt(grown(pair, kind) / largest)).toFixed(1)}px`;
    },
    mark(index) {
      for (const { group, seen } of shapes) seen.classList.toggle("lit", index !== null && group.members.includes(index));
    },
  };
}

function listen(hit, over, onTip, seen) {
  const enter = (event) => {
    seen.classList.add("lit");
    over(event);
  };
  const leave = () => {
    seen.classList.remove("lit");
    onTip(null);
  };
  hit.addEventListener("pointerenter", enter);
  hit.addEventListener("pointermove", over);
  hit.addEventListener("pointerleave", leave);
  hit.addEventListener("click", enter);
}
