// This run and another one beside it: settings, figures, rows that only one of them selected.

import { getJson } from "../api.js";
import { address } from "../address.js";
import { countWords, dataText, element, fill, formatCount, formatScore } from "../dom.js";
import { labelled } from "../list.js";

export const path = "diff";
export const title = "Other runs";
export const keys = [];

const FIGURES = {
  n: ["Rows selected", formatCount],
  coverage: ["Tags covered, of the run's own", formatShare],
  mean_tags: ["Tags per row", formatScore],
  mean_length: ["Mean length", formatWhole],
  median_length: ["Median length", formatWhole],
  mean_score: ["Mean score", formatScore],
  n_scored: ["Rows with a score", formatWhole],
};

export async function show({ main, params, signal, say }) {
  const { names } = await getJson("/api/runs", {}, signal);
  if (!names.length) {
    fill(main, element("h1", {}, "Other runs"), element("p", {}, "There is no other run in the folder of this one."));
    return;
  }
  const name = params.get("name") ?? "";
  const options = names.map((each) => element("option", { value: each, selected: each === name }, each));
  const chosen = element(
    "select",
    { change: () => { location.hash = address(path, { name: chosen.value }); } },
    element("option", { value: "" }, "choose a run"),
    options,
  );
  const results = element("section", { "aria-label": "Differences" });
  fill(main, element("h1", {}, "Other runs"), element("form", { class: "filters" }, labelled("Compare this run with", chosen)), results);
  if (!name) {
    chosen.focus();
    return;
  }
  const told = await getJson("/api/diff", { name }, signal);
  const sentence = describeOverlap(told);
  fill(
    results,
    element("p", { class: "verdict" }, sentence),
    pairTable("Figures", told.runs, listFigures(told)),
    told.settings.length ? pairTable("Settings that differ", told.runs, told.settings.map((each) => [dataText(each.name), showSetting(each.first), showSetting(each.second)])) : element("p", {}, "Their settings are the same."),
    Object.keys(told.sources).length > 1 ? pairTable("Sources", told.runs, Object.entries(told.sources).map(([source, pair]) => [dataText(source), ...pair.map(formatShare)])) : null,
    element("div", { class: "sides" }, rowList(told.runs[0], told.rows_first, told.n_only_first, true), rowList(told.runs[1], told.rows_second, told.n_only_second, false)),
  );
  say(sentence);
}

function describeOverlap(told) {
  const [first, second] = told.runs;
  const parts = [`${countWords(told.n_both, "row")} are in both selections, ${formatCount(told.n_only_first)} only in ${first}, ${formatCount(told.n_only_second)} only in ${second}`];
  if (told.by_chance !== null) parts.push(`two random selections would share ${formatWhole(told.by_chance)}`);
  else parts.push(`their pools share ${countWords(told.n_pool_both, "row")} of ${formatCount(told.n_pool[0])} and ${formatCount(told.n_pool[1])}`);
  if (told.score_correlation !== null) parts.push(`their scores have a rank correlation of ${told.score_correlation.toFixed(2)} over ${countWords(told.n_rated_both, "row")}`);
  return `${parts.join("; ")}.`;
}

function listFigures(told) {
  const rows = Object.entries(FIGURES).map(([name, [label, format]]) => [label, ...told.figures[name].map((value) => (value === null ? "" : format(value)))]);
  rows.unshift(["Usable rows", ...told.n_pool.map(formatCount)]);
  rows.push(["Cost", ...told.usd.map((usd) => (usd === null ? "not known" : `$${usd.toFixed(2)}`))]);
  rows.push(["Time", ...told.seconds.map((seconds) => `${formatWhole(seconds)} s`)]);
  return rows;
}

function pairTable(name, runs, rows) {
  const head = [element("th", { scope: "col" }, name), ...runs.map((run) => element("th", { scope: "col" }, dataText(run)))];
  const body = rows.map(([label, ...values]) => element("tr", {}, element("th", { scope: "row" }, label), values.map((value) => element("td", {}, value))));
  return element("div", { class: "scrolled", tabindex: "0", role: "region", "aria-label": name }, element("table", {}, element("thead", {}, element("tr", {}, head)), element("tbody", {}, body)));
}

function showSetting(value) {
  if (value === null) return element("span", { class: "faint" }, "not set");
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return dataText(text.length > 300 ? `${text.slice(0, 300)} ...` : text || '""');
}

/** Rows that only one run selected; those of this run lead to their stories. */
function rowList(run, rows, n, isOwn) {
  const shown = rows.length < n ? `the first ${rows.length} of ${formatCount(n)}, by rank` : countWords(n, "row");
  const items = rows.map((row) => {
    const text = dataText(row.question || row.id);
    const named = isOwn ? element("a", { class: "entry", href: address("row", { row: row.id }) }, text) : text;
    return element("li", {}, named, element("span", { class: "faint" }, row.score === null ? "" : ` score ${formatScore(row.score)}`, row.tags.length ? `; ${row.tags.join(", ")}` : ""));
  });
  return element("section", { "aria-label": `Only in ${run}` }, element("h2", {}, "Only in ", dataText(run)), element("p", { class: "faint" }, shown), element("ul", {}, items));
}

function formatShare(share) {
  return `${(100 * share).toFixed(1)}%`;
}

function formatWhole(number) {
  return Math.round(number).toLocaleString("en");
}
