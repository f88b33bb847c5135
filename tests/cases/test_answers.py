"""Which answer of a row is read, where there are several, or marks that say what they are worth.

Preferences have a better and a worse answer; some answers have ranks or scores; a worked answer
stands beside its last line; labels and weights say which answers are bad or not trained on. What
cannot be told is refused in one line that names the way out.
"""

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tacos.cli import app
from tacos.config import IngestSettings
from tacos.methods.judging.refinement import extract_parts, rewrite_row
from tacos.methods.samples.sample_parsing import parse_sample
from tacos.records import Reject, Sample

QUESTION = "Why is the sea salty?"
ANSWER = "Rivers carry salt into it, and only the water goes up again."
WORSE = "Fish cry."
THIRD = "Nobody knows."
USER = {"role": "user", "content": QUESTION}
ASSISTANT = {"role": "assistant", "content": ANSWER}
BAD = {"role": "assistant", "content": WORSE}
EARLIER = {"role": "assistant", "content": THIRD}
QA = [("user", QUESTION), ("assistant", ANSWER)]
QB = [("user", QUESTION), ("assistant", WORSE)]


def parse(row: dict[str, Any], **settings: Any) -> Sample | Reject:
    return parse_sample(row, "x:0", IngestSettings(**settings))


def read(row: dict[str, Any], **settings: Any) -> list[tuple[str, str]]:
    """The turns of a row."""
    sample = parse(row, **settings)
    assert isinstance(sample, Sample), sample.reason
    return [tuple(turn) for turn in sample.turns]


def refuse(row: dict[str, Any], **settings: Any) -> tuple[str, bool]:
    """Why a row is refused, and whether this is a failure."""
    reject = parse(row, **settings)
    assert isinstance(reject, Reject), reject.turns
    assert "\n" not in reject.reason
    return reject.reason, reject.failure


# Preferences

PAIR = {"chosen": ANSWER, "rejected": WORSE}
PREFERENCES = {
    "a sampled response": {"prompt": QUESTION, **PAIR, "response": THIRD},
    "a completion": {"question": QUESTION, **PAIR, "completion": THIRD},
    "a reference": {"question": QUESTION, **PAIR, "answer": "7", "output": THIRD},
    "a conversation with another answer": {"prompt": QUESTION, **PAIR, "messages": [USER, EARLIER]},
    "a conversation alone": {**PAIR, "messages": [USER, EARLIER]},
    "LLaMA-Factory": {"conversations": [USER, EARLIER], "chosen": ASSISTANT, "rejected": BAD},
    "LLaMA-Factory, open": {"conversations": [USER], "chosen": ASSISTANT, "rejected": BAD},
    "a dialogue": {"dialogue": [USER], "chosen": ANSWER, "rejected": WORSE},
    "turns": {"turns": [USER], "chosen": [ASSISTANT], "rejected": [BAD], "output": THIRD},
    "whole conversations": {"prompt": "x", "chosen": [USER, ASSISTANT], "rejected": [USER, BAD], "messages": [USER, EARLIER]},
    "Orca": {"input": QUESTION, **PAIR, "generations": [THIRD, THIRD], "rating": ["1", "2"]},
    "other names": {"instruction": QUESTION, "chosen_response": ANSWER, "rejected_response": WORSE, "output": THIRD},
    "OpenAI": {"input": {"messages": [USER]}, "preferred_output": [ASSISTANT], "non_preferred_output": [BAD]},
    "StackExchange": {"question": QUESTION, "response_j": ANSWER, "response_k": WORSE},
    "a transcript": {"chosen": f"\n\nHuman: {QUESTION}\n\nAssistant: {ANSWER}", "rejected": f"\n\nHuman: {QUESTION}\n\nAssistant: {WORSE}", "response": THIRD},
}  # fmt: skip


@pytest.mark.parametrize("name", PREFERENCES)
def test_a_preference_has_its_answer_in_its_column(name: str) -> None:
    """With both answers present, `chosen` counts (or `rejected`), whatever else is there."""
    assert read(PREFERENCES[name]) == QA
    assert read(PREFERENCES[name], preference="rejected") == QB


def test_a_setting_names_another_answer_of_a_preference() -> None:
    row = PREFERENCES["a sampled response"]
    assert read(row, response="response")[-1] == ("assistant", THIRD)


def test_nothing_stands_in_for_an_empty_answer_of_a_preference() -> None:
    for chosen in ("", None):
        row = {
            "prompt": QUESTION,
            "chosen": chosen,
            "rejected": WORSE,
            "response": THIRD,
        }
        assert refuse(row) == ("empty response", False)
    row = {"messages": [USER, EARLIER], "chosen": ANSWER, "rejected": " "}
    assert refuse(row, preference="rejected") == ("no rejected answer", False)


