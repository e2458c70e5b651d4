// One menu for all files: a button opens it, arrows walk it, Escape closes it.

import { element, icon } from "./words.js";

// A menu whose button has scrolled away so far belongs to nothing any more.
const MOVED_PX = 40;
const menu = document.getElementById("menu");
let opener = null;
let openedAt = 0;

// `items`: [icon, label, act] triples; an act may be an address, which makes the item a link to download.
export function openMenu(button, items) {
  opener = button;
  menu.replaceChildren(...items.map(item));
  menu.showPopover();
  const at = button.getBoundingClientRect();
  const left = Math.max(8, Math.min(at.right - menu.offsetWidth, innerWidth - menu.offsetWidth - 8));
  const below = at.bottom + 4 + menu.offsetHeight < innerHeight;
  menu.style.left = `${left}px`;
  menu.style.top = `${below ? at.bottom + 4 : Math.max(8, at.top - menu.offsetHeight - 4)}px`;
  openedAt = at.top;
  button.setAttribute("aria-expanded", "true");
  menu.firstElementChild.focus();
}

export const menuIsOpen = () => menu.matches(":popover-open");

function item([drawing, label, act]) {
  const link = typeof act === "string";
  const made = link
    ? element("a", { href: act, download: "" })
    : element("button", { type: "button", onclick: () => (menu.hidePopover(), act()) });
  if (link) made.onclick = () => menu.hidePopover();
  made.setAttribute("role", "menuitem");
  made.tabIndex = -1;
  made.append(icon(drawing), label);
  return made;
}

menu.addEventListener("keydown", (event) => {
  const items = [...menu.children];
  const at = items.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
  if (event.key === "Tab") menu.hidePopover();
  if (to === undefined) return;
  event.preventDefault();
  items.at(to % items.length).focus();
});

menu.addEventListener("toggle", (event) => {
  if (event.newState !== "closed") return;
  opener?.setAttribute("aria-expanded", "false");
  if (menu.contains(document.activeElement) || document.activeElement === document.body) opener?.focus();
});
addEventListener(
  "scroll",
  () => {
    const moved = menuIsOpen() && Math.abs(opener.getBoundingClientRect().top - openedAt);
    if (moved > MOVED_PX) menu.hidePopover();
  },
  { passive: true, capture: true },
);
