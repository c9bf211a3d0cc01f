// The console's own script: keys, theme, times that pass, copying, and when to ask for what is new.
"use strict";

const pick = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// --- Live parts: they are renewed while somebody can see them, and while that disturbs nobody.

let asked = new WeakMap();

function disturbs(part) {
  const selection = getSelection();
  if (selection && !selection.isCollapsed && part.contains(selection.anchorNode)) return true;
  if (pick("input[data-check]:checked", part)) return true;
  return part.matches(":has([data-rows])") && scrollY > 240;
}

function tick() {
  if (document.hidden) return;
  const now = performance.now();
  for (const part of all("[data-live]")) {
    if (now - (asked.get(part) ?? 0) < Number(part.dataset.live) || disturbs(part)) continue;
    asked.set(part, now);
    htmx.trigger(part, "tick");
  }
}
for (const part of all("[data-live]")) asked.set(part, performance.now());
setInterval(tick, 250);
document.addEventListener("visibilitychange", tick);

addEventListener("htmx:sendError", () => document.body.classList.add("offline"));
addEventListener("htmx:afterOnLoad", () => document.body.classList.remove("offline"));
addEventListener("htmx:responseError", (event) => {
  if (event.detail.xhr.status === 401) location.reload(); // the session ended: sign in, and come back here
  else say(problemOf(event.detail.xhr));
});

function problemOf(answer) {
  const page = new DOMParser().parseFromString(answer.responseText, "text/html");
  return pick(".empty p", page)?.textContent ?? `The console answered ${answer.status}`;
}

// What a reader has opened or chosen stays so when the part around it is renewed.
addEventListener("htmx:load", () => chosenChanged());
if (window.Idiomorph) {
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) =>
    !(name === "open" && node.tagName === "DETAILS") && !(name === "class" && node.tagName === "TR");
}

// --- Times pass.

const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

function ago(seconds) {
  const whole = Math.floor(Math.abs(seconds));
  if (whole < 1) return "now";
  const [size, unit] = units.find(([size]) => whole >= size);
  const text = `${Math.floor(whole / size)} ${unit}`;
  return seconds > 0 ? `${text} ago` : `in ${text}`;
}

function passTime() {
  if (document.hidden) return;
  for (const time of all("time[data-ago]")) {
    const at = new Date(time.dateTime);
    const text = ago((Date.now() - at) / 1000);
    if (time.textContent !== text) time.textContent = text;
    if (!time.dataset.local) {
      time.dataset.local = "yes";
      time.title = `${at.toLocaleString()} here\n${time.title}`;
    }
  }
}
setInterval(passTime, 1000);
addEventListener("htmx:afterSettle", passTime);
passTime();

// --- Saying, copying, confirming.

let saying;

function say(text) {
  const toast = pick("#toast");
  toast.textContent = text;
  toast.hidden = false;
  clearTimeout(saying);
  saying = setTimeout(() => { toast.hidden = true; }, 2600);
}

async function copy(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    const area = Object.assign(document.createElement("textarea"), { value: button.dataset.copy });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.classList.add("copied");
  setTimeout(() => button.classList.remove("copied"), 1200);
  say("Copied");
}

addEventListener("htmx:confirm", (event) => {
  const by = event.detail.triggeringEvent?.submitter;
  const question = by?.dataset.confirm ?? event.target.dataset?.confirm;
  if (!question) return;
  event.preventDefault();
  if (confirm(question)) event.detail.issueRequest(true);
});
addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm ?? event.target.dataset.confirm;
  const byScript = event.target.hasAttribute("hx-post") || event.submitter?.hasAttribute("hx-post");
  if (question && !byScript && !confirm(question)) event.preventDefault();
});

// --- Choosing rows.

