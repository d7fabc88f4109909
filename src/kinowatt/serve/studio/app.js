// Starts the studio: language, theme, key, link, and then each part of the page.
import { api, onKeyWanted } from "./api.js";
import { $, setText } from "./dom.js";
import { icon } from "./icons.js";
import { lang, onLanguage, otherLanguage, setLanguage, t, tag } from "./i18n.js";
import { startComposer } from "./composer.js";
import { startGallery } from "./gallery.js";
import { showGrid, startGrid } from "./grid.js";
import { loadPage, onFinished, startJobs, stopJobs } from "./jobs.js";
import { planAgain, startMeter } from "./meter.js";
import { startPrompt } from "./prompt.js";
import { startQueue } from "./queue.js";
import { memory, store } from "./store.js";
import { startTimeline } from "./timeline.js";
import { toastError } from "./toast.js";
import { startViewer } from "./viewer.js";

const HEALTH_EVERY_MS = 20000;
let workers = null;

const systemDark = matchMedia("(prefers-color-scheme: dark)");
const theme = () => memory.read("theme") ?? (systemDark.matches ? "dark" : "light");

function showTheme() {
  const now = theme();
  document.documentElement.dataset.theme = now;
  const button = $("#theme");
  const name = t(now === "dark" ? "themeToLight" : "themeToDark");
  button.setAttribute("aria-label", name);
  button.title = name;
  button.replaceChildren(icon(now === "dark" ? "sun" : "moon"));
}

function startTheme() {
  $("#theme").addEventListener("click", () => {
    const next = theme() === "dark" ? "light" : "dark";
    // A choice that agrees with the system is no choice: the page then follows the system again.
    memory.write("theme", next === (systemDark.matches ? "dark" : "light") ? null : next);
    showTheme();
  });
  systemDark.addEventListener("change", showTheme);
  showTheme();
}

function showLanguage() {
  document.title = t("title");
  const button = $("#language");
  setText(button, t("toLanguage"));
  button.setAttribute("aria-label", t("toLanguageLabel"));
  button.lang = lang() === "en" ? "zh-Hant" : "en";
  const command = /mac|iphone|ipad/i.test(navigator.platform);
  setText($("#generate kbd"), command ? "⌘ ↵" : t("generateHint"));
}

function showLink() {
  const { link } = store.get();
  const idle = link === "live" && workers === 0;
  const box = $("#link");
  box.dataset.state = idle ? "lost" : link;
  setText(box, t(idle ? "noWorker" : link));
}

async function askHealth() {
  if (document.hidden) return;
  try {
    ({ workers } = await api.health());
  } catch {
    workers = null; // the link itself tells when the server is away
  }
  showLink();
}

/** The dialog for the server's key: true when one was given. */
function askKey(why) {
  const dialog = $("#key-dialog");
  const error = $("#key-error");
  error.hidden = !why;
  setText(error, why ?? "");
  $("#key").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const key = $("#key").value.trim();
      const given = dialog.returnValue === "given" && key;
      if (given) memory.write("key", key);
      resolve(Boolean(given));
    }, { once: true });
  });
}

/** Which of the two pages is seen stands in the address: #film, #grid, or #grid/ and a study's id. */
function showPage() {
  const page = /^#grid\b/.test(location.hash) ? "grid" : "film";
  for (const main of document.querySelectorAll("main[data-page]")) main.hidden = main.dataset.page !== page;
  for (const link of document.querySelectorAll(".pages a")) {
    if (link.dataset.page === page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  $("#skip").href = page === "grid" ? "#grid-network" : "#prompt";
  if (page === "grid") stopJobs();
  showGrid(page === "grid", /^#grid\/(\w+)$/.exec(location.hash)?.[1] ?? "");
  if (page === "film") startJobs();
}

async function loadModels() {
  try {
    store.set({ models: (await api.models()).data });
  } catch (error) {
    toastError(error);
  }
}

function start() {
  onKeyWanted(askKey);
  // Nothing works without a key: Escape would only bring the dialog back.
  $("#key-dialog").addEventListener("cancel", (event) => event.preventDefault());
  startTheme();
  setLanguage(lang());
  showLanguage();
  $("#language").addEventListener("click", () => setLanguage(otherLanguage()));
  onLanguage(() => {
    showLanguage();
    showTheme();
    showLink();
  });
  document.documentElement.lang = tag();
  startPrompt();
  startComposer();
  startTimeline();
  startMeter();
  startQueue();
  startGallery();
  startViewer();
  startGrid();
  store.on(["link"], ({ link }) => {
    showLink();
    if (link === "live") askHealth();
    // A server that has just come back may have been absent when the page was opened.
    if (link === "live" && !store.get().models.length) loadModels();
  });
  onFinished((video) => video.status === "completed" && planAgain());
  showLink();
  loadModels();
  loadPage().catch(toastError);
  addEventListener("hashchange", showPage);
  showPage();
  setInterval(askHealth, HEALTH_EVERY_MS);
}

start();
