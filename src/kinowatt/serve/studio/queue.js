// Jobs that run or wait, and those that failed.
import { $, h, keyed, setText } from "./dom.js";
import { remove, retry } from "./actions.js";
import { api } from "./api.js";
import { clock, duration, energy } from "./format.js";
import { icon } from "./icons.js";
import { onLanguage, t, term } from "./i18n.js";
import { byId, failures, move, queue, upsert } from "./jobs.js";
import { store } from "./store.js";
import { toastError } from "./toast.js";

const rows = new Map();
const failedRows = new Map();
const cancelling = new Set(); // asked to stop, and not yet at its next step
let dragged = null;

const act = (name, className, picture, run) =>
  h("button", { type: "button", class: `quiet round ${className}`, "aria-label": name, title: name, onclick: run }, icon(picture));

function stateText(job) {
  if (cancelling.has(job.id)) return t("cancelling");
  if (job.paused) return t(job.status === "in_progress" ? "pausing" : "paused");
  if (job.status === "queued" && job.not_before * 1000 > Date.now()) return t("waitsGreen", { time: clock(job.not_before) });
  if (job.status === "queued") return job.phase && job.done ? `${t("waiting")} · ${t("stepOf", { done: job.done, of: job.of })}` : t("waiting");
  const phase = term("phase", job.phase);
  return job.phase === "denoise" && job.of ? `${phase} · ${t("stepOf", { done: Math.min(job.done, job.of), of: job.of })}` : phase;
}

/** What is known of its cost at this moment: spent so far, or expected. */
function costText(job) {
  const parts = [];
  if (job.energy?.total_Wh != null) parts.push(t("soFar", { energy: energy(job.energy.total_Wh) }));
  else if (job.predicted?.Wh != null) parts.push(t("expects", { energy: energy(job.predicted.Wh) }));
  const spent = job.energy?.wall_s;
  if (spent != null) parts.push(job.predicted?.seconds ? `${duration(spent)} / ${duration(job.predicted.seconds)}` : duration(spent));
  else if (job.predicted?.seconds) parts.push(t("about", { time: duration(job.predicted.seconds) }));
  return parts.join(" · ");
}

async function cancel(job) {
  if (job.status === "in_progress") cancelling.add(job.id);
  show();
  try {
    upsert(await api.cancel(job.id));
  } catch (error) {
    cancelling.delete(job.id);
    toastError(error);
    show();
  }
}

const pause = (job) => api[job.paused ? "resume" : "pause"](job.id).then(upsert, toastError);

/** One place up or down among the jobs that wait. */
function shift(id, by) {
  const waiting = queue().filter((job) => job.status === "queued");
  const at = waiting.findIndex((job) => job.id === id);
  const to = at + by;
  if (at < 0 || to < 0 || to >= waiting.length) return;
  const before = by < 0 ? waiting[to].id : (waiting[to + 1]?.id ?? null);
  move(id, before).catch(toastError);
  setText($("#queue-said"), t("moved", { n: to + 1 }));
}

