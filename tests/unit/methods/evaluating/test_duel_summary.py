"""Duels in figures: by set and in all, with intervals, and at equal length where that is known."""

import dataclasses

import pytest

from tacos.methods.evaluating.duel_summary import (
    JudgedDuel,
    describe_duel,
    summarise_duels,
)
from tacos.methods.evaluating.duels import Winner

MODELS = ("ours", "theirs")


def build_duels(
    name: str | None,
    winners: list[tuple[Winner | None, Winner | None]],
    lengths: tuple[int, int] | None = (100, 90),
) -> list[JudgedDuel]:
    return [
        JudgedDuel(MODELS, str(number), both, name, lengths=lengths, judge="j-1")
        for number, both in enumerate(winners)
    ]


WIN, LOSE, FLIP = ("first", "first"), ("second", "second"), ("first", "second")


def test_sets_and_all_of_them_have_figures_of_their_own() -> None:
    duels = [
        *build_duels("koala", [WIN] * 6 + [LOSE] * 2),
        *build_duels("lima", [LOSE] * 4 + [FLIP] * 4),
    ]
    (summary,) = summarise_duels(duels)
    assert list(summary.sets) == ["koala", "lima"]
    assert summary.judges == ("j-1",)
    koala, lima = summary.sets.values()
    assert koala.result.outcomes == {"win": 6, "tie": 0, "flip": 0, "lose": 2}
    assert koala.result.score is not None
    assert koala.result.score.mean == 0.75
    # Wilson: 6 of 8.
    assert koala.intervals["win"] == pytest.approx((0.409, 0.929), abs=0.001)
    assert lima.result.outcomes["flip"] == 4
    pooled = summary.pooled.result
    assert pooled.score is not None
    assert (pooled.n, pooled.score.mean) == (16, 0.5)
    # Both sets have questions 0 to 7: they are not the same questions.
    assert pooled.score.n_clusters == 16


def test_a_verdict_says_better_worse_or_what_could_have_been_seen() -> None:
    def say(winners: list[tuple[Winner | None, Winner | None]]) -> str:
        return summarise_duels(build_duels("a", winners))[0].verdict

    assert say([WIN] * 40 + [LOSE] * 10).startswith("ours is better than theirs (win")
    assert say([WIN] * 10 + [LOSE] * 40).startswith("ours is worse than theirs (win")
    # 2.8 standard errors of .5 / sqrt(49).
    assert say([WIN] * 26 + [LOSE] * 24) == (
        "No difference larger than 20.0 points of win score could be seen between ours and "
        "theirs (win score 52.0%, 95% interval 38.0 to 66.0, 50 questions)."
    )
    assert "no question was judged in both orders" in say([(None, "first")])
    assert say([WIN] * 9) == (
        "No verdict on ours and theirs: 9 questions can show no difference (10 at least)."
    )
    assert say([WIN] * 10).startswith("ours is better")
    assert say([FLIP] * 10).startswith("No difference larger than 37.")


def test_missing_orders_are_named_and_in_no_figure() -> None:
    duels = build_duels("a", [WIN, (None, "tie"), LOSE, (None, None)])
    (summary,) = summarise_duels(duels)
    assert summary.missing == ("a 1", "a 3")
    assert summary.pooled.result.n_missing == 2
    assert summary.pooled.result.n == 2
    assert summary.pooled.adjusted is not None
    assert summary.pooled.adjusted.n == 2


def test_without_lengths_or_far_from_half_there_is_no_figure_at_equal_length() -> None:
    (unknown,) = summarise_duels(build_duels("a", [WIN, LOSE], lengths=None))
    assert unknown.pooled.adjusted is None
    assert "how long" in unknown.pooled.not_adjusted
    assert unknown.pooled.lengths is None
    (far,) = summarise_duels(build_duels("a", [WIN] * 9 + [LOSE]))
    assert far.pooled.adjusted is None
    assert "30% to 70%" in far.pooled.not_adjusted
    (alike,) = summarise_duels(build_duels("a", [FLIP] * 9))
    assert alike.pooled.adjusted is None
    assert "all duels end alike" in alike.pooled.not_adjusted
    (near,) = summarise_duels(build_duels("a", [WIN] * 5 + [LOSE] * 4))
    assert near.pooled.adjusted is not None
    assert near.pooled.lengths == (100, 90)


def test_turns_of_a_question_are_one_cluster_and_models_are_apart() -> None:
    turns = [
        dataclasses.replace(duel, turn=turn)
        for duel in build_duels(None, [WIN, LOSE, WIN])
        for turn in (1, 2)
    ]
    others = [dataclasses.replace(duel, models=("a", "b")) for duel in turns]
    first, second = summarise_duels([*turns, *others])
    assert first.pooled.result.score is not None
    assert first.pooled.result.score.n == 6
    assert first.pooled.result.score.n_clusters == 3
    assert list(first.sets) == ["no set"]
    assert second.models == ("a", "b")
    assert describe_duel(turns[0]) == "0, turn 1"
