// The few lines that stand in for a framework: build elements, keep keyed lists in place.

const SVG = "http://www.w3.org/2000/svg";

function apply(node, props) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [k, v] of Object.entries(value)) node.style.setProperty(k, v);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name === "text") node.textContent = value;
    else if (["value", "checked", "disabled", "hidden", "muted", "loop"].includes(name)) node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
}

/** An HTML element; children may be nodes, text, null, or lists of these. */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  apply(node, props);
  node.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

/** The same for SVG. */
export function s(tag, props = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  apply(node, props);
  node.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

export const $ = (selector, root = document) => root.querySelector(selector);

/**
 * Make `parent`'s children those of `items`, in order, without touching nodes that are already in their place:
 * a moved node would lose focus, and a playing clip would stop.
 */
export function keyed(parent, items, nodes, make, update) {
  const wanted = new Set(items.map((item) => item.id));
  for (const [id, node] of nodes) {
    if (wanted.has(id)) continue;
    node.remove();
    nodes.delete(id);
  }
  let place = parent.firstElementChild;
  for (const item of items) {
    let node = nodes.get(item.id);
    if (!node) nodes.set(item.id, (node = make(item)));
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
    update(node, item);
  }
}

/** Set text only if it differs, so that live regions speak once. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function debounce(wait_ms, run) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...args), wait_ms);
  };
}

/** Hand bytes to the browser as a download. */
export function saveFile(blob, name) {
  const url = URL.createObjectURL(blob);
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

export const calmMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