function makeRow({ id }) {
  const job = () => byId(id);
  const row = h("li", { class: "job", data: { id } },
    h("span", { class: "grip", title: t("drag") }, icon("grip")),
    h("span", { class: "preview" }, h("img", { alt: "", hidden: true }), icon("film")),
    h("div", { class: "job-text" },
      h("p", { class: "job-prompt" }),
      h("div", { class: "bar-track", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100" }, h("span", { class: "bar-fill" })),
      h("p", { class: "job-state" }, h("span", { class: "state" }), h("span", { class: "cost" }))),
    h("div", { class: "job-buttons" }, act(t("moveUp"), "move-up", "up", () => shift(id, -1)), act(t("moveDown"), "move-down", "down", () => shift(id, 1)),
      act(t("pause"), "pause", "pause", () => pause(job())), act(t("cancel"), "cancel", "close", () => cancel(job()))));
  row.addEventListener("keydown", (e) => {
    const by = { ArrowUp: -1, ArrowDown: 1 }[e.key];
    if (!by || !e.altKey) return;
    e.preventDefault();
    const held = document.activeElement;
    shift(id, by);
    held.focus();
  });
  makeDraggable(row, id);
  return row;
}

function makeDraggable(row, id) {
  row.addEventListener("dragstart", (e) => {
    dragged = id;
    e.dataTransfer.effectAllowed = "move";
    e.dataTransfer.setData("text/plain", byId(id)?.prompt ?? "");
    row.classList.add("dragging");
  });
  row.addEventListener("dragend", () => {
    dragged = null;
    for (const other of rows.values()) other.classList.remove("dragging", "drop-before", "drop-after");
  });
  const half = (e) => {
    const box = row.getBoundingClientRect();
    return e.clientY < box.top + box.height / 2;
  };
  const accepts = () => dragged && dragged !== id && byId(id)?.status === "queued";
  row.addEventListener("dragover", (e) => {
    if (!accepts()) return;
    e.preventDefault();
    row.classList.toggle("drop-before", half(e));
    row.classList.toggle("drop-after", !half(e));
  });
  row.addEventListener("dragleave", () => row.classList.remove("drop-before", "drop-after"));
  row.addEventListener("drop", (e) => {
    if (!accepts()) return;
    e.preventDefault();
    e.stopPropagation();
    const waiting = queue().filter((job) => job.status === "queued" && job.id !== dragged);
    const at = waiting.findIndex((job) => job.id === id);
    move(dragged, half(e) ? id : (waiting[at + 1]?.id ?? null)).catch(toastError);
  });
}

function updateRow(row, job) {
  const waits = job.status === "queued";
  const preview = store.get().previews.get(job.id);
  row.classList.toggle("running", !waits && !job.paused);
  row.classList.toggle("paused", job.paused);
  row.draggable = waits;
  const image = $("img", row);
  image.hidden = !preview;
  if (preview && image.getAttribute("src") !== preview) image.src = preview;
  setText($(".job-prompt", row), job.prompt);
  setText($(".state", row), stateText(job));
  setText($(".cost", row), costText(job));
  const track = $(".bar-track", row);
  track.setAttribute("aria-valuenow", job.progress);
  track.setAttribute("aria-label", t("progress", { prompt: job.prompt }));
  track.firstChild.style.setProperty("--done", job.progress / 100);
  const button = $(".pause", row);
  const name = t(job.paused ? "resume" : "pause");
  if (button.getAttribute("aria-label") !== name) {
    button.setAttribute("aria-label", name);
    button.title = name;
    button.replaceChildren(icon(job.paused ? "play" : "pause"));
  }
  for (const name of [".move-up", ".move-down", ".grip"]) $(name, row).classList.toggle("off", !waits);
  const place = queue().filter((other) => other.status === "queued").map((other) => other.id);
  $(".move-up", row).disabled = !waits || place[0] === job.id;
  $(".move-down", row).disabled = !waits || place.at(-1) === job.id;
  $(".cancel", row).disabled = cancelling.has(job.id);
}

function makeFailure({ id }) {
  const dismiss = () => remove(byId(id));
  return h("li", { class: "failure", data: { id } },
    icon("note"),
    h("div", {}, h("p", { class: "failure-title" }), h("p", { class: "failure-why", lang: "en" }), h("p", { class: "failure-prompt" })),
    h("div", { class: "job-buttons" }, h("button", { type: "button", class: "plain retry", onclick: () => retry(byId(id)) }, icon("retry"), h("span", { text: t("retry") })),
      act(t("dismiss"), "dismiss", "close", dismiss)));
}

function updateFailure(node, job) {
  const cancelled = job.error?.code === "cancelled";
  node.classList.toggle("cancelled", cancelled);
  setText($(".failure-title", node), t(cancelled ? "cancelled" : "failed"));
  const spent = job.energy?.total_Wh != null ? t("spent", { energy: energy(job.energy.total_Wh) }) : "";
  setText($(".failure-why", node), cancelled ? spent : (job.error?.message ?? ""));
  setText($(".failure-prompt", node), job.prompt);
}

function show() {
  const jobs = queue();
  for (const id of cancelling) if (!jobs.some((job) => job.id === id)) cancelling.delete(id);
  $("#queue-section").hidden = !jobs.length;
  setText($("#queue-count"), jobs.length ? t("queueCount", { n: jobs.length }) : "");
  keyed($("#queue"), jobs, rows, makeRow, updateRow);
  keyed($("#failures"), failures(), failedRows, makeFailure, updateFailure);
}

export function startQueue() {
  store.on(["videos", "previews"], show);
  onLanguage(() => {
    // Names of buttons are written when a row is made.
    for (const map of [rows, failedRows]) {
      for (const node of map.values()) node.remove();
      map.clear();
    }
    show();
  });
  show();
}