def test_a_row_without_either_answer_is_no_preference() -> None:
    """A table made of several has both columns, empty in the rows of another table."""
    row = {"prompt": QUESTION, "chosen": None, "rejected": None, "response": ANSWER}
    assert read(row) == QA


def test_chosen_goes_before_a_final_answer() -> None:
    assert read({"question": QUESTION, "answer": "7", "chosen": ANSWER}) == QA


@pytest.mark.parametrize("chosen", [1, 0, True, 2.0])
def test_a_number_is_no_chosen_answer(chosen: Any) -> None:
    """It says which of several columns is meant."""
    row = {"prompt": QUESTION, "responses": [WORSE, ANSWER], "chosen": chosen}
    reason, failure = refuse(row)
    assert (
        "not an answer: name the column of the answer, --map response=COLUMN" in reason
    )
    assert failure


@pytest.mark.parametrize("chosen", ["response_a", "Response A", "A", "b "])
def test_a_name_is_no_chosen_answer(chosen: str) -> None:
    row = {"prompt": QUESTION, "response_a": ANSWER, "response_b": WORSE}
    reason, _ = refuse({**row, "chosen": chosen})
    assert reason == (
        f"chosen is {chosen.strip()!r}, not an answer: "
        "name the column of the answer, --map response=COLUMN"
    )
    assert read({**row, "chosen": chosen}, response="response_a") == QA
    for sums in ({"chosen": "4", "rejected": "5", "field_4": ""}, {"chosen": "4"}):
        assert read({"prompt": "2 + 2?", **sums})[1] == ("assistant", "4")


def test_a_preference_without_a_question_is_refused() -> None:
    assert refuse({"chosen": ANSWER, "rejected": WORSE, "output": THIRD}) == (
        "no question before the chosen answer",
        True,
    )


# Several answers


@pytest.mark.parametrize(
    "row",
    [
        {"output": [WORSE, ANSWER], "scores": [1, 9]},
        {"output": [WORSE, ANSWER], "Score": ["1", "9"]},
        {"output": [WORSE, ANSWER], "rank": [2, 1]},
        {"output": [WORSE, ANSWER, THIRD], "ranks": [None, 1, 3]},
        {"generations": [WORSE, ANSWER], "ratings": [2.5, 4.5]},
        {"answers": json.dumps([WORSE, ANSWER]), "scores": "[1, 9]"},
        {"output": json.dumps([WORSE, ANSWER]), "scores": [1, 9]},
        {"output": [{"text": WORSE, "score": 1}, {"text": ANSWER, "score": 9}]},
        {"output": [{"text": WORSE, "score": "9"}, {"text": ANSWER, "score": "10"}]},
        {"output": [{"answer": WORSE, "rank": "10"}, {"answer": ANSWER, "rank": "2"}]},
        {"output": [{"answer": WORSE, "rank": None}, {"answer": ANSWER, "rank": 1}]},
        {"output": [{"answer": WORSE, "rank": "last"}, {"answer": ANSWER, "rank": 1}]},
        {"output": [{"answer": WORSE}, {"answer": ANSWER, "Rank": 3}]},
        {"output": [{"text": ANSWER, "rank": 1}]},
        {"output": [{**BAD, "rank": 2}, {**ASSISTANT, "rank": 1}]},
        {"answers": [
            {"text": WORSE, "pm_score": 0, "selected": False},
            {"text": ANSWER, "pm_score": 4, "selected": True},
        ]},
        {"answers": {"text": [WORSE, ANSWER], "score": [3, 12], "a_id": ["x", "y"]}},
        {"answers": [{"body": WORSE, "accepted": False}, {"body": ANSWER, "accepted": True}]},
        {"models": ["x", "y"], "completions": [
            {"response": WORSE, "overall_score": 2.0}, {"response": ANSWER, "overall_score": 8.5},
        ], "correct_answers": ["x"]},
    ],
    ids=lambda row: str(row)[:50],
)  # fmt: skip
def test_the_best_of_several_answers_is_read(row: dict) -> None:
    """Ranks and scores decide; joined or first, the bad answer was judged."""
    assert read({"question": QUESTION, **row}) == QA


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            {"output": [{"text": WORSE}, {"text": ANSWER}]},
            "output has several answers without scores: "
            "name one, e.g. --map response=output.0.text",
        ),
        (
            {"responses": [WORSE, ANSWER]},
            "responses has several answers without scores: "
            "name one, e.g. --map response=responses.0",
        ),
        (
            {"output": [WORSE, ANSWER], "scores": [1, 9, 3]},
            "scores does not say which of the answers in output is the best: "
            "name one, e.g. --map response=output.0",
        ),
        (
            {"output": [WORSE, ANSWER], "ratings": [{"help": 1}, {"help": 2}]},
            "ratings does not say which of the answers in output is the best: "
            "name one, e.g. --map response=output.0",
        ),
    ],
)
def test_answers_without_an_order_are_refused(row: dict, reason: str) -> None:
    row = {"question": QUESTION, **row}
    assert refuse(row) == (reason, True)
    # The way out of the message works.
    _, path = reason.split("response=")
    first = read(row, response=path, instruction="question")
    assert first == QB


