// The REST API: its addresses, and its refusals as errors that say what is wrong.

// Everything is beside the page, wherever it is mounted.
export const base = new URL(".", document.baseURI);

// In open mode a user may be named: /?user=alice.
export const user = new URLSearchParams(location.search).get("user") ?? "";
// Whose uploads are remembered: the user named, or the one who has logged in.
export let owner = user;
export const become = (name) => (owner = user || name);
// A field's value is bytes: those of UTF-8, one a character.
export const bytesOf = (text) => String.fromCharCode(...new TextEncoder().encode(text));
export const fields = user ? { "X-User-Id": bytesOf(user) } : {};

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export function address(path, parameters = {}) {
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== "" && value !== false && value != null) url.searchParams.set(name, value);
  }
  return url;
}

// Asks who it is, and returns when that is known; null where a key would not help. Set by session.js.
export const who = { login: null };

export async function ask(method, path, parameters, { headers, ...options } = {}) {
  for (;;) {
    const answer = await fetch(address(path, parameters), { method, headers: { ...fields, ...headers }, ...options });
    if (answer.ok) return answer.status === 204 ? null : answer.json();
    if (answer.status !== 401 || !who.login) throw new Refused(answer.status, await reason(answer));
    await who.login();
  }
}

export async function reason(answer) {
  const text = await answer.text().catch(() => "");
  try {
    return JSON.parse(text).detail ?? answer.statusText;
  } catch {
    return text.trim().slice(0, 200) || answer.statusText || `status ${answer.status}`;
  }
}

export const listFiles = (parameters, options) => ask("GET", "api/v1/files", parameters, options);
export const listUploads = (parameters, options) => ask("GET", "api/v1/uploads", parameters, options);
export const describe = (id) => ask("GET", `api/v1/files/${id}`);
export const remove = (id) => ask("DELETE", `api/v1/files/${id}`);
export const restore = (id) => ask("POST", `api/v1/files/${id}/restore`);

// A browser sends no field of ours for an image, a video or a link: the user goes into the address.
export const contentAddress = (file, parameters = {}) =>
  address(`api/v1/files/${file.file_id}/content`, { user_id: user, ...parameters }).href;
