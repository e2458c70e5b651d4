// What goes on at the server, told while it happens: server-sent events, or looking again and again without them.

import { address, listFiles, listUploads, user } from "./api.js";

const KINDS = [
  ...["created", "progress", "completed", "aborted", "expired", "refused"],
  ...["deleted", "restored", "purged", "lost"],
];
const LOOK_MS = 3000;

// `told(kind, event)`: an event of the API. `again()`: something may have been missed.
export function follow({ told, again }) {
  let source = null;
  let looking = 0;
  let before = null;

  const open = () => {
    if (source || looking || document.hidden) return;
    source = new EventSource(address("api/v1/events", { user_id: user }));
    source.onopen = () => again();
    source.onerror = () => {
      if (source?.readyState !== EventSource.CLOSED) return; // it comes again by itself
      close();
      looking = setInterval(look, LOOK_MS);
    };
    for (const kind of KINDS) source.addEventListener(kind, (event) => told(kind, JSON.parse(event.data)));
  };
  const close = () => {
    source?.close();
    source = null;
    clearInterval(looking);
    looking = 0;
  };
  const look = async () => {
    try {
      const [{ uploads }, { files }] = await Promise.all([listUploads({ page_size: 200 }), listFiles({ page_size: 20 })]);
      const now = `${files.map((file) => file.file_id)} ${uploads.map((one) => [one.upload_id, one.offset])}`;
      if (now !== before) again();
      before = now;
    } catch {
      // The server is away; the next look may find it.
    }
  };
  // A hidden page keeps no connection: a browser has six of them for all its tabs.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("online", open);
  open();
}
