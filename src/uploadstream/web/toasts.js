// Short messages, some with a way back; and what only a screen reader says.

import { element, icon } from "./words.js";

const SHOWN_MS = 8000;
const place = document.getElementById("toasts");
const said = document.getElementById("said");

export function say(text) {
  said.textContent = "";
  requestAnimationFrame(() => (said.textContent = text));
}

// `actions`: [label, act] pairs. The toast stays while it is pointed at or has the focus; `gone` is called when it leaves.
export function toast(text, { actions = [], tone = "", stays = false, gone = () => {} } = {}) {
  const close = element("button", { type: "button", className: "icon", ariaLabel: "Dismiss" }, icon("close"));
  const buttons = actions.map(([label, act]) =>
    element("button", { type: "button", className: "act", textContent: label, onclick: () => (end(), act()) }),
  );
  const made = element("div", { className: `toast ${tone}` }, element("p", { textContent: text }), ...buttons, close);
  let timer = 0;
  const end = () => {
    clearTimeout(timer);
    if (made.isConnected) gone();
    made.remove();
  };
  const start = () => {
    clearTimeout(timer);
    if (!stays) timer = setTimeout(end, SHOWN_MS);
  };
  const hold = () => clearTimeout(timer);
  close.onclick = end;
  made.addEventListener("pointerenter", hold);
  made.addEventListener("pointerleave", start);
  made.addEventListener("focusin", hold);
  made.addEventListener("focusout", start);
  place.append(made);
  while (place.children.length > 3) place.firstElementChild.remove();
  start();
  say(actions.length ? `${text} ${actions.map(([label]) => label).join(", ")} is offered in the messages.` : text);
  return end;
}

export const complain = (error) =>
  toast(error instanceof TypeError ? "The server does not answer. Check the connection and try again." : error.message, {
    tone: "bad",
  });
