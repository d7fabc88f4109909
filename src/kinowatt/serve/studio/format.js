// Numbers for people. Unknown stays unknown: null never becomes 0.
import { t, tag } from "./i18n.js";

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

/** From one amount to another; the unit once where both have it. Null where they look alike. */
export function energyBand(low, high) {
  const [[few, unit], [many, same]] = [energyParts(low), energyParts(high)];
  if (unit !== same) return t("band", { low: `${few} ${unit}`, high: `${many} ${same}` });
  return few === many ? null : t("band", { low: few, high: `${many} ${unit}` });
}

export function energyParts(Wh) {
  if (Wh === null || Wh === undefined) return ["–", "Wh"];
  if (Wh > 0 && Wh < 0.9995) return [digits(Wh * 1000), "mWh"];
  return Wh < 1000 ? [digits(Wh), "Wh"] : [digits(Wh / 1000), "kWh"];
}

/** Joules with three digits. */
export function joules(J) {
  if (J === null || J === undefined) return t("notMeasured");
  if (J > 0 && J < 0.01) return "< 0.01 J";
  const [scale, unit] = J < 999.5 ? [1, "J"] : J < 999500 ? [1e3, "kJ"] : [1e6, "MJ"];
  return `${digits(J / scale)} ${unit}`;
}

export function carbon(grams) {
  if (grams === null || grams === undefined) return t("notMeasured");
  return grams > 0 && grams < 0.9995 ? `${digits(grams * 1000)} mg CO₂e` : `${digits(grams)} g CO₂e`;
}

export const number = (value, n = 3) => (value === null || value === undefined ? t("notMeasured") : digits(value, n));

/** A share as percent with three digits. */
export function percent(share) {
  if (share > 0 && share < 0.0001) return "< 0.01 %";
  return `${Number((100 * share).toPrecision(3))} %`;
}

/** Megawatts without those digits that say nothing. */
export const megawatts = (MW) => (MW >= 100 ? String(Math.round(MW)) : String(Number(MW.toPrecision(3))));

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

/** The page's language, or where the browser has a variant of it (British dates, say), that. */
const locale = () => navigator.languages.find((own) => own.split("-")[0] === tag().split("-")[0]) ?? tag();

export const when = (unix_s) => new Date(unix_s * 1000).toLocaleString(locale(), { dateStyle: "medium", timeStyle: "short" });

/** HH:MM, with the day where that is not today. */
export function clock(unix_s) {
  const at = new Date(unix_s * 1000);
  const day = at.toDateString() === new Date().toDateString() ? {} : { month: "short", day: "numeric" };
  return at.toLocaleString(locale(), { ...day, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}
