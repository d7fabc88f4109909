// Short notices at the edge of the screen. Errors stay until they are closed.
import { $, h } from "./dom.js";
import { icon } from "./icons.js";
import { t } from "./i18n.js";

export function toast(text, { error = false, action = null } = {}) {
  const close = () => node.remove();
  const node = h("div", { class: error ? "toast error" : text.length > 80 ? "toast long" : "toast", role: error ? "alert" : null },
    h("span", { text }),
    action && h("button", { type: "button", class: "plain", text: action.name, onclick: () => (close(), action.run()) }),
    h("button", { type: "button", class: "quiet round", "aria-label": t("close"), onclick: close }, icon("close")));
  // A modal dialog makes all else inert, notices too: they have to stand inside it.
  const home = $("dialog[open]") ?? document.body;
  home.append($("#toasts"));
  // The newest notice takes the place of the one before; errors wait until they have been read.
  for (const older of document.querySelectorAll(".toast:not(.error)")) older.remove();
  $("#toasts").append(node);
  if (!error) setTimeout(close, Math.max(action ? 7000 : 4000, 70 * text.length));
}

export const toastError = (error) => toast(error.message, { error: true });
