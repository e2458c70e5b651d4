// Puts the page together.

import { base, contentAddress, user } from "./api.js";
import { copy, Library } from "./library.js";
import { follow } from "./live.js";
import { Pond } from "./pond.js";
import { Preview } from "./preview.js";
import { arrive } from "./session.js";
import { toast } from "./toasts.js";
import { missingText, Uploads } from "./uploads.js";
import { remaining } from "./words.js";

// Whatever the event still says of the upload.
const GONE = new Set(["lost", "purged"]);
const TRASHED = new Set(["deleted", "restored", "purged"]);
const ENDED = new Set(["completed", "aborted", "expired", "refused", "lost"]);
const command = document.getElementById("command");

await arrive();

const preview = new Preview({
  copyLink: (file) => copy(contentAddress(file), "Link copied"),
  remove: (file) => library.remove(file),
  restore: (file) => library.restore(file),
});
const uploads = new Uploads({
  add: (file, id) => pond.add(file, id),
  has: (id) => pond.has(id),
  changed: () => library.view === "uploads" && library.showEmpty(),
});
const library = new Library({ preview, uploads });
const pond = new Pond({
  arrived: (id) => library.heard(id),
  left: ({ id, name }) => {
    const upload = uploads.open.get(id)?.upload;
    const kept = upload ? ` for ${remaining(upload.expires_at)}` : "";
    toast(`What came of ${name} is kept${kept}, under In progress.`, {
      actions: [["Discard", () => uploads.discard({ upload_id: id, filename: name })]],
    });
  },
});

follow({
  told: (kind, event) => {
    if (GONE.has(kind) || event.file) library.heard(event.id, GONE.has(kind) ? null : event.file);
    if (!TRASHED.has(kind)) uploads.heard(event.id, ENDED.has(kind) ? null : event.upload);
  },
  again: () => {
    uploads.look();
    library.look();
  },
});

const missing = await uploads.resume();
if (missing.length) {
  toast(missingText(missing), {
    stays: true,
    actions: [["Continue", () => (missing.length === 1 ? uploads.proceed(missing[0]) : library.choose("uploads"))]],
  });
}

const words = ["uploadstream", "put", "film.mp4", ...(user ? ["--user", user] : []), "--server", base.href.replace(/\/$/, "")];
command.replaceChildren();
for (const word of words) {
  // A line does not end behind the hyphens of an option.
  const shown = document.createElement("span");
  shown.textContent = word;
  shown.classList.toggle("option", word.startsWith("--"));
  command.append(command.firstChild ? " " : "", shown);
}
document.getElementById("copy-command").onclick = () => copy(command.textContent, "Command copied");
