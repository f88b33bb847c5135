"""What a person's own tagger, judge, encoder or selector returns may be anything: None, a dict, a
text, true, a column of pandas. What can be read is read; the rest is one clear error that names the
first odd result, and never a traceback from the libraries underneath.

These are cases of ours: each kind of result that a function of one line can return by mistake.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.small_world import MODELS, encode_letters, long_response, make_rows

import tacos
from tacos.errors import InputError, ModelError, TacosError

ROWS = make_rows(40, long_response)


def select(folder: Path, **own: Any) -> tacos.Selection:
    return tacos.select(ROWS, 6, run=folder / "run", **{**MODELS, **own})


def per_text(result: Any) -> Any:
    """A function that returns the same for each text."""
    return lambda *columns: [result for _ in columns[0]]


def whole(result: Any) -> Any:
    """A function that returns this, whatever it is asked."""
    return lambda *columns: result


ODD = [None, 5, 0.5, True, "good", b"x", {"a": 1}, object(), pl.DataFrame({"x": [1]})]
SCORE_PER_SAMPLE = [
    True,
    np.True_,
    "good",
    {"score": 5},
    [],
    (1, 2, 3),
    {1, 2},
    [None, "x"],
]
TAGS_PER_TEXT = [None, "poem", 3, {"tag": "poem"}, [None], [3], [["poem"]]]


@pytest.mark.parametrize("kind", ["tagger", "judge", "encoder", "selector"])
@pytest.mark.parametrize("result", ODD, ids=lambda result: type(result).__name__)
def test_a_result_that_is_no_collection_is_named(
    tmp_path: Path, kind: str, result: Any
) -> None:
    with pytest.raises(
        ModelError, match=f"^your {kind} returned .*; it must return "
    ) as e:
        select(tmp_path, **{kind: whole(result)})
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    "result", SCORE_PER_SAMPLE, ids=lambda result: type(result).__name__
)
def test_an_odd_score_names_its_sample(tmp_path: Path, result: Any) -> None:
    with pytest.raises(
        ModelError, match=r"^your judge returned .* for sample 0 of a batch; it"
    ):
        select(tmp_path, judge=per_text(result))


@pytest.mark.parametrize(
    "result", TAGS_PER_TEXT, ids=lambda result: type(result).__name__
)
def test_odd_tags_name_their_instruction(tmp_path: Path, result: Any) -> None:
    with pytest.raises(
        ModelError, match=r"^your tagger returned .* for instruction 0 of a batch"
    ):
        select(tmp_path, tagger=per_text(result))


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("x", "it must return an array of numbers"),
        (1.0, "of shape"),
        ([], "of shape"),
        ([[1.0, 2.0]], "of shape"),
        ([1.0, float("nan")], "NaN or infinity for text 0"),
        ([float("inf")], "NaN or infinity for text 0"),
        ({"v": [1]}, "it must return an array"),
    ],
)
def test_odd_vectors_are_refused(tmp_path: Path, result: Any, message: str) -> None:
    with pytest.raises(ModelError, match=f"^your encoder returned .*{message}"):
        select(tmp_path, encoder=per_text(result))


def test_a_batch_whose_rows_all_repeat_others_is_no_question(tmp_path: Path) -> None:
    """A file and its copy: an array of no vectors has no length, and was refused."""
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for file in files:
        file.write_text(json.dumps(ROWS))
    asked = []

    def encode(texts: list[str]) -> Any:
        asked.append(len(texts))
        return encode_letters(texts)

    own = {**MODELS, "encoder": encode}
    done = tacos.select(files, 6, run=tmp_path / "run", **own)
    assert done.artifacts["samples"].manifest["n_rows"] == len(ROWS)
    assert min(asked) > 0


def test_vectors_of_two_lengths_are_refused(tmp_path: Path) -> None:
    lengths = iter([3, 4, *[3] * 100])

    def encode(texts: list[str]) -> Any:
        return np.ones((len(texts), next(lengths)))

    with pytest.raises(ModelError, match="vectors of 3 numbers, then of 4"):
        select(tmp_path, encoder=encode)


def test_a_wrong_number_of_results_is_counted(tmp_path: Path) -> None:
    for kind in ("tagger", "judge", "encoder"):
        with pytest.raises(
            ModelError, match=rf"your {kind} returned 1 results for \d+ texts"
        ):
            select(tmp_path, **{kind: whole([[1.0]])})


@pytest.mark.parametrize(
    "choose",
    [
        lambda pool, n: ["nowhere:1"],
        lambda pool, n: [pool["id"][0]] * 2,
        lambda pool, n: pool["id"],
        lambda pool, n: [None],
        lambda pool, n: [3],
        lambda pool, n: [],
    ],
)
def test_a_selector_names_rows_of_the_pool(tmp_path: Path, choose: Any) -> None:
    with pytest.raises(
        ModelError, match="your selector must return 1 to 6 distinct ids"
    ):
        select(tmp_path, selector=choose)


def test_missing_scores_are_failures_never_a_default(tmp_path: Path) -> None:
    with pytest.raises(TacosError, match=r"score outside 1\.\.100"):
        select(tmp_path, judge=per_text(None))
    with pytest.raises(TacosError, match=r"score outside 1\.\.100"):
        select(tmp_path, judge=per_text(float("nan")))


@pytest.mark.parametrize(
    "judge",
    [
        lambda instructions, responses: (50 for _ in responses),
        lambda instructions, responses: np.full(len(responses), 50.0),
        lambda instructions, responses: pl.Series([50] * len(responses)),
        lambda instructions, responses: ["50"] * len(responses),
        lambda instructions, responses: np.full((len(responses), 2), 50.0),
        lambda instructions, responses: tuple((50, 50) for _ in responses),
    ],
)
def test_every_usual_collection_is_read(tmp_path: Path, judge: Any) -> None:
    assert set(select(tmp_path, judge=judge).table["score"]) == {50.0}


def test_a_selector_may_return_a_column_or_a_set(tmp_path: Path) -> None:
    column = select(tmp_path / "1", selector=lambda pool, n: pool["id"].head(n))
    assert column.table.height == 6
    some = select(tmp_path / "2", selector=lambda pool, n: set(pool["id"].head(2)))
    assert some.table.height == 2
    dropped = next(
        id_ for id_ in column.table["id"] if id_ not in set(some.table["id"])
    )
    assert some.explain(dropped)["verdict"].startswith("dropped: your selector ")


def test_no_row_at_all_is_an_error_not_an_empty_report(tmp_path: Path) -> None:
    settings = {"select": {"exclude": [f"data:{i}" for i in range(40)], "fill": True}}
    with pytest.raises(
        InputError, match="no row can be selected: every row is on the exclude"
    ):
        select(tmp_path, settings=settings)
