// The page of grid studies: which there are, which is shown, and the stream that keeps them true.
import { $, h, keyed, setText } from "./dom.js";
import { follow, gridApi } from "./api.js";
import { loadOptions, startForm } from "./grid-form.js";
import { showStudy, startResult } from "./grid-result.js";
import { onLanguage, t, term } from "./i18n.js";
import { createStore, store } from "./store.js";
import { toastError } from "./toast.js";

const studies = createStore({ all: new Map(), shown: "" });
const rows = new Map();
let line = null;

export const isOpen = (study) => study.status === "queued" || study.status === "in_progress";
export const shortName = (network) => network.replace(/^simbench:/, "").replace(/\.(json|m)$/, "");

const newest = () => [...studies.get().all.values()].sort((a, b) => b.created_at - a.created_at || (a.id < b.id ? 1 : -1));

export function upsertStudies(...arrived) {
  const all = new Map(studies.get().all);
  for (const study of arrived) all.set(study.id, study);
  studies.set({ all });
}

export function dropStudy(id) {
  const all = new Map(studies.get().all);
  if (!all.delete(id)) return;
  studies.set({ all });
  if (studies.get().shown === id) location.hash = "#grid";
}

export function stateOf(study) {
  if (study.status === "queued") return t(study.done ? "waiting" : "queuedStudy");
  if (study.status === "failed") return t(study.error?.code === "cancelled" ? "cancelled" : "studyFailed");
  if (study.status === "completed") return study.energy?.total_Wh == null ? "" : `${shortList(study)}`;
  return `${term("study", study.phase)} · ${study.progress} %`;
}

const shortList = (study) => {
  const main = study.pv_growth.length > 1 || study.wind_growth.length === 1 ? "pv" : "wind";
  return `${t(main)} ${t("times", { n: study[`${main}_growth`].at(-1) })} · ${study.scenarios} × ${study.horizon_h} ${t("h")}`;
};

function makeRow({ id }) {
  return h("li", {}, h("a", { class: "study-row", href: `#grid/${id}` },
    h("span", { class: "study-name" }), h("span", { class: "study-state" }), h("span", { class: "bar-track" }, h("span", { class: "bar-fill" }))));
}

function updateRow(row, study) {
  const link = row.firstChild;
  link.classList.toggle("failed", study.status === "failed");
  if (study.id === studies.get().shown) link.setAttribute("aria-current", "true");
  else link.removeAttribute("aria-current");
  setText($(".study-name", row), shortName(study.network));
  setText($(".study-state", row), stateOf(study));
  const track = $(".bar-track", row);
  track.hidden = !isOpen(study);
  track.firstChild.style.setProperty("--done", study.progress / 100);
}

function show() {
  const { all, shown } = studies.get();
  $("#studies-section").hidden = !all.size;
  keyed($("#studies"), newest(), rows, makeRow, updateRow);
  showStudy(all.get(shown) ?? null);
}

/** Show or leave the page; an empty id shows the newest study. */
export function showGrid(seen, id) {
  if (!seen) {
    line?.abort();
    line = null;
    return;
  }
  studies.set({ shown: id || newest()[0]?.id || "" });
  if (line) return;
  line = new AbortController();
  loadOptions();
  const load = () => gridApi.list().then(({ data }) => {
    upsertStudies(...data);
    if (!studies.get().shown) studies.set({ shown: newest()[0]?.id ?? "" });
  });
  load().catch(toastError);
  let first = true;
  follow("/v1/studies/events", {
    signal: line.signal,
    onEvent: (name, data) => (name === "study" ? upsertStudies(data) : dropStudy(data.id)),
    onLink(link) {
      store.set({ link });
      if (link === "live" && !first) load().catch(() => {});
      first = false;
    },
  });
}

export function startGrid() {
  startForm((study) => {
    upsertStudies(study);
    location.hash = `#grid/${study.id}`;
  });
  startResult();
  studies.on(["all", "shown"], show);
  onLanguage(show);
  show();
}
