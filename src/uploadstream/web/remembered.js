// What this browser knows of its unfinished uploads: their ids, and where their bytes are.
//
// The id is in localStorage under the file's fingerprint. The bytes are in IndexedDB: a handle of the file where the
// browser gives one, else a copy of a small file. Without either, the same file has to be chosen again.

import { owner } from "./api.js";

const PREFIX = "uploadstream:upload:";
const COPY_BYTES_MAX = 64 * 1024 * 1024;
const LIFE_MS = 7 * 24 * 3600 * 1000;

export const fingerprint = (file) => [owner, file.name, file.size, file.lastModified].join("|");

export function recall(mark) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + mark));
  } catch {
    return null;
  }
}

export function remember(mark, file, id) {
  try {
    localStorage.setItem(PREFIX + mark, JSON.stringify({ id, name: file.name, size: file.size, at: Date.now() }));
  } catch {
    // Storage is full or forbidden: the upload itself goes on, and is not found again after a reload.
  }
}

export function forget(mark) {
  localStorage.removeItem(PREFIX + mark);
  sources("readwrite", (store) => store.delete(mark)).catch(() => {});
}

export function forgetUpload(id) {
  for (const one of all()) if (one.id === id) forget(one.mark);
}

export function all() {
  const found = [];
  for (const key of Object.keys(localStorage)) {
    if (!key.startsWith(`${PREFIX}${owner}|`)) continue;
    const mark = key.slice(PREFIX.length);
    const value = recall(mark);
    if (value && Date.now() - value.at < LIFE_MS) found.push({ mark, ...value });
    else forget(mark);
  }
  return found;
}

const handles = new Map();
let holding = Promise.resolve();

// Handles that the browser is about to give: promises, null for what is no file.
export function holdHandles(promises) {
  holding = Promise.allSettled(
    promises.map(async (promise) => {
      const handle = await promise;
      if (handle?.kind === "file") handles.set(fingerprint(await handle.getFile()), handle);
    }),
  );
  return holding;
}

export async function keepSource(mark, file) {
  await holding;
  const source = handles.get(mark) ?? (file.size <= COPY_BYTES_MAX ? file : null);
  if (source) await sources("readwrite", (store) => store.put(source, mark)).catch(() => {});
}

// The file, if it can be had: `ask` whether the user may be asked for leave, which needs a click of theirs.
export async function sourceOf(mark, { ask }) {
  const source = await sources("readonly", (store) => store.get(mark)).catch(() => null);
  if (!source || source instanceof File) return source ?? null;
  const leave = { mode: "read" };
  let granted = await source.queryPermission(leave);
  if (granted === "prompt" && ask) granted = await source.requestPermission(leave);
  if (granted !== "granted") return null;
  const file = await source.getFile().catch(() => null);
  if (!file || fingerprint(file) !== mark) return null;
  handles.set(mark, source);
  return file;
}

let opened;
function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("uploadstream", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("sources");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

async function sources(mode, act) {
  const transaction = (await database()).transaction("sources", mode);
  const request = act(transaction.objectStore("sources"));
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
  });
}
