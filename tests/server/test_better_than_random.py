"""Whether a selection is better than random, told by whom it may be told, and by nobody else."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.server.fault_server import FaultServer
from tests.small_world import MODELS, long_response, make_rows

import tacos
from tacos import config
from tacos.workflows.select import run_selection
from tacos.workflows.selection import OutputTargets

ROWS = make_rows(300)
LABELLED = {"reliability": 0.4, "reliability_interval": [0.25, 0.55]}


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    """A judge whose scores are hashes of texts: they say nothing."""
    with FaultServer() as started:
        yield started


def select_by_server(
    server: FaultServer, folder: Path, **settings: object
) -> tacos.Selection:
    """A run whose judge is the server's model."""
    judge = {"model": "llm", **settings.pop("judge", {})}  # type: ignore[dict-item]
    chosen = config.load_settings(
        "robust",
        judge=judge,
        llm={"base_url": server.url, "model": "tiny-1"},
        select={"n": 30},
        **settings,
    )
    return run_selection(
        ROWS,
        chosen,
        OutputTargets(run=folder / "run"),
        ledger=folder / "ledger.sqlite",
    )


def test_a_second_judge_tells_what_the_selecting_one_cannot(
    server: FaultServer, tmp_path: Path
) -> None:
    verdict = select_by_server(server, tmp_path).summary.verdict
    assert verdict["measure"] == "a judge that did not select: the embedded judge"
    # Scores that are hashes choose rows that are no better by any other judge.
    assert verdict["answer"] in {"not shown", "no"}
    assert verdict["low"] < verdict["gain"] < verdict["high"]
    assert verdict["equal_length"][1] < 0
    assert verdict["n"] == 30
    assert "the embedded judge, which did not choose" in verdict["sentence"].lower()


def test_tastes_are_told_of_a_judge_that_a_second_one_stands_beside(
    server: FaultServer, tmp_path: Path
) -> None:
    done = select_by_server(server, tmp_path)
    tastes = done.summary.tastes
    # The server's scores are hashes: they have no taste, and see no place.
    assert tastes["place"][""]["points"] == 0
    assert tastes["length"]["low"] < 0 < tastes["length"]["high"]
    assert "sources" not in tastes, "there is but one"
    page = (done.run / "report.html").read_text("utf-8")
    assert "A response twice as long gets neither more nor less for certain" in page


def test_a_second_judge_that_shaped_the_scores_is_not_asked(
    server: FaultServer, tmp_path: Path
) -> None:
    done = select_by_server(server, tmp_path, rate={"prior": "grades"})
    assert done.summary.verdict["answer"] == "not known"
    assert "tacos calibrate" in done.summary.verdict["remedy"]
    by_grade = tacos.reselect(
        done, n=30, strategy="singleton", by="grade"
    ).summary.verdict
    assert "9 data sets" in by_grade["measure"], "it rests on the grades alone"


def test_a_member_of_the_panel_is_no_second_judge(
    server: FaultServer, tmp_path: Path
) -> None:
    done = select_by_server(
        server,
        tmp_path,
        judge={"models": ["tiny-1", "embedded"], "mode": "comparative"},
    )
    assert "grades" in done.artifacts
    assert done.summary.verdict["answer"] == "not known"
    assert "length" not in done.summary.tastes


def test_labels_tell_before_anyone_else(server: FaultServer, tmp_path: Path) -> None:
    verdict = select_by_server(server, tmp_path, judge=LABELLED).summary.verdict
    assert verdict["measure"] == "the judge's reliability on labelled pairs"
    assert verdict["answer"] == "yes"
    assert 0 < verdict["low"] < verdict["gain"] < verdict["high"]


def test_the_own_word_of_a_judge_never_answers(tmp_path: Path) -> None:
    verdicts = []
    for factor in (1, 1000):
        done = tacos.select(
            ROWS,
            n=30,
            run=tmp_path / str(factor),
            tagger=MODELS["tagger"],
            encoder=MODELS["encoder"],
            judge=lambda asked, answers, factor=factor: [
                min(100.0, 1 + factor * len(text) / 1000) for text in answers
            ],
        )
        verdicts.append(done.summary.verdict)
    assert verdicts[0] == verdicts[1]
    assert verdicts[0]["answer"] == "not known"
    assert verdicts[0]["gain"] is None


def test_a_whole_pool_is_neither_better_nor_worse(tmp_path: Path) -> None:
    done = tacos.select(
        make_rows(40, long_response), n="100%", run=tmp_path / "run", **MODELS
    )
    assert done.summary.verdict["answer"] == "nothing left out"


def test_an_interval_that_does_not_hold_the_value_is_refused() -> None:
    with pytest.raises(tacos.errors.ConfigError, match="must hold judge"):
        config.load_settings(judge={**LABELLED, "reliability": 0.7})
    with pytest.raises(tacos.errors.ConfigError, match="must hold judge"):
        config.load_settings(judge={"reliability_interval": [0.1, 0.2]})
