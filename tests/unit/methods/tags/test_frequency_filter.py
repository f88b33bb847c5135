"""The frequency filter and its automatic settings."""

import polars as pl

from tacos.methods.tags import frequency_filter, tag_trace


def filtered(counts: dict[str, int], alpha: int) -> dict[str, tuple[str | None, str]]:
    start = tag_trace.start_vocabulary(
        pl.DataFrame({"tag": list(counts), "count": list(counts.values())})
    )
    after, _ = frequency_filter.drop_rare_tags(start, alpha)
    return {
        row["raw"]: (row["canonical"], row["reason"])
        for row in after.iter_rows(named=True)
    }


def test_tags_seen_fewer_than_alpha_times_leave_with_a_reason() -> None:
    found = filtered({"often": 20, "rare": 19}, 20)
    assert found["often"] == ("often", "")
    assert found["rare"] == (None, "frequency: seen 19 times, fewer than alpha = 20")


def test_what_is_no_tag_leaves_however_often_it_is_seen() -> None:
    found = filtered({"": 99, " \n": 99, "x" * 10_000: 99, "good": 99}, 1)
    assert {raw for raw, (name, _) in found.items() if name is not None} == {"good"}
    assert found[""][1] == "frequency: empty"
    assert found["x" * 10_000][1] == "frequency: longer than 200 characters"


def test_counts_of_a_step_add_up() -> None:
    start = tag_trace.start_vocabulary(
        pl.DataFrame({"tag": ["a", "b", "c"], "count": [1, 2, 3]})
    )
    _, step = frequency_filter.drop_rare_tags(start, 2)
    assert (step.n_in, step.n_out, step.n_dropped, step.n_merged) == (3, 2, 1, 0)


def test_auto_alpha_is_instags_at_instags_size_and_1_for_small_sets() -> None:
    assert frequency_filter.choose_alpha("auto", 306_044) == 20
    assert frequency_filter.choose_alpha("auto", 300) == 1
    assert frequency_filter.choose_alpha(7, 300) == 7


def test_auto_support_is_a_count_and_instags_at_instags_size() -> None:
    assert frequency_filter.choose_min_support("auto", 306_044) == 40
    assert frequency_filter.choose_min_support("auto", 300) == 20
    assert frequency_filter.choose_min_support(3, 10**6) == 3
