"""The reliability of a judge, against simulated judges whose true quality is known."""

import numpy as np
import polars as pl
import pytest
from benchmarks.simulated_judge import FITTED, Judge, ask

from tacos.methods.judging import pairing
from tacos.methods.judging.judge_reliability import (
    estimate_from_agreement,
    estimate_from_errors,
    estimate_from_repeats,
)
from tacos.methods.judging.rating.bradley_terry import fit_bradley_terry
from tacos.methods.judging.rating.gaussian_experts import fit_least_squares

N = 300


def simulate(judge: Judge, n_rounds: int = 4) -> tuple[pl.DataFrame, dict[str, float]]:
    """Verdicts on random pairs in both orders, and the true quality of each sample."""
    rng = np.random.default_rng(5)
    quality = {f"s{i:03d}": value for i, value in enumerate(rng.standard_normal(N))}
    ids = pl.DataFrame({"id": list(quality), "cluster": [0] * N})
    ids = ids.cast({"cluster": pl.UInt32})
    plans = []
    for number in range(n_rounds):
        plan = pairing.pair_in_chain(ids, number)
        plans.append(plan.with_columns(pair=pl.col("pair") + 1000 * number))
    return ask(pl.concat(plans), quality, judge, 3), quality


def explained(scores: pl.DataFrame, quality: dict[str, float]) -> float:
    """The share of the variance of true quality that the scores explain."""
    true = [quality[id_] for id_ in scores["id"]]
    return float(np.corrcoef(scores["score"].to_numpy(), true)[0, 1] ** 2)


@pytest.mark.parametrize(
    ("judge", "low", "high"),
    [
        (FITTED, 0.95, 1.0),
        (Judge(noise=1.0, bias=0.3), 0.75, 0.95),
        (Judge(noise=3.0, bias=0.3), 0.4, 0.75),
        (Judge(noise=6.0, bias=0.5), 0.0, 0.3),
    ],
)
def test_contradictions_tell_what_the_scores_explain(
    judge: Judge, low: float, high: float
) -> None:
    verdicts, quality = simulate(judge)
    scores = fit_least_squares(verdicts)
    truth = explained(scores, quality)
    assert low <= truth <= high
    assert estimate_from_errors(scores) == pytest.approx(truth, abs=0.08)


def test_wins_alone_tell_it_too() -> None:
    verdicts, quality = simulate(Judge(noise=1.0, bias=0.3))
    homes = pl.DataFrame({"id": list(quality), "cluster": [0] * N})
    scores, _ = fit_bradley_terry(verdicts, homes.cast({"cluster": pl.UInt32}))
    estimate = estimate_from_errors(scores)
    assert estimate == pytest.approx(explained(scores, quality), abs=0.1)


def test_a_judge_that_never_contradicts_itself_tells_nothing() -> None:
    verdicts, _ = simulate(Judge(noise=0.0, bias=0.0, step=1))
    same = verdicts.with_columns(score_left=50.0, score_right=50.0)
    assert estimate_from_errors(fit_least_squares(same)) is None


@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("n_repeats", [2, 5])
def test_repeats_tell_what_mean_grades_explain(noise: float, n_repeats: int) -> None:
    rng = np.random.default_rng(2)
    quality = rng.standard_normal(2000)
    grades = quality + noise * rng.standard_normal((n_repeats, 2000))
    table = pl.DataFrame(
        {
            "id": [f"s{i}" for i in range(2000)] * n_repeats,
            "grade": grades.ravel(),
        }
    )
    truth = np.corrcoef(grades.mean(axis=0), quality)[0, 1] ** 2
    assert estimate_from_repeats(table) == pytest.approx(truth, abs=0.05)
    assert estimate_from_repeats(table.unique("id")) is None


def test_that_one_judge_is_stricter_is_no_noise_and_equal_repeats_say_nothing() -> None:
    rng = np.random.default_rng(3)
    quality = 10 * rng.standard_normal(500)
    lenient = pl.DataFrame({"id": [f"s{i}" for i in range(500)], "grade": quality})
    lenient = lenient.with_columns(judge=pl.lit("a"))
    strict = lenient.with_columns(
        grade=pl.Series(quality - 40 + rng.standard_normal(500)), judge=pl.lit("b")
    )
    found = estimate_from_repeats(pl.concat([lenient, strict]))
    assert found == pytest.approx(1.0, abs=0.02)
    assert estimate_from_repeats(pl.concat([lenient, lenient])) is None


def test_agreement_with_people_tells_it_where_both_are_normal() -> None:
    rng = np.random.default_rng(4)
    quality = rng.standard_normal((2, 200_000))
    score = quality + 1.5 * rng.standard_normal((2, 200_000))
    agrees = (score[0] > score[1]) == (quality[0] > quality[1])
    truth = np.corrcoef(score[0], quality[0])[0, 1] ** 2
    assert estimate_from_agreement(agrees.mean()) == pytest.approx(truth, abs=0.01)
    assert estimate_from_agreement(0.4) == 0
