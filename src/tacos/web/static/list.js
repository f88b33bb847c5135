// What lists have in common: pages, and moving through entries by key.

import { countWords, element, fill, formatCount } from "./dom.js";

/** Keys of every list, for the help. */
export const LIST_KEYS = [
  ["j k ↓ ↑", "next and previous entry"],
  ["Enter", "open the entry"],
  ["n p → ←", "next and previous page"],
  ["/", "to the search field"],
];

/** Moves through the links of the class `entry` in a place; `turn(step)` turns the page. */
export function listenToKeys(place, field, turn) {
  return (event) => {
    const links = [...place.querySelectorAll("a.entry")];
    const current = links.indexOf(document.activeElement);
    const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    const page = { n: 1, ArrowRight: 1, p: -1, ArrowLeft: -1 }[event.key];
    if (step !== undefined && links.length) {
      event.preventDefault();
      const next = current < 0 ? (step > 0 ? 0 : links.length - 1) : current + step;
      links[Math.max(0, Math.min(links.length - 1, next))].focus();
    } else if (page !== undefined) {
      event.preventDefault();
      turn(page);
    } else if (event.key === "/") {
      event.preventDefault();
      field.focus();
      field.select();
    }
  };
}

/** Buttons that turn the page. */
export function pager(answer, turn) {
  const { page, n_pages: nPages } = answer;
  if (nPages < 2) return null;
  return element(
    "nav",
    { class: "pager", "aria-label": "Pages" },
    element("button", { type: "button", disabled: page <= 1, click: () => turn(-1) }, "Previous"),
    element("span", {}, `Page ${formatCount(page)} of ${formatCount(nPages)}`),
    element("button", { type: "button", disabled: page >= nPages, click: () => turn(1) }, "Next"),
  );
}

/** "12 of 52,002 rows" */
export function describeFound(answer, word) {
  if (answer.n_found === answer.n_all) return countWords(answer.n_all, word);
  return `${formatCount(answer.n_found)} of ${countWords(answer.n_all, word)}`;
}

/** A field with its label. */
export function labelled(text, field) {
  return element("label", { class: "field" }, element("span", {}, text), field);
}

/** A choice among values of the data, each with its number of rows. */
export function choice(name, entries, current, describe = (entry) => entry.name) {
  const options = entries.map((entry) =>
    element(
      "option",
      { value: entry.name, selected: String(entry.name) === current },
      entry.n === undefined ? describe(entry) : `${describe(entry)} (${formatCount(entry.n)})`,
    ),
  );
  const isKnown = !current || entries.some((entry) => String(entry.name) === current);
  const other = isKnown ? null : element("option", { value: current, selected: true }, current);
  return element("select", { name }, element("option", { value: "" }, "any"), other, options);
}

/**
 * A list that follows its form: when a field changes, the address follows, and `load()`
 * is called. Typing waits for a pause, and for nothing once the screen was left (`signal`).
 */
export function followForm(form, signal, load) {
  let waiting;
  let loaded = JSON.stringify(readForm(form));
  signal.addEventListener("abort", () => clearTimeout(waiting));
  const follow = () => {
    clearTimeout(waiting);
    // Leaving a field tells of a change that was loaded while it was typed.
    const values = JSON.stringify(readForm(form));
    if (values === loaded) return;
    loaded = values;
    load();
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    follow();
  });
  form.addEventListener("reset", () => {
    loaded = "{}";
  });
  form.addEventListener("change", follow);
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(follow, 400);
  });
}

/** The filled fields of a form. */
export function readForm(form) {
  const values = {};
  for (const [name, value] of new FormData(form)) if (value !== "") values[name] = value;
  return values;
}

/** Shows an error in a place. */
export function showError(place, error) {
  fill(place, element("p", { class: "error", role: "alert" }, error.message));
}

/** A wide table in a place that scrolls by itself, by keyboard too. */
export function scrollable(label, table) {
  return element("div", { class: "scrolled", role: "region", tabindex: "0", "aria-label": label }, table);
}
