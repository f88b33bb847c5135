"""Rounds of pairing, judging and rating under every method, with a judge that has noise and a bias
of place.
"""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Literal

import orjson
import polars as pl
import pytest

from tacos import config
from tacos.config import Settings
from tacos.engines.local import LocalEngine
from tacos.errors import ConfigError
from tacos.formats import sources
from tacos.methods.measures.request_counts import count_questions
from tacos.models.user_functions import FunctionTagger
from tacos.pipeline.model_factory import EndpointClients, UserFunctions, build_tools
from tacos.pipeline.run_loop import RunResult, StageModels, run_plan
from tacos.records import Reply, Request, canonical_hash
from tacos.store.artifacts import Store
from tacos.workflows import select
from tacos.workflows.silent_progress import SilentProgress

WORDS = ("sum", "poem", "garden")
N = 90
BIAS = 6.0
ROWS = [
    {"instruction": f"Tell me about a {WORDS[i % 3]}, number {i}.", "output": f"{i}"}
    for i in range(N)
]


def quality(response: str) -> float:
    """What a row is worth: 20 .. 80, in no order of the input."""
    return 20 + 60 * (int(response) * 37 % N) / N


def noise(*texts: str) -> float:
    """-8 .. 8, the same for the same texts."""
    return int(canonical_hash(texts)[:8], 16) / 16**8 * 16 - 8


class Biased:
    """A judge who likes what is shown first."""

    name = "biased"
    fingerprint = "biased"
    where: Literal["here"] = "here"
    pointwise = False

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        return [
            Reply(orjson.dumps({"analysis": "", **self.scores(each.fields)}).decode())
            for each in requests
        ]

    def scores(self, fields: dict[str, Any]) -> dict[str, float]:
        if "response" in fields:
            return {
                "score": quality(fields["response"]) + 2 * noise(fields["response"])
            }
        a, b = fields["response_a"], fields["response_b"]
        return {
            "score_a": quality(a) + BIAS + noise(a, b),
            "score_b": quality(b) - noise(a, b),
        }


def settings(**changes: Any) -> Settings:
    return config.load_settings(
        judge={"mode": "comparative"},
        select={"n": 15},
        normalise={"alpha": 1},
        shortlist={"rule": "all"},
        cluster={"k": 3},
        **changes,
    )


def run(folder: Path, chosen: Settings) -> RunResult:
    own = UserFunctions(
        encoder=lambda texts: [
            [float(text.count(letter)) + 0.01 for letter in "aeioudgnprs"]
            for text in texts
        ]
    )
    tagger = FunctionTagger(
        lambda texts: [[word for word in WORDS if word in text] for text in texts]
    )
    tools = build_tools(chosen, own, EndpointClients(chosen, None, ExitStack()))
    models = StageModels({"tag": tagger, "grade": Biased(), "judge": Biased()}, tools)
    store = Store(folder)
    with closing(LocalEngine(1)) as engine, store.lock():
        return run_plan(
            sources.open_source(ROWS, folder),
            chosen,
            store,
            engine,
            models,
            SilentProgress(),
        )


def table(outcome: RunResult, name: str) -> pl.DataFrame:
    """All rounds of an artifact."""
    parts = [
        art.scan()
        for each, art in outcome.artifacts.items()
        if each.split("/")[0] == name
    ]
    return pl.concat(parts).collect()


def recall(outcome: RunResult) -> float:
    """The share of the best five of each word that was selected."""
    best = {
        i
        for w in range(3)
        for i in sorted(range(w, N, 3), key=lambda i: -quality(str(i)))[:5]
    }
    return (
        len(
            best & {int(id_.split(":")[1]) for id_ in table(outcome, "selection")["id"]}
        )
        / 15
    )


ACTIVE = {"method": "active", "budget": 3.0, "rounds": 5}


def test_active_rounds_keep_to_the_budget_and_find_the_best(tmp_path: Path) -> None:
    done = run(tmp_path, settings(pair=ACTIVE))
    verdicts = table(done, "verdicts")
    n_bridges = done.artifacts["pairs/0"].manifest["notes"]["n_bridges"]
    assert N < verdicts.height <= 3 * N + 2 * n_bridges
    assert verdicts.select("pair", "order").is_unique().all()
    assert "pairs/4" in done.artifacts
    assert recall(done) >= 0.8


def test_a_second_order_is_asked_only_where_it_can_matter_and_keeps_its_pair(
    tmp_path: Path,
) -> None:
    pairs = table(run(tmp_path, settings(pair=ACTIVE)), "pairs")
    assert set(pairs["orders"]) >= {"ab", "both"}
    by_number = pairs.group_by("pair").agg(pl.struct("left", "right").n_unique())
    assert by_number["left"].unique().to_list() == [1]


