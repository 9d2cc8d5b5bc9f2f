// Keep a page of the client up to date, and send the person's actions to the sandbox.
// The server renders all HTML; a fragment is replaced only when its digest differs.

const page = document.querySelector("[data-live]");
const about = JSON.parse(page.dataset.about ?? "{}");
const here = { team: about.team, conversation: about.conversation, user: about.user };
const byId = (id) => document.getElementById(id);
let version = Number(page.dataset.version);

// --- Requests to the sandbox

async function fetchContent(url, options = {}) {
  const response = await fetch(url, options);
  const isJson = response.headers.get("Content-Type")?.startsWith("application/json");
  const answer = isJson ? await response.json() : await response.text();
  if (!response.ok) throw new Error(answer.error ?? `The sandbox responded with ${response.status}.`);
  return answer;
}

const postJson = (url, body) =>
  fetchContent(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });

function showError(text) {
  const toast = byId("toast");
  if (!toast) return;
  toast.textContent = text;
  toast.hidden = !text;
}

/** Run a request, show its error, and refresh the page. */
async function perform(element, run) {
  element?.setAttribute("aria-busy", "true");
  showError("");
  try {
    const answer = await run();
    if (answer?.error) showError(answer.error);
    return answer;
  } catch (error) {
    showError(error.message);
    return null;
  } finally {
    element?.removeAttribute("aria-busy");
    await refresh().catch(() => {});
  }
}

// --- Rendering

async function refresh() {
  const query = new URLSearchParams(location.search);
  const screen = await fetchContent(`${page.dataset.live}?${query}`);
  version = screen.version;
  document.title = `${screen.title} · not Slack`;
  Object.assign(about, screen.about);
  for (const [id, fragment] of Object.entries(screen.parts)) showPart(byId(id), fragment);
  for (const [id, fragments] of Object.entries(screen.lists)) showList(byId(id), fragments);
  afterRender();
}

function showPart(element, fragment) {
  if (!element || element.dataset.digest === fragment.digest) return;
  const state = element.querySelector("[data-view]") ? readState(element) : null;
  element.innerHTML = fragment.html;
  element.dataset.digest = fragment.digest;
  if (state) restoreState(element, state);
}

function showList(list, fragments) {
  if (!list) return;
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  const before = new Map([...list.children].map((item) => [item.dataset.key, item]));
  fragments.forEach((fragment, index) => {
    const item = before.get(fragment.key) ?? document.createElement("li");
    before.delete(fragment.key);
    if (item.dataset.digest !== fragment.digest) {
      item.dataset.key = fragment.key;
      item.dataset.digest = fragment.digest;
      item.innerHTML = fragment.html;
    }
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null);
  });
  for (const item of before.values()) item.remove();
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}

function afterRender() {
  const modal = byId("modal");
  if (modal) {
    const isOpen = modal.querySelector("[data-view]") !== null;
    if (isOpen && !modal.open) {
      modal.showModal();
      modal.querySelector("[data-focus]")?.focus();
    }
    if (!isOpen && modal.open) modal.close();
  }
  markUnread();
}

/** Mark conversations with messages newer than this tab last showed. */
function markUnread() {
  for (const row of document.querySelectorAll("[data-latest]")) {
    const key = `seen ${about.user} ${row.dataset.conversation}`;
    if (row.dataset.conversation === about.conversation && !about.tab) {
      sessionStorage.setItem(key, row.dataset.latest);
    }
    row.classList.toggle("unread", row.dataset.latest > (sessionStorage.getItem(key) ?? ""));
  }
}

async function watch() {
  for (;;) {
    try {
      const now = await fetchContent(`/live/changes?since=${version}`);
      page.classList.remove("offline");
      if (now.version !== version) await refresh();
    } catch {
      page.classList.add("offline");
      await new Promise((resume) => setTimeout(resume, 1000));
    }
  }
}

// --- Reading controls

function valueOf(control) {
  if (control.dataset.reads === "value") return control.value || null;
  const chosen = [...control.querySelectorAll("input:checked")].map((box) => box.value);
  return control.dataset.reads === "many" ? chosen : (chosen[0] ?? null);
}

function readState(container) {
  const state = {};
  for (const control of container.querySelectorAll("[data-reads]:not([data-reads=''])")) {
    const { blockId, actionId } = control.dataset;
    (state[blockId] ??= {})[actionId] = valueOf(control);
  }
  return state;
}

