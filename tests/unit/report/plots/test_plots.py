"""The figures of the report: what they count, what they say, and that they are drawn."""

import re
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tacos.methods.measures.random_range import RandomRange
from tacos.methods.measures.representation import measure_representation
from tacos.methods.measures.selection_figures import MeasuredPool
from tacos.methods.selecting.row_tags import number_tags
from tacos.report.page_parts import Figure
from tacos.report.plots import (
    cluster_map,
    cluster_table,
    complexity_coverage,
    missing_topics,
    score_plots,
    size_steps,
    tag_landscape,
)
from tacos.report.plots.size_steps import SizeStep, SizeSteps

HOSTILE = "</svg><script>alert(1)</script>"
FONT_SIZE = re.compile(r'font-size="(\d+)px"')


def make_pool(n: int = 300, n_selected: int = 60, seed: int = 1) -> pl.DataFrame:
    """A pool with tags, clusters, lengths and numbers; long rows have higher scores."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 3_000, n)
    clusters = rng.integers(0, 7, n)
    tags = [
        [f"tag {int(tag)}" for tag in rng.choice(40, rng.integers(0, 5), replace=False)]
        for _ in range(n)
    ]
    scores = np.round(20 + lengths / 60 + rng.normal(0, 8, n), 2)
    return pl.DataFrame(
        {
            "id": [f"row {place:04d}" for place in range(n)],
            "instruction": [f"Do thing {place}." for place in range(n)],
            "tags": tags,
            "length": lengths,
            "cluster": pl.Series(clusters, dtype=pl.UInt32),
            "cluster_name": [f"topic {number}" for number in clusters],
            "score": scores,
            "value": scores,
            "correctness": np.round(rng.uniform(1, 100, n), 2),
            "is_selected": rng.permutation(n) < n_selected,
        }
    )


def check_figure(figure: Figure | None) -> Figure:
    """A figure is drawn, says what it rests on, and has a table; its texts are legible."""
    assert figure is not None
    assert figure.caption.endswith(".")
    assert re.search(r"\d", figure.basis)
    assert figure.table.rows
    assert {len(row) for row in figure.table.rows} == {len(figure.table.head)}
    assert str(figure.svg).startswith("<svg")
    assert str(figure.svg).endswith("</svg>")
    assert "NaN" not in figure.svg
    sizes = [int(size) for size in FONT_SIZE.findall(figure.svg)]
    assert min(sizes, default=11) >= 11
    assert "<script" not in figure.svg.lower()
    return figure


# Tags


def test_tiles_are_the_most_frequent_tags_in_the_table_order() -> None:
    pool = make_pool()
    table = measure_representation(pool.select("is_selected", group="tags"))
    figure = check_figure(tag_landscape.draw_tag_landscape(table, 300, 60))
    assert [row[0] for row in figure.table.rows] == table["group"].to_list()
    assert "Of 40 tags" in figure.caption
    assert table["group"][0] in figure.svg


def test_a_hostile_tag_is_text() -> None:
    pool = make_pool().with_columns(tags=pl.lit([HOSTILE, "' + alert(1) + '"]))
    pool = pool.with_columns(cluster_name=pl.lit(HOSTILE))
    table = measure_representation(pool.select("is_selected", group="tags"))
    drawn = [
        tag_landscape.draw_tag_landscape(table, 300, 60),
        draw_map(pool),
        missing_topics.draw_representation(_skew(table), "cluster", 300, 60),
    ]
    for figure in drawn:
        assert figure is not None
        assert "<script" not in figure.svg
        assert "&lt;/svg&gt;" in figure.svg or HOSTILE not in str(figure.svg)


def test_steps_of_normalisation_add_up() -> None:
    steps = [
        {"name": "frequency", "n_in": 90, "n_out": 40, "n_merged": 0, "n_dropped": 50},
        {"name": "rules", "n_in": 40, "n_out": 33, "n_merged": 7, "n_dropped": 0},
    ]
    figure = check_figure(tag_landscape.draw_normalisation(steps, 1_000))
    assert "90 raw tags became 33 canonical ones" in figure.caption
    assert "7 were merged" in figure.caption
    assert "50 were dropped" in figure.caption


# Clusters


def draw_map(pool: pl.DataFrame) -> Figure:
    """The map of a pool, by vectors of its clusters."""
    drawn = cluster_map.choose_drawn(pool, seed=1)
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(drawn.height, 16)).astype(np.float32)
    vectors += 5 * np.eye(16)[drawn["cluster"].fill_null(9).to_numpy()]
    return cluster_map.draw_cluster_map(
        drawn, vectors, pool.height, int(pool["is_selected"].sum())
    )


def test_every_drawn_row_is_a_dot_and_a_text_at_the_same_place() -> None:
    pool = make_pool()
    figure = check_figure(draw_map(pool))
    dots = re.findall(r"M([\d.]+),([\d.]+)h0", figure.svg)
    assert len(dots) == len(figure.points) == 300
    places = {(float(x), float(y)) for x, y in dots}
    assert {(point.x, point.y) for point in figure.points} == places
    assert figure.points[0].text == f"Do thing 0. ({pool['cluster_name'][0]})"
    assert "all 300 rows, 60 of them selected" in figure.basis


def test_of_many_rows_some_are_drawn_and_the_figure_says_how_many() -> None:
    pool = make_pool(n=9_000, n_selected=3_000)
    drawn = cluster_map.choose_drawn(pool, seed=1)
    assert drawn.height == cluster_map.N_DRAWN
    assert drawn["is_selected"].sum() == cluster_map.N_DRAWN_SELECTED
    assert drawn["id"].is_sorted()
    assert drawn.equals(cluster_map.choose_drawn(pool, seed=1))
    assert not drawn.equals(cluster_map.choose_drawn(pool, seed=2))
    figure = draw_map(pool)
    assert "6,000 of 9,000 rows, drawn by chance: 2,000 of the 3,000" in figure.basis


def test_rows_in_no_cluster_are_drawn_too() -> None:
    pool = make_pool().with_columns(
        cluster=pl.when(pl.col("id") > "row 0200").then(None).otherwise("cluster")
    )
    assert len(draw_map(pool).points) == 300


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3) | st.none(),
            st.none() | st.floats(-5, 100, allow_nan=False),
            st.booleans(),
        ),
        min_size=1,
        max_size=60,
    )
)
@settings(max_examples=60, deadline=None)
def test_cluster_figures_are_those_of_a_plain_loop(rows: list[tuple[Any, ...]]) -> None:
    pool = pl.DataFrame(
        [(f"{i:03d}", c, s, f) for i, (c, s, f) in enumerate(rows)],
        {
            "id": pl.String,
            "cluster": pl.UInt32,
            "score": pl.Float64,
            "is_selected": pl.Boolean,
        },
        orient="row",
    )
    names = {number: f"name {number}" for number in range(4)}
    table = cluster_table.describe_clusters(pool, names)
    called = {one.number: one.name for one in table.clusters}
    assert called.items() <= {**names, None: "(in no cluster)"}.items()
    assert {one.number for one in table.clusters} == {c for c, _, _ in rows}
    assert sum(one.n_pool for one in table.clusters) == len(rows)
    for one in table.clusters:
        scores = sorted(s for c, s, _ in rows if c == one.number and s is not None)
        assert one.n_selected == sum(f for c, _, f in rows if c == one.number)
        assert one.n_scored == len(scores) == sum(one.bins)
        assert all(a >= b for a, b in zip(one.bins, one.selected_bins, strict=True))
        if len(scores) > 1:
            assert one.best is not None
            assert one.worst is not None
            assert (one.best.score, one.worst.score) == (scores[-1], scores[0])
            assert one.best.id != one.worst.id
        else:
            assert one.best is None


def test_bars_are_as_high_as_their_counts() -> None:
    path = cluster_table.build_bar_path((0, 5, 10, 1_000_000))
    heights = [float(height) for height in re.findall(r"v-([\d.]+)h", path)]
    assert heights == [1.0, 1.0, 24.0]
    assert cluster_table.build_bar_path((0, 0)) == ""


# Diversity and complexity


@pytest.mark.parametrize(
    ("coverage", "said"),
    [(0.9, "more than chance"), (0.1, "less than chance"), (0.5, "what chance gives")],
)
def test_the_caption_says_which_side_of_chance_the_selection_is_on(
    coverage: float, said: str
) -> None:
    pool = make_pool()
    measured = MeasuredPool(
        pool.with_columns(is_tagged=True), number_tags(pool["tags"])
    )
    chance = RandomRange(200, (0.4, 0.6), (2.0, 3.0))
    chosen = measured.measure(pool["id"][:60].to_list())
    figures = {
        "pool": measured.measure_all(),
        "selection": {**chosen, "coverage": coverage},
        "random": measured.expect_random(60),
        "longest": chosen,
    }
    figure = check_figure(complexity_coverage.draw_complexity_coverage(figures, chance))
    assert said in figure.caption
    assert "40.0% to 60.0%" in figure.caption
    assert "60 rows each, of a pool of 300" in figure.basis


# Scores


def test_the_caption_of_scores_says_how_far_they_follow_length() -> None:
    pool = make_pool()
    figure = check_figure(score_plots.draw_score_length(pool, pool))
    assert (
        "The score follows the length: longer responses have higher ones"
        in figure.caption
    )
    assert "over 300 rows" in figure.caption
    shuffled = pool.with_columns(score=pool["correctness"])
    figure = check_figure(score_plots.draw_score_length(shuffled, shuffled))
    assert "hardly follows" in figure.caption


def test_one_number_draws_no_second_figure_and_no_score_none_at_all() -> None:
    pool = make_pool()
    check_figure(score_plots.draw_value_correctness(pool, pool))
    one = pool.with_columns(correctness=pl.lit(None, pl.Float64))
    assert score_plots.draw_value_correctness(one, one) is None
    none = pool.with_columns(score=pl.lit(None, pl.Float64))
    assert score_plots.draw_score_length(none, none) is None


def test_scores_and_lengths_of_one_value_are_drawn() -> None:
    pool = make_pool().with_columns(score=pl.lit(50.0), length=pl.lit(0))
    figure = check_figure(score_plots.draw_score_length(pool, pool))
    assert "cannot be told" in figure.caption


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), min_size=2, max_size=200))
@settings(max_examples=50, deadline=None)
def test_tenths_hold_every_row_once(rows: list[tuple[int, bool]]) -> None:
    table = pl.DataFrame(
        [(x, float(x), flag) for x, flag in rows],
        {"length": pl.Int64, "score": pl.Float64, "is_selected": pl.Boolean},
        orient="row",
    )
    bins = score_plots.tabulate_bins(table, "length", "score")
    assert bins["n"].sum() == len(rows)
    assert bins["n_selected"].sum() == sum(flag for _, flag in rows)
    assert (bins["low"].slice(1) > bins["high"].slice(0, bins.height - 1)).all()
    assert bins.height <= score_plots.N_BINS


@given(st.lists(st.integers(0, 50), min_size=2, max_size=200))
@settings(max_examples=50, deadline=None)
def test_tenths_go_by_the_lowest_of_the_ranks_of_equal_values(lengths) -> None:
    table = pl.DataFrame(
        {"length": lengths, "score": range(len(lengths)), "is_selected": False}
    )
    rank = pl.col("length").rank("min") - 1
    tenths = table.group_by((rank * score_plots.N_BINS / len(lengths)).floor())
    expected = tenths.agg(n=pl.len(), median=pl.col("score").median())
    bins = score_plots.tabulate_bins(table, "length", "score")
    assert bins["n"].to_list() == expected.sort("length")["n"].to_list()
    assert bins["median"].to_list() == expected.sort("length")["median"].to_list()


# Sizes and topics


def test_other_sizes_are_told_beside_the_one_that_was_made() -> None:
    steps = [
        SizeStep(50, 0.5, 0.4, 60.0, 2.5, 300.0, is_made=True),
        SizeStep(100, 0.7, 0.6, 58.0, 2.4, 280.0),
    ]
    sizes = SizeSteps(900, steps, [(900, "the quota of a has 10 rows")])
    figure = check_figure(size_steps.draw_size_steps(sizes))
    assert "The 50 selected rows cover 50.0%" in figure.caption
    assert "100 rows would cover 70.0% at 58.0." in figure.caption
    assert "900 rows cannot be selected: the quota of a has 10 rows." in figure.caption
    assert [row[0] for row in figure.table.rows] == ["50 (selected)", "100"]


def test_a_run_without_tags_has_sizes_too() -> None:
    step = SizeStep(50, None, None, 60.0, None, 300.0, is_made=True)
    check_figure(size_steps.draw_size_steps(SizeSteps(900, [step])))


def test_missing_topics_are_named_the_largest_first() -> None:
    groups = ["kept"] * 30 + ["small"] * 3 + ["large"] * 50
    pool = pl.DataFrame({"group": groups, "is_selected": [True] * 30 + [False] * 53})
    table = measure_representation(pool)
    text = missing_topics.describe_missing(table, "cluster", 83, 30)
    assert "Of 3 clusters the selection has none of 2" in text
    assert "The largest missing: large (50 rows); small (3 rows)." in text
    rows = missing_topics.tabulate_missing(table, "cluster", 83, 30).rows
    assert [row[0] for row in rows] == ["large", "small"]
    figure = check_figure(missing_topics.draw_representation(table, "cluster", 83, 30))
    assert "More rows than chance gives: kept (30 for 11)" in figure.caption
    assert "Fewer: large (0 for 18)" in figure.caption


def test_a_mix_like_the_pools_has_no_figure() -> None:
    pool = pl.DataFrame(
        {"group": ["a", "b"] * 40, "is_selected": [True, True, False, False] * 20}
    )
    table = measure_representation(pool)
    assert missing_topics.draw_representation(table, "tag", 80, 40) is None


def test_figures_are_the_same_every_time() -> None:
    first, second = draw_map(make_pool()), draw_map(make_pool())
    assert (first, first.svg) == (second, second.svg)
    first, second = (
        check_figure(score_plots.draw_score_length(make_pool(), make_pool()))
        for _ in range(2)
    )
    assert (first, first.svg) == (second, second.svg)


def _skew(table: pl.DataFrame) -> pl.DataFrame:
    """A table in which every group has more rows than chance gives."""
    return table.with_columns(
        standing=pl.lit("more"), n_selected=pl.col("n_selected") + 90
    )
