// All edits by hand, and the commands that take them.

import { getJson, postJson } from "../api.js";
import { address } from "../address.js";
import { countWords, dataText, element, fill } from "../dom.js";
import { editWords } from "../edit_panel.js";
import { scrollable, showError } from "../list.js";

export const path = "edits";
export const title = "By hand";
export const keys = [];

export async function show({ main, signal, say }) {
  const heading = element("h1", {}, "Rows kept, dropped and tagged by hand");
  const fault = element("div", {});
  const place = element("div", {});
  fill(main, heading, fault, place);

  async function load() {
    const answer = await getJson("/api/edits", {}, signal);
    if (!answer.n) {
      fill(place, element("p", {}, "There is none yet. Open a row: it can be kept, dropped or given other tags there."));
      return;
    }
    const unknown = answer.n_unknown ? ` ${countWords(answer.n_unknown, "row")} of them not in the data: remove them, or no selection takes the file.` : "";
    const shown = answer.edits.length < answer.n ? ` The first ${answer.edits.length} are shown.` : "";
    fill(
      place,
      element("p", {}, `${countWords(answer.n, "row")}.${shown}${unknown}`),
      editTable(answer.edits),
      element("h2", {}, "Use them"),
      element("p", {}, "They are in ", dataText(answer.file, "code"), ", and hold in a shuffled input, too. Select again with:"),
      element("pre", {}, answer.commands.map((command) => [dataText(command, "code"), "\n"])),
    );
  }

  function editTable(edits) {
    const head = ["Row", "By hand", "Note", ""].map((text) => (text ? element("th", { scope: "col" }, text) : element("td")));
    const table = element("table", {}, element("thead", {}, element("tr", {}, head)), element("tbody", {}, edits.map((edit) => editRow(edit))));
    return scrollable("Edits", table);
  }

  function editRow(edit) {
    const row = edit.question === null ? dataText(edit.content_hash) : element("a", { href: address("row", { row: edit.content_hash }) }, dataText(edit.question || edit.id));
    const remove = element("button", { type: "button", "aria-label": `Take back the edit of ${edit.id ?? edit.content_hash}`, click: () => takeBack(edit) }, "Take back");
    return element("tr", {}, element("td", { class: "text" }, row, edit.id ? element("p", { class: "faint" }, dataText(edit.id)) : null), element("td", {}, editWords(edit)), element("td", {}, dataText(edit.note)), element("td", {}, remove));
  }

  async function takeBack(edit) {
    try {
      await postJson("/api/edit/change", { content_hash: edit.content_hash }, signal);
      fill(fault);
      await load();
      say("Taken back.");
      main.focus({ preventScroll: true });
    } catch (error) {
      if (error.name !== "AbortError") showError(fault, error);
    }
  }

  await load();
}
