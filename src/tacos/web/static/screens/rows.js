// All rows: search, filters, sorting, pages, download.

import { getJson } from "../api.js";
import { dataText, element, fill, formatScore } from "../dom.js";
import { LIST_KEYS, choice, describeFound, followForm, labelled, listenToKeys, pager, readForm, showError } from "../list.js";
import { address } from "../address.js";

export const path = "rows";
export const title = "Rows";
export const keys = LIST_KEYS;

const COLUMNS = [
  { name: "rank", title: "Selected", sort: true },
  { name: "text", title: "Question and response" },
  { name: "topic", title: "Topic and tags" },
  { name: "score", title: "Score", sort: true, isNumber: true },
  { name: "correctness", title: "Correctness", sort: true, isNumber: true },
  { name: "length", title: "Length", sort: true, isNumber: true },
];
// The row that was opened last.
let opened = "";
// What is most interesting of a column comes first.
const IS_DESCENDING = { rank: false, score: true, correctness: true, length: true };

export async function show({ main, params, signal, say, keys: pressed }) {
  const filters = await getJson("/api/filters", {}, signal);
  const given = Object.fromEntries(params);
  const form = buildForm(filters, given);
  const results = element("section", { "aria-label": "Rows found", class: "results" });
  fill(main, element("h1", { class: "for-listeners" }, "Rows"), form, results);
  const order = { sort: given.sort ?? "", descending: given.descending ?? "", page: given.page ?? "" };

  let loading = new AbortController();
  signal.addEventListener("abort", () => loading.abort());

  async function load() {
    loading.abort();
    loading = new AbortController();
    const own = loading;
    const query = { ...readForm(form), ...order };
    history.replaceState(null, "", address(path, query));
    results.setAttribute("aria-busy", "true");
    try {
      const answer = await getJson("/api/rows", query, own.signal);
      showRows(answer, query);
    } catch (error) {
      if (error.name !== "AbortError") showError(results, error);
    } finally {
      if (own === loading) results.removeAttribute("aria-busy");
    }
  }

  function showRows(answer, query) {
    const found = describeFound(answer, "row");
    const turn = (step) => turnPage(answer, step);
    const summary = element("p", { class: "found" }, found, " ", downloads(query));
    fill(results, summary, answer.rows.length ? table(answer, query) : nothing(), pager(answer, turn));
    say(`${found}${answer.n_pages > 1 ? `, page ${answer.page} of ${answer.n_pages}` : ""}`);
    pressed.onKey = listenToKeys(results, form.elements.text, turn);
  }

  async function turnPage(answer, step) {
    const page = answer.page + step;
    if (page < 1 || page > answer.n_pages) return;
    order.page = page === 1 ? "" : page;
    await load();
    results.querySelector("a.entry")?.focus();
    window.scrollTo(0, 0);
  }

  function sortBy(name) {
    const isCurrent = order.sort === name;
    const wasDescending = order.descending === "true";
    order.sort = name;
    order.descending = (isCurrent ? !wasDescending : IS_DESCENDING[name]) ? "true" : "";
    order.page = "";
    load();
  }

  function table(answer, query) {
    const columns = COLUMNS.filter((column) => column.name !== "correctness" || filters.has_correctness);
    const head = columns.map((column) => heading(column, query, sortBy));
    const body = answer.rows.map((row) => element("tr", { class: row.state.replace(" ", "-") }, columns.map((column) => cell(column, row))));
    return element(
      "table",
      { class: "rows" },
      element("thead", {}, element("tr", {}, head)),
      element("tbody", {}, body),
    );
  }

  followForm(form, signal, () => {
    order.page = "";
    load();
  });
  form.addEventListener("reset", (event) => {
    // The browser would reset to what the fields held at first, not to nothing.
    event.preventDefault();
    order.sort = order.descending = order.page = "";
    for (const field of form.elements) if (field.name) field.value = "";
    load();
  });
  results.addEventListener("click", (event) => {
    opened = event.target.closest("a.entry")?.getAttribute("href") ?? opened;
  });
  await load();
  // Who comes back from a row goes on where they were.
  [...results.querySelectorAll("a.entry")].find((link) => link.getAttribute("href") === opened)?.focus();
}

