// Keeps a page of the client as the stand-in has it, and sends what the person does.
// The server draws everything; a piece is put in anew only when its digest differs.

const page = document.querySelector("[data-live]");
const about = JSON.parse(page.dataset.about ?? "{}");
const here = { team: about.team, place: about.place, user: about.user };
const byId = (id) => document.getElementById(id);
let version = Number(page.dataset.version);

// --- Asking the stand-in

async function ask(url, options = {}) {
  const response = await fetch(url, options);
  const isJson = response.headers.get("Content-Type")?.startsWith("application/json");
  const answer = isJson ? await response.json() : await response.text();
  if (!response.ok) throw new Error(answer.error ?? `The stand-in answered ${response.status}.`);
  return answer;
}

const send = (url, body, method = "POST") =>
  ask(url, {
    method,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });

function say(text) {
  const said = byId("said");
  if (!said) return;
  said.textContent = text;
  said.hidden = !text;
}

/** Do something with the stand-in, say what went wrong, and show what came of it. */
async function doing(element, act) {
  element?.setAttribute("aria-busy", "true");
  say("");
  try {
    const answer = await act();
    if (answer?.error) say(answer.error);
    return answer;
  } catch (error) {
    say(error.message);
    return null;
  } finally {
    element?.removeAttribute("aria-busy");
    await refresh().catch(() => {});
  }
}

// --- Showing what is there

async function refresh() {
  const query = new URLSearchParams(location.search);
  const screen = await ask(`${page.dataset.live}?${query}`);
  version = screen.version;
  document.title = `${screen.title} · not Slack`;
  Object.assign(about, screen.about);
  for (const [id, piece] of Object.entries(screen.parts)) showPart(byId(id), piece);
  for (const [id, pieces] of Object.entries(screen.lists)) showList(byId(id), pieces);
  afterShowing();
}

function showPart(element, piece) {
  if (!element || element.dataset.digest === piece.digest) return;
  const typed = element.querySelector("[data-view]") ? typedIn(element) : null;
  element.innerHTML = piece.html;
  element.dataset.digest = piece.digest;
  if (typed) typeAgain(element, typed);
}

function showList(list, pieces) {
  if (!list) return;
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  const before = new Map([...list.children].map((item) => [item.dataset.key, item]));
  pieces.forEach((piece, place) => {
    const item = before.get(piece.key) ?? document.createElement("li");
    before.delete(piece.key);
    if (item.dataset.digest !== piece.digest) {
      item.dataset.key = piece.key;
      item.dataset.digest = piece.digest;
      item.innerHTML = piece.html;
    }
    if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
  });
  for (const item of before.values()) item.remove();
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}

function afterShowing() {
  const modal = byId("modal");
  if (modal) {
    const isWanted = modal.querySelector("[data-view]") !== null;
    if (isWanted && !modal.open) {
      modal.showModal();
      modal.querySelector("[data-focus]")?.focus();
    }
    if (!isWanted && modal.open) modal.close();
  }
  markUnread();
}

/** Mark the conversations in which something was said since this tab last showed them. */
function markUnread() {
  for (const row of document.querySelectorAll("[data-latest]")) {
    const key = `seen ${about.user} ${row.dataset.place}`;
    if (row.dataset.place === about.place && !about.tab) {
      sessionStorage.setItem(key, row.dataset.latest);
    }
    row.classList.toggle("unread", row.dataset.latest > (sessionStorage.getItem(key) ?? ""));
  }
}

