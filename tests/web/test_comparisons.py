"""Comparisons are found, and both sides are shown with all that the judges said, in both orders."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.web.conftest import Page, serve

import tacos
from tacos.methods.judging.comparisons import combine_verdicts

BEFORE = Path(__file__).parents[1] / "fixtures" / "before_0_2"
RUNS = ("llm", "paper", "robust")
"""Runs that an earlier tree wrote, in which rows were compared."""


@pytest.fixture(scope="module", params=RUNS)
def compared(request: pytest.FixtureRequest) -> Iterator[Page]:
    with serve(tacos.ui(BEFORE / request.param / "pool")) as served:
        yield served


def read_verdicts(page: Page) -> pl.DataFrame:
    """All verdicts of a run, with their round, read without the page."""
    done = page.view.selection
    parts = []
    for name, artifact in done.artifacts.items():
        if name.startswith("verdicts/"):
            number = int(name.partition("/")[2])
            combined = combine_verdicts(artifact.scan(), done.settings.judge.target)
            parts.append(combined.with_columns(round=pl.lit(number)).collect())
    return pl.concat(parts)


def find(page: Page, **query: Any) -> list[dict[str, Any]]:
    """All comparisons found, page after page."""
    answer = page.get("/api/comparisons", **query).json()
    found = list(answer["comparisons"])
    for number in range(2, answer["n_pages"] + 1):
        more = page.get("/api/comparisons", **query, page=number).json()
        found += more["comparisons"]
    assert len(found) == answer["n_found"]
    return found


def name_question(each: dict[str, Any]) -> tuple[Any, ...]:
    return (each["round"], each["pair"], each["judge"], each["repetition"])


def test_every_verdict_is_in_one_comparison(compared: Page) -> None:
    found = {name_question(each): each for each in find(compared)}
    verdicts = read_verdicts(compared)
    n_scores = 0
    for verdict in verdicts.iter_rows(named=True):
        each = found[name_question(verdict)]
        assert (each["left"], each["right"]) == (verdict["left"], verdict["right"])
        for side in ("left", "right"):
            assert each[f"{verdict['order']}_{side}"] == verdict[f"score_{side}"]
        n_scores += 1
    given = [
        each[f"{order}_left"]
        for each in found.values()
        for order in ("ab", "ba")
        if each[f"{order}_left"] is not None
    ]
    assert len(given) == n_scores == verdicts.height


def test_they_narrow_to_a_row_and_to_a_cluster(compared: Page) -> None:
    everything = find(compared)
    row = everything[0]["left"]
    of_row = [each for each in everything if row in (each["left"], each["right"])]
    assert find(compared, row=row) == of_row
    cluster = everything[0]["cluster"]
    of_cluster = [each for each in everything if each["cluster"] == cluster]
    assert find(compared, cluster=cluster) == of_cluster
    assert find(compared, row="nosuch") == []


def test_flips_and_ties_are_those_of_the_scores(compared: Page) -> None:
    def lead(each: dict[str, Any], order: str) -> float | None:
        left, right = each[f"{order}_left"], each[f"{order}_right"]
        return None if left is None else left - right

    flips, ties = [], []
    for each in find(compared):
        first, second = lead(each, "ab"), lead(each, "ba")
        if first is not None and second is not None and first * second < 0:
            flips.append(each)
        if not first and not second:
            ties.append(each)
    assert find(compared, kind="flip") == flips
    assert find(compared, kind="tie") == ties


def test_a_comparison_shows_both_sides_and_every_word(compared: Page) -> None:
    verdicts = read_verdicts(compared)
    samples = compared.view.selection.artifacts["samples"].scan().collect()
    texts = {
        row["id"]: (row["instruction"], row["response"])
        for row in samples.iter_rows(named=True)
    }
    for each in find(compared)[:20]:
        shown = compared.get(
            "/api/comparison", round=each["round"], pair=each["pair"]
        ).json()
        for side in ("left", "right"):
            assert shown[side]["id"] == each[side]
            given = (shown[side]["instruction"], shown[side]["response"])
            assert given == texts[each[side]]
        own = verdicts.filter(round=each["round"], pair=each["pair"])
        assert len(shown["verdicts"]) == own.height
        reasons = sorted(verdict["reason"] for verdict in shown["verdicts"])
        assert reasons == sorted(own["reason"])


def test_rows_and_stories_of_earlier_runs_are_shown(compared: Page) -> None:
    answer = compared.get("/api/rows", per_page=200).json()
    assert answer["n_found"] == answer["n_all"] > 0
    for row in answer["rows"][:10]:
        story = compared.get("/api/row", row=row["id"])
        assert story.status == 200
        assert story.json()["entry"]["id"] == row["id"]
    assert compared.get("/api/filters").status == 200


def test_a_run_without_comparisons_says_so(page: Page) -> None:
    answer = page.get("/api/comparisons").json()
    assert (answer["n_all"], answer["n_found"], answer["comparisons"]) == (0, 0, [])


@pytest.mark.parametrize("number", [0, 99])
def test_an_unknown_comparison_is_an_error_of_one_line(page: Page, number: int) -> None:
    answer = page.get("/api/comparison", round=number, pair=99999)
    assert answer.status == 400
    assert (
        answer.json()["error"] == f"round {number} of this run has no comparison 99999"
    )
