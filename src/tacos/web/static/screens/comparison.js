// Both sides of one comparison, and what the judges said, in both orders.

import { getJson } from "../api.js";
import { address } from "../address.js";
import { dataText, element, fill } from "../dom.js";

export const path = "comparison";
export const title = "Comparison";
export const isHidden = true;
export const keys = [["u", "back to the list"]];

export async function show({ main, params, signal, keys: pressed }) {
  pressed.onKey = (event) => {
    if (event.key === "u") history.back();
  };
  const shown = await getJson("/api/comparison", Object.fromEntries(params), signal);
  fill(
    main,
    element("h1", {}, dataText(shown.left.id), " against ", dataText(shown.right.id)),
    element("div", { class: "sides" }, side("Left", shown.left), side("Right", shown.right)),
    element("h2", {}, "What the judges said"),
    shown.verdicts.map((each) => verdict(each)),
  );
}

function side(name, row) {
  return element(
    "section",
    { "aria-label": name },
    element("h2", {}, `${name}: `, element("a", { href: address("row", { row: row.id }) }, dataText(row.id))),
    element("p", { class: "faint" }, dataText(row.reason ? `${row.state}: ${row.reason}` : row.state)),
    element("h3", {}, "Question"),
    dataText(row.instruction, "div", { class: "data text" }),
    element("h3", {}, "Response"),
    dataText(row.response, "div", { class: "data text" }),
  );
}

function verdict(each) {
  const order = each.order === "ab" ? "left shown first (as A)" : "right shown first (as A)";
  const numbers = [["score", each.score_left, each.score_right]];
  if (each.value_left !== null) {
    numbers.push(["value", each.value_left, each.value_right], ["correctness", each.correctness_left, each.correctness_right]);
  }
  const rows = numbers.map(([name, left, right]) =>
    element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, round(left)), element("td", {}, round(right))),
  );
  const head = ["", "left", "right"].map((text) => (text ? element("th", { scope: "col" }, text) : element("td")));
  const time = each.repetition ? `, time ${each.repetition + 1}` : "";
  return element(
    "article",
    { class: "said" },
    element("h3", {}, dataText(each.judge || "The judge"), `${time}: ${order}`),
    element("table", {}, element("thead", {}, element("tr", {}, head)), element("tbody", {}, rows)),
    each.reason ? dataText(each.reason, "blockquote") : element("p", { class: "faint" }, "It gave no reason."),
  );
}

function round(score) {
  return String(Math.round(score * 100) / 100);
}
