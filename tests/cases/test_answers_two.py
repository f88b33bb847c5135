"""Rows that a second attack read wrong: names of preferences and answers that no list foresees.

What a guess leaves out is named, so that a wrong one is seen; what cannot be told is refused in one
line that names the way out.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import tacos
from tacos.cli import app
from tacos.config import IngestSettings
from tacos.methods.judging.refinement import rewrite_row
from tacos.methods.samples.sample_parsing import parse_sample
from tacos.records import Reject, Sample

Q = "What is three plus four?"
GOOD = "It is seven."
BAD = "It is nine."
LONG = "Three and four more make seven, as you can count."
OLD = "I do not know."
USER = {"role": "user", "content": Q}


def parse(row: dict[str, Any], **settings: Any) -> Sample | Reject:
    return parse_sample(row, "x:0", IngestSettings(**settings))


def read(row: dict[str, Any], **settings: Any) -> str:
    """The answer that is judged."""
    sample = parse(row, **settings)
    assert isinstance(sample, Sample), sample.reason
    assert sample.turns[-1].role == "assistant"
    return sample.turns[-1].text


def refuse(row: dict[str, Any], **settings: Any) -> str:
    """Why a row is refused."""
    reject = parse(row, **settings)
    assert isinstance(reject, Reject), reject.turns
    return reject.reason


def list_unread(row: dict[str, Any]) -> list[str]:
    """The columns that are told as not read."""
    taken: Counter[str] = Counter()
    parse_sample(row, "x:0", IngestSettings(), taken)
    start = "not read: "
    return [note.removeprefix(start) for note in taken if note.startswith(start)]


# Preferences


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("A", "B"), ("b ", "a"), ("1", "2"), ("response_a", "response_b"),
    ],
)  # fmt: skip
def test_the_letters_of_two_answers_are_no_answers(better: str, worse: str) -> None:
    """With both sides given, "B" itself was judged."""
    row = {"prompt": Q, "chosen": better, "rejected": worse}
    for names in (
        ("response_a", "response_b"),
        ("response1", "response2"),
        ("text_1", "text_2"),
    ):
        full = {**row, **dict(zip(names, (GOOD, BAD), strict=True))}
        is_named = better.lower().strip()[-1] in names[0] + names[1]
        if not is_named or (better.startswith("response") and better not in names):
            continue
        assert "not an answer: name the column" in refuse(full)
        assert "not an answer" in refuse(full, preference="rejected")
        assert read(full, response=names[0]) == GOOD


def test_short_answers_of_a_preference_stay_answers() -> None:
    """Columns that merely end like an answer are no sides of it."""
    row = {"prompt": Q, "chosen": "4", "rejected": "5", "field_4": "x"}
    assert read(row) == "4"


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("chosen_answer", "rejected_answer"), ("chosen_message", "rejected_message"),
        ("winner", "loser"), ("preferred", "dispreferred"), ("better", "worse"),
        ("accepted", "rejected"), ("response_w", "response_l"), ("chosen", "reject"),
        ("response_chosen", "response_rejected"), ("Winning Response", "Losing Response"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("column", ["answer", "response", "output"])
def test_preferences_by_other_names(better: str, worse: str, column: str) -> None:
    """The other answer beside them was judged."""
    row = {"prompt": Q, column: OLD, better: GOOD, worse: BAD}
    assert read(row) == GOOD
    assert read(row, preference="rejected") == BAD
    assert list_unread(row) == [column]


@pytest.mark.parametrize(
    "marks",
    [{"accepted": True, "rejected": False}, {"accepted": 5, "rejected": 2}, {"better": 1, "worse": 0}],
    ids=str,
)  # fmt: skip
def test_votes_are_no_preference(marks: dict) -> None:
    """Numbers and flags under such names are no answers, and told."""
    row = {"prompt": Q, "response": GOOD, **marks}
    assert read(row) == GOOD


@pytest.mark.parametrize("winner", ["response_b", "gpt-4"])
def test_a_winner_that_is_a_name_is_refused(winner: str) -> None:
    """The name of a column or of a model is no answer; the first response was judged."""
    row = {"prompt": Q, "response": BAD, "response_b": GOOD, "winner": winner}
    if winner == "gpt-4":
        row["loser"] = "llama-2-7b"
    assert f"winner is {winner!r}, not an answer" in refuse(row)
    assert read(row, response="response_b") == GOOD


# Several answers


@pytest.mark.parametrize(
    "marks",
    [
        {"labels": [0, 1]}, {"label": [0, 1]}, {"best": 1}, {"preference": 1},
        {"correct_answer_index": 1}, {"correct_answer": GOOD}, {"best_answer": GOOD},
    ],
    ids=str,
)  # fmt: skip
def test_a_mark_of_the_best_answer_is_not_passed_over(marks: dict) -> None:
    """The first of the answers was judged, whatever the mark beside them said."""
    row = {"question": Q, "answers": [BAD, GOOD], **marks}
    assert "name one, e.g. --map response=answers.0" in refuse(row)
    assert read(row, response="answers.1") == GOOD


@pytest.mark.parametrize("score", ["1,234", "5/5", "95%"])
def test_scores_that_are_no_numbers_are_refused(score: str) -> None:
    """They came after every number."""
    answers = [{"text": BAD, "score": "999"}, {"text": GOOD, "score": score}]
    assert "score is not a number" in refuse({"question": Q, "answers": answers})


def test_a_negative_rank_is_none() -> None:
    """-1 stands for an answer without a rank."""
    answers = [{"text": BAD, "rank": -1}, {"text": GOOD, "rank": 1}]
    assert read({"question": Q, "answers": answers}) == GOOD


# Labels and weights


@pytest.mark.parametrize("label", [False, "False", 0, "0"])
def test_the_label_of_kto_refuses_a_bad_answer(label: Any) -> None:
    """As a number, too: CSV files have 0 and 1."""
    row = {"prompt": Q, "completion": BAD, "label": label}
    assert refuse(row) == "a bad answer: label is false"
    row = {"prompt": Q, "response": BAD, "kto_tag": label}
    assert refuse(row) == "a bad answer: kto_tag is false"


@pytest.mark.parametrize("label", [False, True, 0, "0"])
@pytest.mark.parametrize("names", [("prompt", "response"), ("question", "answer")])
def test_other_labels_are_classes_and_told(label: Any, names: tuple[str, str]) -> None:
    """Of a toxicity set only the toxic rows were kept."""
    row = {names[0]: Q, names[1]: GOOD, "label": label}
    assert read(row) == GOOD
    assert list_unread(row) == ["label"]


@pytest.mark.parametrize(
    "mark",
    [
        {"loss": 0}, {"loss": "0"}, {"train": "no"}, {"mask": 1}, {"masked": "1"},
        {"train_on_turn": False}, {"calculate_loss": False}, {"calculate_loss": 0},
        {"no_loss": True}, {"ignore": "yes"}, {"learn": False},
    ],
    ids=str,
)  # fmt: skip
def test_other_marks_of_untrained_answers(mark: dict) -> None:
    """The answer that is trained on is judged."""
    messages = [
        USER,
        {"role": "assistant", "content": GOOD},
        {"role": "user", "content": "And now?"},
        {"role": "assistant", "content": BAD, **mark},
    ]
    assert read({"messages": messages}) == GOOD


# Tools, and texts with marks


@pytest.mark.parametrize(
    "output",
    [
        {"type": "function_call_output", "call_id": "c", "output": "7"},
        {"role": "ipython", "content": "7"}, {"role": "command-output", "content": "7"},
        {"role": "command_output", "content": "7"}, {"role": "code_result", "content": "7"},
    ],
    ids=str,
)  # fmt: skip
def test_what_a_tool_returns_is_no_answer(output: dict) -> None:
    """It was judged as what the assistant says."""
    call = {"type": "function_call", "name": "add", "arguments": "3, 4"}
    messages = [USER, call, output, {"role": "assistant", "content": GOOD}, output]
    sample = parse({"messages": messages})
    assert isinstance(sample, Sample), sample.reason
    assert [turn.role for turn in sample.turns] == [
        "user",
        "assistant",
        "system",
        "assistant",
    ]
    assert sample.turns[1].text == '{"name":"add","arguments":"3, 4"}'
    assert sample.turns[2].text == "Tool: 7"
    assert sample.turns[3].text == GOOD


def test_command_r_is_still_a_model() -> None:
    """Cohere's models begin like the output of a command."""
    messages = [USER, {"role": "command-r-plus", "content": GOOD}]
    assert read({"messages": messages}) == GOOD


