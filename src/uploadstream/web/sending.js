// One file on its way over tus: from wherever the server stands, until it has every byte.

import { address, bytesOf, fields, user, who } from "./api.js";

const VERSION = { "Tus-Resumable": "1.0.0" };
const BODY_BYTES = 64 * 1024 * 1024;
const BODY_BYTES_MIN = 1024 * 1024;
const WAITS_MS = [400, 1000, 2000, 4000, 8000, 15000];
const TRIES_MAX = 14;
const SILENCE_MS = 40_000;
const PASSING = new Set([0, 408, 409, 423, 425, 429, 460, 500, 502, 503, 504]);

export class Stopped extends Error {}

class Failed extends Error {
  constructor(answer) {
    super(words(answer));
    this.status = answer.status;
    this.later = Number(answer.getResponseHeader("Retry-After")) * 1000 || 0;
    this.ours = answer.getResponseHeader("Tus-Resumable") !== null;
  }
}

const words = (answer) =>
  (answer.status && answer.responseText.length < 300 && !answer.responseText.startsWith("<")
    ? answer.responseText.trim()
    : "") || (answer.status ? `The server answered ${answer.status}` : "The connection was lost");

const encoded = (text) => btoa(bytesOf(text));

function metadata(file) {
  const pairs = [["filename", file.name], ["filetype", file.type], ["user_id", user]];
  return pairs.filter(([, value]) => value).map(([key, value]) => `${key} ${encoded(value)}`).join(",");
}

export class Sending {
  // `told.created(id)`, `told.progress(bytes)`, `told.waiting(text or "")`
  constructor(file, { id = "", ...told }) {
    this.file = file;
    this.id = id;
    this.told = told;
    this.offset = null;
    this.bodyBytes = BODY_BYTES;
    this.tries = 0;
    this.stopped = false;
    this.request = null;
  }

  pause() {
    this.stopped = true;
    this.request?.abort();
    this.wake?.();
  }

  // The id when every byte is there. Stopped, or an error that trying again does not mend.
  async run() {
    for (;;) {
      if (this.stopped) throw new Stopped();
      try {
        if (!this.id) await this.create();
        if (this.offset === null) await this.look();
        if (this.id && this.offset === this.file.size) return this.id;
        if (this.id) await this.append();
      } catch (error) {
        if (this.stopped) throw new Stopped();
        await this.bear(error);
      }
    }
  }

  async create() {
    const answer = await this.ask("POST", address("files"), {
      "Upload-Length": String(this.file.size),
      "Upload-Metadata": metadata(this.file),
    });
    this.id = answer.getResponseHeader("Location").replace(/\/$/, "").split("/").pop();
    this.offset = 0;
    this.told.created(this.id);
  }

  async look() {
    try {
      const answer = await this.ask("HEAD", this.place());
      const length = answer.getResponseHeader("Upload-Length");
      const fits = length === null || Number(length) === this.file.size;
      this.offset = fits ? Number(answer.getResponseHeader("Upload-Offset")) : null;
      if (!fits) this.id = "";
      else this.told.progress(this.offset);
    } catch (error) {
      if (error.status !== 404 && error.status !== 410) throw error;
      this.id = ""; // it has expired, or was discarded elsewhere
    }
  }

  async append() {
    const start = this.offset;
    const body = this.file.slice(start, start + this.bodyBytes);
    this.offset = null; // until the server has answered, only the server knows
    const length = { "Upload-Offset": String(start), "Upload-Length": String(this.file.size) };
    const type = { "Content-Type": "application/offset+octet-stream" };
    const answer = await this.ask("PATCH", this.place(), { ...length, ...type }, body, (sent) => {
      this.tries = 0;
      this.told.waiting("");
      this.told.progress(start + sent);
    });
    this.offset = Number(answer.getResponseHeader("Upload-Offset"));
    this.tries = 0;
  }

  place() {
    return address(`files/${this.id}`);
  }

  ask(method, url, more = {}, body = null, sent = null) {
    return new Promise((resolve, reject) => {
      const request = (this.request = new XMLHttpRequest());
      let silence = 0;
      const cut = () => request.abort(); // a request without a network would wait for a long time
      addEventListener("offline", cut);
      const listen = () => {
        clearTimeout(silence);
        silence = setTimeout(() => request.abort(), SILENCE_MS);
      };
      request.open(method, url);
      for (const [name, value] of Object.entries({ ...VERSION, ...fields, ...more })) request.setRequestHeader(name, value);
      request.onloadend = () => {
        clearTimeout(silence);
        removeEventListener("offline", cut);
        if (request.status >= 200 && request.status < 300) resolve(request);
        else reject(new Failed(request));
      };
      if (sent) {
        request.upload.onprogress = (event) => {
          listen();
          sent(event.loaded);
        };
        request.upload.onload = () => clearTimeout(silence); // now the server syncs, which may take its time
      }
      listen();
      request.send(body);
    });
  }

  // Wait, and come back; or raise what will not pass.
  async bear(error) {
    if (!(error instanceof Failed)) throw error;
    if (error.status === 413 && !error.ours && this.bodyBytes > BODY_BYTES_MIN) {
      this.bodyBytes /= 4; // something between us and the server bounds a body
      return;
    }
    if (error.status === 401 && who.login) {
      this.told.waiting("Waiting for you to log in");
      return who.login();
    }
    if (!PASSING.has(error.status) || this.tries >= TRIES_MAX) throw error;
    const pause = Math.max(error.later, WAITS_MS[Math.min(this.tries, WAITS_MS.length - 1)]);
    if (navigator.onLine) this.tries += 1;
    this.told.waiting(error.status ? error.message : "Waiting for the network");
    await this.sleep(pause);
  }

  // So long, or until the network is back.
  sleep(pause) {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        removeEventListener("online", end);
        resolve();
      };
      this.wake = end;
      const timer = setTimeout(end, pause);
      addEventListener("online", end);
    });
  }
}
