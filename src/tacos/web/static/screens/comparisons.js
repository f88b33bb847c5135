// Comparisons: which there are.

import { getJson } from "../api.js";
import { address } from "../address.js";
import { dataText, element, fill } from "../dom.js";
import { LIST_KEYS, choice, describeFound, followForm, labelled, listenToKeys, pager, readForm, showError } from "../list.js";

export const path = "comparisons";
export const title = "Comparisons";
export const keys = LIST_KEYS;

const KINDS = [
  { name: "flip", text: "flips: another row wins in the other order" },
  { name: "tie", text: "ties" },
];

export async function show({ main, params, signal, say, keys: pressed }) {
  const given = Object.fromEntries(params);
  let page = given.page ?? "";
  const first = await getJson("/api/comparisons", { per_page: 1 }, signal);
  if (!first.n_all) {
    const why = "The judge of this run saw one row at a time, or the run was stopped before any comparison.";
    fill(main, element("h1", {}, "Comparisons"), element("p", {}, `This run has none. ${why}`));
    return;
  }
  const judges = first.judges.map((name) => ({ name }));
  const row = element("input", { name: "row", value: given.row ?? "", autocomplete: "off", placeholder: "data.jsonl:17" });
  const form = element(
    "form",
    { role: "search", class: "filters" },
    labelled("Row", row),
    labelled("Kind", choice("kind", KINDS, given.kind, (kind) => kind.text)),
    judges.length > 1 ? labelled("Judge", choice("judge", judges, given.judge)) : null,
  );
  const results = element("section", { "aria-label": "Comparisons found", class: "results" });
  fill(main, element("h1", { class: "for-listeners" }, "Comparisons"), form, results);

  async function load() {
    const query = { ...readForm(form), page };
    history.replaceState(null, "", address(path, query));
    try {
      const answer = await getJson("/api/comparisons", query, signal);
      const found = describeFound(answer, "comparison");
      fill(results, element("p", { class: "found" }, found), comparisonTable(answer.comparisons), pager(answer, (step) => turn(answer, step)));
      say(found);
      pressed.onKey = listenToKeys(results, row, (step) => turn(answer, step));
    } catch (error) {
      if (error.name !== "AbortError") showError(results, error);
    }
  }

  async function turn(answer, step) {
    const next = answer.page + step;
    if (next < 1 || next > answer.n_pages) return;
    page = next === 1 ? "" : next;
    await load();
    results.querySelector("a.entry")?.focus();
  }

  followForm(form, signal, () => {
    page = "";
    load();
  });
  await load();
}

/** A table of comparisons; the scores of `own`, if given, come first. */
export function comparisonTable(comparisons, own = null) {
  const head = ["Rows", "Judge", "Left first", "Right first"].map((text) => element("th", { scope: "col" }, text));
  const rows = comparisons.map((each) =>
    element(
      "tr",
      {},
      element(
        "td",
        {},
        element(
          "a",
          { class: "entry", href: address("comparison", { round: each.round, pair: each.pair }) },
          dataText(each.left === own ? "this row" : each.left),
          " against ",
          dataText(each.right === own ? "this row" : each.right),
        ),
      ),
      element("td", {}, dataText(each.judge || "the judge")),
      element("td", { "data-title": "Left first" }, scores(each.ab_left, each.ab_right)),
      element("td", { "data-title": "Right first" }, scores(each.ba_left, each.ba_right)),
    ),
  );
  return element("table", { class: "comparisons" }, element("thead", {}, element("tr", {}, head)), element("tbody", {}, rows));
}

/** Two scores; the higher one stands out. */
function scores(left, right) {
  if (left === null || right === null) return "not asked, or no answer";
  const show = (score, isAhead) => element(isAhead ? "strong" : "span", {}, String(Math.round(score * 100) / 100));
  return [show(left, left > right), " : ", show(right, right > left)];
}
