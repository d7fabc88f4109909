// The arithmetic of a bill. What was read from counters and what was modelled stay apart; null is not measured, never 0.

export const MEASURED = ["gpu_J", "cpu_J", "dram_J"];
export const MODELLED = ["cpu_modelled_J", "ram_modelled_J", "host_modelled_J", "modelled_J"]; // the last one stands in older bills
const PHASES = ["load", "read", "text", "encode", "denoise", "decode", "write", "other"]; // in the order in which they happen

export const known = (value) => value !== null && value !== undefined;

const sum = (row, parts) => {
  const values = parts.map((part) => row[part]).filter(known);
  return values.length ? values.reduce((a, b) => a + b, 0) : null;
};
export const measured = (row) => sum(row, MEASURED);
export const modelled = (row) => sum(row, MODELLED);
export const total = (row) => sum(row, [...MEASURED, ...MODELLED]);

/** The word for how the energy is known. */
export function how(bill) {
  if (!known(bill?.total_Wh)) return "notMeasured";
  if (!known(modelled(bill))) return "labelMeasured";
  return known(measured(bill)) ? "labelInPart" : "labelModelled";
}

/** Parts that did work and were not measured, each with its reason; older bills give none. */
export const missing = ({ not_measured: said }) => (Array.isArray(said) ? said.map((part) => [part, ""]) : Object.entries(said ?? {}));

/** Phases that cost anything, with joules or, where there are none, with time: name, measured, modelled, share of all. */
export function phases(bill) {
  const rank = ([name]) => (PHASES.indexOf(name) + PHASES.length) % PHASES.length;
  const rows = Object.entries(bill.phases ?? {}).sort((a, b) => rank(a) - rank(b));
  const byEnergy = rows.some(([, row]) => total(row) > 0);
  const size = (row) => (byEnergy ? total(row) : row.wall_s) ?? 0;
  const all = rows.reduce((so, [, row]) => so + size(row), 0);
  return rows.filter(([, row]) => size(row) > 0).map(([name, row]) => ({ name, measured: measured(row), modelled: modelled(row), wall_s: row.wall_s, share: size(row) / all }));
}