function buildForm(filters, given) {
  const text = element("input", {
    type: "search",
    name: "text",
    value: given.text ?? "",
    placeholder: 'words, or "words together"',
    maxlength: 400,
    autocomplete: "off",
  });
  const tags = element("datalist", { id: "tags" }, filters.tag.map((tag) => element("option", { value: tag.name }, String(tag.n))));
  const tag = element("input", { name: "tag", list: "tags", value: given.tag ?? "", autocomplete: "off" });
  const describeCluster = (entry) => `${entry.name}: ${entry.topic}`;
  const narrowing = [
    labelled("State", choice("state", filters.state, given.state)),
    labelled("Tag", tag),
    tags,
    labelled("Cluster", choice("cluster", filters.cluster, given.cluster, describeCluster)),
    filters.source.length > 1 ? labelled("Source", choice("source", filters.source, given.source)) : null,
    filters.fault.length ? labelled("Likely fault", choice("fault", filters.fault, given.fault)) : null,
    filters.reason.length ? labelled("Left out because", choice("reason", filters.reason, given.reason)) : null,
    filters.has_scores ? range("score", "Score", given) : null,
    filters.has_correctness ? range("correctness", "Correctness", given) : null,
    element("button", { type: "reset" }, "Clear"),
  ];
  // On a phone the rows come first.
  const isWide = window.matchMedia("(min-width: 45rem)").matches;
  const more = element("details", { class: "more", open: isWide }, element("summary", {}, "Filters"), element("div", {}, narrowing));
  return element("form", { role: "search", class: "filters" }, labelled("Search", text), more);
}

/** Two fields for the ends of a range. */
function range(name, label, given) {
  const end = (which, word) =>
    element("input", {
      type: "number",
      name: `${which}_${name}`,
      min: 1,
      max: 100,
      step: "any",
      value: given[`${which}_${name}`] ?? "",
      "aria-label": `${label} ${word}`,
    });
  return element(
    "fieldset",
    { class: "field range" },
    element("legend", {}, label),
    end("min", "at least"),
    element("span", {}, "to"),
    end("max", "at most"),
  );
}

function heading(column, query, sortBy) {
  const attributes = { scope: "col", class: column.isNumber ? "number" : null };
  if (!column.sort) return element("th", attributes, column.title);
  const isCurrent = query.sort === column.name;
  const isDescending = query.descending === "true";
  if (isCurrent) attributes["aria-sort"] = isDescending ? "descending" : "ascending";
  const arrow = isCurrent ? (isDescending ? " ▼" : " ▲") : "";
  return element(
    "th",
    attributes,
    element("button", { type: "button", class: "sort", click: () => sortBy(column.name) }, column.title, element("span", { "aria-hidden": "true" }, arrow)),
  );
}

function cell(column, row) {
  if (column.name === "rank") return element("td", { class: "state" }, describeState(row));
  if (column.name === "text") {
    return element(
      "td",
      { class: "text" },
      element("a", { class: "entry", href: address("row", { row: row.id }) }, dataText(row.question || "(no question)")),
      row.response ? dataText(row.response, "p") : null,
      element("p", { class: "faint" }, dataText(row.id)),
    );
  }
  if (column.name === "topic") {
    return element(
      "td",
      { class: "topic" },
      row.topic ? dataText(row.topic, "p") : null,
      row.tags.length ? element("p", { class: "faint" }, row.tags.map((tag) => dataText(tag, "span", { class: "data tag" }))) : null,
    );
  }
  const value = column.name === "length" ? row.length?.toLocaleString("en") : formatScore(row[column.name]);
  return element("td", { class: "number", "data-title": column.title }, value ?? "");
}

function describeState(row) {
  if (row.state === "selected") return [element("strong", {}, "selected"), element("span", { class: "faint" }, `, rank ${row.rank}`)];
  if (row.reason) return [element("span", {}, row.state), element("span", { class: "faint" }, ": ", dataText(row.reason))];
  return element("span", { class: "faint" }, row.state);
}

function downloads(query) {
  const { page, ...wanted } = query;
  const link = (ending, name) =>
    element("a", { href: `/api/rows.${ending}?${new URLSearchParams(kept(wanted))}`, download: true }, name);
  return element("span", { class: "downloads" }, "Download: ", link("jsonl", "JSONL"), " ", link("csv", "CSV"));
}

function kept(query) {
  return Object.entries(query).filter(([, value]) => value !== "");
}

function nothing() {
  return element("p", {}, "No row is like this. Fewer words or filters find more.");
}
