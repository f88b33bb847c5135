"""How verdicts become scores, on verdicts whose truth is known."""

import numpy as np
import polars as pl
import pytest
from threadpoolctl import threadpool_limits

from tacos.methods.judging import rating
from tacos.methods.judging.rating import gaussian_experts as module
from tacos.methods.judging.rating.normal_equations import (
    inverse_diagonals,
    standard_errors,
)
from tacos.methods.judging.rating.presentation_orders import summarise_pairs
from tacos.records import RATINGS, VERDICTS, add_missing_columns, conform_table


def verdicts(rows) -> pl.DataFrame:
    """Rows (pair, left, right, order, score of left, score of right), of one judge in one cluster."""
    full = [(p, 0, a, b, order, "j", 0, x, y) for p, a, b, order, x, y in rows]
    table = pl.DataFrame(full, schema=list(VERDICTS)[:9], orient="row")
    return conform_table(add_missing_columns(table, VERDICTS), VERDICTS)


def simulate(
    n=60, degree=6, noise=0.3, bias=0.3, shift=0.0, seed=0, orders=("ab", "ba")
):
    """Verdicts on random pairs, and true qualities by id: points are 50 + 15 (quality + bias +
    noise).
    """
    rng = np.random.default_rng(seed)
    quality = rng.standard_normal(n)
    steps = [1, *rng.choice(np.arange(2, n // 2), degree // 2 - 1, replace=False)]
    links = [(i, (i + int(step)) % n) for step in steps for i in range(n)]
    rows = []
    for pair, (a, b) in enumerate(links):
        for order in orders:
            x, y = (
                quality[[a, b]]
                + noise * rng.standard_normal(2)
                + shift * rng.standard_normal()
            )
            first = bias if order == "ab" else 0.0
            second = bias if order == "ba" else 0.0
            rows.append(
                (
                    pair,
                    f"f:{a}",
                    f"f:{b}",
                    order,
                    50 + 15 * (x + first),
                    50 + 15 * (y + second),
                )
            )
    return verdicts(rows), {f"f:{i}": q for i, q in enumerate(quality)}


def truth(scores: pl.DataFrame, quality: dict[str, float]) -> np.ndarray:
    return np.array([50 + 15 * quality[one] for one in scores["id"]])


# ---- the paper's means


def test_the_mean_is_over_both_orders() -> None:
    scores = rating.average_raw_scores(
        verdicts([(0, "a", "b", "ab", 80, 60), (0, "a", "b", "ba", 70, 64)])
    )
    assert scores.schema == RATINGS
    assert scores.select("id", "score", "n_comparisons").rows() == [
        ("a", 75.0, 1),
        ("b", 62.0, 1),
    ]
    assert scores["error"].to_list() == [None, None]


def test_a_missing_verdict_is_left_out_and_never_a_default() -> None:
    scores = rating.average_raw_scores(
        verdicts(
            [
                (0, "a", "b", "ab", 80, 60),
                (0, "a", "b", "ba", None, 64),
                (1, "c", "d", "ab", None, 50),
            ]
        )
    )
    assert scores.select("id", "score").rows() == [("a", 80.0), ("b", 60.0)]


def test_a_sample_has_a_score_per_cluster_and_disjoint_pairs_are_components() -> None:
    rows = verdicts(
        [
            (0, "a", "b", "ab", 80, 60),
            (1, "a", "c", "ab", 20, 30),
            (2, "d", "e", "ab", 1, 2),
        ]
    )
    table = rows.with_columns(cluster=pl.Series([0, 1, 0], dtype=pl.UInt32))
    scores = rating.average_raw_scores(table)
    assert scores.select("id", "cluster", "score").rows() == [
        ("a", 0, 80.0),
        ("b", 0, 60.0),
        ("d", 0, 1.0),
        ("e", 0, 2.0),
        ("a", 1, 20.0),
        ("c", 1, 30.0),
    ]
    assert scores["component"].to_list() == [0, 0, 1, 1, 2, 2]


# ---- least squares


def test_exact_verdicts_give_back_the_planted_scores() -> None:
    table, quality = simulate(noise=0.0)
    scores = rating.fit_least_squares(table)
    planted = truth(scores, quality)
    np.testing.assert_allclose(
        scores["score"] - scores["score"].mean(), planted - planted.mean(), atol=1e-6
    )
    assert (
        scores["error"].is_null().all()
    )  # all verdicts agree: nothing to tell an error from


@pytest.mark.parametrize("shift", [0.0, 0.5])
@pytest.mark.parametrize("level", ["auto", "ignore"])
def test_planted_scores_are_recovered_and_errors_are_right(shift, level) -> None:
    table, quality = simulate(n=200, shift=shift, seed=1)
    scores = rating.fit_least_squares(table, level=level)
    off = scores["score"].to_numpy() - truth(scores, quality)
    off -= off.mean()
    assert np.corrcoef(scores["score"], truth(scores, quality))[0, 1] > 0.95
    assert 0.85 < np.std(off / scores["error"].to_numpy()) < 1.15


def test_levels_help_where_a_judge_is_steady_and_differences_where_it_is_moody() -> (
    None
):
    def rms(table, quality, rate):
        scores = rate(table)
        off = scores["score"].to_numpy() - truth(scores, quality)
        return np.std(off)

    steady, moody = (
        simulate(n=300, degree=4, shift=0.0, seed=2),
        simulate(n=300, degree=4, shift=2.0, seed=2),
    )
    assert rms(*steady, rating.fit_least_squares) < 0.6 * rms(
        *steady, lambda t: rating.fit_least_squares(t, level="ignore")
    )
    assert rms(*moody, rating.fit_least_squares) < 0.6 * rms(
        *moody, rating.average_raw_scores
    )


def test_a_steady_judge_with_two_orders_gets_the_means_of_raw_scores() -> None:
    table, _ = simulate(n=30, noise=0.3, seed=3)
    pairs = summarise_pairs(table)
    _, graph = module.build_comparison_graph(pairs, by_cluster=False)
    trusting = module.PairVariances(
        np.ones(len(graph.a)), np.full(len(graph.a), 0.25), 0.0
    )
    means = rating.average_raw_scores(table).sort("id")["score"].to_numpy()
    np.testing.assert_allclose(module.fit_scores(graph, trusting), means, atol=1e-8)


def test_position_bias_is_found_and_does_not_move_scores() -> None:
    table, _ = simulate(n=200, bias=0.3, seed=4)
    bias = rating.estimate_position_bias(table)
    assert bias["bias"][0] == pytest.approx(15 * 0.3, rel=0.1)
    assert bias["n_pairs"][0] == 600
    fair, _ = simulate(n=200, bias=0.0, seed=4)
    one, two = rating.fit_least_squares(table), rating.fit_least_squares(fair)
    gap = one["score"] - two["score"]
    assert (
        gap.std() < 1e-6
    )  # the whole scale moves up by half the bias, nobody changes places


def test_pairs_in_one_order_are_used_after_the_bias_is_taken_off() -> None:
    table, quality = simulate(n=100, bias=1.0, noise=0.2, seed=5)
    part = table.filter((pl.col("pair") % 4 == 0) | (pl.col("order") == "ab"))
    scores = rating.fit_least_squares(part)
    assert np.corrcoef(scores["score"], truth(scores, quality))[0, 1] > 0.97
    alone, _ = simulate(n=400, bias=1.0, noise=0.2, seed=5, orders=("ab",))
    only = rating.estimate_position_bias(alone)
    assert only["bias"][0] == pytest.approx(15.0, rel=0.1)
    assert only["n_pairs"][0] == 0


@pytest.mark.parametrize("seed", range(3))
def test_order_of_verdicts_and_names_of_sides_do_not_matter(seed) -> None:
    table, _ = simulate(seed=seed)
    mixed = table.sample(fraction=1.0, shuffle=True, seed=seed)
    turned = mixed.with_columns(
        left=mixed["right"],
        right=mixed["left"],
        score_left=mixed["score_right"],
        score_right=mixed["score_left"],
        order=mixed["order"].replace({"ab": "ba", "ba": "ab"}),
    )
    for rate in (
        rating.average_raw_scores,
        rating.fit_least_squares,
        lambda t: rating.fit_bradley_terry(t)[0],
    ):
        assert rate(table).equals(rate(mixed))
        assert rate(table).equals(rate(turned))


def test_scores_mirror_when_every_score_is_mirrored() -> None:
    table, _ = simulate(seed=6)
    mirrored = table.with_columns(
        score_left=100 - pl.col("score_left"), score_right=100 - pl.col("score_right")
    )
    for rate in (rating.average_raw_scores, rating.fit_least_squares):
        np.testing.assert_allclose(
            rate(mirrored)["score"], 100 - rate(table)["score"].to_numpy(), atol=1e-6
        )


def test_swapped_scores_swap_the_samples() -> None:
    one = verdicts([(0, "a", "b", "ab", 80, 60), (0, "a", "b", "ba", 75, 63)])
    two = verdicts([(0, "a", "b", "ab", 63, 75), (0, "a", "b", "ba", 60, 80)])
    for rate in (
        rating.average_raw_scores,
        rating.fit_least_squares,
        lambda t: rating.fit_bradley_terry(t)[0],
    ):
        a, b = rate(one)["score"]
        assert rate(two)["score"].to_list() == pytest.approx([b, a])


def test_levels_of_islands_are_right_where_differences_leave_nothing_to_tell_their_noise_from() -> (
    None
):
    rng = np.random.default_rng(5)
    quality = rng.normal(50, 15, 32)
    rows = []
    for pair, (a, b) in enumerate(
        (4 * island + i, 4 * island + i + 1) for island in range(8) for i in range(3)
    ):
        x, y = quality[[a, b]] + rng.normal(
            0, 6
        )  # the judge's mood: both scores of a call are off alike
        rows.append((pair, f"f:{a:02}", f"f:{b:02}", "ab", x, y))
    table = verdicts(rows)
    scores = rating.fit_least_squares(table)
    centred = summarise_pairs(table).join(
        scores.select("component", low="id"), on="low"
    )
    for component, island in scores.group_by("component"):
        seen = centred.filter(pl.col("component") == component[0])
        # without noise the differences are exact, and a chain is as high as its pairs are on the
        # mean
        pairs = seen.join(island.select(low="id", x="score"), on="low").join(
            island.select(high="id", y="score"), on="high"
        )
        np.testing.assert_allclose(
            pairs["x"] - pairs["y"], pairs["difference"], atol=1e-3
        )
        np.testing.assert_allclose(
            (pairs["x"] + pairs["y"]).mean() / 2, pairs["level"].mean(), atol=1e-3
        )


def test_islands_are_told_and_without_levels_each_keeps_its_own_mean() -> None:
    table = verdicts(
        [
            (0, "a", "b", "ab", 90, 70),
            (0, "a", "b", "ba", 90, 70),
            (1, "c", "d", "ab", 20, 40),
        ]
    )
    scores = rating.fit_least_squares(table, level="ignore")
    assert scores["component"].to_list() == [0, 0, 1, 1]
    assert scores["score"].to_list() == pytest.approx([90.0, 70.0, 20.0, 40.0])


def test_panels_of_judges_with_different_levels_are_put_on_one() -> None:
    table, quality = simulate(n=100, noise=0.1, seed=7)
    harsh = table.filter(pl.col("pair") % 2 == 1).with_columns(
        judge=pl.lit("harsh"),
        score_left=pl.col("score_left") - 30,
        score_right=pl.col("score_right") - 30,
    )
    scores = rating.fit_least_squares(
        pl.concat([table.filter(pl.col("pair") % 2 == 0), harsh])
    )
    assert np.corrcoef(scores["score"], truth(scores, quality))[0, 1] > 0.98


def test_a_prior_on_grades_helps_the_samples_with_few_comparisons() -> None:
    table, quality = simulate(n=300, degree=2, noise=1.0, seed=8)
    grades = pl.DataFrame(
        {"id": list(quality), "grade": [q * 3 + 7 for q in quality.values()]}
    )
    plain, informed = (
        rating.fit_least_squares(table),
        rating.fit_least_squares(table, grades=grades),
    )
    right = truth(plain, quality)
    assert (
        np.corrcoef(informed["score"], right)[0, 1]
        > np.corrcoef(plain["score"], right)[0, 1] + 0.05
    )
    assert (informed["error"].mean() or 9) < (plain["error"].mean() or 0)


def test_shrinking_draws_towards_the_mean() -> None:
    table, _ = simulate(n=100, degree=2, noise=1.0, seed=9)
    assert (rating.fit_least_squares(table, shrink=True)["score"].std() or 9) < (
        rating.fit_least_squares(table)["score"].std() or 0
    )


def test_homes_name_the_cluster_in_a_global_fit() -> None:
    table = verdicts([(0, "a", "b", "ab", 80, 60), (1, "b", "c", "ab", 60, 50)])
    homes = pl.DataFrame(
        {"id": ["a", "b", "c"], "cluster": [4, 5, 5]},
        schema_overrides={"cluster": pl.UInt32},
    )
    assert rating.fit_least_squares(table, homes=homes).select(
        "id", "cluster"
    ).rows() == [
        ("a", 4),
        ("b", 5),
        ("c", 5),
    ]
    assert set(rating.fit_least_squares(table)["cluster"]) == {0}


def test_no_verdicts_give_no_scores() -> None:
    empty = verdicts([])
    assert rating.average_raw_scores(empty).is_empty()
    assert rating.fit_least_squares(empty).is_empty()
    assert rating.fit_bradley_terry(empty)[0].is_empty()


@pytest.mark.parametrize("level", ["auto", "ignore"])
def test_errors_by_random_draws_are_near_the_exact_ones(level) -> None:
    table, _ = simulate(n=400, degree=6, shift=0.2, seed=10)
    exact = rating.fit_least_squares(table, level=level)["error"].to_numpy()
    drawn = rating.fit_least_squares(table, level=level, exact=10)["error"].to_numpy()
    assert np.abs(drawn / exact - 1).mean() < 0.06
    assert np.abs(drawn / exact - 1).max() < 0.3


def test_exact_errors_are_the_diagonal_of_the_inverse() -> None:
    table, _ = simulate(n=90, degree=4, seed=11)
    _, graph = module.build_comparison_graph(summarise_pairs(table), by_cluster=False)
    variances = module.estimate_variances(graph, ignore_level=False)
    matrix, _ = module.build_equations(graph, variances, None)
    found = standard_errors(matrix, graph.labels, False, None, 1)
    np.testing.assert_allclose(
        found**2, np.linalg.inv(matrix.toarray()).diagonal(), rtol=1e-8
    )
    floating = module.PairVariances(
        variances.difference, np.full(len(graph.a), np.inf), np.inf
    )
    matrix, _ = module.build_equations(graph, floating, None)
    found = standard_errors(matrix, graph.labels, True, None, 1)
    np.testing.assert_allclose(
        found**2, np.linalg.pinv(matrix.toarray()).diagonal(), rtol=1e-6
    )


def test_a_long_chain_is_solved_too() -> None:
    n = 6000
    rng = np.random.default_rng(12)
    steps = rng.normal(size=n - 1)
    rows = [
        (i, f"f:{i:05}", f"f:{i + 1:05}", "ab", 50.0, 50.0 - steps[i])
        for i in range(n - 1)
    ]
    table = verdicts(rows)
    bias = rating.estimate_position_bias(table)["bias"][0]
    scores = rating.fit_least_squares(table, level="ignore")["score"].to_numpy()
    np.testing.assert_allclose(np.diff(scores), -(steps - bias), atol=1e-5)


# ---- Bradley-Terry


def play(
    n: int,
    degree: int,
    bias: float,
    seed: int,
    error_rate: float = 0.05,
    length: float = 0.0,
):
    """Verdicts drawn from the model itself, the true thetas by id, and lengths."""
    rng = np.random.default_rng(seed)
    theta, lengths = rng.standard_normal(n), np.exp(rng.standard_normal(n))
    steps = rng.choice(np.arange(1, n), degree, replace=False)
    a = np.repeat(np.arange(n), degree)
    b = (a + np.tile(steps, n)) % n
    parts = []
    for order in ("ab", "ba"):
        first, second = (a, b) if order == "ab" else (b, a)
        gap = lengths[first] - lengths[second]
        logit = theta[first] - theta[second] + bias + length * np.tanh(gap / gap.std())
        won = (
            rng.random(len(a))
            < (1 - error_rate) / (1 + np.exp(-logit)) + error_rate / 2
        )
        left = np.where(won == (order == "ab"), 70.0, 30.0)
        parts += [
            (p, f"f:{i}", f"f:{j}", order, s, 100 - s)
            for p, (i, j, s) in enumerate(zip(a, b, left, strict=True))
        ]
    return (
        verdicts(parts),
        dict(zip([f"f:{i}" for i in range(n)], theta, strict=True)),
        pl.DataFrame({"id": [f"f:{i}" for i in range(n)], "length": lengths}),
    )


def test_bradley_terry_finds_thetas_and_a_position_bias_within_a_tenth() -> None:
    table, theta, _ = play(1000, 20, bias=0.3, seed=3)
    scores, habits = rating.fit_bradley_terry(table)
    right = np.array([theta[one] for one in scores["id"]])
    assert habits.bias["j"] == pytest.approx(0.3, rel=0.1)
    assert habits.length is None
    assert np.corrcoef(scores["score"], right)[0, 1] > 0.94
    slope, offset = np.polyfit(right, scores["score"].to_numpy(), 1)
    off = scores["score"].to_numpy() - offset - slope * right
    assert 0.8 < np.std(off / scores["error"].to_numpy()) < 1.2


def test_bradley_terry_tells_what_length_alone_is_worth() -> None:
    table, _, lengths = play(3000, 6, bias=0.0, seed=4, length=0.8)
    _, habits = rating.fit_bradley_terry(table, lengths=lengths)
    assert habits.length == pytest.approx(0.8, rel=0.2)


def test_a_flip_is_half_a_win_each() -> None:
    flip = verdicts([(0, "a", "b", "ab", 80, 60), (0, "a", "b", "ba", 60, 80)])
    scores, habits = rating.fit_bradley_terry(flip)
    assert scores["score"][0] == pytest.approx(scores["score"][1])
    assert habits.bias["j"] > 0


def test_a_judge_of_no_weight_is_not_heard() -> None:
    table, theta, _ = play(100, 10, bias=0.0, seed=5)
    liar = table.with_columns(
        judge=pl.lit("liar"),
        score_left=pl.col("score_right"),
        score_right=pl.col("score_left"),
    )
    both = pl.concat([table, liar, liar.with_columns(repetition=pl.lit(1, pl.UInt16))])
    alone, _ = rating.fit_bradley_terry(table)
    heard, _ = rating.fit_bradley_terry(both)
    silent, _ = rating.fit_bradley_terry(both, weights={"liar": 0.0})
    right = np.array([theta[one] for one in alone["id"]])
    assert np.corrcoef(heard["score"], right)[0, 1] < 0
    np.testing.assert_allclose(np.argsort(silent["score"]), np.argsort(alone["score"]))


def test_errors_have_the_same_bits_on_any_number_of_cores() -> None:
    rng = np.random.default_rng(3)
    factors = rng.standard_normal((40, 200, 220))
    blocks = factors @ factors.transpose(0, 2, 1)
    with threadpool_limits(1, user_api="blas"):
        one = inverse_diagonals(blocks)
    with threadpool_limits(4, user_api="blas"):
        four = inverse_diagonals(blocks)
    assert one.tobytes() == four.tobytes()
