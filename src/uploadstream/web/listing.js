// The files of one view, a page at a time, in the order and of the names that are asked for.

import { listFiles } from "./api.js";

const PAGE = 60;
const COMPARE = {
  uploaded_at: (a, b) => a.uploaded_at.localeCompare(b.uploaded_at),
  filename: (a, b) => a.filename.localeCompare(b.filename, undefined, { numeric: true, sensitivity: "base" }),
  size: (a, b) => a.size - b.size,
};

export class Listing {
  constructor({ deleted, sort, search }) {
    this.parameters = { deleted };
    this.sort = sort;
    this.search = search.trim().toLowerCase();
    this.token = "";
    this.ended = false;
    this.stop = new AbortController();
  }

  // Whether the server's own order serves; otherwise everything is read first.
  get plain() {
    return this.sort === "-uploaded_at" && !this.search;
  }

  async next() {
    const rows = [];
    do {
      const page = await listFiles(
        { ...this.parameters, page_size: this.plain ? PAGE : 1000, page_token: this.token },
        { signal: this.stop.signal },
      );
      rows.push(...page.files);
      this.token = page.next_page_token;
    } while (this.token && !this.plain);
    this.ended = !this.token;
    return rows.filter((file) => this.has(file)).sort((a, b) => this.compare(a, b));
  }

  has(file) {
    return !this.search || file.filename.toLowerCase().includes(this.search);
  }

  compare(a, b) {
    const [, down, name] = /^(-?)(.*)$/.exec(this.sort);
    return COMPARE[name](a, b) * (down ? -1 : 1);
  }
}