function restoreState(container, state) {
  for (const control of container.querySelectorAll("[data-reads]:not([data-reads=''])")) {
    const value = state[control.dataset.blockId]?.[control.dataset.actionId];
    if (value === undefined) continue;
    if (control.dataset.reads === "value") {
      control.value = value ?? "";
      continue;
    }
    for (const box of control.querySelectorAll("input")) {
      box.checked = [value].flat().includes(box.value);
    }
  }
}

// --- Buttons, menus and modals

function sourceOf(element) {
  const container = element.closest("[data-view], [data-ts]");
  if (container.dataset.view) return [container, { view: container.dataset.view }];
  const { channel, ts } = container.dataset;
  return [container, { channel, ts, is_ephemeral: "ephemeral" in container.dataset }];
}

async function act(element, value) {
  const [container, source] = sourceOf(element);
  const { blockId, actionId } = element.dataset;
  const body = {
    ...here,
    ...source,
    block_id: blockId,
    action_id: actionId,
    value,
    state: readState(container),
  };
  const answer = await perform(element, () => postJson("/live/action", body));
  if (!answer?.confirm) return true;
  if (!(await confirmed(answer.confirm))) return false;
  await perform(element, () => postJson("/live/action", { ...body, confirmed: true }));
  return true;
}

function confirmed(question) {
  const dialog = byId("confirm");
  const form = document.createElement("form");
  form.method = "dialog";
  form.innerHTML = `<h2 id="confirm-title"></h2><div class="text">${question.html}</div>
    <p class="buttons"><button value="deny"></button><button value="confirm"></button></p>`;
  form.querySelector("h2").textContent = question.title;
  const [deny, confirm] = form.querySelectorAll("button");
  deny.textContent = question.deny;
  confirm.textContent = question.confirm;
  confirm.className = question.style;
  dialog.replaceChildren(form);
  dialog.returnValue = "deny";
  dialog.showModal();
  return new Promise((resolve) => {
    const closed = () => resolve(dialog.returnValue === "confirm");
    dialog.addEventListener("close", closed, { once: true });
  });
}

const view = (element) => ({ ...here, view: element.closest("[data-view]").dataset.view });

const actions = {
  menu: () => page.classList.toggle("side-open"),
  join: (button) => perform(button, () => postJson("/live/join", here)),
  invite: (button) => perform(button, () => postJson("/live/invite", here)),
  shortcut: (button) => {
    const [, source] = sourceOf(button);
    const body = { ...here, ...source, callback_id: button.dataset.callbackId };
    closeMenus(null);
    return perform(button, () => postJson("/live/shortcut", body));
  },
  close: (button) => perform(button, () => postJson("/live/close", view(button))),
  "clear-faults": async () => {
    await fetchContent("/sandbox/faults", { method: "DELETE" });
    await showTraffic();
  },
};

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-action]");
  if (button) return actions[button.dataset.action](button);
  const element = event.target.closest("[data-sends='click'], [data-sends='choose']");
  if (!element) return closeMenus(event.target);
  const value = element.value || element.dataset.value || null;
  closeMenus(null);
  if ("asks" in element.dataset) event.preventDefault();
  const isDone = await act(element, value);
  if (isDone && "asks" in element.dataset) open(element.href, "_blank", "noopener");
});

// A menu below the latest message would be hidden by the composer.
document.addEventListener("toggle", ({ target }) => {
  if (target.open && target.matches("details.menu")) {
    target.lastElementChild.scrollIntoView({ block: "nearest" });
  }
}, true);

function closeMenus(target) {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(target)) menu.open = false;
  }
}

document.addEventListener("change", (event) => {
  const control = event.target.closest("[data-sends='change']");
  if (control) act(control, valueOf(control));
});

document.addEventListener("input", (event) => {
  const control = event.target.closest("[data-sends='input']");
  if (control) act(control, valueOf(control));
  if (event.target.matches("[data-compose] textarea")) suggest(event.target);
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method === "dialog") return;
  event.preventDefault();
  if ("compose" in form.dataset) return postMessage(form);
  if (form.id === "fault") return addFault(form);
  if ("submit" in form.dataset) {
    const body = { ...view(form), state: readState(form) };
    perform(form, () => postJson("/live/submit", body));
  }
});

byId("modal")?.addEventListener("cancel", (event) => {
  event.preventDefault();
  actions.close(event.target.querySelector("[data-action='close']"));
});

// --- Composer

