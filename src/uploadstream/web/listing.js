// The files of one view, a page at a time, in the order and of the names that are asked for.

import { listFiles } from "./api.js";

const PAGE = 60;
// As the server orders them, to know the place of a file that comes later.
const KEYS = {
  uploaded_at: (file) => file.uploaded_at,
  filename: (file) => file.filename.toLowerCase(),
  size: (file) => file.size,
};

export class Listing {
  // `sort`: a field's name, with a minus before it for the largest first.
  constructor({ deleted, sort, search }) {
    this.down = sort.startsWith("-");
    this.sort = sort.replace("-", "");
    this.search = search.trim().toLowerCase();
    this.parameters = { deleted, name: search.trim(), sort: this.sort, order: this.down ? "desc" : "asc" };
    this.token = "";
    this.ended = false;
    this.stop = new AbortController();
  }

  async next() {
    const rows = [];
    while (!rows.length && !this.ended) {
      const page = await listFiles({ ...this.parameters, page_size: PAGE, page_token: this.token }, { signal: this.stop.signal });
      rows.push(...page.files);
      this.token = page.next_page_token;
      this.ended = !this.token;
    }
    return rows;
  }

  has(file) {
    return file.filename.toLowerCase().includes(this.search);
  }

  compare(a, b) {
    const [first, second] = [a, b].map(KEYS[this.sort]);
    return (first < second ? -1 : first > second ? 1 : 0) * (this.down ? -1 : 1);
  }
}
