// Numbers, times and kinds of files in a reader's words; small pieces of DOM.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const language = navigator.language;
const clock = new Intl.DateTimeFormat(language, { hour: "numeric", minute: "2-digit" });
const day = new Intl.DateTimeFormat(language, { day: "numeric", month: "short" });
const date = new Intl.DateTimeFormat(language, { day: "numeric", month: "short", year: "numeric" });
const whole = new Intl.DateTimeFormat(language, { dateStyle: "long", timeStyle: "short" });

export function size(bytes) {
  let power = 0;
  let value = bytes;
  while (value >= 1023.95 && power < UNITS.length - 1) {
    value /= 1024;
    power += 1;
  }
  return `${power ? +value.toFixed(1) : value} ${UNITS[power]}`;
}

export function when(text) {
  const then = new Date(text);
  const now = new Date();
  if (then.toDateString() === now.toDateString()) return clock.format(then);
  return (then.getFullYear() === now.getFullYear() ? day : date).format(then);
}

export const moment = (text) => whole.format(new Date(text));

export function remaining(text) {
  const minutes = Math.max(0, Math.round((new Date(text) - Date.now()) / 60_000));
  if (minutes < 90) return `${minutes} min`;
  return minutes < 48 * 60 ? `${Math.round(minutes / 60)} h` : `${Math.round(minutes / 1440)} days`;
}

export const share = (part, all) => (all ? Math.min(100, Math.floor((part / all) * 100)) : 0);
export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

const BY_ENDING = [
  ["archive", /^(zip|gz|tgz|bz2|xz|zst|7z|rar|tar|jar|iso|dmg|deb|rpm|whl)$/],
  ["sheet", /^(csv|tsv|xls|xlsx|ods|parquet|numbers)$/],
  ["slides", /^(ppt|pptx|odp|key)$/],
  ["font", /^(ttf|otf|woff2?)$/],
  ["code", /^(py|js|mjs|ts|tsx|jsx|json|ya?ml|toml|xml|html?|css|sh|go|rs|c|h|cc|cpp|java|kt|swift|rb|php|sql|ini)$/],
  ["text", /^(txt|md|rst|log|tex|doc|docx|odt|rtf|pages|epub)$/],
];
const READABLE = /^(text\/|application\/(json|xml|javascript|x-sh|x-yaml|toml|sql|x-ndjson)|image\/svg)|[+](json|xml)\b/;

export const ending = (name) => /[^.]\.([a-z0-9]{1,8})$/i.exec(name)?.[1].toLowerCase() ?? "";

export function kindOf({ content_type: type, filename }) {
  const family = type.split("/")[0];
  if (["image", "video", "audio", "font"].includes(family)) return family;
  if (type.startsWith("application/pdf")) return "pdf";
  const found = BY_ENDING.find(([, pattern]) => pattern.test(ending(filename)));
  if (found) return found[0];
  return READABLE.test(type) ? "text" : "file";
}

// What a browser shows by itself, by the type that the server found in the bytes.
export function viewOf(file) {
  const type = file.content_type.split(";")[0].trim();
  if (/^image\/(png|jpeg|gif|webp|avif|bmp|x-icon|vnd.microsoft.icon)$/.test(type)) return "image";
  if (/^(video|audio)\//.test(type)) return type.slice(0, 5);
  if (type === "application/pdf") return "pdf";
  return READABLE.test(type) ? "text" : "";
}

export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(space, "svg");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#i-${name}`);
  drawing.setAttribute("aria-hidden", "true");
  drawing.append(use);
  return drawing;
}