async function postMessage(form) {
  const box = form.elements.text;
  const text = box.value.trim();
  if (!text) return;
  const thread = "thread" in form.dataset ? about.thread : undefined;
  box.value = "";
  suggest(box);
  const answer = await perform(box, () => postJson("/live/message", { ...here, text, thread }));
  if (!answer && !box.value) box.value = text;
  const list = byId(thread ? "thread" : "messages");
  list.scrollTop = list.scrollHeight;
}

/** Suggest commands, people and channels that start with the word before the cursor. */
function suggest(box) {
  const list = byId(box.getAttribute("aria-controls"));
  const before = box.value.slice(0, box.selectionStart);
  const word = before.match(/^\/\S*$|[@#][\w.-]*$/)?.[0] ?? "";
  const known = { "/": about.commands, "@": about.people, "#": about.channels }[word[0]] ?? [];
  const matching = known.filter((entry) => matches(entry, word)).slice(0, 8);
  list.replaceChildren(...matching.map(suggestion));
  list.hidden = matching.length === 0;
  list.dataset.word = word;
  choose(list, 0);
}

function matches(entry, word) {
  const prefix = word.toLowerCase();
  const names = [entry.insert, `${word[0]}${entry.name}`].map((name) => name.toLowerCase());
  return entry.insert !== word && names.some((name) => name.startsWith(prefix));
}

function suggestion(entry) {
  const item = document.createElement("li");
  const name = document.createElement("strong");
  const detail = document.createElement("small");
  item.setAttribute("role", "option");
  item.dataset.insert = entry.insert;
  name.textContent = entry.name;
  detail.textContent = entry.detail ?? "";
  item.append(name, detail);
  return item;
}

function choose(list, step) {
  const items = [...list.children];
  const now = items.findIndex((item) => item.getAttribute("aria-selected") === "true");
  const next = (Math.max(now, 0) + step + items.length) % (items.length || 1);
  items.forEach((item, index) => item.setAttribute("aria-selected", String(index === next)));
}

function insert(box, item) {
  const list = item.parentElement;
  const end = box.selectionStart;
  box.setRangeText(`${item.dataset.insert} `, end - list.dataset.word.length, end, "end");
  box.focus();
  suggest(box);
}

document.addEventListener("mousedown", (event) => {
  const item = event.target.closest("[role='option']");
  if (!item) return;
  event.preventDefault();
  insert(item.closest("form").elements.text, item);
});

document.addEventListener("keydown", (event) => {
  const box = event.target;
  if (event.key === "Enter" && box.matches("[data-sends='enter']")) {
    event.preventDefault();
    act(box, valueOf(box));
  }
  if (!box.matches("[data-compose] textarea") || event.isComposing) return;
  const list = byId(box.getAttribute("aria-controls"));
  const chosen = list.hidden ? null : list.querySelector("[aria-selected='true']");
  const steps = { ArrowDown: 1, ArrowUp: -1 };
  if (chosen && event.key in steps) choose(list, steps[event.key]);
  else if (chosen && event.key === "Tab") insert(box, chosen);
  else if (chosen && event.key === "Escape") list.hidden = true;
  else if (event.key === "Enter" && !event.shiftKey) {
    if (chosen && list.dataset.word.length > 0) insert(box, chosen);
    else box.form.requestSubmit();
  } else return;
  event.preventDefault();
});

// --- Developer tools

async function addFault(form) {
  const fields = Object.fromEntries(new FormData(form));
  const fault = {
    method: fields.method,
    kind: fields.kind,
    seconds: Number(fields.seconds),
    error: fields.error,
    times: fields.times ? Number(fields.times) : null,
    every: fields.every ? Number(fields.every) : null,
  };
  await postJson("/sandbox/faults", fault).catch((error) => showError(error.message));
  await showTraffic();
}

async function showTraffic() {
  const traffic = byId("traffic");
  if (!byId("developer-tools")?.open || traffic.querySelector("details[open]")) return;
  traffic.innerHTML = await fetchContent("/live/traffic").catch((error) => error.message);
}

byId("developer-tools")?.addEventListener("toggle", showTraffic);

// --- Start

for (const list of document.querySelectorAll("ol.messages")) list.scrollTop = list.scrollHeight;
if (about.kind === "app") {
  postJson("/live/open-app", { ...here, tab: about.tab || "messages" }).catch(() => {});
}
afterRender();
setInterval(showTraffic, 2000);
refresh().catch(() => {});
watch();