async function watch() {
  for (;;) {
    try {
      const now = await ask(`/live/changes?since=${version}`);
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

function typedIn(container) {
  const state = {};
  for (const control of container.querySelectorAll("[data-reads]:not([data-reads=''])")) {
    const { blockId, actionId } = control.dataset;
    (state[blockId] ??= {})[actionId] = valueOf(control);
  }
  return state;
}

function typeAgain(container, state) {
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
    state: typedIn(container),
  };
  const answer = await doing(element, () => send("/live/act", body));
  if (!answer?.confirm) return true;
  if (!(await confirmed(answer.confirm))) return false;
  await doing(element, () => send("/live/act", { ...body, confirmed: true }));
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

const deeds = {
  menu: () => page.classList.toggle("side-open"),
  join: (button) => doing(button, () => send("/live/join", here)),
  invite: (button) => doing(button, () => send("/live/invite", here)),
  shortcut: (button) => {
    const [, source] = sourceOf(button);
    const body = { ...here, ...source, callback_id: button.dataset.callbackId };
    closeMenus(null);
    return doing(button, () => send("/live/shortcut", body));
  },
  close: (button) => doing(button, () => send("/live/close", view(button))),
  "clear-faults": async () => {
    await ask("/sandbox/faults", { method: "DELETE" });
    await showTraffic();
  },
};

document.addEventListener("click", async (event) => {
  const deed = event.target.closest("[data-do]");
  if (deed) return deeds[deed.dataset.do](deed);
  const element = event.target.closest("[data-sends='click'], [data-sends='choose']");
  if (!element) return closeMenus(event.target);
  const value = element.value || element.dataset.value || null;
  closeMenus(null);
  if ("asks" in element.dataset) event.preventDefault();
  const isDone = await act(element, value);
  if (isDone && "asks" in element.dataset) open(element.href, "_blank", "noopener");
});

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
  if (event.target.matches("[data-say] textarea")) suggest(event.target);
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method === "dialog") return;
  event.preventDefault();
  if ("say" in form.dataset) return speak(form);
  if (form.id === "fault") return addFault(form);
  if ("submit" in form.dataset) {
    const body = { ...view(form), state: typedIn(form) };
    doing(form, () => send("/live/submit", body));
  }
});

byId("modal")?.addEventListener("cancel", (event) => {
  event.preventDefault();
  deeds.close(event.target.querySelector("[data-do='close']"));
});

// --- Writing

async function speak(form) {
  const box = form.elements.text;
  const text = box.value.trim();
  if (!text) return;
  const thread = "thread" in form.dataset ? about.thread : undefined;
  box.value = "";
  suggest(box);
  const answer = await doing(box, () => send("/live/say", { ...here, text, thread }));
  if (!answer && !box.value) box.value = text;
  const list = byId(thread ? "thread" : "messages");
  list.scrollTop = list.scrollHeight;
}

/** Offer commands, people and channels that begin with what stands before the cursor. */
function suggest(box) {
  const list = byId(box.getAttribute("aria-controls"));
  const before = box.value.slice(0, box.selectionStart);
  const word = before.match(/^\/\S*$|[@#][\w.-]*$/)?.[0] ?? "";
  const known = { "/": about.commands, "@": about.people, "#": about.channels }[word[0]] ?? [];
  const fitting = known.filter((one) => fits(one, word)).slice(0, 8);
  list.replaceChildren(...fitting.map((one) => suggestion(one)));
  list.hidden = fitting.length === 0;
  list.dataset.word = word;
  choose(list, 0);
}

function fits(one, word) {
  const asked = word.toLowerCase();
  const names = [one.insert, `${word[0]}${one.name}`].map((name) => name.toLowerCase());
  return one.insert !== word && names.some((name) => name.startsWith(asked));
}

function suggestion(one) {
  const item = document.createElement("li");
  const name = document.createElement("strong");
  const detail = document.createElement("small");
  item.setAttribute("role", "option");
  item.dataset.insert = one.insert;
  name.textContent = one.name;
  detail.textContent = one.detail ?? "";
  item.append(name, detail);
  return item;
}

function choose(list, step) {
  const items = [...list.children];
  const now = items.findIndex((item) => item.getAttribute("aria-selected") === "true");
  const next = (Math.max(now, 0) + step + items.length) % (items.length || 1);
  items.forEach((item, place) => item.setAttribute("aria-selected", String(place === next)));
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
  if (!box.matches("[data-say] textarea") || event.isComposing) return;
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

// --- Behind the scenes

async function addFault(form) {
  const given = Object.fromEntries(new FormData(form));
  const fault = {
    method: given.method,
    kind: given.kind,
    seconds: Number(given.seconds),
    error: given.error,
    times: given.times ? Number(given.times) : null,
    every: given.every ? Number(given.every) : null,
  };
  await send("/sandbox/faults", fault).catch((error) => say(error.message));
  await showTraffic();
}

async function showTraffic() {
  const traffic = byId("traffic");
  if (!byId("hood")?.open || traffic.querySelector("details[open]")) return;
  traffic.innerHTML = await ask("/live/traffic").catch((error) => error.message);
}

byId("hood")?.addEventListener("toggle", showTraffic);

// --- Start

for (const list of document.querySelectorAll("ol.messages")) list.scrollTop = list.scrollHeight;
if (about.kind === "app") {
  send("/live/look", { ...here, tab: about.tab || "messages" }).catch(() => {});
}
afterShowing();
setInterval(showTraffic, 2000);
refresh().catch(() => {});
watch();
