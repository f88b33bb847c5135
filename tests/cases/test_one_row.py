"""Small inputs of which every row is a cluster of its own.

Case one_row: `-n 1` of one to four rows failed ("0 have a score"), because nothing is compared with
a row that is alone in its cluster.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.server.fault_server import Behaviour, FaultServer

import tacos
from tacos import config
from tacos.errors import TacosError
from tacos.pipeline.model_factory import UserFunctions
from tacos.workflows.select import OutputTargets, run_selection

TOPICS = ("bread", "river", "music", "planet")
OWN = UserFunctions(
    tagger=lambda texts: [
        [topic for topic in TOPICS if topic in text] for text in texts
    ],
    encoder=lambda texts: [
        [float(topic in text) for topic in TOPICS] + [0.01] for text in texts
    ],
)


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer(Behaviour()) as running:
        yield running


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")


def select(
    server: FaultServer,
    folder: Path,
    rows: list[dict[str, Any]],
    n: int,
    preset: str,
    *sets: str,
) -> tacos.Selection:
    chosen = config.load_settings(
        preset,
        None,
        sets,
        judge={"model": "llm"},
        llm={"base_url": server.url, "model": "tiny-1", "retries": 1},
        select={"n": n},
        normalise={"alpha": 1},
    )
    targets = OutputTargets(run=folder / "run")
    return run_selection(rows, chosen, targets, own=OWN, ledger=folder / "book")


def rows_of(n: int) -> list[dict[str, Any]]:
    """Rows on a topic each."""
    return [
        {"instruction": f"Tell me about {TOPICS[i]}.", "output": f"It is {i}."}
        for i in range(n)
    ]


@pytest.mark.parametrize("preset", ["robust", "paper"])
@pytest.mark.parametrize(("n_rows", "n"), [(1, 1), (2, 1), (3, 2), (4, 1), (4, 4)])
def test_rows_alone_in_their_clusters_can_be_taken(
    preset: str, n_rows: int, n: int, server: FaultServer, tmp_path: Path
) -> None:
    """Case one_row, and two to four rows, of which one to all are taken."""
    done = select(server, tmp_path, rows_of(n_rows), n, preset)
    assert len(done.rows) == n
    unscored = done.scores.filter(pl.col("score").is_null())
    assert set(unscored["rule"]) <= {"uncompared"}
    # robust compares across clusters, wherever there are two rows.
    assert unscored.is_empty() or preset == "paper" or n_rows == 1


@pytest.mark.parametrize("preset", ["robust", "paper"])
def test_identical_rows_are_one_row(
    preset: str, server: FaultServer, tmp_path: Path
) -> None:
    done = select(server, tmp_path, rows_of(1) * 5, 1, preset)
    assert done.rows == rows_of(1)


def test_an_odd_last_row_comes_after_all_that_were_compared(
    server: FaultServer, tmp_path: Path
) -> None:
    """The paper's pairs leave the last of five rows of one cluster out."""
    rows = [
        {"instruction": f"Tell me about bread {i}.", "output": f"It is {i}."}
        for i in range(5)
    ]
    sets = ("shortlist.rule=all", "cluster.smallest=0")
    four = select(server, tmp_path, rows, 4, "paper", *sets)
    assert four.scores["score"].null_count() == 0
    five = select(server, tmp_path, rows, 5, "paper", *sets)
    assert five.rows == rows
    assert five.scores["rule"].to_list().count("uncompared") == 1


def test_a_floor_of_correctness_takes_no_row_that_was_not_compared(
    server: FaultServer, tmp_path: Path
) -> None:
    with pytest.raises(TacosError, match="correctness"):
        select(server, tmp_path, rows_of(1), 1, "robust", "select.min_correctness=1")


def test_a_row_whose_judgement_is_missing_is_not_taken(
    tmp_path: Path,
) -> None:
    """It was asked about: only rows of which nothing was asked come in without a score."""
    with (
        FaultServer(Behaviour(faults={"refusal": 1.0})) as refusing,
        pytest.raises(TacosError),
    ):
        select(refusing, tmp_path, rows_of(2), 2, "robust", "judge.max_failure_rate=1")
