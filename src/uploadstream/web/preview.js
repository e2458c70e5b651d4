// A file, looked at: images, video, audio, PDF and text, one after another.

import { contentAddress, fields } from "./api.js";
import { element, ending, icon, kindOf, moment, size, viewOf } from "./words.js";

const TEXT_BYTES = 256 * 1024;
const $ = (id) => document.getElementById(id);
const dialog = $("preview");
const stage = $("preview-stage");

export class Preview {
  // `copyLink(file)`, `remove(file)`, `restore(file)`.
  constructor(acts) {
    this.acts = acts;
    this.files = [];
    this.at = 0;
    this.stop = new AbortController();
    $("preview-close").onclick = () => dialog.close();
    $("preview-previous").onclick = () => this.step(-1);
    $("preview-next").onclick = () => this.step(1);
    dialog.addEventListener("close", () => this.clear());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("keydown", (event) => {
      if (event.target.matches("video, audio, pre, iframe")) return;
      if (event.key === "ArrowLeft") this.step(-1);
      if (event.key === "ArrowRight") this.step(1);
    });
  }

  show(files, at) {
    this.files = files;
    this.at = at;
    this.draw();
    if (!dialog.open) dialog.showModal();
  }

  step(by) {
    if (!this.files[this.at + by]) return;
    this.at += by;
    this.draw();
  }

  clear() {
    this.stop.abort();
    this.stop = new AbortController();
    for (const media of stage.querySelectorAll("video, audio")) media.removeAttribute("src"), media.load();
    stage.replaceChildren();
  }

  async draw() {
    this.clear();
    const file = this.files[this.at];
    $("preview-name").textContent = file.filename;
    $("preview-facts").textContent = `${size(file.size)} · ${file.content_type} · ${moment(file.uploaded_at)}`;
    $("preview-previous").disabled = this.at === 0;
    $("preview-next").disabled = this.at === this.files.length - 1;
    $("preview-tools").replaceChildren(...this.tools(file));
    stage.dataset.view = file.deleted_at ? "" : viewOf(file);
    const { signal } = this.stop;
    try {
      const shown = file.deleted_at ? null : await this.view(file, signal);
      if (!signal.aborted) stage.replaceChildren(shown ?? this.nothing(file));
    } catch (error) {
      if (!signal.aborted) stage.replaceChildren(this.nothing(file, error.message));
    }
  }

  tools(file) {
    const button = (name, label, act) =>
      element("button", { type: "button", className: "icon", ariaLabel: label, title: label, onclick: act }, icon(name));
    const away = (act) => () => (dialog.close(), act(file));
    if (file.deleted_at) return [button("restore", "Restore", away(this.acts.restore))];
    const download = element("a", { className: "icon", href: contentAddress(file), download: "", ariaLabel: "Download", title: "Download" }, icon("download"));
    return [download, button("link", "Copy link", () => this.acts.copyLink(file)), button("trash", "Delete", away(this.acts.remove))];
  }

  async view(file, signal) {
    const source = contentAddress(file);
    const failed = (made) => {
      made.onerror = () => !signal.aborted && stage.replaceChildren(this.nothing(file, "The browser cannot show it."));
      return made;
    };
    switch (viewOf(file)) {
      case "image":
        return failed(element("img", { src: source, alt: file.filename }));
      case "video":
        return failed(element("video", { src: source, controls: true, preload: "metadata", playsInline: true }));
      case "audio":
        return element("div", { className: "sound" }, icon("audio"), failed(element("audio", { src: source, controls: true, preload: "metadata" })));
      case "pdf":
        return navigator.pdfViewerEnabled ? element("iframe", { src: contentAddress(file, { inline: true }), title: file.filename }) : null;
      case "text":
        return this.text(source, file, signal);
      default:
        return null;
    }
  }

  async text(source, file, signal) {
    const answer = await this.get(source, signal, file.size > TEXT_BYTES ? { Range: `bytes=0-${TEXT_BYTES - 1}` } : {});
    const pre = element("pre", { tabIndex: 0, textContent: new TextDecoder().decode(await answer.arrayBuffer()) });
    if (file.size <= TEXT_BYTES) return pre;
    return element("div", { className: "text" }, pre, element("p", { textContent: `The first ${size(TEXT_BYTES)} of ${size(file.size)}.` }));
  }

  async get(source, signal, more = {}) {
    const answer = await fetch(source, { signal, headers: { ...fields, ...more } });
    if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
    return answer;
  }

  nothing(file, text = "") {
    const why = text || (file.deleted_at ? "It is in the trash. Restore it to look at it." : "No preview for this kind of file.");
    const made = element("div", { className: "nothing" }, icon(kindOf(file)), element("strong", { textContent: ending(file.filename) || "file" }), element("p", { textContent: why }));
    made.dataset.kind = kindOf(file);
    return made;
  }
}