def test_texts_that_name_their_speakers_lose_the_names() -> None:
    """The marks were judged as a part of the texts; the speakers count, not their order."""
    texts = [f"Human: {Q}", f"Assistant: {GOOD}", "Human: Thanks."]
    sample = parse({"conversation": texts})
    assert isinstance(sample, Sample), sample.reason
    assert sample.turns == (("user", Q), ("assistant", GOOD))
    row = {"conversation": texts[:2]}
    new = rewrite_row(json.dumps(row), IngestSettings(), "Why?", "So.")
    assert new == {"conversation": ["Human: Why?", "Assistant: So."]}


# Choices


@pytest.mark.parametrize(
    "choices",
    [
        {"option_a": "seven", "option_b": "nine"}, {"optionA": "seven", "optionB": "nine"},
        {"Option 1": "seven", "Option 2": "nine"}, {"opa": "seven", "opb": "nine"},
        {"a": "seven", "b": "nine"}, {"candidates": ["seven", "nine"]},
        {"endings": ["seven", "nine"]}, {"options": [1.5, 2.5]},
        {"options": [{"key": "A", "value": "seven"}, {"key": "B", "value": "nine"}]},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("answer", ["B", "(b)", 2])
def test_choices_by_other_names_are_missed(choices: dict, answer: Any) -> None:
    """ "B" was judged alone."""
    row = {"question": Q, "answer": answer, **choices}
    assert "the question lacks its choices" in refuse(row)


def test_a_number_within_another_one_is_no_choice_of_the_question() -> None:
    """1, 2 and 3 stand in 12 and 1/3, but as no choices."""
    row = {"question": "Of 12 cars, 13 go?", "options": ["1", "2", "3"], "answer": "B"}
    assert "lacks its choices" in refuse(row)
    row = {"question": "Which? A. 1, B. 2", "options": ["1", "2"], "answer": "B"}
    assert read(row) == "B"


def test_choices_beside_messages_are_missed() -> None:
    """Where the answer is a letter alone."""
    messages = [USER, {"role": "assistant", "content": "B"}]
    row = {"messages": messages, "choices": ["seven", "nine"]}
    assert "lacks its choices" in refuse(row)
    said = [USER, {"role": "assistant", "content": GOOD}]
    assert read({"messages": said, "options": ["fast", "safe"]}) == GOOD


@pytest.mark.parametrize(
    "more", [{"a": 3, "b": 4}, {"candidates": [OLD, BAD]}, {"endings": [OLD, BAD]}], ids=str
)  # fmt: skip
def test_what_only_looks_like_choices_refuses_nothing(more: dict) -> None:
    """Beside an answer in words."""
    assert read({"question": Q, "answer": GOOD, **more}) == GOOD


# Explanations and questions


@pytest.mark.parametrize(
    "name",
    ["explanation", "exp", "thinking", "thought", "reasoning_content", "Complex_CoT", "steps"],
)  # fmt: skip
@pytest.mark.parametrize("answer", ["answer", "response", "output"])
def test_what_leads_to_a_bare_answer_is_read(name: str, answer: str) -> None:
    """ "7" was judged alone; an answer in sentences stands by itself."""
    row = {"question": Q, answer: "7", name: OLD}
    assert read(row) == f"{OLD}\n\n7"
    assert list_unread(row) == []
    row = {"question": Q, answer: LONG, name: OLD}
    assert read(row) == LONG
    assert list_unread(row) == [name]


def test_steps_of_a_list_are_read_and_those_of_objects_told() -> None:
    """What cannot be joined is not read."""
    row = {"question": Q, "answer": "7", "steps": ["3 + 4", "= 7"]}
    assert read(row) == "3 + 4\n= 7\n\n7"
    row = {"question": Q, "answer": "7", "steps": [{"step": 1}]}
    assert read(row) == "7"
    assert list_unread(row) == ["steps"]


def test_an_instruction_and_a_prompt_are_both_read() -> None:
    """The question itself was lost; one within the other is read once."""
    for names in (("instruction", "prompt"), ("prompt", "question")):
        row = {names[0]: "Be brief.", names[1]: Q, "output": GOOD}
        sample = parse(row)
        assert isinstance(sample, Sample), sample.reason
        assert sample.turns[0].text == f"Be brief.\n\n{Q}"
    sample = parse({"prompt": f"Be brief. {Q}", "question": Q, "output": GOOD})
    assert isinstance(sample, Sample), sample.reason
    assert sample.turns[0].text == f"Be brief. {Q}"


# What was not read


@pytest.mark.parametrize(
    "column",
    ["rejected_answer", "labels", "explanation", "isCorrect", "Option 1", "weight", "comment"],
)  # fmt: skip
def test_a_column_that_may_matter_is_told(column: str) -> None:
    """A wrong guess is seen at once, whatever the column is called."""
    row = {"question": Q, "answer": LONG, column: "A text that nobody reads."}
    assert list_unread(row) == [column]
    assert list_unread({**row, column: None}) == []


@pytest.mark.parametrize(
    "row",
    [
        {"id": "a long id of this row, really", "source": "some dump of the web, 2024"},
        {"category": "open question answering", "language": "English (American)"},
        {"num_tokens": 12, "answer_length": 90, "answer_id": 7, "meta": {"a": 1}},
        {"place": "Rome", "year": 1999, "system": "", "labels": []},
    ],
    ids=str,
)
def test_what_is_said_about_a_row_is_not_told(row: dict) -> None:
    """Ids, sources, languages, categories and plain numbers would hide what matters."""
    assert list_unread({"question": Q, "answer": GOOD, **row}) == []


def test_what_is_read_is_not_told_as_unread() -> None:
    """The other side of a preference, and scores that decide, are no oversight."""
    row = {"prompt": Q, "chosen": GOOD, "rejected": BAD}
    assert list_unread(row) == []
    row = {"question": Q, "answers": [BAD, GOOD], "scores": [1, 2]}
    assert list_unread(row) == []
    row = {"messages": [USER, {"role": "assistant", "content": GOOD}], "quality": 3}
    assert list_unread(row) == ["quality"]


def test_inspect_and_the_summary_name_columns_that_were_not_read(
    tmp_path: Path,
) -> None:
    """One line each; at most eight names."""
    path = tmp_path / "x.jsonl"
    more = {f"hint_{letter}": "See above." for letter in "abcdefghi"}
    rows = [
        {"question": f"{Q} {number}", "answer": GOOD, "note": "Checked by two people.", **more}
        for number in range(3)
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)))
    shown = CliRunner().invoke(app, ["inspect", str(path)], catch_exceptions=False)
    words = " ".join(shown.output.split())
    assert "not read: hint_a, hint_b, hint_c" in words
    assert "hint_h and 2 more" in words
    found = tacos.inspect(path)
    assert found.files[0].read_as["not_read"]["note"] == 3
