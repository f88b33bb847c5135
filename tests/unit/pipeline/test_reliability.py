"""What a run knows of its judge's reliability, and what its summary says of it."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.small_world import MODELS, long_response, make_rows

import tacos
from tacos.config import Settings
from tacos.models import close_judge, judge
from tacos.pipeline.steps.reliability import (
    OF_CARD,
    OF_REPEATS,
    OF_VERDICTS,
    Reliability,
    _list_embedded_judges,
    find_grade_reliability,
    find_reliability,
)
from tacos.pipeline.steps.shortlist import _describe_grades
from tacos.report.worth_words import describe_worth
from tacos.store.artifacts import Artifact


def run(place: Path, **settings: dict[str, Any]) -> tacos.Selection:
    return tacos.select(
        make_rows(160, long_response), 20, run=place, settings=settings, **MODELS
    )


def test_a_users_judge_was_never_measured_and_half_is_assumed(tmp_path: Path) -> None:
    done = run(tmp_path)
    worth = done.summary.worth
    assert worth["reliability"] is None
    assert worth["gain"] is None
    assert "never measured" in worth["basis"]
    assert "unknown" in describe_worth(worth)
    half = run(tmp_path, judge={"reliability": 0.5})
    assert half.table["id"].to_list() == done.table["id"].to_list()


@pytest.mark.parametrize("basis", [OF_VERDICTS, OF_REPEATS])
def test_an_upper_bound_counts_for_no_more_than_what_is_assumed(basis: str) -> None:
    assert Reliability(0.97, basis).weight == 0.5
    assert Reliability(0.2, basis).weight == 0.2
    # What was measured counts as it is.
    assert Reliability(0.97, OF_CARD).weight == 0.97
    said = describe_worth({"reliability": 0.97, "basis": basis})
    assert "at most 97%" in said
    assert "counts as 50% in selecting" in said


def test_what_is_set_holds_and_asks_nobody_again(tmp_path: Path) -> None:
    run(tmp_path)
    done = run(tmp_path, judge={"reliability": 0.25})
    # The shortlist is the same, so nobody is asked again.
    assert done.made == ["shortlist", "selection"]
    worth = done.summary.worth
    assert worth["reliability"] == 0.25
    # 20 of 160 rows: phi(1.15) / 0.125 = 1.65 standard deviations of 15 points.
    assert worth["perfect"] == pytest.approx(24.7, abs=0.1)
    assert worth["gain"] == pytest.approx(worth["perfect"] / 2)
    text = describe_worth(worth)
    assert "its scores explain 25% of the differences in quality" in text
    page = done.report(tmp_path / "report.html").read_text("utf-8")
    assert "Its scores explain 25% of the differences in quality" in page
    # A gain by the judge's own word is no evidence (report/better_than_random.py).
    for told in (text, page):
        assert "better than as many random rows" not in told


def test_a_folder_called_llm_is_no_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "llm").mkdir()
    monkeypatch.chdir(tmp_path)
    settings = Settings.model_validate({"judge": {"models": ("llm", "embedded")}})
    (shipped,) = _list_embedded_judges(settings)
    assert shipped.name == "embedded-judge"


def test_no_reliability_takes_no_notice_of_scores_and_full_only_of_them(
    tmp_path: Path,
) -> None:
    def upside_down(instructions: list[str], responses: list[str]) -> list[float]:
        return [100.0 - len(response) for response in responses]

    everyone = {"shortlist": {"rule": "all"}}
    models = {**MODELS, "judge": upside_down}
    chosen = []
    for number, functions in enumerate((MODELS, models)):
        done = tacos.select(
            make_rows(160, long_response),
            20,
            run=tmp_path / str(number),
            settings={**everyone, "judge": {"reliability": 0.0}},
            **functions,
        )
        chosen.append(set(done.table["id"]))
    assert chosen[0] == chosen[1]
    best = run(
        tmp_path / "best",
        **everyone,
        judge={"reliability": 1.0},
        select={"limit": 1.0},
    )
    scores = best.artifacts["scores/0"].scan().collect()
    cut = scores["score"].sort(descending=True)[19]
    assert best.table["score"].min() == pytest.approx(cut)


def test_scores_of_the_input_are_of_unknown_reliability(tmp_path: Path) -> None:
    rows = [
        {**row, "score": i % 7} for i, row in enumerate(make_rows(160, long_response))
    ]
    done = tacos.select(
        rows, 20, run=tmp_path, settings={"ingest": {"score": "score"}}, **MODELS
    )
    assert done.summary.worth["basis"] == "the scores come with the data"


def test_reselect_goes_by_the_reliability_of_the_run(tmp_path: Path) -> None:
    done = run(tmp_path, judge={"reliability": 0.05})
    again = tacos.reselect(done, 20)
    assert set(again.scores["id"]) == set(done.scores["id"])


def test_the_embedded_judges_reliability_is_that_of_its_card(tmp_path: Path) -> None:
    done = tacos.select(
        make_rows(160, long_response),
        20,
        run=tmp_path,
        settings={"judge": {"close": "off"}},
        tagger=MODELS["tagger"],
        encoder=MODELS["encoder"],
    )
    worth = done.summary.worth
    assert worth["reliability"] == judge.load().reliability["all"]
    assert 0 < worth["gain"] < worth["perfect"]
    # The same for its grades, which `by="grade"` ranks by.
    again = tacos.reselect(done, 20, by="grade")
    assert set(again.scores["id"]) == set(done.scores["id"])


def test_a_judge_that_is_another_one_today_is_not_known_by_its_name(
    tmp_path: Path,
) -> None:
    """A folder keeps its name when `tacos distill` writes another judge into it."""
    done = run(tmp_path, judge={"reliability": "auto"})
    shipped = judge.load()
    made = {"stage": "grade", "model": shipped.name, "digest": ""}
    found = []
    for fingerprint in (shipped.fingerprint, "another", None):
        manifest = {**made, "fingerprint": fingerprint}
        tables = {"grades": Artifact(tmp_path, manifest)}
        reliability = find_reliability(tables, done.settings, pl.LazyFrame())
        found.append(reliability)
        assert find_grade_reliability(tables) == reliability
    same, another, unsaid = found
    # Tables of earlier versions do not say which judge it was.
    assert same == unsaid
    assert same.value == shipped.reliability["all"]
    assert another.value is None
    assert "another one today" in another.basis
    assert done.artifacts["clusters"].fingerprint


def test_a_slow_tier_of_earlier_weights_is_not_known_by_its_name(
    tmp_path: Path,
) -> None:
    """Its fingerprint ends in that of the model that it reads samples with."""
    done = run(tmp_path, judge={"reliability": "auto"})
    shipped = close_judge.load_without_reader()
    made = {"stage": "reread", "model": close_judge.NAME, "digest": ""}
    values = []
    for fingerprint in (
        f"{shipped.fingerprint}-smollm2-0-2",
        "judge-1-old-smollm2-0-2",
    ):
        artifact = Artifact(tmp_path, {**made, "fingerprint": fingerprint})
        tables = {"close_grades": artifact}
        values.append(find_reliability(tables, done.settings, pl.LazyFrame()).value)
    assert values == [shipped.reliability["all"], None]


def test_what_is_set_for_the_judge_holds_for_the_shortlist_of_its_slow_tier(
    tmp_path: Path,
) -> None:
    """Both tiers are one judge: before, its shortlist went by the card whatever was set."""
    shipped = judge.load()
    tags = pl.DataFrame({"id": ["a"], "tags": [["x"]]})
    path = tmp_path / "part-0.parquet"
    tags.write_parquet(path)
    manifest = {"model": shipped.name, "fingerprint": shipped.fingerprint}
    tables = {
        "grades": Artifact(tmp_path, manifest),
        "canonical_tags": Artifact(tmp_path, {}),
    }
    weights = []
    for reliability in ("auto", 0.0, 1.0):
        settings = Settings.model_validate({"judge": {"reliability": reliability}})
        weights.append(_describe_grades(tables, settings, "objective").reliability)
    assert weights == [shipped.reliability["all"], 0.0, 1.0]
    # A language model's reliability says nothing of the cheap grades that it is fed by.
    settings = Settings.model_validate({"judge": {"reliability": 1.0}})
    fed = _describe_grades(tables, settings, "stratified")
    assert fed.reliability == shipped.reliability["all"]
