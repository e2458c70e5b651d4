// FilePond, with sending.js below it: what is dropped, pasted or chosen goes up, pauses, goes on.

import { create } from "./vendor/filepond/filepond.esm.min.js";
import { fingerprint, forget, holdHandles, keepSource, recall, remember } from "./remembered.js";
import { Sending, Stopped } from "./sending.js";
import { say, toast } from "./toasts.js";
import { plural, size } from "./words.js";

const LOCK = "uploadstream ";
const COMPLETE = 5; // FilePond.FileStatus
const FAILED = 6;
const RUNNING = new Set([3, 9]); // processing, queued for it
const note = document.getElementById("dock-note");
const clear = document.getElementById("clear");
const tank = document.querySelector(".tank");
const NOTE = note.textContent;
const TITLE = document.title;

const LABELS = {
  labelIdle:
    '<strong>Drop files here</strong><span>or paste them, or <span class="filepond--label-action" tabindex="0">choose some</span></span>',
  labelFileProcessing: "Uploading",
  labelFileProcessingComplete: "Uploaded",
  labelFileProcessingAborted: "Paused",
  labelFileProcessingError: "Not taken",
  labelTapToCancel: "",
  labelTapToRetry: "",
  labelTapToUndo: "",
  labelButtonAbortItemProcessing: "Pause",
  labelButtonProcessItem: "Resume",
  labelButtonRetryItemProcessing: "Try again",
  labelFileSizeBytes: "B",
  labelFileSizeKilobytes: "KiB",
  labelFileSizeMegabytes: "MiB",
  labelFileSizeGigabytes: "GiB",
  fileSizeBase: 1024,
  iconProcess:
    '<svg width="26" height="26" viewBox="0 0 26 26" xmlns="http://www.w3.org/2000/svg"><path d="M10.5 8.500v9l7-4.500z" fill="currentColor" stroke="currentColor" stroke-width="1.5" stroke-linejoin="round"/></svg>',
};

export class Pond {
  // `arrived(id)`: a file is complete; `left(item)`: an unfinished upload was taken off the list.
  constructor({ arrived, left }) {
    this.arrived = arrived;
    this.left = left;
    this.sendings = new Map(); // by fingerprint, while they run
    this.sent = new Map(); // bytes, by fingerprint
    this.waiting = new Map();
    this.pond = create(document.getElementById("pond"), {
      ...LABELS,
      allowMultiple: true,
      allowRevert: false,
      instantUpload: false, // or else what is paused is taken off the list
      allowMinimumUploadDuration: false,
      maxParallelUploads: 3,
      dropOnPage: true,
      dropOnElement: false,
      itemInsertLocation: "before",
      credits: false,
      server: { process: (...call) => this.process(...call), revert: null, restore: null, load: null, fetch: null },
      beforeAddFile: (item) => this.isNew(item),
      onaddfilestart: () => this.clearFinished(),
      onaddfile: (error, item) => !error && this.pond.processFile(item.id).catch(() => {}),
      onremovefile: (_, item) => this.removed(item),
      onprocessfile: (error, item) => {
        if (!error) this.arrived(item.serverId);
        this.show();
      },
      onupdatefiles: () => this.show(),
      onprocessfileabort: () => this.show(),
    });
    clear.onclick = () => this.clearFinished();
    document.addEventListener("drop", keepHandles, true);
    this.browseByPicker();
    addEventListener("offline", () => this.show());
    addEventListener("online", () => this.show());
  }

  // `upload`: the id of the upload to go on with, where this browser does not know it by the file.
  add(file, upload = "") {
    const mark = fingerprint(file);
    const there = this.pond.getFiles().find((item) => fingerprint(item.file) === mark && item.status !== COMPLETE);
    if (there) return this.pond.processFile(there).catch(() => {});
    return this.pond.addFile(file, { metadata: upload ? { upload } : {} }).catch(() => {});
  }

  process(_field, file, metadata, load, error, progress, abort) {
    const mark = fingerprint(file);
    const sending = new Sending(file, {
      id: metadata?.upload ?? recall(mark)?.id,
      created: (id) => {
        remember(mark, file, id);
        keepSource(mark, file);
      },
      progress: (bytes) => {
        this.sent.set(mark, bytes);
        progress(true, bytes, file.size);
        this.show();
      },
      waiting: (text) => this.wait(mark, text),
    });
    if (sending.id) remember(mark, file, sending.id);
    if (sending.id) keepSource(mark, file);
    this.sendings.set(mark, sending);
    alone(mark, () => sending.run())
      .then((id) => (forget(mark), load(id)))
      .catch((problem) => {
        if (problem instanceof Stopped) return;
        if (problem.ours) forget(mark); // refused, so there is nothing to go on with
        toast(`${file.name}: ${problem.message}`, { tone: "bad", stays: true });
        error(problem.message);
      })
      .finally(() => {
        this.sendings.delete(mark);
        this.wait(mark, "");
      });
    return {
      abort: () => {
        sending.pause();
        abort();
      },
    };
  }