function chosenChanged() {
  for (const form of all("[data-selection]")) {
    const count = all("[data-check]:checked", form).length;
    const text = count ? `${count} chosen` : "None chosen";
    const label = pick("[data-chosen]", form);
    if (label && label.textContent !== text) label.textContent = text;
    for (const button of all("[data-needs-choice]", form)) button.disabled = !count;
  }
}
addEventListener("change", (event) => {
  if (event.target.matches("[data-check-all]")) {
    for (const box of all("[data-check]", event.target.form)) box.checked = event.target.checked;
  }
  if (event.target.matches("[data-check], [data-check-all]")) chosenChanged();
  if (event.target.matches("[data-filters] select")) event.target.form.requestSubmit();
});
// An empty field is no condition: it stays out of the address.
addEventListener("formdata", (event) => {
  if (!event.target.matches("[data-filters]")) return;
  for (const [name, value] of [...event.formData]) if (!value) event.formData.delete(name);
});
addEventListener("submit", (event) => {
  if (!event.target.matches("[data-filters]")) return;
  const fields = all("input, select", event.target).filter((field) => field.name && !field.value);
  for (const field of fields) field.disabled = true;
  setTimeout(() => { for (const field of fields) field.disabled = false; });
});

// --- Theme.

const themes = ["system", "light", "dark"];

function theme(next) {
  if (next === "system") {
    localStorage.removeItem("tidegate-theme");
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem("tidegate-theme", next);
    document.documentElement.dataset.theme = next;
  }
  const name = pick("[data-theme-name]");
  name.textContent = next[0].toUpperCase() + next.slice(1);
}
const currentTheme = () => localStorage.getItem("tidegate-theme") ?? "system";
const nextTheme = () => theme(themes[(themes.indexOf(currentTheme()) + 1) % themes.length]);
theme(currentTheme());

addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.copy !== undefined) copy(button);
  if (button.dataset.themeSwitch !== undefined) nextTheme();
  if (button.dataset.keys !== undefined) pick("#keys").showModal();
  if (button.dataset.fold) fold(button);
  if (button.dataset.restore !== undefined) restore();
});

// --- The editor of the playground: Tab indents, unless Escape was pressed before it.

let leaves = false;

function restore() {
  const editor = pick("[data-editor]");
  editor.value = editor.defaultValue;
  editor.dispatchEvent(new Event("input", { bubbles: true }));
}
addEventListener("keydown", (event) => {
  if (!event.target.matches?.("[data-editor]")) return;
  if (event.key === "Tab" && !event.shiftKey && !leaves) {
    event.preventDefault();
    event.target.setRangeText("  ", event.target.selectionStart, event.target.selectionEnd, "end");
    event.target.dispatchEvent(new Event("input", { bubbles: true }));
  }
  leaves = event.key === "Escape";
});
addEventListener("submit", (event) => { if (event.target.matches("[data-stay]")) event.preventDefault(); });

function fold(button) {
  const groups = all("details", pick(`#${button.dataset.fold}`));
  const opened = groups.some((group) => group.open);
  for (const group of groups) group.open = !opened;
  button.textContent = opened ? "Unfold all" : "Fold all";
}

// --- Keys.

let leader = 0;

function rows() {
  return all("[data-rows] tbody tr").filter((row) => row.offsetParent);
}

function step(by) {
  const found = rows();
  if (!found.length) return;
  const at = found.findIndex((row) => row.classList.contains("at"));
  const next = found[Math.min(Math.max(at + by, 0), found.length - 1)];
  for (const row of found) row.classList.toggle("at", row === next);
  next.scrollIntoView({ block: "nearest" });
  pick("[data-row-link]", next)?.focus({ preventScroll: true });
}

const keys = {
  j: () => step(1),
  k: () => step(-1),
  x: () => { const box = pick("tr.at [data-check]"); if (box) { box.checked = !box.checked; chosenChanged(); } },
  "/": () => { const field = pick("[data-search]"); field?.focus(); field?.select(); },
  u: () => pick("[data-up]")?.click(),
  t: nextTheme,
  "?": () => pick("#keys").showModal(),
  g: () => { leader = performance.now(); },
};

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const field = event.target.closest?.("input:not([type=checkbox]), textarea, select");
  if (field) {
    if (event.key === "Escape" && !field.matches("[data-editor]")) field.blur();
    return;
  }
  if (pick("dialog[open]")) return;
  if (performance.now() - leader < 1200) {
    leader = 0;
    const tab = pick(`[data-go="${CSS.escape(event.key)}"]`);
    if (tab) { event.preventDefault(); tab.click(); return; }
  }
  if (event.key === "Enter" && event.target === document.body) pick("tr.at [data-row-link]")?.click();
  const action = keys[event.key];
  if (action) { event.preventDefault(); action(); }
});
