// What if: another selection, tried at once beside the run's own, and saved if it pleases.

import { getJson, postJson } from "../api.js";
import { address } from "../address.js";
import { countWords, dataText, element, fill, formatCount, formatScore } from "../dom.js";
import { labelled, showError } from "../list.js";

export const path = "what-if";
export const title = "What if";
export const keys = [];

const FIGURES = [
  ["n", "Rows", formatCount],
  ["coverage", "Tags covered", formatShare],
  ["mean_tags", "Tags per row", formatScore],
  ["mean_score", "Mean score", formatScore],
  ["n_scored", "Rows with a score", formatWhole],
  ["mean_length", "Mean length", formatWhole],
  ["median_length", "Median length", formatWhole],
  ["n_clusters", "Clusters", formatWhole],
];
const NAMES = { pool: "Pool", random: "Random", run: "This run", this: "What if" };

export async function show({ main, signal, say }) {
  const choices = await getJson("/api/choices", {}, signal);
  const quotas = element("div", { class: "quotas" });
  const form = buildForm(choices, quotas);
  const results = element("section", { "aria-label": "What would change" });
  fill(
    main,
    element("h1", {}, "What if"),
    element("p", {}, "Another selection from the same rows, tags and scores. No model is asked, and nothing is written until you save it."),
    form,
    results,
  );

  let trying = new AbortController();
  signal.addEventListener("abort", () => trying.abort());

  async function tryIt() {
    trying.abort();
    trying = new AbortController();
    const own = trying;
    results.setAttribute("aria-busy", "true");
    say("Selecting again");
    try {
      const wanted = readWanted(form, quotas);
      const answer = await postJson("/api/what-if", wanted, own.signal);
      showAnswer(results, answer, wanted, say);
      say(describeChange(answer));
    } catch (error) {
      if (error.name !== "AbortError") showError(results, error);
    } finally {
      if (own === trying) results.removeAttribute("aria-busy");
    }
  }

  let waiting;
  signal.addEventListener("abort", () => clearTimeout(waiting));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(waiting);
    tryIt();
  });
  // Every change is tried as soon as it is made, typing after a pause.
  form.addEventListener("input", (event) => {
    clearTimeout(waiting);
    if (event.target.closest(".quotas") && !isComplete(event.target.closest(".quota"))) return;
    waiting = setTimeout(tryIt, 500);
  });
  form.addEventListener("quota", tryIt);
  await tryIt();
}

function buildForm(choices, quotas) {
  const strategies = choices.strategies.map((name) => element("option", { value: name }, name));
  const number = (name, attributes) => element("input", { type: "number", name, step: "any", min: 0, ...attributes });
  const sources = choices.sources.map((entry) => element("option", { value: entry.name }));
  return element(
    "form",
    { class: "filters" },
    labelled("Strategy", element("select", { name: "strategy" }, strategies)),
    labelled("Rows, a share (5%) or tokens (2Mtokens)", element("input", { name: "n", placeholder: String(choices.n), maxlength: 40, autocomplete: "off" })),
    labelled("Worth of a new tag (tacos only)", number("tag_price", { placeholder: String(choices.tag_price) })),
    choices.has_correctness ? labelled("Correctness at least", number("min_correctness", { max: 100 })) : null,
    labelled("No near-duplicates above a cosine of", number("limit", { max: 1, placeholder: "as the run" })),
    labelled("Seed", number("seed", { step: 1, placeholder: String(choices.seed) })),
    choices.has_grades
      ? labelled("Ranked by", element("select", { name: "by" }, element("option", { value: "score" }, "score"), element("option", { value: "grade" }, "grade")))
      : null,
    element("label", { class: "check" }, element("input", { type: "checkbox", name: "match_length" }), " Lengths as in the pool"),
    element("datalist", { id: "quota-sources" }, sources),
    quotas,
    element("button", { type: "button", click: () => addQuota(quotas, "source") }, "Add a quota of a source"),
    element("button", { type: "button", click: () => addQuota(quotas, "tag") }, "Add a quota of a tag"),
    element("button", { class: "first" }, "Select again"),
  );
}

/** A line with the parts of one quota. */
function addQuota(quotas, kind) {
  const form = quotas.closest("form");
  const name = element("input", { name: "name", "aria-label": `Name of the ${kind}`, placeholder: kind, list: kind === "source" ? "quota-sources" : null, autocomplete: "off" });
  const line = element(
    "div",
    { class: "quota", "data-kind": kind },
    name,
    element("select", { name: "relation", "aria-label": "Relation" }, element("option", { value: "<=" }, "at most"), element("option", { value: "" }, "exactly")),
    element("input", { name: "amount", "aria-label": "Share or rows", placeholder: "30% or 300", autocomplete: "off" }),
    element("button", { type: "button", "aria-label": "Remove this quota", click: () => removeQuota(line, form) }, "Remove"),
  );
  quotas.append(line);
  name.focus();
}

function removeQuota(line, form) {
  line.remove();
  form.dispatchEvent(new Event("quota"));
}

