// Buttons that keep or drop a row by hand, and a field for its tags.

import { getJson, postJson } from "./api.js";
import { dataText, element, fill } from "./dom.js";
import { labelled, showError } from "./list.js";

/** Keys of the panel, for the help. */
export const EDIT_KEYS = [
  ["x", "keep the row by hand, or take that back"],
  ["d", "drop the row by hand, or take that back"],
  ["t", "edit its tags"],
];

const DECISIONS = [
  { name: "keep", text: "Keep" },
  { name: "drop", text: "Drop" },
];

/** The panel of one row. What is chosen is written at once, to a file that `--edits` takes. */
export async function editPanel(contentHash, { signal, say, keys }) {
  const panel = element("section", { class: "edits", "aria-labelledby": "edits-title" });
  const fault = element("div", {});
  let edit = await getJson("/api/edit", { content_hash: contentHash }, signal);

  async function change(decision, tags, note = edit.note) {
    try {
      edit = await postJson("/api/edit/change", { content_hash: contentHash, decision, tags, note }, signal);
      say(describeEdit(edit));
      fill(fault);
      draw();
      return true;
    } catch (error) {
      if (error.name !== "AbortError") showError(fault, error);
      return false;
    }
  }

  async function toggle(decision) {
    const wanted = edit.decision === decision ? null : decision;
    await change(wanted, edit.tags);
    panel.querySelector(`[data-decision="${decision}"]`)?.focus();
  }

  function draw() {
    const buttons = DECISIONS.map(({ name, text }) =>
      element("button", { type: "button", "data-decision": name, "aria-pressed": String(edit.decision === name), click: () => toggle(name) }, text),
    );
    fill(
      panel,
      element("h2", { id: "edits-title" }, "By hand"),
      element("p", { class: "buttons" }, buttons, takeBack()),
      tagForm(),
      element("p", { class: "faint" }, describeEdit(edit), " ", element("a", { href: "#/edits" }, "All edits")),
      fault,
    );
  }

  /** A run that was told to keep or drop the row can be told that this no longer holds. */
  function takeBack() {
    if (!edit.of_run) return null;
    const isTakenBack = edit.decision === "none";
    const text = edit.of_run === "keep" ? "No longer keep" : "No longer drop";
    return element("button", { type: "button", "aria-pressed": String(isTakenBack), click: () => change(isTakenBack ? null : "none", edit.tags) }, text);
  }

  function tagForm() {
    const given = edit.tags ?? edit.own_tags;
    const field = element("textarea", { name: "tags", rows: Math.min(8, Math.max(2, given.length)), spellcheck: "false" });
    field.value = given.join("\n");
    const save = async (event) => {
      event.preventDefault();
      const tags = field.value.split("\n").map((tag) => tag.trim()).filter((tag) => tag);
      if (await change(edit.decision, tags)) panel.querySelector("summary").focus();
    };
    const clear = edit.tags === null ? null : element("button", { type: "button", click: () => change(edit.decision, null) }, "Back to the tags of the run");
    return element(
      "details",
      { open: false },
      element("summary", {}, edit.tags === null ? "Edit tags" : "Edit tags (set by hand)"),
      element(
        "form",
        { class: "tag-form", submit: save },
        labelled("Tags, one a line", field),
        element("div", { class: "buttons" }, element("button", { type: "submit", class: "first" }, "Set these tags"), clear),
      ),
    );
  }

  keys.onEditKey = (event) => {
    if (event.key === "x") toggle("keep");
    if (event.key === "d") toggle("drop");
    if (event.key === "t") {
      event.preventDefault();
      const details = panel.querySelector("details");
      details.open = true;
      details.querySelector("textarea").focus();
    }
  };
  draw();
  return panel;
}

function describeEdit(edit) {
  const said = [];
  if (edit.decision === "keep") said.push("kept");
  if (edit.decision === "drop") said.push("dropped");
  if (edit.decision === "none") said.push("neither kept nor dropped any more");
  if (edit.tags !== null) said.push(edit.tags.length ? `tags set: ${edit.tags.join(", ")}` : "all tags removed");
  if (!said.length) return "Nothing is set by hand.";
  return `By hand: ${said.join("; ")}. The next selection with --edits follows.`;
}

/** A text for people: what an edit says. */
export function editWords(edit) {
  const words = { keep: "keep", drop: "drop", none: "no longer keep or drop" };
  const parts = [];
  if (edit.decision) parts.push(words[edit.decision]);
  if (edit.tags) parts.push(element("span", {}, "tags: ", edit.tags.length ? edit.tags.map((tag) => dataText(tag, "span", { class: "data tag" })) : "none"));
  return parts.flatMap((part, place) => (place ? ["; ", part] : [part]));
}