def test_answers_that_are_all_wrong_are_left_out() -> None:
    row = {
        "problem": QUESTION,
        "generations": [WORSE, THIRD],
        "correct": [False, False],
    }
    assert refuse(row) == ("no answer is right by correct", False)


def test_a_list_in_a_text_stays_an_answer_and_is_told(tmp_path: Path) -> None:
    """A list may be what was asked for; from a CSV file, it may be several answers."""
    listed = json.dumps(["red", "blue"])
    assert read({"instruction": QUESTION, "output": listed})[1] == ("assistant", listed)
    path = tmp_path / "x.jsonl"
    lines = [
        {"instruction": "List two colours as JSON.", "output": listed},
        {"question": QUESTION, "answers": [{"text": ANSWER, "rank": 1}, {"text": "x", "rank": 2}]},
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, lines)))
    shown = CliRunner().invoke(app, ["inspect", str(path)], catch_exceptions=False)
    words = " ".join(shown.output.split())
    assert "lists in output that are one text, read as one answer (1 row)" in words
    assert "the best of several answers in answers by rank (1 row)" in words


@pytest.mark.parametrize(
    ("row", "rewritten"),
    [
        (
            {"output": [{"text": WORSE, "score": 1}, {"text": ANSWER, "score": 9}]},
            {"output": [{"text": WORSE, "score": 1}, {"text": "New.", "score": 9}]},
        ),
        (
            {"output": [WORSE, ANSWER], "scores": [1, 9]},
            {"output": [WORSE, "New."], "scores": [1, 9]},
        ),
        (
            {"answers": {"text": [WORSE, ANSWER], "score": [3, 12]}},
            {"answers": {"text": [WORSE, "New."], "score": [3, 12]}},
        ),
        (
            {"output": [{**BAD, "rank": 2}, {**ASSISTANT, "rank": 1}]},
            {"output": [{**BAD, "rank": 2}, {**ASSISTANT, "rank": 1, "content": "New."}]},
        ),
        ({"reasoning": "So.", "answer": ANSWER}, {"reasoning": "", "answer": "New."}),
    ],
    ids=lambda row: str(row)[:40],
)  # fmt: skip
def test_refining_rewrites_the_answer_that_was_read(row: dict, rewritten: dict) -> None:
    raw = json.dumps({"question": QUESTION, **row})
    assert extract_parts(raw, IngestSettings()).response.endswith(ANSWER)
    new = rewrite_row(raw, IngestSettings(), "Why?", "New.")
    assert new == {"question": "Why?", **rewritten}
    assert read(new) == [("user", "Why?"), ("assistant", "New.")]


# Worked and final answers


@pytest.mark.parametrize("worked", ["solution", "generated_solution", "generation"])
@pytest.mark.parametrize(
    "final", ["answer", "target", "expected_answer", "final_answer"]
)
def test_a_worked_answer_goes_before_the_final_one(worked: str, final: str) -> None:
    """numina15 under other names: "7" was judged."""
    assert read({"problem": QUESTION, final: "7", worked: ANSWER}) == QA
    reason, _ = refuse({"problem": QUESTION, final: "7", worked: ""})
    assert reason == "empty response" or final == "expected_answer"


@pytest.mark.parametrize(
    "reasoning", ["rationale", "reasoning", "cot", "Chain of Thought"]
)
@pytest.mark.parametrize("final", ["answer", "target", "final_answer"])
def test_a_final_answer_follows_what_leads_to_it(reasoning: str, final: str) -> None:
    row = {"question": QUESTION, final: "Salt.", reasoning: ANSWER}
    assert read(row)[1] == ("assistant", f"{ANSWER}\n\nSalt.")
    assert read({**row, reasoning: None})[1] == ("assistant", "Salt.")
    # A setting names the answer alone; a response is whole.
    assert read(row, response=final)[1] == ("assistant", "Salt.")
    assert read({**row, "response": ANSWER}) == QA


