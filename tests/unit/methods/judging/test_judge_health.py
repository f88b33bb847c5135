"""What verdicts say of their judge."""

import numpy as np
import polars as pl
import pytest

from tacos.methods.judging import judge_health
from tacos.methods.judging.judge_health import (
    Measurement,
    correlate_ranks,
    diagnose_judge,
    measure_judge_agreement,
)
from tacos.records import VERDICTS

LENGTHS = pl.DataFrame({"id": ["a", "b", "c", "d"], "length": [400, 300, 200, 100]})


def verdicts(*rows) -> pl.DataFrame:
    """Rows (left, right, order, score of left, score of right)."""
    full = [
        (i, 0, a, b, order, "j", 0, x, y, "", "", None, None, None, None)
        for i, (a, b, order, x, y) in enumerate(rows)
    ]
    return pl.DataFrame(full, schema=VERDICTS, orient="row")


BOTH = verdicts(
    ("a", "b", "ab", 80, 60),  # a wins in both orders
    ("a", "b", "ba", 70, 60),
    ("a", "c", "ab", 80, 60),  # the first wins in both orders: a flip
    ("a", "c", "ba", 60, 80),
    ("b", "c", "ab", 50, 50),  # a tie in one order
    ("b", "c", "ba", 40, 60),
)


def test_flips_ties_and_first_position_by_hand() -> None:
    found = diagnose_judge(BOTH, LENGTHS, pointwise=False)
    assert found.n_verdicts == 6
    assert found.flip_rate == Measurement(pytest.approx(1 / 3), 3)
    assert found.one_sided_tie_rate == Measurement(pytest.approx(1 / 3), 3)
    assert found.tie_rate == Measurement(pytest.approx(1 / 6), 6)
    # decided: a first and won; b first and lost; a first and won; c first and won; c first and won
    assert found.first_share == Measurement(pytest.approx(4 / 5), 5)


def test_what_depends_on_order_is_null_for_a_pointwise_judge_and_never_0() -> None:
    found = diagnose_judge(BOTH, LENGTHS, pointwise=True)
    assert (
        found.flip_rate
        == found.one_sided_tie_rate
        == found.first_share
        == Measurement(None, 0)
    )
    assert found.tie_rate.n == 6


def test_missing_scores_are_counted_and_left_out() -> None:
    table = pl.concat([BOTH, verdicts(("a", "d", "ab", None, 50))])
    found = diagnose_judge(table, LENGTHS, pointwise=False)
    assert (found.n_verdicts, found.n_missing) == (6, 1)


def test_pairs_in_one_order_cannot_flip() -> None:
    found = diagnose_judge(verdicts(("a", "b", "ab", 80, 60)), LENGTHS, pointwise=False)
    assert found.flip_rate == Measurement(None, 0)


def test_length_correlation_is_over_samples() -> None:
    table = verdicts(("a", "b", "ab", 90, 80), ("c", "d", "ab", 70, 60))
    assert diagnose_judge(table, LENGTHS, False).length_correlation == Measurement(
        pytest.approx(1.0), 4
    )
    assert diagnose_judge(
        table, LENGTHS.head(2), False
    ).length_correlation == Measurement(None, 2)
    flat = LENGTHS.with_columns(length=pl.lit(5))
    assert diagnose_judge(table, flat, False).length_correlation == Measurement(None, 4)


@pytest.mark.parametrize("seed", range(20))
def test_a_rank_correlation_is_that_of_polars(seed, monkeypatch) -> None:
    # Ranked in several parts
    monkeypatch.setattr(judge_health, "N_AT_ONCE", 7)
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, rng.integers(2, 60), 50).astype(np.uint32)
    scores = (lengths * rng.normal() + rng.normal(0, 20, 50)).round()
    table = pl.DataFrame({"score": scores, "length": lengths})
    with_nulls = table.with_columns(
        score=pl.when(pl.Series(rng.random(50) > 0.1)).then(pl.col("score"))
    )
    for rows in (table, with_nulls):
        expected = rows.drop_nulls().select(
            pl.corr("score", "length", method="spearman")
        )
        found = correlate_ranks(rows, "score", "length")
        assert found.value == pytest.approx(expected.item(), abs=1e-14)
        assert found.n == rows["score"].count()


def test_ranks_that_go_together_correlate_by_exactly_one() -> None:
    table = pl.DataFrame({"a": [1.5, 4.0, 4.0, 9.0], "b": [2, 3, 3, 8]})
    against = table.with_columns(b=-pl.col("b"))
    assert correlate_ranks(table, "a", "b") == Measurement(1.0, 4)
    assert correlate_ranks(against, "a", "b") == Measurement(-1.0, 4)


