// Who is at the page: found out at the start, asked for when the server wants to know, shown at the top.

import { address, become, reason, who } from "./api.js";
import { openMenu } from "./menu.js";

const $ = (id) => document.getElementById(id);
const [dialog, form, key, problem, submit] = ["login", "login-form", "login-key", "login-problem", "login-submit"].map($);
const account = $("account");
let asking = null;

// Who the server says it is: { user_id, required }; nothing if it says nothing.
async function look() {
  const answer = await fetch(address("session")).catch(() => null);
  const found = answer?.ok ? await answer.json() : {};
  const user = found.user_id ?? "";
  become(user);
  account.hidden = !user;
  account.textContent = [...user][0]?.toUpperCase() ?? "";
  account.title = user;
  account.ariaLabel = `Logged in as ${user}`;
  account.onclick = () => openMenu(account, [["leave", `Log out ${user}`, leave]]);
  return found;
}

// Once for all who wait for it: until the server has taken a key.
function login() {
  asking ??= new Promise((resolve) => {
    problem.hidden = true;
    dialog.showModal();
    dialog.addEventListener("close", resolve, { once: true });
  }).then(() => (asking = null));
  return asking;
}

async function send(event) {
  event.preventDefault();
  if (submit.disabled) return;
  submit.disabled = true;
  try {
    const body = JSON.stringify({ api_key: key.value.trim() });
    const answer = await fetch(address("session"), { method: "POST", headers: { "Content-Type": "application/json" }, body });
    if (!answer.ok) return refuse(await reason(answer));
    if (!(await look()).user_id) return refuse("The key is right, but this browser does not keep cookies for this page.");
    key.value = "";
    dialog.close();
  } catch {
    refuse("The server does not answer. Check the connection and try again.");
  } finally {
    submit.disabled = false;
  }
}

async function leave() {
  await fetch(address("session"), { method: "DELETE" }).catch(() => {});
  location.reload(); // so that nothing of theirs stays
}

function refuse(text) {
  problem.textContent = text;
  problem.hidden = false;
  key.setAttribute("aria-invalid", "true");
  key.select();
}

// Returns when somebody is there, or nobody needs to be.
export async function arrive() {
  dialog.addEventListener("cancel", (event) => event.preventDefault()); // there is nothing behind it
  form.onsubmit = send;
  key.oninput = () => {
    problem.hidden = true;
    key.removeAttribute("aria-invalid");
  };
  const found = await look();
  if (!found.required) return;
  who.login = login;
  if (!found.user_id) await login();
}
