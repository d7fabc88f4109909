// Two languages. Elements say which sentence they hold (data-t, data-t-label, data-t-placeholder, data-t-title).
import { memory } from "./store.js";
import { en } from "./words-en.js";
import { zh } from "./words-zh.js";
import { terms } from "./terms.js";

const SENTENCES = { en, zh };
const TAGS = { en: "en", zh: "zh-Hant" };
const hearers = [];
let language = memory.read("language") ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");
if (!SENTENCES[language]) language = "en";

/** A sentence, with {name} filled in. */
export function t(key, values = {}) {
  const sentence = SENTENCES[language][key] ?? en[key] ?? key;
  return sentence.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** A control's value in people's words; the raw value where there are none. */
export const term = (slot, value) => terms[slot]?.[value]?.[language === "zh" ? 1 : 0] ?? String(value);

export const lang = () => language;
export const tag = () => TAGS[language];
export const onLanguage = (run) => hearers.push(run);

/** Write the sentences of the present language into the page. */
export function translate(root = document) {
  const write = { t: (n, x) => (n.textContent = x), tLabel: (n, x) => n.setAttribute("aria-label", x),
    tPlaceholder: (n, x) => n.setAttribute("placeholder", x), tTitle: (n, x) => n.setAttribute("title", x) };
  for (const node of root.querySelectorAll("[data-t],[data-t-label],[data-t-placeholder],[data-t-title]"))
    for (const [attribute, put] of Object.entries(write)) if (node.dataset[attribute]) put(node, t(node.dataset[attribute]));
}

export function setLanguage(next) {
  language = next;
  memory.write("language", next);
  document.documentElement.lang = TAGS[next];
  translate();
  for (const run of hearers) run();
}

export const otherLanguage = () => (language === "en" ? "zh" : "en");
