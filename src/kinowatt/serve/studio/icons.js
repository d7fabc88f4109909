// Icons drawn for this studio on a 24-unit grid, stroke only.
import { s } from "./dom.js";

const PATHS = {
  play: "M8 5.5v13l11-6.5z",
  pause: "M8.5 5.5v13M15.5 5.5v13",
  close: "M6.5 6.5l11 11M17.5 6.5l-11 11",
  up: "M12 18.5v-13M6.5 11L12 5.5l5.5 5.5",
  down: "M12 5.5v13M6.5 13l5.5 5.5 5.5-5.5",
  left: "M14.5 5.5L8 12l6.5 6.5",
  right: "M9.5 5.5L16 12l-6.5 6.5",
  grip: "M9 6.5v.01M9 12v.01M9 17.5v.01M15 6.5v.01M15 12v.01M15 17.5v.01",
  forward: "M4 6.5h8.5v11H4zM15.5 12h5.5M18 9l3 3-3 3",
  backward: "M20 6.5h-8.5v11H20zM8.5 12H3M6 9l-3 3 3 3",
  loop: "M17.5 8.5H8a3.5 3.5 0 0 0-3.5 3.5M15 6l2.5 2.5L15 11M6.5 15.5H16a3.5 3.5 0 0 0 3.5-3.5M9 18l-2.5-2.5L9 13",
  connect: "M3 7.5h6v9H3zM15 7.5h6v9h-6zM9 12h1.5M11.8 12h.4M13.5 12H15",
  remix: "M4 8h3c4.5 0 5.5 8 10 8h3M4 16h3c1.6 0 2.7-1 3.6-2.3M13.4 10.3C14.3 9 15.4 8 17 8h3M17.5 5.5L20 8l-2.5 2.5M17.5 13.5L20 16l-2.5 2.5",
  label: "M6 3.5h12v17H6zM9 8h6M9 11.5h4.5M9 15h2.5",
  download: "M12 4.5v10.5M7.5 11l4.5 4.5 4.5-4.5M5 19.5h14",
  trash: "M5 7h14M9.5 7V4.5h5V7M7 7l.8 12.5h8.4L17 7M10.5 10.5v5.5M13.5 10.5v5.5",
  anchor: "M12 7.5V20M5.5 13.5c0 4 3 6.5 6.5 6.5s6.5-2.5 6.5-6.5M9 10.5h6M12 3.5a2 2 0 1 1 0 4 2 2 0 0 1 0-4z",
  copy: "M8.5 8.5h11v11h-11zM15.5 8.5v-4h-11v11h4",
  check: "M5 12.5l4.5 4.5L19 7.5",
  add: "M12 5.5v13M5.5 12h13",
  note: "M12 4.5l8.5 15h-17zM12 10.5v4M12 17v.01",
  sun: "M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM12 3v1.5M12 19.5V21M3 12h1.5M19.5 12H21M5.6 5.6l1.1 1.1M17.3 17.3l1.1 1.1M5.6 18.4l1.1-1.1M17.3 6.7l1.1-1.1",
  moon: "M19 14.5A7.5 7.5 0 0 1 9.5 5a7.5 7.5 0 1 0 9.5 9.5z",
  retry: "M5 12a7 7 0 1 0 2.2-5.1M7 3.5v3.7h3.7",
  key: "M8 12a3.5 3.5 0 1 1 0 .01M11.5 12H21M17.5 12v3.5M20.5 12v2.5",
  film: "M3.5 6.5h17v11h-17zM7.5 6.5v11M16.5 6.5v11M3.5 12h4M16.5 12h4",
};

/** An icon that says nothing to screen readers; its button carries the name. */
export function icon(name) {
  const filled = name === "play";
  const path = s("path", { d: PATHS[name], fill: filled ? "currentColor" : "none" });
  return s("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" }, path);
}
