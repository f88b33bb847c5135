// Tasks one by one: two rows to compare, or a tag to judge.

import { getJson, postJson } from "../api.js";
import { address } from "../address.js";
import { countWords, dataText, element, fill, formatCount } from "../dom.js";
import { labelled, scrollable, showError } from "../list.js";

export const path = "annotate";
export const title = "Annotate";
export const keys = [
  ["1 or ←", "the first row is better; no"],
  ["2 or →", "the second row is better; yes"],
  ["3", "equally good"],
  ["4", "cannot tell"],
  ["Enter", "leave out what is still asked, and go on"],
  ["c", "to the comment"],
  ["u", "undo the last answer"],
];

const KINDS = {
  pair: "Which row is better?",
  precision: "Is the tag right?",
  consistency: "Does the tag mean the same?",
};
// The arrows up and down stay with who reads a long text.
const PAIR_CHOICES = [
  { value: "first", text: "First", key: "1", arrow: "ArrowLeft" },
  { value: "second", text: "Second", key: "2", arrow: "ArrowRight" },
  { value: "tie", text: "Equal", key: "3" },
  { value: "unclear", text: "Cannot tell", key: "4" },
];
const TAG_CHOICES = [
  { value: "no", text: "No", key: "1", arrow: "ArrowLeft" },
  { value: "yes", text: "Yes", key: "2", arrow: "ArrowRight" },
  { value: "unclear", text: "Cannot tell", key: "4" },
];
const QUESTIONS = {
  better: "Which is the better example to learn from?",
  value: "Which is worth more to learn, right or wrong?",
  correctness: "Which is more correct?",
  right: "Is this tag right for this instruction?",
  consistent: "Does the tag fit all of these, and mean the same in all?",
};
const ORIGINS = {
  auto: "the run's comparisons, or rows of one cluster",
  clusters: "rows of one cluster",
  random: "any two rows",
};

export async function show({ main, params, signal, say, keys: pressed }) {
  const person = params.get("person")?.trim() ?? "";
  const kind = params.get("kind") ?? "";
  if (person && kind in KINDS) {
    await work({ main, person, kind, signal, say, pressed });
    return;
  }
  const known = await getJson("/api/annotate", {}, signal);
  if (Object.keys(known.n_tasks).length) chooseWork(main, known, person);
  else drawTasks(main, signal, say);
}

/** Which tasks there shall be. */
function drawTasks(main, signal, say) {
  const fault = element("div", {});
  const number = element("input", { type: "number", name: "n_pairs", min: 0, max: 10000, value: 100, required: true });
  const origins = Object.entries(ORIGINS).map(([value, text]) => element("option", { value }, text));
  const origin = element("select", { name: "origin" }, origins);
  const shared = element("input", { type: "number", name: "n_shared", min: 0, placeholder: "all" });
  const button = element("button", { type: "submit", class: "first" }, "Draw tasks");
  const draw = async (event) => {
    event.preventDefault();
    button.disabled = true;
    const wanted = { n_pairs: Number(number.value), origin: origin.value, n_shared: shared.value === "" ? null : Number(shared.value) };
    try {
      const known = await postJson("/api/annotate/draw", wanted, signal);
      say("Tasks are drawn.");
      chooseWork(main, known, "");
    } catch (error) {
      button.disabled = false;
      if (error.name !== "AbortError") showError(fault, error);
    }
  };
  fill(
    main,
    element("h1", {}, "Annotate"),
    element("p", {}, "People compare rows, blind, and judge tags. This shows whether they agree, and whether the judge agrees with them. The same tasks are for everybody."),
    element(
      "form",
      { class: "stack", submit: draw },
      labelled("Pairs of rows", number),
      labelled("Pairs come from", origin),
      labelled("Tasks of each kind that everybody answers; each other one is for one person", shared),
      element("p", { class: "faint" }, "Tag cases are those of tacos check-tags, by the check settings of the run."),
      button,
      fault,
    ),
  );
}

/** Who works, and on what. */
function chooseWork(main, known, person) {
  const name = element("input", { name: "person", value: person, required: true, maxlength: 40, autocomplete: "off", list: "people" });
  const people = element("datalist", { id: "people" }, known.people.map((each) => element("option", { value: each })));
  const choices = Object.entries(known.n_tasks).map(([kind, n], place) =>
    element(
      "label",
      { class: "choice" },
      element("input", { type: "radio", name: "kind", value: kind, checked: place === 0 }),
      `${KINDS[kind]} (${countWords(n, "task")})`,
    ),
  );
  const form = element(
    "form",
    {
      class: "stack",
      submit: (event) => {
        event.preventDefault();
        const chosen = new FormData(form);
        location.hash = address(path, { person: chosen.get("person").trim(), kind: chosen.get("kind") }).slice(1);
      },
    },
    labelled("Your name", name),
    people,
    element("fieldset", {}, element("legend", {}, "Tasks"), choices),
    element("button", { type: "submit", class: "first" }, "Start"),
  );
  fill(
    main,
    element("h1", {}, "Annotate"),
    form,
    known.progress.length ? [element("h2", {}, "Progress"), progressTable(known.progress)] : null,
    element("p", {}, element("a", { href: "#/agreement" }, "How far people agree, and the judge with them; export")),
  );
}

/** A table of who has done how much. */
export function progressTable(progress) {
  const head = ["Person", "Tasks", "Done", "Cannot tell", "Left"].map((text, place) => element("th", { scope: "col", class: place > 1 ? "number" : null }, text));
  const rows = progress.map((each) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, dataText(each.person)),
      element("td", {}, KINDS[each.kind]),
      [each.n_done, each.n_unclear, each.n_left].map((n) => element("td", { class: "number" }, formatCount(n))),
    ),
  );
  const table = element("table", {}, element("thead", {}, element("tr", {}, head)), element("tbody", {}, rows));
  return scrollable("Progress", table);
}

