"""Question sets in all published forms, and files of answers: read, written, refused."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tacos.errors import InputError
from tacos.formats.answer_files import read_answers, write_answers
from tacos.formats.question_sets import name_set, read_questions
from tacos.methods.evaluating.questions import AnsweredQuestion, Question

SHARED = Path(__file__).parents[4] / "shared" / "data" / "evaluation"
# Made rows, one of each published form, and what is read of it.
FORMS = {
    "mt_bench__question.jsonl": (
        {
            "question_id": 81,
            "category": "writing",
            "turns": ["Write a poem.", "Now shorter."],
            "reference": ["Roses", "Red"],
        },
        Question(
            "81",
            ("Write a poem.", "Now shorter."),
            "writing",
            "mt_bench",
            ("Roses", "Red"),
        ),
    ),
    "vicuna_test_set.jsonl": (
        {"question_id": 1, "text": "How are you?", "category": "generic"},
        Question("1", ("How are you?",), "generic", "vicuna"),
    ),
    "koala_test_set.jsonl": (
        {"id": "koala_0", "prompt": "List films."},
        Question("koala_0", ("List films.",), None, "koala"),
    ),
    "lima_test.jsonl": (
        {"conversations": ["Name a river."], "source": ""},
        Question("lima:0", ("Name a river.",), None, "lima"),
    ),
    "sinstruct_test_set.jsonl": (
        {
            "id": "user_0",
            "motivation_app": "Mail",
            "instruction": "Shorten it.",
            "instances": [{"input": "A long mail.", "output": "A mail."}],
        },
        Question("user_0", ("Shorten it.\n\nA long mail.",), None, "sinstruct"),
    ),
    "wizardlm_test_set.jsonl": (
        {"idx": 0, "Skill": "Math", "Difficulty": 1, "Instruction": "Add 1 and 2."},
        Question("0", ("Add 1 and 2.",), "Math", "wizardlm"),
    ),
    "alpaca_eval.json": (
        {
            "instruction": "Explain.",
            "dataset": "koala",
            "output": "So.",
            "generator": "x",
        },
        Question("alpaca_eval:0", ("Explain.",), "koala", "alpaca_eval"),
    ),
    "rows.jsonl": (
        {"instruction": "Add.", "input": "1 and 2", "output": "3"},
        Question("rows:0", ("Add.\n\n1 and 2",), None, "rows"),
    ),
}
ANSWERED = AnsweredQuestion(
    "81",
    ("Write a poem.", "Now shorter."),
    ("Roses are red.", ""),
    ("length", "stop"),
    (4, None),
    "small-1k",
    "writing",
    "mt_bench",
    "9c1f",
    {"temperature": 0.7, "max_new_tokens": 4},
)


@pytest.mark.parametrize("name", FORMS)
def test_every_published_form_is_read(tmp_path: Path, name: str) -> None:
    row, question = FORMS[name]
    path = tmp_path / name
    path.write_text(json.dumps([row] if name.endswith(".json") else row))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_questions([path]) == [replace(question, set_hash=digest)]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"question": "Which?"}, "it has none of the fields turns, text,"),
        ({"turns": "Which?"}, "turns is not a list of texts"),
        ({"turns": ["Which?", ""]}, "turns holds something that is no text"),
        ({"conversations": ["a", "b", "c"]}, "more than one question"),
        (
            {"instruction": "a", "instances": ["b"]},
            "instances is not a list of objects",
        ),
    ],
)
def test_a_row_that_is_no_question_is_named(
    tmp_path: Path, row: dict, complaint: str
) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text('{"text": "Fine?"}\n' + json.dumps(row))
    with pytest.raises(InputError, match="row 1") as caught:
        read_questions([path])
    assert complaint in str(caught.value)


def test_ids_repeat_between_sets_but_not_inside_one(tmp_path: Path) -> None:
    first = tmp_path / "a.jsonl"
    second = tmp_path / "b.jsonl"
    first.write_text('{"question_id": 1, "text": "x"}\n')
    second.write_text('{"question_id": 1, "text": "y"}\n')
    keys = [question.key for question in read_questions([first, second])]
    assert keys == [("a", "1"), ("b", "1")]
    first.write_text('{"question_id": 1, "text": "x"}\n' * 2)
    with pytest.raises(InputError, match="'1' of a stands in it twice"):
        read_questions([first])


@pytest.mark.skipif(not SHARED.exists(), reason="the evaluation sets are not here")
def test_the_published_sets_are_read_whole() -> None:
    sets = sorted((SHARED / "test_sets").glob("*.jsonl"))
    questions = read_questions([*sets, SHARED / "mt_bench/mt_bench__question.jsonl.gz"])
    counts: dict[str, int] = {}
    for question in questions:
        counts[question.set or ""] = counts.get(question.set or "", 0) + 1
    assert counts == {
        "koala": 180,
        "lima": 300,
        "sinstruct": 252,
        "vicuna": 80,
        "wizardlm": 218,
        "mt_bench": 80,
    }
    assert sum(bool(question.reference) for question in questions) == 39


def test_the_set_is_named_after_its_file() -> None:
    assert name_set(Path("_test.jsonl")) == "_test"
    assert name_set(Path("my_questions.json")) == "my"


def test_answers_survive_the_file(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl.gz"
    other = AnsweredQuestion("81", ("x",), ("y",), ("stop",), (1,), "m", set="other")
    write_answers([ANSWERED, other], path)
    assert read_answers(path) == [ANSWERED, other]
    assert ANSWERED.list_faults() == ["turn 1 is cut at 4 tokens", "turn 2 is empty"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"answers": ["only one"]}, "answers has 1 entries for 2 turns"),
        ({"answers": ["a", None]}, "answers is not a list"),
        ({"model": ""}, "model is no text"),
        ({"question_id": 81}, "question_id is no text"),
        ({"generation": None}, "generation is not an object"),
        ({"n_tokens": ["4", "5"]}, "n_tokens is not a list"),
    ],
)
def test_a_line_that_is_no_answer_is_named(
    tmp_path: Path, change: dict, complaint: str
) -> None:
    path = tmp_path / "answers.jsonl"
    write_answers([ANSWERED], path)
    row = json.loads(path.read_text()) | change
    path.write_text(json.dumps(row))
    with pytest.raises(InputError, match="row 0") as caught:
        read_answers(path)
    assert complaint in str(caught.value)


def test_a_file_of_something_else_and_a_repeated_question_are_refused(
    tmp_path: Path,
) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"instruction": "a", "output": "b"}')
    with pytest.raises(InputError, match="lacks question_id, category"):
        read_answers(path)
    write_answers([ANSWERED, ANSWERED], path)
    with pytest.raises(InputError, match="'81' of mt_bench stands in it twice"):
        read_answers(path)