def test_the_notes_name_what_leads_to_an_answer() -> None:
    taken: Counter[str] = Counter()
    row = {
        "instruction": "Explain.",
        "question": QUESTION,
        "cot": ANSWER,
        "answer": "7",
    }
    parse_sample(row, "x:0", IngestSettings(), taken)
    assert taken == {"columns: instruction + question -> cot + answer": 1}


# Bad and untrained answers


@pytest.mark.parametrize("column", ["label", "kto_tag", "Label"])
@pytest.mark.parametrize("label", [False, "False", "false "])
def test_bad_answers_of_kto_are_left_out(column: str, label: Any) -> None:
    """They were judged like good ones."""
    for row in (
        {"prompt": QUESTION, "completion": WORSE, column: label},
        {"messages": [USER, BAD], column: label},
    ):
        assert refuse(row) == (f"a bad answer: {column} is false", False)


@pytest.mark.parametrize("column", ["accepted", "is_correct", "isCorrect", "Correct"])
@pytest.mark.parametrize("verdict", [False, "False"])
def test_answers_that_a_row_calls_wrong_are_left_out(column: str, verdict: Any) -> None:
    """They were named only, and judged like good ones."""
    for row in (
        {"question": QUESTION, "answer": WORSE, column: verdict},
        {"messages": [USER, BAD], column: verdict},
    ):
        assert refuse(row) == (f"a bad answer: {column} is false", False)
    assert read({"question": QUESTION, "answer": ANSWER, column: True}) == QA


@pytest.mark.parametrize("verdict", [None, 0, 1, "no", "", {"by": "Ann"}])
def test_what_is_no_flag_is_no_verdict(verdict: Any) -> None:
    row = {"question": QUESTION, "answer": ANSWER, "is_correct": verdict}
    assert read(row) == QA


@pytest.mark.parametrize("other", ["prediction", "model_output", "generated_answer"])
def test_a_verdict_about_another_answer_leaves_out_nothing(other: str) -> None:
    """The true answer stands beside a prediction, which is the one that is wrong."""
    row = {"question": QUESTION, "answer": ANSWER, other: WORSE, "is_correct": False}
    assert read(row) == QA


@pytest.mark.parametrize("weight", [0, 0.0, "0", "0.0", Decimal(0)])
@pytest.mark.parametrize("column", ["weight", "sample_weight"])
def test_rows_without_weight_are_left_out(column: str, weight: Any) -> None:
    row = {"question": QUESTION, "answer": ANSWER, column: weight}
    assert refuse(row) == (f"not to be trained on: {column} is 0", False)
    for value in (1, 0.5, "2", None, "", False, -1):
        assert read({**row, column: value}) == QA


def test_a_mapped_column_is_no_verdict_and_no_weight() -> None:
    row = {"question": QUESTION, "answer": ANSWER, "weight": 0, "correct": False}
    assert refuse(row)
    assert refuse(row, score="weight") == ("a bad answer: correct is false", False)


@pytest.mark.parametrize("label", [True, "True", None, 1, "no", "toxic", ""])
def test_other_labels_say_nothing(label: Any) -> None:
    assert read({"prompt": QUESTION, "completion": ANSWER, "label": label}) == QA


def test_a_label_that_a_setting_names_is_no_mark() -> None:
    row = {"prompt": QUESTION, "completion": ANSWER, "label": False}
    assert read(row, tags="label") == QA


@pytest.mark.parametrize(
    "weight",
    [
        {"weight": "0"},
        {"weight": "0.0"},
        {"Weight": 0},
        {"weight": -1},
        {"loss_mask": 0},
        {"loss_scale": 0.0},
        {"train": "false"},
        {"loss": False},
        {"masked": True},
        {"mask": True},
    ],
    ids=str,
)
def test_an_answer_that_is_not_trained_on_is_not_judged(weight: dict) -> None:
    """weight_last_zero by other spellings."""
    messages = [
        USER,
        ASSISTANT,
        {"role": "user", "content": "Thanks"},
        {**BAD, **weight},
    ]
    assert read({"messages": messages}) == QA
    assert refuse({"messages": [USER, {**BAD, **weight}]}) == (
        "no answer has a weight above 0",
        False,
    )