async function work({ main, person, kind, signal, say, pressed }) {
  const place = element("div", { class: "work" });
  const fault = element("div", {});
  const comment = element("textarea", { name: "comment", rows: 2, maxlength: 2000 });
  let shown = null;
  let answers = {};
  let isBusy = false;

  fill(main, place, fault);
  pressed.onKey = onKey;
  await ask(() => getJson("/api/annotate/task", { person, kind }, signal));

  /** Asks the server, and shows the task that it answers with. */
  async function ask(request) {
    if (isBusy) return;
    isBusy = true;
    try {
      const answer = await request();
      fill(fault);
      if (answer.shown === null && answer.progress === null) {
        say("There is no answer to undo.");
        return;
      }
      shown = answer.shown;
      answers = {};
      comment.value = shown?.comment ?? "";
      if (shown) kind = shown.kind;
      draw(answer.progress);
    } catch (error) {
      if (error.name !== "AbortError") showError(fault, error);
    } finally {
      isBusy = false;
    }
  }

  function send() {
    const given = { person, kind, task: shown.task, answers, comment: comment.value };
    return ask(() => postJson("/api/annotate/label", given, signal));
  }

  function undo() {
    return ask(() => postJson("/api/annotate/undo", { person }, signal));
  }

  /** The question that is asked now. */
  function current() {
    return shown.questions.find((question) => !(question in answers));
  }

  function answer(question, value) {
    answers[question] = value;
    if (current() === undefined) {
      send();
      return;
    }
    drawQuestions();
    say(QUESTIONS[current()]);
  }

  function onKey(event) {
    if (event.key === "u") {
      undo();
      return true;
    }
    if (!shown) return false;
    if (event.key === "c") {
      event.preventDefault();
      comment.focus();
      return true;
    }
    // A button that has the focus takes Enter for itself.
    if (event.key === "Enter" && !(event.target instanceof HTMLButtonElement) && shown.questions[0] in answers) {
      send();
      return true;
    }
    const choices = shown.kind === "pair" ? PAIR_CHOICES : TAG_CHOICES;
    const choice = choices.find((each) => each.key === event.key || each.arrow === event.key);
    if (choice && !isBusy) {
      event.preventDefault();
      answer(current(), choice.value);
    }
    return /^[1-9]$/.test(event.key);
  }

  function draw(progress) {
    const done = progress ? `${formatCount(progress.n_done)} done, ${formatCount(progress.n_left)} left` : "";
    const undoButton = element("button", { type: "button", click: undo }, "Undo ", element("kbd", {}, "u"));
    const back = element("a", { href: address(path, { person }) }, "Other tasks");
    const bar = progress ? element("progress", { max: progress.n_done + progress.n_left || 1, value: progress.n_done, "aria-label": "Tasks done" }) : null;
    const head = element("p", { class: "work-head" }, dataText(person, "strong"), element("span", { class: "done" }, done), bar, " ", undoButton, " ", back);
    if (!shown) {
      fill(place, element("h1", {}, KINDS[kind]), head, element("p", {}, "There is no other task of this kind for you. Thank you."), element("p", {}, element("a", { href: "#/agreement" }, "How far people agree")));
      say("No other task.");
      return;
    }
    fill(place, element("h1", {}, KINDS[kind]), head, shown.kind === "pair" ? pairView(shown) : tagView(shown), element("div", { id: "questions" }), labelled("Comment", comment));
    drawQuestions();
    say(done);
    window.scrollTo(0, 0);
  }

  function drawQuestions() {
    const asked = shown.questions.map((question) => questionRow(question));
    fill(document.getElementById("questions"), asked, skipRow());
  }

  function questionRow(question) {
    const isCurrent = question === current();
    const choices = shown.kind === "pair" ? PAIR_CHOICES : TAG_CHOICES;
    const buttons = choices.map((choice) =>
      element(
        "button",
        { type: "button", class: isCurrent ? "first" : null, "aria-pressed": String(answers[question] === choice.value), click: () => answer(question, choice.value) },
        choice.text,
        isCurrent ? [" ", element("kbd", {}, choice.key)] : null,
      ),
    );
    return element("fieldset", { class: isCurrent ? "question current" : "question" }, element("legend", {}, QUESTIONS[question]), element("div", { class: "buttons" }, buttons));
  }

  /** What follows the first question may be left out. */
  function skipRow() {
    if (!(shown.questions[0] in answers)) return null;
    return element("button", { type: "button", click: send }, "Leave out the rest ", element("kbd", {}, "Enter"));
  }
}

function pairView(shown) {
  const isSame = shown.first.instruction === shown.second.instruction;
  const side = (name, row) =>
    element(
      "section",
      { "aria-label": name },
      element("h2", {}, name),
      isSame ? null : [element("h3", {}, "Question"), dataText(row.instruction, "div", { class: "data text" })],
      element("h3", {}, "Response"),
      dataText(row.response, "div", { class: "data text" }),
    );
  return [
    isSame ? [element("h2", {}, "Question of both"), dataText(shown.first.instruction, "div", { class: "data text" })] : null,
    element("div", { class: "sides" }, side("First", shown.first), side("Second", shown.second)),
  ];
}

function tagView(shown) {
  const texts = shown.texts.map((text, place) =>
    element("li", {}, dataText(text, "div", { class: "data text" })),
  );
  return [
    element("p", { class: "tag-asked" }, "Tag: ", dataText(shown.tag, "strong")),
    element("h2", {}, texts.length > 1 ? "Instructions" : "Instruction"),
    element(texts.length > 1 ? "ol" : "ul", { class: "instructions" }, texts),
  ];
}
