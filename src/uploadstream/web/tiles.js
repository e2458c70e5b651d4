// How a file, and an upload on its way, look in the grid and in the list.

import { contentAddress } from "./api.js";
import { element, ending, icon, kindOf, moment, remaining, share, size, viewOf, when } from "./words.js";

// An image up to this size is its own thumbnail.
const SELF_BYTES_MAX = 2 * 1024 * 1024;

export function fileTile(file, { open, more }) {
  const name = element("span", { className: "name", title: file.filename }, ...breakable(file.filename));
  const picture = element("span", { className: "picture" }, ...pictureOf(file));
  const facts = element(
    "span",
    { className: "facts" },
    element("span", { className: "size", textContent: size(file.size) }),
    element("time", { dateTime: file.uploaded_at, title: moment(file.uploaded_at), textContent: when(file.uploaded_at) }),
  );
  const opener = element("button", { type: "button", className: "open", onclick: () => open(file) }, picture, name, facts);
  const button = element(
    "button",
    { type: "button", className: "icon more", ariaLabel: `Actions for ${file.filename}`, ariaHasPopup: "menu" },
    icon("more"),
  );
  button.onclick = () => more(file, button);
  const tile = element("li", { className: "tile" }, opener, button);
  tile.dataset.id = file.file_id;
  tile.dataset.kind = kindOf(file);
  tile.addEventListener("contextmenu", (event) => {
    event.preventDefault();
    more(file, button);
  });
  return tile;
}

// The name in two parts, so that a long one loses its middle and not its ending.
function breakable(name) {
  const tail = ending(name) ? name.slice(-ending(name).length - 2) : "";
  return [
    element("span", { className: "head", textContent: name.slice(0, name.length - tail.length) }),
    element("span", { className: "tail", textContent: tail }),
  ];
}

function pictureOf(file) {
  const drawn = [icon(kindOf(file)), element("span", { className: "ending", textContent: ending(file.filename) })];
  const source = thumbnail(file);
  if (!source) return drawn;
  const image = element("img", { alt: "", loading: "lazy", decoding: "async", draggable: false, src: source });
  image.onerror = () => image.remove();
  image.onload = () => image.classList.add("there");
  return [...drawn, image];
}

function thumbnail(file) {
  const made = file.processing_result?.thumbnail_medium ?? file.processing_result?.thumbnail_small;
  if (made) return new URL(made, document.baseURI).href;
  return viewOf(file) === "image" && file.size <= SELF_BYTES_MAX ? contentAddress(file) : "";
}

// `here`: it is sent by this page; `ours`: this browser began it.
export function uploadTile(upload, { here, ours, proceed, discard }) {
  const bar = element("progress", { max: upload.size ?? 1, ariaLabel: `Progress of ${upload.filename}` });
  const go = element("button", { type: "button", className: "act", textContent: "Continue", onclick: () => proceed(upload) });
  const drop = element("button", { type: "button", className: "quiet", textContent: "Discard", onclick: () => discard(upload) });
  const buttons = element("span", { className: "buttons" }, go, drop);
  const tile = element(
    "li",
    { className: "upload" },
    element("span", { className: "picture" }, icon(kindOf({ content_type: "", ...upload }))),
    element("span", { className: "name", textContent: upload.filename, title: upload.filename }),
    element("span", { className: "state" }),
    bar,
    element("span", { className: "facts" }),
    buttons,
  );
  tile.dataset.id = upload.upload_id;
  tile.dataset.kind = kindOf({ content_type: "", ...upload });
  showUpload(tile, upload, { here, ours });
  return tile;
}

// `pace`: bytes a second, 0 when nothing comes.
export function showUpload(tile, upload, { here, ours, pace = 0 }) {
  const bar = tile.querySelector("progress");
  const known = upload.size !== null;
  if (known) bar.value = upload.offset;
  else bar.removeAttribute("value");
  const came = known ? `${share(upload.offset, upload.size)} %, ${size(upload.offset)} of ${size(upload.size)}` : size(upload.offset);
  tile.querySelector(".facts").textContent = pace ? `${came}, ${size(pace)}/s` : came;
  const left = `kept for ${remaining(upload.expires_at)}`;
  const state = here ? "Sent from this page" : pace ? `Arriving over ${upload.protocol}` : ours ? `Stopped, ${left}` : `Waiting for its sender, ${left}`;
  tile.querySelector(".state").textContent = state;
  tile.classList.toggle("moves", here || pace > 0);
  tile.querySelector(".act").hidden = here || pace > 0;
}