@pytest.mark.parametrize(
    "mark",
    [{"loss": 0.0}, {"loss": 2}, {"mask": 0}, {"mask": "user"}, {"weight": "1"}, {"weight": None}],
    ids=str,
)  # fmt: skip
def test_figures_are_no_weights(mark: dict) -> None:
    """A loss of 0.0 is what some model had."""
    assert read({"messages": [USER, {**ASSISTANT, **mark}]}) == QA


# Questions


@pytest.mark.parametrize(
    "choices",
    [
        ["salt", "sand"],
        '["salt", "sand"]',
        {"text": ["salt", "sand"], "label": ["A", "B"]},
        {"A": "salt", "B": "sand"},
        [{"label": "A", "text": "salt"}, {"label": "B", "text": "sand"}],
    ],
    ids=str,
)
@pytest.mark.parametrize("column", ["choices", "options"])
def test_a_question_without_its_choices_is_refused(column: str, choices: Any) -> None:
    row = {"question": "What is in the sea?", column: choices, "answer": 1}
    reason, failure = refuse(row)
    assert f"--map input={column}" in reason
    assert failure
    asked = {**row, "question": "What is in the sea?\nA. salt\nB. sand", "answer": "A"}
    assert read(asked)[1] == ("assistant", "A")


def test_choices_are_read_as_an_input_by_a_setting() -> None:
    row = {"question": "What is in it?", "choices": ["salt", "sand"], "answer": "salt"}
    turns = read(row, input="choices")
    assert turns[0] == ("user", "What is in it?\n\nsalt\nsand")


def test_lettered_columns_are_choices() -> None:
    row = {"question": "What is in it?", "A": "salt", "B": "sand", "answer": "A"}
    reason, _ = refuse(row)
    assert reason.startswith("the question lacks its choices, which are in 'A', 'B'")


@pytest.mark.parametrize(
    "options", [{"temperature": 1.0}, [], None, "fast", ["one"], 3]
)
def test_other_options_are_no_choices(options: Any) -> None:
    assert read({"question": QUESTION, "answer": ANSWER, "options": options}) == QA


def test_a_question_beside_an_instruction_is_asked() -> None:
    row = {
        "instruction": "Explain it to a child.",
        "question": QUESTION,
        "output": ANSWER,
    }
    asked = f"Explain it to a child.\n\n{QUESTION}"
    assert read(row)[0] == ("user", asked)
    assert read({**row, "context": "Text."})[0] == ("user", f"{asked}\n\nText.")
    both = {**row, "question": None, "input": "This.", "context": "That."}
    assert read(both)[0] == ("user", "Explain it to a child.\n\nThat.\n\nThis.")
    assert read({**both, "context": "This."})[0][1].endswith("child.\n\nThis.")
    # Many files have it within the instruction, too.
    assert read({**row, "instruction": asked})[0] == ("user", asked)
    assert read({**row, "question": None})[0] == ("user", "Explain it to a child.")
    parts = extract_parts(json.dumps(row), IngestSettings())
    assert (parts.instruction, parts.context) == ("Explain it to a child.", QUESTION)


def test_the_context_of_palm_is_the_text_of_the_system() -> None:
    messages = [
        {"author": "user", "content": QUESTION},
        {"author": "bot", "content": ANSWER},
    ]
    row = {"context": "Be brief.", "messages": messages}
    assert read(row) == [("system", "Be brief."), *QA]
    # Elsewhere it is what the messages are about, and they hold it.
    assert read({"context": "Be brief.", "messages": [USER, ASSISTANT]}) == QA


def test_the_first_instance_with_an_output_is_read() -> None:
    instances = [{"input": "", "output": ""}, {"input": "x", "output": ANSWER}]
    row = {"instruction": QUESTION, "instances": instances}
    assert read(row) == [("user", f"{QUESTION}\n\nx"), QA[1]]
    new = rewrite_row(json.dumps(row), IngestSettings(), QUESTION, "New.")
    assert new["instances"] == [instances[0], {"input": "x", "output": "New."}]
    assert refuse({**row, "instances": instances[:1]}) == ("empty response", False)


@pytest.mark.parametrize(
    "mark", [{"review_result": False}, {"deleted": True}, {"rank": "1"}]
)
def test_replies_that_were_turned_down_are_passed_over(mark: dict) -> None:
    """OpenAssistant's trees; ranks may be texts."""
    worse = {"text": WORSE, "role": "assistant", **mark}
    better = {"text": ANSWER, "role": "assistant", "rank": "0", "review_result": True}
    tree = {"text": QUESTION, "role": "prompter", "replies": [worse, better]}
    assert read({"message_tree_id": "x", "prompt": tree}) == QA