  // Whether an upload is on its way from this page.
  has(id) {
    return [...this.sendings.values()].some((one) => one.id === id);
  }

  isNew(item) {
    const mark = fingerprint(item.file);
    const twice = this.pond
      .getFiles()
      .some((one) => one.id !== item.id && one.status !== COMPLETE && fingerprint(one.file) === mark);
    if (twice) toast(`${item.filename} is on the list already`);
    return !twice;
  }

  removed(item) {
    const mark = fingerprint(item.file);
    this.sent.delete(mark);
    const known = item.status === COMPLETE ? null : recall(mark);
    if (known) this.left({ id: known.id, name: item.filename });
    this.show();
  }

  clearFinished() {
    const done = this.pond.getFiles().filter((item) => item.status === COMPLETE);
    if (done.length) this.pond.removeFiles(done, { revert: false });
  }

  wait(mark, text) {
    if (text && this.waiting.get(mark) !== text) say(text);
    if (text) this.waiting.set(mark, text);
    else this.waiting.delete(mark);
    this.show();
  }

  // The line below the field, the water in it, the title of the page.
  show() {
    const items = this.pond?.getFiles() ?? [];
    const open = items.filter((item) => item.status !== COMPLETE && item.status !== FAILED);
    const all = open.reduce((sum, item) => sum + item.fileSize, 0);
    const sent = open.reduce((sum, item) => sum + (this.sent.get(fingerprint(item.file)) ?? 0), 0);
    const running = open.filter((item) => RUNNING.has(item.status)).length;
    const [trouble] = this.waiting.values();
    tank.classList.toggle("holds", items.length > 0);
    tank.classList.toggle("flows", running > 0 && !trouble);
    tank.style.setProperty("--level", open.length && all ? String(sent / all) : items.length ? "1" : "0");
    clear.hidden = !items.some((item) => item.status === COMPLETE);
    note.classList.toggle("trouble", Boolean(trouble));
    if (trouble) note.textContent = navigator.onLine ? `${trouble}. It goes on by itself.` : "No network. It goes on by itself.";
    else if (open.length) note.textContent = `${plural(open.length, "file")}, ${size(sent)} of ${size(all)}`;
    else note.textContent = items.some((item) => item.status === FAILED) ? "Something was not taken." : items.length ? "All there." : NOTE;
    document.title = running && all ? `${Math.floor((sent / all) * 100)} % – ${TITLE}` : TITLE;
  }

  // Where the browser hands out handles, choosing a file gives one, and the upload goes on without choosing again.
  browseByPicker() {
    if (!window.showOpenFilePicker) return;
    this.pond.element.addEventListener(
      "click",
      async (event) => {
        if (event.target.type !== "file") return;
        event.preventDefault();
        for (const file of await pick({ multiple: true })) this.add(file);
      },
      true,
    );
  }
}

// The files that the user picks; none if they think better of it.
export async function pick({ multiple }) {
  if (window.showOpenFilePicker) {
    try {
      const handles = await showOpenFilePicker({ multiple });
      await holdHandles(handles);
      return Promise.all(handles.map((handle) => handle.getFile()));
    } catch {
      return [];
    }
  }
  return new Promise((resolve) => {
    const input = document.createElement("input");
    input.type = "file";
    input.multiple = multiple;
    input.onchange = () => resolve([...input.files]);
    input.oncancel = () => resolve([]);
    input.click();
  });
}

// The item list is empty when the event is over, so the handles are asked for at once.
function keepHandles(event) {
  const items = [...(event.dataTransfer?.items ?? [])];
  holdHandles(items.filter((item) => item.kind === "file").map((item) => item.getAsFileSystemHandle?.()));
}

// One tab sends a file: a second one would take the upload over from the first, and back, and so on.
function alone(mark, act) {
  if (!navigator.locks) return act();
  return navigator.locks.request(LOCK + mark, { ifAvailable: true }, (lock) => {
    if (!lock) throw new Error("Another tab is sending it");
    return act();
  });
}

// The fingerprints of what is being sent now.
export async function sentByTabs() {
  const { held = [] } = (await navigator.locks?.query()) ?? {};
  return new Set(held.map((lock) => lock.name.slice(LOCK.length)));
}
