// The view of uploads in progress, by whatever program: how far, how fast, and how they go on.

import { ask, listUploads } from "./api.js";
import { all, forgetUpload, sourceOf } from "./remembered.js";
import { pick, sentByTabs } from "./pond.js";
import { showUpload, uploadTile } from "./tiles.js";
import { complain, toast } from "./toasts.js";
import { plural, size } from "./words.js";

const STILL_MS = 4000;
const count = document.getElementById("uploads-count");

export class Uploads {
  // `add(file, upload)` sends; `has(id)`: it is being sent by this page; `changed()`: the rows are others now.
  constructor({ add, has, changed }) {
    this.add = add;
    this.has = has;
    this.changed = changed;
    this.open = new Map(); // by id: { upload, samples }
    this.place = null;
    setInterval(() => this.refresh(), 1000);
  }

  async show(place) {
    this.place = place;
    place.setAttribute("aria-busy", "true");
    await this.look();
    if (this.place) place.setAttribute("aria-busy", "false");
  }

  hide() {
    this.place = null;
  }

  // Read them anew; whether that was possible.
  async look() {
    let token = "";
    const found = new Map();
    try {
      do {
        const page = await listUploads({ page_size: 200, page_token: token });
        for (const upload of page.uploads) found.set(upload.upload_id, upload);
        token = page.next_page_token;
      } while (token && found.size < 1000);
    } catch (error) {
      if (this.place) complain(error);
      return false;
    }
    for (const id of [...this.open.keys()]) if (!found.has(id)) this.open.delete(id);
    for (const upload of found.values()) this.note(upload);
    this.draw();
    return true;
  }

  // What an event says of an upload; null: it has ended.
  heard(id, upload) {
    if (upload) this.note(upload);
    else this.open.delete(id);
    this.draw();
  }

  note(upload) {
    const one = this.open.get(upload.upload_id) ?? { samples: [] };
    const last = one.samples.at(-1);
    if (last?.offset !== upload.offset) one.samples = [...one.samples.slice(-7), { at: performance.now(), offset: upload.offset }];
    this.open.set(upload.upload_id, { ...one, upload });
  }

  paceOf({ samples }) {
    const last = samples.at(-1);
    const first = samples[0];
    if (samples.length < 2 || performance.now() - last.at > STILL_MS) return 0;
    return Math.max(0, ((last.offset - first.offset) / (last.at - first.at)) * 1000);
  }

  stateOf(one, ours) {
    const id = one.upload.upload_id;
    return { here: this.has(id), ours: ours.has(id), pace: this.paceOf(one) };
  }

  draw() {
    count.textContent = this.open.size ? String(this.open.size) : "";
    if (!this.place) return;
    const ours = this.ours();
    for (const tile of [...this.place.children]) if (!this.open.has(tile.dataset.id) || !tile.matches(".upload")) tile.remove();
    for (const one of this.open.values()) {
      if (this.place.querySelector(`[data-id="${CSS.escape(one.upload.upload_id)}"]`)) continue;
      const acts = { proceed: (upload) => this.proceed(upload), discard: (upload) => this.discard(upload) };
      this.place.append(uploadTile(one.upload, { ...this.stateOf(one, ours), ...acts }));
    }
    this.refresh();
    this.changed();
  }

  refresh() {
    if (!this.place) return;
    const ours = this.ours();
    for (const tile of this.place.querySelectorAll(".upload")) {
      const one = this.open.get(tile.dataset.id);
      if (one) showUpload(tile, one.upload, this.stateOf(one, ours));
    }
  }

  ours() {
    return new Map(all().map((one) => [one.id, one]));
  }

  // With what the browser kept, or else with the file chosen again.
  async proceed(upload) {
    const known = this.ours().get(upload.upload_id);
    const kept = known && (await sourceOf(known.mark, { ask: true }));
    const [file] = kept ? [kept] : await pick({ multiple: false });
    if (!file) return;
    if (upload.size !== null && file.size !== upload.size) {
      toast(`That is another file: ${upload.filename} has ${size(upload.size)}, ${file.name} has ${size(file.size)}.`, { tone: "bad" });
      return;
    }
    this.add(file, upload.upload_id);
  }

  async discard({ upload_id: id, filename }) {
    try {
      await ask("DELETE", `files/${id}`, {}, { headers: { "Tus-Resumable": "1.0.0" } });
    } catch (error) {
      if (error.status !== 404 && error.status !== 410) return complain(error);
    }
    forgetUpload(id);
    this.heard(id, null);
    toast(`${filename} is discarded.`);
  }

  // After a reload: go on with what the browser kept, and say what needs a file.
  async resume() {
    if (!(await this.look())) return [];
    const ours = this.ours();
    const elsewhere = await sentByTabs();
    for (const id of ours.keys()) if (!this.open.has(id)) forgetUpload(id);
    const missing = [];
    for (const { upload } of this.open.values()) {
      const known = ours.get(upload.upload_id);
      if (!known || elsewhere.has(known.mark)) continue;
      const file = await sourceOf(known.mark, { ask: false });
      if (file) this.add(file, upload.upload_id);
      else missing.push(upload);
    }
    return missing;
  }
}

export const missingText = (missing) =>
  missing.length === 1
    ? `${missing[0].filename} is not all there yet.`
    : `${plural(missing.length, "upload")} of yours are not all there yet.`;
