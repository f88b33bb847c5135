"""`tacos alpaca-eval --annotations` on preferences that others published, and on made ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import tacos
from tacos.cli import app
from tacos.errors import IncompleteError, InputError, TacosError

N = 805


def invoke(*words: object) -> tuple[str, TacosError | None]:
    """What a command printed, and the error it ended with."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, TacosError):
        raise done.exception
    return done.output, done.exception


def write_annotations(path: Path, n: int = N, **changes: Any) -> Path:
    """Annotations in AlpacaEval's form, half of them won."""
    rows = [
        {
            "instruction": f"Do thing {place}.",
            "output_1": "x" * (20 + place % 9),
            "generator_1": "gpt4",
            "output_2": "y" * (20 + place % 5),
            "generator_2": "mine",
            "annotator": "weighted",
            "preference": 1 + place % 2,
            **changes,
        }
        for place in range(n)
    ]
    path.write_text(json.dumps(rows), "utf-8")
    return path


def test_the_rates_of_the_leaderboard_by_the_command(shared_data: Path) -> None:
    """Raw rates are exact, rates at equal length within .8 points on average; the models whose
    preferences are not all there are refused by name, or said to be of fewer.
    """
    folder = shared_data / "evaluation" / "alpaca_eval"
    annotations = folder / "annotations_compact_58_models.jsonl.gz"
    leaderboard = folder / "leaderboard_v2_weighted_gpt4turbo.csv"
    words = ("alpaca-eval", "--annotations", annotations, "--difficulty", annotations)
    words = (*words, "--leaderboard", leaderboard)
    output, error = invoke(*words, "--allow-missing", "--json")
    assert error is None
    models = [
        model
        for model in json.loads(output)["models"]
        if model["published"] is not None
    ]
    assert len(models) == 57
    raw, errors, controlled = [], [], []
    for model in models:
        published = model["published"]
        score = model["score"]
        raw.append(100 * score["raw"]["mean"] - published["win_rate"])
        at_equal_length = 100 * score["controlled"]["rate"]
        controlled.append(at_equal_length - published["controlled"])
        errors.append(100 * score["controlled"]["error"])
    assert np.abs(raw).max() < 1e-6
    assert np.abs(controlled).mean() < 0.8
    # AlpacaEval prints .14 to .5 points, the spread of its predictions.
    assert 1 < np.median(errors) < 2
    output, error = invoke(*words, "--json")
    assert isinstance(error, IncompleteError)
    said = str(error)
    assert "alpaca-7b_concise: 804 of 805 preferences; missing: instruction " in said
    assert "alpaca-7b_verbose: 802 of 805" in said
    assert "1 more model." in said
    assert sum(model["score"] is None for model in json.loads(output)["models"]) == 6


def test_a_rate_at_a_half_needs_no_difficulty(tmp_path: Path) -> None:
    path = write_annotations(tmp_path / "annotations.json")
    output, error = invoke("alpaca-eval", "--annotations", path)
    assert error is None
    said = " ".join(output.replace("│", " ").split())
    assert "mine 49.9 (46.5 to 53.4)" in said
    assert "Judge, as the file says: weighted (805 preferences)" in said


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_preference_that_nobody_could_read_is_missing_and_no_tie(
    tmp_path: Path, missing: float | None
) -> None:
    path = write_annotations(tmp_path / "annotations.json")
    rows = json.loads(path.read_text("utf-8"))
    rows[3]["preference"] = missing
    path.write_text(json.dumps(rows), "utf-8")
    evaluation = tacos.count_annotations(path)
    assert evaluation.models[0].score is None
    with pytest.raises(
        IncompleteError, match=r"804 of 805 .*no preference could be read"
    ):
        evaluation.check_complete()
    allowed = tacos.count_annotations(path, allow_missing=True)
    allowed.check_complete()
    assert allowed.models[0].n == N - 1


def test_a_tie_is_half_a_win(tmp_path: Path) -> None:
    """AlpacaEval writes it as 0."""
    path = write_annotations(tmp_path / "annotations.json", preference=0)
    (model,) = tacos.count_annotations(path).models
    assert model.score is not None
    assert model.score.raw.mean == 0.5
    assert model.score.discrete == 0.5


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"preference": 3}, "preference is 3, not from 1 to 2"),
        ({"preference": "m"}, "preference is 'm'"),
        ({"output_2": None}, "row 0 (from 0) is no annotation: it lacks output_2"),
        ({"len_2": -5}, "len_2 is -5, no number of characters"),
        ({"len_1": 20.5}, "len_1 is 20.5, no number of characters"),
        ({"instruction": None}, "it lacks instruction"),
        ({"instruction": "the same"}, "has two annotations of instruction"),
    ],
)
def test_what_is_no_preference_is_refused(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    path = write_annotations(tmp_path / "annotations.json", **changes)
    _, error = invoke("alpaca-eval", "--annotations", path)
    assert isinstance(error, InputError)
    assert words in str(error)
    assert "\n" not in str(error)


def test_different_baselines_are_not_mixed(tmp_path: Path) -> None:
    first = write_annotations(tmp_path / "a.json")
    second = write_annotations(
        tmp_path / "b.json", generator_1="davinci", generator_2="other"
    )
    _, error = invoke("alpaca-eval", "--annotations", first, "--annotations", second)
    assert isinstance(error, InputError)
    assert "different baselines (davinci, gpt4)" in str(error)
