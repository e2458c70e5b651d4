// The files below the field: three views, two layouts, search, order. Rows keep their place while somebody is at them.

import { contentAddress, describe, remove, restore } from "./api.js";
import { Listing } from "./listing.js";
import { menuIsOpen, openMenu } from "./menu.js";
import { fileTile } from "./tiles.js";
import { complain, say, toast } from "./toasts.js";
import { element, icon, plural } from "./words.js";

const QUIET_MS = 2500;
const SEARCH_MS = 200;
const AHEAD_PX = 600;
const $ = (id) => document.getElementById(id);
const [rows, empty, news, panel, search, sort] = ["rows", "empty", "news", "panel", "search", "sort"].map($);
const tabs = [...document.querySelectorAll("[data-view]")];
const layouts = [...document.querySelectorAll("[data-layout]")];

export class Library {
  // `preview.show(files, index)`; `uploads` shows the view of uploads in progress.
  constructor({ preview, uploads }) {
    this.preview = preview;
    this.uploads = uploads;
    this.view = "files";
    this.files = [];
    this.waiting = new Map(); // changes that came while somebody was at the rows
    this.touched = 0;
    this.pointed = false;
    this.listing = null;
    this.watchHands();
    this.wire();
    this.layout(localStorage.getItem("uploadstream:layout") === "list" ? "list" : "grid");
    sort.value = "-uploaded_at";
    this.load();
  }

