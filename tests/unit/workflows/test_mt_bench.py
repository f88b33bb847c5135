"""`tacos mt-bench --judgments` on grades that others published, and on made ones."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import tacos
from tacos.cli import app
from tacos.errors import ConfigError, IncompleteError, InputError, TacosError
from tacos.methods.evaluating.mt_bench import list_standard_items


def invoke(*words: object) -> tuple[str, TacosError | None]:
    """What a command printed, and the error it ended with."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, TacosError):
        raise done.exception
    return done.output, done.exception


def write_judgments(
    path: Path, model: str = "a", grade: float = 5, **changes: Any
) -> Path:
    """Grades in FastChat's form, for all 160 turns."""
    rows = [
        {
            "question_id": int(question),
            "turn": turn,
            "model": model,
            "judge": ["gpt-4", "single-v1"],
            "judgment": f"Rating: [[{grade}]]",
            "score": grade,
            **changes,
        }
        for question, turn in list_standard_items()
    ]
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def test_the_means_that_the_authors_released_by_the_command(shared_data: Path) -> None:
    """Five files give their means; those with -1, 0 or 80 rows are refused, each by name."""
    folder = shared_data / "evaluation" / "mt_bench" / "judgments_single"
    files = sorted(folder.iterdir())
    named = [word for file in files for word in ("--judgments", file)]
    output, error = invoke("mt-bench", *named, "--json")
    models = json.loads(output)["models"]
    means = [
        round(model["score"]["mean"]["mean"], 3)
        for model in models
        if model["score"] is not None
    ]
    assert sorted(means) == [4.175, 4.921, 5.469, 6.083, 6.091]
    missing = sorted(len(model["missing"]) for model in models if model["missing"])
    assert missing == [1, 1, 1, 2, 80]
    assert isinstance(error, IncompleteError)
    said = str(error)
    assert "llama2-7b-alpaca_tips_WHAT_1k_sharegpt-e15lr1e-05: 80 of 160 grades" in said
    assert "158 of 160 grades; missing: question 135 turn 2 (score -1" in said
    assert "question 142 turn 2 (score 0 is no grade" in said


def test_the_13b_and_the_7b_of_the_authors_by_the_command(shared_data: Path) -> None:
    folder = shared_data / "evaluation" / "mt_bench" / "judgments_single"
    small, large = (
        next(file for file in folder.iterdir() if file.name.startswith(start))
        for start in ("Llama-2-7b-hf-cluster", "llama2-13b-cluster")
    )
    output, error = invoke("mt-bench", "--judgments", small, "--judgments", large)
    assert error is None
    said = " ".join(output.replace("│", " ").split())
    assert "#2 over #1 +0.55 +0.16 to +0.94 0.56" in said
    assert "differences between two models under about 0.8 points" in said
    assert "wrong in a turn of 13 questions: 104, 105, 109" in said
    assert "on the 67" in said


def test_one_file_may_hold_several_models(tmp_path: Path) -> None:
    """As FastChat's does, which all models are appended to."""
    path = tmp_path / "gpt-4_single.jsonl"
    write_judgments(path, "a", 5)
    write_judgments(path, "b", 7)
    evaluation = tacos.count_judgments(path)
    evaluation.check_complete()
    (difference,) = evaluation.differences
    assert (difference.better, difference.worse) == ("b", "a")
    assert difference.estimate.mean == 2


def test_grades_that_contradict_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.jsonl"
    write_judgments(path, "a", 5)
    write_judgments(path, "a", 6)
    _, error = invoke("mt-bench", "--judgments", path)
    assert isinstance(error, InputError)
    assert "question 81, turn 1 of a is graded twice" in str(error)
    once = write_judgments(tmp_path / "once.jsonl")
    other = write_judgments(tmp_path / "other.jsonl")
    _, error = invoke("mt-bench", "--judgments", once, "--judgments", other)
    assert "a is in 2 of the files" in str(error)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"g1_winner": "tie", "g2_winner": "tie"}, "compares two models"),
        ({"turn": "first"}, "turn is 'first'"),
        ({"turn": 0}, "row 0 (from 0) is no grade: turn is 0"),
        ({"model": None}, "it lacks model"),
        ({"question_id": None}, "it lacks question_id"),
        ({"repetition": -3}, "repetition is -3, not a number from 0 to 99"),
        ({"repetition": "two"}, "repetition is 'two'"),
        ({"repetition": 10**8}, "repetition is 100000000"),
    ],
)
def test_what_is_no_grade_is_refused(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    path = write_judgments(tmp_path / "bad.jsonl", **changes)
    _, error = invoke("mt-bench", "--judgments", path)
    assert isinstance(error, InputError)
    assert words in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("score", [-1, 0, 11, None, True, "5"])
def test_a_score_out_of_range_is_missing_with_what_the_text_says(
    tmp_path: Path, score: Any
) -> None:
    path = write_judgments(tmp_path / "bad.jsonl", score=score)
    evaluation = tacos.count_judgments(path)
    assert evaluation.models[0].score is None
    words = (
        re.escape(f"score {score!r} is no grade") + ".*though the judge's text says 5"
    )
    with pytest.raises(IncompleteError, match=words):
        evaluation.check_complete()


def test_judgments_and_a_judge_exclude_each_other(tmp_path: Path) -> None:
    path = write_judgments(tmp_path / "grades.jsonl")
    for more in (("--judge", "m"), ("--references", "none"), ("--repeat", 2)):
        _, error = invoke("mt-bench", "--judgments", path, *more)
        assert isinstance(error, ConfigError)
        assert f"leave out {more[0]}" in str(error)
    # What the shell makes of `--judgments *.jsonl`.
    _, error = invoke("mt-bench", "--judgments", path, tmp_path / "more.jsonl")
    assert isinstance(error, ConfigError)
    assert "or write --judgments before each file of grades" in str(error)
