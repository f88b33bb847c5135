// The full story of one row.

import { getJson } from "../api.js";
import { address } from "../address.js";
import { countWords, dataText, element, fill, formatScore } from "../dom.js";
import { EDIT_KEYS, editPanel } from "../edit_panel.js";
import { comparisonTable } from "./comparisons.js";

export const path = "row";
export const title = "Row";
export const isHidden = true;
export const keys = [["u", "back to the list"], ...EDIT_KEYS];

const TITLES = {
  found: "What the rule found",
  raw: "The row",
  tagged_by: "Tagged by",
  tags: "Tags, and what became of each",
  clusters: "Clusters",
  grade: "Grade",
  grade_reasons: "What the judge said",
  close_grade: "Close grade",
  close_grade_reasons: "What the close reading said",
  shortlist: "Shortlist",
  scores: "Scores",
};

export async function show({ main, params, signal, say, keys: pressed }) {
  pressed.onKey = (event) => {
    if (event.key === "u") history.back();
    pressed.onEditKey?.(event);
  };
  const row = params.get("row") ?? "";
  const story = await getJson("/api/row", { row }, signal);
  const comparisons = await getJson("/api/comparisons", { row: story.row, per_page: 200 }, signal);
  fill(
    main,
    element("h1", {}, dataText(story.row)),
    element("p", { class: "verdict" }, dataText(story.verdict)),
    story.entry ? figures(story.entry) : null,
    story.trace.content_hash ? await editPanel(story.trace.content_hash, { signal, say, keys: pressed }) : null,
    conversation(story),
    element("h2", {}, "What happened to it"),
    trace(story.trace),
    element("h2", {}, "Comparisons"),
    comparisons.n_found
      ? [element("p", {}, describeShown(comparisons)), comparisonTable(comparisons.comparisons, story.row)]
      : element("p", {}, "It was compared with no other row."),
    element("details", {}, element("summary", {}, "The row as it was read"), dataText(story.raw, "pre")),
  );
  say(story.verdict);
}

function describeShown(comparisons) {
  const shown = comparisons.comparisons.length;
  const all = countWords(comparisons.n_found, "comparison");
  return shown < comparisons.n_found ? `The first ${shown} of ${all}.` : `${all}.`;
}

function figures(entry) {
  const pairs = [
    ["State", entry.reason ? `${entry.state}: ${entry.reason}` : entry.state],
    ["Score", formatScore(entry.score)],
    ["Value", formatScore(entry.value)],
    ["Correctness", formatScore(entry.correctness)],
    ["Length", entry.length === null ? "" : countWords(entry.length, "character")],
    ["Likely faults", entry.faults.join(", ")],
  ];
  const shown = pairs.filter(([, value]) => value);
  return element("dl", { class: "figures" }, shown.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, dataText(value)))));
}

function conversation(story) {
  const turns = story.turns.map((turn) =>
    element("div", { class: `turn ${turn.role}` }, element("h3", {}, turn.role), dataText(turn.text, "div", { class: "data text" })),
  );
  return element("section", { "aria-label": "Conversation" }, turns);
}

/** What `tacos explain` says, as a list of names and texts. */
function trace(entries) {
  const shown = Object.entries(entries).filter(([name, value]) => !["instruction", "response", "length", "comparisons"].includes(name) && hasContent(value));
  return element(
    "dl",
    { class: "trace" },
    shown.map(([name, value]) => [element("dt", {}, TITLES[name] ?? name.replaceAll("_", " ")), element("dd", {}, describe(name, value))]),
  );
}

function hasContent(value) {
  return value !== null && value !== "" && !(typeof value === "object" && Object.keys(value).length === 0);
}

function describe(name, value) {
  if (Array.isArray(value)) return element("ul", {}, value.map((item) => element("li", {}, dataText(item))));
  if (typeof value !== "object") return dataText(value);
  const link = (key, text) => (name === "clusters" ? element("a", { href: address("rows", { cluster: key }) }, dataText(`${key}: ${text}`)) : dataText(`${key}: ${text}`));
  return element("ul", {}, Object.entries(value).map(([key, text]) => element("li", {}, link(key, text))));
}
