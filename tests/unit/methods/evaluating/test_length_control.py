"""Win rates at equal length."""

import csv
import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tacos.methods.evaluating.length_control import (
    _fit_weighted_rates,
    bootstrap_win_rate,
    estimate_eases,
    fit_win_rate,
    scale_length_differences,
)


def test_a_liking_for_length_is_taken_out() -> None:
    """Two models of equal worth before a judge that likes length: the longer one wins no more."""
    draws = np.random.default_rng(0)
    n = 4000
    baseline = draws.integers(500, 1500, n)
    model = baseline + draws.integers(0, 1000, n)
    lengths = scale_length_differences(baseline, model)
    wins = (draws.random(n) < 1 / (1 + np.exp(1.4 * lengths))).astype(float)
    fit = fit_win_rate(wins, lengths, np.zeros(n))
    assert wins.mean() > 0.65
    assert fit.win_rate == pytest.approx(0.5, abs=0.05)
    assert fit.length_weight == pytest.approx(-1.4, abs=0.3)


def test_sides_are_symmetric_but_for_the_prior() -> None:
    draws = np.random.default_rng(1)
    preferences = draws.random(500)
    no_lengths = np.zeros(500)
    fit = fit_win_rate(preferences, no_lengths, no_lengths)
    reverse = fit_win_rate(1 - preferences, no_lengths, no_lengths)
    assert fit.win_rate == pytest.approx(preferences.mean(), abs=1e-6)
    assert fit.win_rate + reverse.win_rate == pytest.approx(1, abs=1e-6)


def test_the_bootstrap_is_the_same_fit_resampled() -> None:
    """Its middle is the fit; its error falls with the root of the number of instructions."""
    draws = np.random.default_rng(2)
    errors = []
    for n in (200, 800):
        lengths = np.tanh(draws.normal(size=n))
        eases = draws.normal(size=n)
        wins = (draws.random(n) < 1 / (1 + np.exp(1.2 * lengths - eases))).astype(float)
        fit = fit_win_rate(wins, lengths, eases)
        resampled = bootstrap_win_rate(wins, lengths, eases, seed=1)
        assert resampled.rates.mean() == pytest.approx(fit.win_rate, abs=0.01)
        low, high = resampled.interval
        assert low < fit.win_rate < high
        errors.append(resampled.error)
        again = bootstrap_win_rate(wins, lengths, eases, seed=1)
        assert (again.rates == resampled.rates).all()
    assert errors[0] == pytest.approx(2 * errors[1], rel=0.2)


def test_one_draw_of_every_instruction_is_the_fit() -> None:
    draws = np.random.default_rng(3)
    lengths = np.tanh(draws.normal(size=100))
    eases = draws.normal(size=100)
    preferences = draws.random(100)
    rates = _fit_weighted_rates(preferences, lengths, eases, np.ones((1, 100)))
    fit = fit_win_rate(preferences, lengths, eases)
    assert rates[0] == pytest.approx(fit.win_rate, abs=1e-6)


@pytest.mark.parametrize("always", [0.0, 1.0])
def test_a_model_that_always_wins_or_loses_has_a_rate(always: float) -> None:
    rates = bootstrap_win_rate(
        np.full(50, always), np.zeros(50), np.zeros(50), seed=1, n_draws=20
    ).rates
    assert rates == pytest.approx(np.full(20, always), abs=1e-4)


def test_equal_differences_say_nothing() -> None:
    assert scale_length_differences(np.array([5, 9]), np.array([1, 5])).tolist() == [
        0,
        0,
    ]
    assert scale_length_differences(np.array([5]), np.array([1])).tolist() == [0]


@pytest.fixture(scope="module")
def annotations(shared_data: Path) -> pl.DataFrame:
    folder = shared_data / "evaluation" / "alpaca_eval"
    packed = folder / "annotations_compact_58_models.jsonl.gz"
    return pl.read_ndjson(gzip.decompress(packed.read_bytes()))


@pytest.fixture(scope="module")
def leaderboard(shared_data: Path) -> dict[str, dict[str, str]]:
    file = (
        shared_data
        / "evaluation"
        / "alpaca_eval"
        / "leaderboard_v2_weighted_gpt4turbo.csv"
    )
    with file.open(encoding="utf-8") as lines:
        return {row[""]: row for row in csv.DictReader(lines)}


def test_raw_win_rates_of_the_leaderboard_are_exact(
    annotations: pl.DataFrame, leaderboard: dict[str, dict[str, str]]
) -> None:
    rates = annotations.group_by("model").agg(100 * (pl.col("preference").mean() - 1))
    compared = 0
    for model, rate in rates.iter_rows():
        if model in leaderboard:
            compared += 1
            assert rate == pytest.approx(
                float(leaderboard[model]["win_rate"]), abs=1e-6
            )
    assert compared == 57


@pytest.mark.parametrize("half", [False, True])
def test_length_controlled_rates_are_near_the_leaderboards(
    annotations: pl.DataFrame, leaderboard: dict[str, dict[str, str]], half: bool
) -> None:
    """Mean error below .8 points, also where the eases come from the other half of the models."""
    instructions = annotations["instruction_sha1"].rank("dense").to_numpy() - 1
    names = annotations["model"].unique().sort().to_list()
    numbers = annotations["model"].rank("dense").to_numpy() - 1
    preferences = annotations["preference"].to_numpy() - 1
    lengths = np.zeros(annotations.height)
    for number in range(len(names)):
        rows = numbers == number
        lengths[rows] = scale_length_differences(
            annotations["len_1"].to_numpy()[rows],
            annotations["len_2"].to_numpy()[rows],
        )
    errors = []
    for parity in (0, 1):
        known = numbers % 2 == parity if half else np.ones(len(numbers), dtype=bool)
        eases = estimate_eases(
            preferences[known], lengths[known], numbers[known], instructions[known]
        )
        for number, name in enumerate(names):
            if name not in leaderboard or (half and number % 2 == parity):
                continue
            rows = numbers == number
            fit = fit_win_rate(
                preferences[rows], lengths[rows], eases[instructions[rows]]
            )
            published = float(leaderboard[name]["length_controlled_winrate"])
            errors.append(abs(100 * fit.win_rate - published))
    assert len(errors) == (57 if half else 114)
    assert np.mean(errors) < 0.8