  wire() {
    for (const tab of tabs) tab.onclick = () => this.choose(tab.dataset.view);
    tabs[0].parentElement.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = tabs.at((tabs.findIndex((tab) => tab.dataset.view === this.view) + step) % tabs.length);
      next.focus();
      this.choose(next.dataset.view);
    });
    for (const button of layouts) button.onclick = () => this.layout(button.dataset.layout);
    let timer = 0;
    search.oninput = () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.load(), SEARCH_MS);
    };
    sort.onchange = () => this.load();
    news.onclick = () => this.settle();
    new IntersectionObserver(([seen]) => seen.isIntersecting && this.more(), { rootMargin: `${AHEAD_PX}px` }).observe($("sentinel"));
    rows.addEventListener("keydown", (event) => this.walk(event));
  }

  // Whether rows may move: no pointer is over them, no finger was just there, no menu is open.
  watchHands() {
    const touch = () => (this.touched = performance.now());
    for (const kind of ["pointerdown", "pointermove", "wheel", "keydown"]) panel.addEventListener(kind, touch, { passive: true });
    addEventListener("scroll", touch, { passive: true });
    panel.addEventListener("pointerenter", (event) => (this.pointed = event.pointerType === "mouse"));
    panel.addEventListener("pointerleave", () => (this.pointed = false));
    setInterval(() => this.waiting.size && this.calm() && this.settle(), 700);
  }

  calm() {
    return !this.pointed && !menuIsOpen() && !$("preview").open && performance.now() - this.touched > QUIET_MS;
  }

  layout(name) {
    rows.classList.toggle("grid", name === "grid");
    rows.classList.toggle("list", name === "list");
    for (const button of layouts) button.setAttribute("aria-pressed", String(button.dataset.layout === name));
    localStorage.setItem("uploadstream:layout", name);
  }

  choose(view) {
    this.view = view;
    if (view !== "uploads") this.uploads.hide();
    for (const tab of tabs) {
      const chosen = tab.dataset.view === view;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      if (chosen) panel.setAttribute("aria-labelledby", tab.id);
    }
    document.querySelector(".tools").inert = view === "uploads";
    this.load();
  }

  // Read the view anew.
  async load() {
    this.listing?.stop.abort();
    this.waiting.clear();
    this.showNews();
    if (this.view === "uploads") {
      this.listing = null;
      this.files = [];
      await this.uploads.show(rows);
      return this.showEmpty();
    }
    const listing = new Listing({ deleted: this.view === "trash", sort: sort.value, search: search.value });
    this.listing = listing;
    rows.setAttribute("aria-busy", "true");
    await this.page(listing, (found) => {
      this.files = found;
      rows.replaceChildren(...found.map((file) => this.tile(file)));
      if (search.value) say(plural(found.length, "file"));
    });
  }

  async more() {
    if (!this.listing || this.listing.ended || rows.ariaBusy === "true") return;
    rows.setAttribute("aria-busy", "true");
    await this.page(this.listing, (found) => {
      const fresh = found.filter((file) => !this.tileOf(file.file_id));
      this.files.push(...fresh);
      rows.append(...fresh.map((file) => this.tile(file)));
    });
  }

  async page(listing, show) {
    try {
      const found = await listing.next();
      if (listing === this.listing) show(found);
    } catch (error) {
      if (error.name === "AbortError") return;
      complain(error);
      listing.ended = true;
    }
    if (listing !== this.listing) return;
    rows.setAttribute("aria-busy", "false");
    this.showEmpty();
    // The end that is still in sight does not come into sight again.
    if ($("sentinel").getBoundingClientRect().top < innerHeight + AHEAD_PX) this.more();
  }

  tile(file) {
    return fileTile(file, {
      open: (one) => this.preview.show(this.files, this.files.indexOf(one)),
      more: (one, button) => openMenu(button, this.actions(one)),
    });
  }

  tileOf(id) {
    return rows.querySelector(`[data-id="${CSS.escape(id)}"]`);
  }

  actions(file) {
    if (file.deleted_at) return [["restore", "Restore", () => this.restore(file)]];
    return [
      ["open", "Open", () => this.preview.show(this.files, this.files.indexOf(file))],
      ["download", "Download", contentAddress(file)],
      ["link", "Copy link", () => copy(contentAddress(file), "Link copied")],
      ["trash", "Delete", () => this.remove(file)],
    ];
  }

  // The tile stays where it is, as a trace with a way back, until the rows are quiet.
  async remove(file) {
    try {
      await remove(file.file_id);
    } catch (error) {
      return complain(error);
    }
    this.trace(file, "Moved to the trash", "Undo", () => this.restore(file));
    toast(`${file.filename} moved to the trash.`, { actions: [["Undo", () => this.restore(file)]] });
  }

  async restore(file) {
    try {
      await restore(file.file_id);
    } catch (error) {
      return complain(error);
    }
    if (this.view === "trash") this.trace(file, "Restored", "Delete", () => this.remove(file));
    else this.put({ ...file, deleted_at: null });
    say(`${file.filename} is restored`);
  }

  trace(file, text, label, act) {
    const tile = this.tileOf(file.file_id);
    if (!tile) return;
    const had = tile.contains(document.activeElement) || document.activeElement === document.body;
    const back = element("button", { type: "button", className: "act", textContent: label, onclick: act });
    const trace = element("div", { className: "trace" }, icon("trash"), element("span", { textContent: text }), back);
    tile.classList.add("gone");
    tile.querySelector(".trace")?.remove();
    tile.append(trace);
    for (const one of tile.querySelectorAll(".open, .more")) one.inert = true;
    if (had) back.focus({ preventScroll: true });
    this.later(file.file_id, null);
  }

  // A file has come or changed, here or anywhere: `deleted_at` says which view it belongs to. null: it has gone.
  async heard(id, known) {
    if (this.view === "uploads") return;
    const file = known !== undefined ? known : (await describe(id).catch(() => null));
    const belongs = file && Boolean(file.deleted_at) === (this.view === "trash") && this.listing?.has(file);
    const tile = this.tileOf(id);
    if (belongs && tile) return tile.classList.contains("gone") ? this.put(file) : undefined;
    if (belongs) return this.later(id, file);
    if (tile && !tile.classList.contains("gone")) {
      tile.classList.add("fades");
      this.later(id, null);
    }
  }

  later(id, file) {
    this.waiting.set(id, file);
    if (this.calm()) this.settle();
    else this.showNews();
  }

  // Something may have been missed: compare the newest files with what is shown.
  async look() {
    if (this.view === "uploads" || !this.listing || rows.ariaBusy === "true") return;
    const { listing } = this;
    const fresh = new Listing({ deleted: this.view === "trash", sort: "-uploaded_at", search: "" });
    const found = await fresh.next().catch(() => null);
    if (!found || listing !== this.listing) return;
    for (const file of found) if (!this.tileOf(file.file_id)) this.heard(file.file_id, file);
    const oldest = fresh.ended ? "" : (found.at(-1)?.uploaded_at ?? "");
    const there = new Set(found.map((file) => file.file_id));
    for (const file of this.files) if (file.uploaded_at >= oldest && !there.has(file.file_id)) this.heard(file.file_id, null);
  }

  showNews() {
    const fresh = [...this.waiting.values()].filter(Boolean).length;
    news.hidden = !fresh;
    news.textContent = fresh ? `Show ${plural(fresh, "new file")}` : "";
  }

  // Let the rows be what they are now.
  settle() {
    for (const [id, file] of this.waiting) {
      if (file) this.put(file);
      else this.drop(id);
    }
    this.waiting.clear();
    this.showNews();
    this.showEmpty();
  }

  drop(id) {
    const tile = this.tileOf(id);
    const had = tile?.contains(document.activeElement);
    const next = tile?.nextElementSibling ?? tile?.previousElementSibling;
    tile?.remove();
    if (had) next?.querySelector("button")?.focus({ preventScroll: true });
    this.files = this.files.filter((file) => file.file_id !== id);
  }

  put(file) {
    const old = this.tileOf(file.file_id);
    const tile = this.tile(file);
    this.waiting.delete(file.file_id);
    if (old) {
      this.files = this.files.map((one) => (one.file_id === file.file_id ? file : one));
      const had = old.contains(document.activeElement);
      old.replaceWith(tile);
      if (had) tile.querySelector("button").focus({ preventScroll: true });
      return;
    }
    const at = this.files.findIndex((one) => this.listing.compare(file, one) < 0);
    const place = at < 0 ? this.files.length : at;
    if (at < 0 && this.listing && !this.listing.ended) return; // it is on a page to come
    this.files.splice(place, 0, file);
    tile.classList.add("fresh");
    rows.insertBefore(tile, rows.children[place] ?? null);
  }

  showEmpty() {
    empty.hidden = rows.children.length > 0;
    const [title, text] = search.value.trim() && this.view !== "uploads"
      ? ["Nothing by that name", "Try fewer letters."]
      : {
          files: ["Nothing here yet", "Drop a file anywhere on this page. It is safe from the first byte that arrives."],
          uploads: ["Nothing on its way", "Uploads of every program show up here while they run, and go on from here after a cut."],
          trash: ["The trash is empty", "What you delete waits here before it is gone for good."],
        }[this.view];
    empty.replaceChildren(element("strong", { textContent: title }), element("span", { textContent: text }));
  }

  // Arrows walk the tiles as they lie; Delete deletes.
  walk(event) {
    const tile = event.target.closest?.(".tile");
    if (!tile || !event.target.matches(".open")) return;
    if (event.key === "Delete" && this.view === "files") {
      this.remove(this.files.find((file) => file.file_id === tile.dataset.id));
      return;
    }
    const across = getComputedStyle(rows).gridTemplateColumns.split(" ").length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[event.key];
    const next = step && rows.children[[...rows.children].indexOf(tile) + step]?.querySelector(".open");
    if (!next) return;
    event.preventDefault();
    next.focus();
  }
}

export async function copy(text, done) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS a browser has no clipboard for pages, but still copies what is selected.
    const area = element("textarea", { value: text, className: "unseen" });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  toast(done);
}