def test_active_rounds_go_where_the_quota_ends(tmp_path: Path) -> None:
    done = run(tmp_path, settings(pair=ACTIVE))
    later = pl.concat(
        [done.artifacts[f"pairs/{i}"].scan() for i in range(2, 5)]
    ).collect()
    asked = pl.concat([later["left"], later["right"]]).value_counts()
    cut = 20 + 60 * (1 - 5 / 30)
    distance = [abs(quality(id_.split(":")[1]) - cut) for id_ in asked["left"]]
    everywhere = sum(abs(quality(str(i)) - cut) for i in range(N)) / N
    mean = (
        sum(d * n for d, n in zip(distance, asked["count"], strict=True))
        / asked["count"].sum()
    )
    assert mean < 0.6 * everywhere


def test_the_same_settings_give_the_same_bytes_and_a_second_run_nothing(
    tmp_path: Path,
) -> None:
    first, other = (run(tmp_path / name, settings(pair=ACTIVE)) for name in ("a", "b"))
    assert {n: a.digest for n, a in first.artifacts.items()} == {
        n: a.digest for n, a in other.artifacts.items()
    }
    assert run(tmp_path / "a", settings(pair=ACTIVE)).made == []


def test_a_judge_who_cannot_see_the_order_is_not_asked_again(tmp_path: Path) -> None:
    rows = [{**row, "output": "x" * (int(row["output"]) + 1)} for row in ROWS]
    own = UserFunctions(
        tagger=lambda texts: [
            [word for word in WORDS if word in text] for text in texts
        ],
        judge=lambda texts, responses: [float(len(text)) for text in responses],
        encoder=lambda texts: [
            [float(text.count(letter)) + 0.01 for letter in "aeioudgnprs"]
            for text in texts
        ],
    )
    done = select.run_selection(
        rows, settings(pair=ACTIVE), select.OutputTargets(run=tmp_path / "run"), own=own
    )
    assert [done.artifacts[f"pairs/{i}"].manifest["n_rows"] for i in range(1, 5)] == [
        0,
        0,
        0,
        0,
    ]
    assert done.table.height == 15


def test_reference_compares_each_with_the_middle_one_of_its_cluster_once(
    tmp_path: Path,
) -> None:
    done = run(
        tmp_path, settings(pair={"method": "reference"}, rate={"prior": "grades"})
    )
    pairs = table(done, "pairs").filter(~pl.col("bridge"))
    assert "pairs/1" not in done.artifacts
    assert pairs.height == N - 3
    middles = pairs["right"].unique().to_list()
    assert len(middles) == 3
    graded = (
        table(done, "shortlist")
        .join(table(done, "grades"), on="id")
        .sort("cluster", "grade")
    )
    assert set(middles) == {
        part["id"][14] for part in graded.partition_by("cluster")
    }  # of 30
    assert recall(done) >= 0.6


def test_bradley_terry_rates_and_says_what_it_found_of_the_judge(
    tmp_path: Path,
) -> None:
    done = run(tmp_path, settings(rate={"method": "bradley-terry", "length": True}))
    habits = done.artifacts["scores/3"].manifest["notes"]["habits"]
    (bias,) = habits["bias"].values()
    assert bias > 0.2
    assert habits["length"] is not None
    assert recall(done) >= 0.6


def test_a_prior_by_grades_draws_scores_to_it(tmp_path: Path) -> None:
    few = {"method": "active", "budget": 0.6, "rounds": 2}
    plain = run(tmp_path / "plain", settings(pair=few))
    drawn = run(tmp_path / "drawn", settings(pair=few, rate={"prior": "grades"}))
    assert "grades" not in plain.artifacts
    both = [one.artifacts["scores/1"].scan().collect() for one in (plain, drawn)]
    assert both[1]["error"].mean() < both[0]["error"].mean()
    grades = table(drawn, "grades").select("id", "grade")
    like = [
        scores.join(grades, on="id").select(pl.corr("score", "grade")).item()
        for scores in both
    ]
    assert like[1] > like[0]


def test_settings_that_would_be_left_unread_are_refused() -> None:
    for wrong in (
        {"method": "mean", "prior": "grades"},
        {"length": True},
        {"weights": {"a": 2.0}},
        {"method": "bradley-terry", "scope": "cluster"},
        {"method": "bradley-terry", "weights": {"a": 0.0}},
    ):
        with pytest.raises(ConfigError, match="setting rate"):
            settings(rate=wrong)
    with pytest.raises(ConfigError, match=r"setting pair\.budget"):
        settings(pair={"budget": 0.1})


@pytest.mark.parametrize(
    "pair", [ACTIVE, {"method": "reference"}, {"method": "neighbour", "rounds": 3}, {}]
)
def test_the_forecast_is_an_upper_bound(tmp_path: Path, pair: dict[str, Any]) -> None:
    chosen = settings(pair=pair)
    n_asked = table(run(tmp_path, chosen), "verdicts").height
    assert (
        n_asked
        <= count_questions(chosen, N, N, int(chosen.select.size.value))["judge"]
        <= 3 * n_asked
    )