def test_a_circle_is_a_violation() -> None:
    circle = verdicts(
        ("a", "b", "ab", 2, 1), ("b", "c", "ab", 2, 1), ("c", "a", "ab", 2, 1)
    )
    assert diagnose_judge(circle, LENGTHS, False).violation_rate == Measurement(1.0, 1)
    ordered = verdicts(
        ("a", "b", "ab", 2, 1), ("b", "c", "ab", 2, 1), ("c", "a", "ab", 1, 2)
    )
    assert diagnose_judge(ordered, LENGTHS, False).violation_rate == Measurement(0.0, 1)
    chain = verdicts(("a", "b", "ab", 2, 1), ("b", "c", "ab", 2, 1))
    assert diagnose_judge(chain, LENGTHS, False).violation_rate == Measurement(None, 0)


def test_a_coin_violates_a_quarter_of_the_triples_as_counted_by_hand() -> None:
    rng = np.random.default_rng(0)
    n = 25
    beats = {
        (i, j): bool(rng.random() < 0.5)
        for i in range(n)
        for j in range(i + 1, n)
        if rng.random() < 0.8
    }
    rows = [
        (f"s{i:02}", f"s{j:02}", "ab", 60 if w else 40, 50)
        for (i, j), w in beats.items()
    ]
    found = diagnose_judge(verdicts(*rows), LENGTHS, False).violation_rate
    triples = [
        (i, j, k)
        for i, j in beats
        for k in range(j + 1, n)
        if (j, k) in beats and (i, k) in beats
    ]
    circles = sum(beats[i, j] == beats[j, k] != beats[i, k] for i, j, k in triples)
    assert found == Measurement(pytest.approx(circles / len(triples)), len(triples))
    assert 0.2 < circles / len(triples) < 0.3


@pytest.mark.parametrize(
    "scores, collapsed", [([70] * 12 + [60, 50], True), (list(range(40, 54)), False)]
)
def test_the_alarm_for_collapsed_scores(scores, collapsed) -> None:
    found = diagnose_judge(
        verdicts(*[("a", "b", "ab", s, s) for s in scores]), LENGTHS, False
    )
    assert found.collapsed is collapsed
    assert found.top_score_share.n == 28


def test_no_verdicts_no_figures() -> None:
    found = diagnose_judge(verdicts(), LENGTHS, False)
    assert (
        found.tie_rate
        == found.flip_rate
        == found.violation_rate
        == found.top_score_share
        == Measurement(None, 0)
    )
    assert not found.collapsed


def test_two_judges_agree_where_they_prefer_the_same_side_over_all_orders() -> None:
    two = BOTH.with_columns(
        judge=pl.lit("k"), score_left=pl.col("score_left").reverse()
    )
    third = BOTH.head(2).with_columns(judge=pl.lit("l"))
    found = {
        (one, other): figure
        for one, other, figure in measure_judge_agreement(pl.concat([BOTH, two, third]))
    }
    assert set(found) == {("j", "k"), ("j", "l"), ("k", "l")}
    assert found["j", "l"] == Measurement(1.0, 1)
    assert found["j", "k"].n == 3
    assert measure_judge_agreement(BOTH) == []


def two_numbers(*rows) -> pl.DataFrame:
    """Rows (left, right, order, value of left, of right, correctness of left, of right)."""
    full = [
        (i, 0, a, b, order, "j", 0, (v + c) / 2, (w + d) / 2, "", "", v, w, c, d)
        for i, (a, b, order, v, w, c, d) in enumerate(rows)
    ]
    return pl.DataFrame(full, schema=VERDICTS, orient="row")


def test_each_of_two_numbers_has_flips_and_a_correlation_with_length_of_its_own() -> (
    None
):
    found = diagnose_judge(
        two_numbers(
            # value follows length, correctness goes against it; the value of a and b flips
            ("a", "b", "ab", 80, 70, 40, 50),
            ("a", "b", "ba", 70, 72, 40, 50),
            ("c", "d", "ab", 30, 10, 60, 70),
            ("c", "d", "ba", 30, 10, 60, 70),
        ),
        LENGTHS,
        pointwise=False,
    )
    value, correctness = found.numbers["value"], found.numbers["correctness"]
    assert list(found.numbers) == ["value", "correctness"]
    assert value.flip_rate == Measurement(0.5, 2)
    assert correctness.flip_rate == Measurement(0.0, 2)
    assert value.length_correlation == Measurement(pytest.approx(1), 4)
    assert correctness.length_correlation == Measurement(pytest.approx(-1), 4)
    assert found.number_correlation == Measurement(pytest.approx(-1), 4)


def test_a_judge_of_one_score_has_no_numbers() -> None:
    found = diagnose_judge(BOTH, LENGTHS, pointwise=False)
    assert found.numbers == {}
    assert found.number_correlation == Measurement(None, 0)
