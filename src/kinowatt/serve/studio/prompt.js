// The prompt and what the model reads in it: marks behind the text, and the same in words.
import { $, debounce, h, setText } from "./dom.js";
import { api } from "./api.js";
import { onLanguage, t } from "./i18n.js";
import { currentModel, setDraft, store } from "./store.js";

const READ_AT_MOST = 2000; // characters sent with each look-up, which travels in an address

/** The server counts characters, JavaScript counts UTF-16 units; they differ after an emoji. */
export function toUnits(text, spans) {
  const places = [];
  let units = 0;
  for (const character of text) {
    places.push(units);
    units += character.length;
  }
  places.push(units);
  return spans.map(([from, to, token]) => [places[from] ?? units, places[to] ?? units, token]);
}

/** Spans of the old text that the edit left alone, at their new places: marks stay steady until the server answers. */
export function carry(before, after, spans) {
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head += 1;
  let tail = 0;
  while (tail < before.length - head && tail < after.length - head && before.at(-1 - tail) === after.at(-1 - tail)) tail += 1;
  const moved = after.length - before.length;
  return spans
    .filter(([from, to]) => to < head || from > before.length - tail)
    .map(([from, to, token]) => (to < head ? [from, to, token] : [from + moved, to + moved, token]));
}

function paint(text, spans) {
  const parts = [];
  let at = 0;
  for (const [from, to, token] of spans) {
    parts.push(text.slice(at, from), h("mark", { class: token ? "known" : "unknown", text: text.slice(from, to) }));
    at = to;
  }
  // A last empty line has no height without a character on it.
  $("#backdrop").replaceChildren(...parts, `${text.slice(at)}\u200b`);
}

function fit() {
  const area = $("#prompt");
  area.style.height = "auto";
  area.style.height = `${Math.min(area.scrollHeight, 320)}px`;
  $("#backdrop").scrollTop = area.scrollTop;
}

function wordList(words, className) {
  const dot = () => h("span", { class: "dot", "aria-hidden": "true", text: "·" });
  return words.flatMap((word, i) => [...(i ? [dot()] : []), h("span", { class: className, text: word })]);
}

function showReading({ reading, draft }) {
  const known = $("#understood");
  const unknown = $("#not-understood");
  const sentences = readsSentences();
  if (sentences || !draft.prompt.trim()) {
    known.replaceChildren(h("span", { class: "hint", text: t(sentences ? "sentencesHint" : "wordsHint") }));
    known.classList.remove("none");
    unknown.hidden = true;
    unknown.replaceChildren();
    return;
  }
  known.replaceChildren(h("span", { class: "name", text: t("understood") }), ...wordList(reading.understood, "known"));
  known.classList.toggle("none", !reading.understood.length);
  unknown.hidden = !reading.not_understood.length;
  unknown.replaceChildren(h("span", { class: "name", text: t("notUnderstood") }), ...wordList(reading.not_understood, "unknown"));
}

/** Whether the model takes any sentence as it is; then no word is marked. */
const readsSentences = () => currentModel()?.reads === "sentences";

const say = debounce(1200, ({ understood, not_understood }) => {
  const parts = [];
  if (understood.length) parts.push(`${t("understood")}: ${understood.join(", ")}.`);
  if (not_understood.length) parts.push(`${t("notUnderstood")}: ${not_understood.join(", ")}.`);
  setText($("#reading-said"), parts.join(" "));
});

let looking = null;

const look = debounce(120, async () => {
  const text = $("#prompt").value.slice(0, READ_AT_MOST);
  looking?.abort();
  looking = new AbortController();
  if (!text.trim() || readsSentences()) return store.set({ reading: { text, understood: [], not_understood: [], spans: [] } });
  try {
    const found = await api.lexicon(text, looking.signal);
    if ($("#prompt").value.slice(0, READ_AT_MOST) !== text) return;
    const spans = toUnits(text, found.spans);
    // The words as they were typed: the server's own lists are folded to lower case and simplified script.
    const typedWords = (known) => [...new Set(spans.filter(([, , token]) => Boolean(token) === known).map(([from, to]) => text.slice(from, to)))];
    const reading = { text, spans, understood: typedWords(true), not_understood: typedWords(false) };
    store.set({ reading });
    say(reading);
  } catch {
    // Marks are a help: without them the prompt works as before, and the plan reports what is wrong.
  }
});

function typed() {
  const text = $("#prompt").value;
  const { reading } = store.get();
  const spans = carry(reading.text, text.slice(0, READ_AT_MOST), reading.spans);
  fit();
  store.set({ reading: { ...reading, text: text.slice(0, READ_AT_MOST), spans } });
  setDraft({ prompt: text });
  look();
}

/** Put a prompt into the box as if it had been typed. */
export function writePrompt(text) {
  $("#prompt").value = text;
  typed();
}

export function startPrompt() {
  const area = $("#prompt");
  area.value = store.get().draft.prompt;
  area.addEventListener("input", typed);
  area.addEventListener("scroll", () => ($("#backdrop").scrollTop = area.scrollTop));
  addEventListener("resize", fit);
  store.on(["reading", "draft", "models"], ({ reading }) => paint($("#prompt").value, readsSentences() ? [] : reading.spans));
  store.on(["reading", "draft", "models"], showReading);
  onLanguage(() => showReading(store.get()));
  typed();
}
