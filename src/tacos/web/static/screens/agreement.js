// How far people agree with one another, and the judge with them; export.

import { getJson, postJson } from "../api.js";
import { countWords, dataText, element, fill, formatCount } from "../dom.js";
import { scrollable, showError } from "../list.js";
import { progressTable } from "./annotate.js";

export const path = "agreement";
export const title = "Agreement";
export const isHidden = true;
export const keys = [];

const EVERY = 10_000; // milliseconds between two looks at the labels
const ABOUT = { better: "better row", value: "value", correctness: "correctness", precision: "tag is right", consistency: "tag means the same" };

export async function show({ main, signal, say }) {
  const place = element("div", {}, element("p", { class: "faint" }, "Reading what people have answered ..."));
  const exported = element("div", { role: "status" });
  const button = element("button", { type: "button", class: "first", click: exportLabels }, "Export labels");
  fill(main, element("h1", {}, "Agreement"), place, element("h2", {}, "Export"), element("p", {}, button), exported);
  let last = "";

  async function load() {
    const known = await getJson("/api/annotate", {}, signal);
    if (!known.people.length) {
      fill(place, element("p", {}, "Nobody has answered yet. ", element("a", { href: "#/annotate" }, "Annotate")));
      return;
    }
    const status = await getJson("/api/annotate/agreement", {}, signal);
    const text = JSON.stringify(status);
    // What has not changed is not drawn again: a reader may be in the middle of it.
    if (text === last) return;
    last = text;
    fill(
      place,
      element("h2", {}, "Progress"),
      progressTable(status.progress),
      element("h2", {}, "Among people"),
      agreementTable(status),
      element("p", { class: "faint" }, "Kappa and AC1 are beyond chance; kappa has no value where only one answer was given. 95% intervals by resampling tasks."),
      element("h2", {}, "What most people prefer"),
      element("p", {}, preferences(status.pairs)),
      element("h2", {}, "The judge against people"),
      status.judges.length ? status.judges.map((judge) => judgeView(judge)) : element("p", {}, "No pair has an answer of most people yet."),
      status.tag_shares.length ? [element("h2", {}, "Tags by person"), shareTable(status.tag_shares)] : null,
    );
  }

  async function exportLabels() {
    button.disabled = true;
    try {
      const written = await postJson("/api/annotate/export", {}, signal);
      fill(
        exported,
        element("p", {}, `${countWords(written.n_labels, "label")} written to `, dataText(written.folder, "code"), "."),
        element("p", {}, `${countWords(written.n_pairs, "pair")} with a majority`, written.n_without_majority ? `, ${formatCount(written.n_without_majority)} without one left out.` : "."),
        element("pre", {}, written.commands.map((command) => [dataText(command, "code"), "\n"])),
      );
    } catch (error) {
      if (error.name !== "AbortError") showError(exported, error);
    } finally {
      button.disabled = false;
    }
  }

  await load();
  say("");
  const timer = setInterval(() => load().catch(() => {}), EVERY);
  signal.addEventListener("abort", () => clearInterval(timer));
}

function preferences(counts) {
  const parts = [
    [counts.a + counts.b, "with a better row"],
    [counts.tie, "equally good"],
    [counts["no majority"], "without a majority"],
  ];
  return parts.map(([n, words]) => `${countWords(n, "pair")} ${words}`).join(", ") + ".";
}

function agreementTable(status) {
  const figures = [...status.agreement, ...status.tag_agreement.map((row) => ({ ...row, question: row.task }))];
  // A question without a common task says nothing yet.
  const known = figures.filter((figure) => figure.n > 0);
  if (!known.length) return element("p", {}, "No task has answers of two people yet.");
  const rows = known.map((figure) => [ABOUT[figure.question] ?? figure.question, dataText(figure.between), figure.measure, decimal(figure.value), interval(figure, decimal), formatCount(figure.n)]);
  return table("Agreement", ["About", "Between", "Measure", "Value", "95% interval", "Tasks"], rows, 3);
}

function shareTable(shares) {
  const rows = shares.map((share) => [
    ABOUT[share.task] ?? share.task,
    dataText(share.judge),
    share.measure === "right" ? "found right" : "planted ones noticed",
    percent(share.value),
    interval(share, percent),
    formatCount(share.n),
  ]);
  return table("Tags by person", ["About", "Who", "Share", "Value", "95% interval", "Cases"], rows, 3);
}

function judgeView(judge) {
  const found = judge.agreement;
  const sentence = found.value === null
    ? "Most people named no winner in any pair that it judged."
    : `It agrees with most people in ${percent(found.value)} of ${countWords(found.n, "pair")} with a winner (95% interval ${interval(found, percent)}); its ties count as misses.`;
  return element(
    "article",
    {},
    element("h3", {}, dataText(judge.judge)),
    element("p", {}, sentence, ` Beyond chance: kappa ${decimal(judge.kappa)}, AC1 ${decimal(judge.ac1)}.`),
    judge.suggestions.length ? element("ul", {}, judge.suggestions.map((text) => element("li", {}, dataText(text)))) : null,
  );
}

function table(label, head, rows, nLeft) {
  const isNumber = (place) => (place >= nLeft ? "number" : null);
  const made = element(
    "table",
    {},
    element("thead", {}, element("tr", {}, head.map((text, place) => element("th", { scope: "col", class: isNumber(place) }, text)))),
    element("tbody", {}, rows.map((cells) => element("tr", {}, cells.map((cell, place) => element("td", { class: isNumber(place) }, cell))))),
  );
  return scrollable(label, made);
}

function decimal(value) {
  return value === null ? "n/a" : value.toFixed(2);
}

function percent(value) {
  return value === null ? "n/a" : `${(100 * value).toFixed(1)}%`;
}

function interval(figure, show) {
  return figure.low === null ? "" : `${show(figure.low)} to ${show(figure.high)}`;
}