function isComplete(line) {
  return [...line.querySelectorAll("input")].every((field) => field.value.trim());
}

/** What the form asks for, without what is left as it is. */
function readWanted(form, quotas) {
  const wanted = { strategy: form.elements.strategy.value, n: form.elements.n.value };
  for (const name of ["tag_price", "min_correctness", "limit", "seed"]) {
    const value = form.elements[name]?.value;
    if (value) wanted[name] = Number(value);
  }
  if (form.elements.by) wanted.by = form.elements.by.value;
  if (form.elements.match_length.checked) wanted.match_length = true;
  for (const line of quotas.children) {
    if (!isComplete(line)) continue;
    const [name, amount] = [...line.querySelectorAll("input")].map((field) => field.value.trim());
    const group = `per_${line.dataset.kind}`;
    wanted[group] = { ...wanted[group], [name]: line.querySelector("select").value + amount };
  }
  return wanted;
}

function describeChange(answer) {
  if (!answer.n_own) return `${countWords(answer.n, "row")}. The run itself has selected none yet.`;
  if (!answer.n_came && !answer.n_went) return `${countWords(answer.n, "row")}: the same as the run selected.`;
  return `${countWords(answer.n, "row")}: ${formatCount(answer.n_same)} of the run's ${formatCount(answer.n_own)} stay, ${formatCount(answer.n_went)} go, ${formatCount(answer.n_came)} come in.`;
}

function showAnswer(results, answer, wanted, say) {
  const givenWay = answer.n_given_way ? ` ${countWords(answer.n_given_way, "row")} came in although a limit speaks against them, since there were no others.` : "";
  fill(
    results,
    element("p", { class: "verdict" }, describeChange(answer), givenWay),
    figureTable(answer.figures),
    answer.sources.length > 1 ? sourceTable(answer.sources) : null,
    saving(answer, wanted, say),
    element("div", { class: "sides" }, rowList("Come in", answer.came, answer.n_came), rowList("Go", answer.went, answer.n_went)),
    element("p", { class: "faint" }, `Selected again in ${answer.seconds.toFixed(1)} s.`),
  );
}

function figureTable(figures) {
  const head = figures.map((each) => element("th", { scope: "col", class: "number" }, NAMES[each.name]));
  const rows = FIGURES.map(([name, label, format]) =>
    element("tr", {}, element("th", { scope: "row" }, label), figures.map((each) => element("td", { class: "number" }, each[name] === null ? "" : format(each[name])))),
  );
  return element("div", { class: "scrolled", tabindex: "0", role: "region", "aria-label": "Figures" }, element("table", {}, element("thead", {}, element("tr", {}, element("td"), head)), element("tbody", {}, rows)));
}

function sourceTable(sources) {
  const head = ["pool", "run", "this"].map((name) => element("th", { scope: "col", class: "number" }, NAMES[name]));
  const rows = sources.map((each) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, dataText(each.source)),
      ["pool", "run", "this"].map((name) => element("td", { class: "number" }, formatShare(each[name]))),
    ),
  );
  return element("div", { class: "scrolled", tabindex: "0", role: "region", "aria-label": "Sources" }, element("table", {}, element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Source"), head)), element("tbody", {}, rows)));
}

const FILE_NAMES_WANTED = "Letters, digits, dots, - and _, and at the end .jsonl, .json, .csv or .parquet";

/** The command that makes this selection, and a way to write it now. */
function saving(answer, wanted, say) {
  const told = element("p", { role: "status" });
  const name = element("input", { name: "name", value: "what-if.jsonl", pattern: "[A-Za-z0-9_][A-Za-z0-9._\\-]{0,99}\\.(jsonl|json|csv|parquet)", title: FILE_NAMES_WANTED, required: true });
  const form = element("form", { class: "filters" }, labelled("Save beside the run as", name), element("button", {}, "Save"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const saved = await postJson("/api/what-if/save", { what_if: wanted, name: name.value });
      fill(told, `${countWords(saved.n, "row")} written to `, dataText(saved.file, "code"));
    } catch (error) {
      fill(told, element("span", { class: "error" }, error.message));
    }
    say(told.textContent);
  });
  return element("details", {}, element("summary", {}, "Save it, or make it in the terminal"), dataText(answer.command, "pre"), form, told);
}

function rowList(name, rows, n) {
  const shown = rows.length < n ? `the first ${rows.length} of ${formatCount(n)}, by rank` : countWords(n, "row");
  const items = rows.map((row) =>
    element(
      "li",
      {},
      element("a", { class: "entry", href: address("row", { row: row.id }) }, dataText(row.question || row.id)),
      element("span", { class: "faint" }, row.score === null ? "" : ` score ${formatScore(row.score)}`, row.tags.length ? `; ${row.tags.join(", ")}` : ""),
    ),
  );
  return element("section", { "aria-label": name }, element("h2", {}, name), element("p", { class: "faint" }, shown), element("ul", {}, items));
}

function formatShare(share) {
  return `${(100 * share).toFixed(1)}%`;
}

function formatWhole(number) {
  return Math.round(number).toLocaleString("en");
}
