// Numbers for people. Unknown stays unknown: null never becomes 0.
import { t } from "./i18n.js";

const digits = (value, n = 3) => {
  if (value === 0) return "0";
  const rounded = Number(value.toPrecision(n)); // first, so that 9.998 is 10.0 and not 10.00
  const places = Math.max(0, n - 1 - Math.floor(Math.log10(Math.abs(rounded))));
  return rounded.toFixed(Math.min(places, 6));
};

/** Watt-hours with three digits, in the unit that needs the fewest zeros. */
export function energy(Wh) {
  if (Wh === null || Wh === undefined) return t("notMeasured");
  const [number, unit] = energyParts(Wh);
  return `${number} ${unit}`;
}

export function energyParts(Wh) {
  if (Wh === null || Wh === undefined) return ["–", "Wh"];
  if (Wh > 0 && Wh < 0.1) return [digits(Wh * 1000), "mWh"];
  return Wh < 1000 ? [digits(Wh), "Wh"] : [digits(Wh / 1000), "kWh"];
}

/** One unit for every label, so that two labels can be laid side by side. */
export const wattHours = (Wh) => (Wh === null || Wh === undefined ? null : digits(Wh));

export function carbon(grams) {
  if (grams === null || grams === undefined) return t("notMeasured");
  return grams > 0 && grams < 0.1 ? `${digits(grams * 1000)} mg CO₂e` : `${digits(grams)} g CO₂e`;
}

export const number = (value, n = 3) => (value === null || value === undefined ? t("notMeasured") : digits(value, n));

/** Wall-clock time: 8.2 s, 47 s, 3 min 20 s, 2 h 5 min. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 9.95) return `${seconds.toFixed(1)} ${t("s")}`;
  const whole = Math.round(seconds);
  if (whole < 100) return `${whole} ${t("s")}`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} ${t("min")} ${whole % 60} ${t("s")}`;
  return `${Math.floor(minutes / 60)} ${t("h")} ${minutes % 60} ${t("min")}`;
}

/** A clip's length, as short as it can be said. */
export const length = (seconds) => `${Number(Number(seconds).toFixed(2))} ${t("s")}`;

export const times = (size) => String(size).replace("x", " × ");

export const sizeOf = (text) => {
  const match = /^\s*(\d{1,5})\s*[x×*,]\s*(\d{1,5})\s*$/i.exec(text ?? "");
  return match ? [Number(match[1]), Number(match[2])] : null;
};

/** In the page's language, and where the browser has a variant of it (British dates, say), in that. */
export const when = (unix_s, language) =>
  new Date(unix_s * 1000).toLocaleString(navigator.languages.find((own) => own.split("-")[0] === language.split("-")[0]) ?? language, {
    dateStyle: "medium", timeStyle: "short",
  });
