// Shows one screen at a time. The address after # says which one, and with what:
// #/rows?text=poem&page=2. So links, the back button and reloading work.

import { address } from "./address.js";
import { getJson } from "./api.js";
import { countWords, element, fill } from "./dom.js";
import * as agreement from "./screens/agreement.js";
import * as annotate from "./screens/annotate.js";
import * as comparison from "./screens/comparison.js";
import * as comparisons from "./screens/comparisons.js";
import * as diff from "./screens/diff.js";
import * as edits from "./screens/edits.js";
import * as row from "./screens/row.js";
import * as rows from "./screens/rows.js";
import * as whatIf from "./screens/what_if.js";

// A screen is a module with `path` (its word in the address), `title`, `keys` (pairs of key and
// meaning, for the help), `isHidden` if no link leads to it, and `show({ main, params, signal, say, keys })`: it fills `main`, gives
// `signal` to its requests, and may set
// `keys.onKey(event)`, which returns true for a digit that it takes for itself.
const SCREENS = [rows, row, comparisons, comparison, whatIf, diff, edits, annotate, agreement];

const KEYS = [
  ["?", "show or hide this help"],
  ["1 to 9", "go to a screen"],
  ["Esc", "close this help, or leave a field"],
];

const main = document.getElementById("main");
const help = document.getElementById("help");
let leave = new AbortController();
let keys = {};

/** Says something to who looks and to who listens. */
function say(text) {
  fill(document.getElementById("status"), text);
}

async function showScreen() {
  leave.abort();
  leave = new AbortController();
  const { signal } = leave;
  const [path, query = ""] = location.hash.replace(/^#\//, "").split(/\?(.*)/s);
  const screen = SCREENS.find((each) => each.path === path) ?? SCREENS[0];
  keys = {};
  document.title = `${screen.title} - tacos`;
  markCurrent(screen);
  listKeys(screen);
  try {
    await screen.show({ main, params: new URLSearchParams(query), signal, say, keys });
  } catch (error) {
    if (error.name === "AbortError") return;
    fill(main, element("h1", {}, screen.title), element("p", { class: "error", role: "alert" }, error.message));
  }
}

function markCurrent(screen) {
  for (const link of document.querySelectorAll("#screens a")) {
    if (link.dataset.path === screen.path) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function listScreens() {
  const links = SCREENS.filter((screen) => !screen.isHidden).map((screen) =>
    element("li", {}, element("a", { href: address(screen.path), "data-path": screen.path }, screen.title)),
  );
  fill(document.getElementById("screens"), links);
}

function listKeys(screen) {
  const rows = [...(screen.keys ?? []), ...KEYS].map(([key, meaning]) => [
    element("dt", {}, element("kbd", {}, key)),
    element("dd", {}, meaning),
  ]);
  fill(document.getElementById("help-keys"), rows);
}

function toggleHelp() {
  if (help.open) help.close();
  else help.showModal();
}

/** Whether a key is meant for the field in which it is pressed. */
function isTyping(target) {
  return target instanceof HTMLElement && target.matches("input, select, textarea");
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "Escape" && isTyping(event.target)) {
    // A field for searching would be emptied.
    event.preventDefault();
    event.target.blur();
    return;
  }
  if (isTyping(event.target)) return;
  if (event.key === "?") {
    event.preventDefault();
    toggleHelp();
    return;
  }
  if (help.open) return;
  if (keys.onKey?.(event) === true) return;
  const links = document.querySelectorAll("#screens a");
  if (/^[1-9]$/.test(event.key) && links[event.key - 1]) links[event.key - 1].click();
}

async function nameRun() {
  const run = await getJson("/api/run");
  const selected = run.n_selected === null ? "not finished" : `${run.n_selected.toLocaleString("en")} selected`;
  fill(
    document.getElementById("run"),
    element("strong", {}, run.name),
    ` ${countWords(run.n_rows, "row")}, ${selected}`,
  );
}

// The token has become a cookie, and need not stay in the history.
if (location.search) history.replaceState(null, "", `/${location.hash}`);
document.getElementById("help-button").addEventListener("click", toggleHelp);
document.getElementById("help-close").addEventListener("click", toggleHelp);
document.addEventListener("keydown", onKey);
window.addEventListener("hashchange", () => {
  showScreen();
  main.focus({ preventScroll: true });
});
listScreens();
nameRun().catch((error) => say(error.message));
showScreen();
