"""Duels: only both orders together count, and what cannot be read is missing."""

import gzip
import json
from pathlib import Path

import pytest

from tacos.methods.evaluating.duels import Winner, count_duels, decide_outcome


@pytest.mark.parametrize(
    "winner, other_order, outcome",
    [
        ("first", "first", "win"),
        ("first", "tie", "win"),
        ("tie", "second", "lose"),
        ("tie", "tie", "tie"),
        ("first", "second", "flip"),
        ("second", "first", "flip"),
    ],
)
def test_outcomes(winner: Winner, other_order: Winner, outcome: str) -> None:
    assert decide_outcome(winner, other_order) == outcome


def test_a_judge_that_prefers_the_first_place_gives_neither_side_a_win() -> None:
    result = count_duels([("first", "second")] * 10, list(range(10)))
    assert result.outcomes == {"win": 0, "tie": 0, "flip": 10, "lose": 0}
    assert result.score is not None
    assert result.score.mean == 0.5


def test_duels_that_all_end_alike_are_not_sure_for_that() -> None:
    """A standard error of 0 would call three wins of three a proof, and ten flips, too."""
    won = count_duels([("first", "first")] * 3, [1, 2, 3]).score
    assert won is not None
    assert won.low == pytest.approx(0.438, abs=0.001)
    flipped = count_duels([("first", "second")] * 10, list(range(10))).score
    assert flipped is not None
    assert (flipped.low, flipped.high) == pytest.approx((0.237, 0.763), abs=0.001)
    smallest = flipped.smallest_detectable_difference()
    assert smallest is not None
    assert smallest > 0.3
    twenty = count_duels([("first", "first")] * 20, list(range(20))).score
    assert twenty is not None
    assert twenty.low is not None
    assert twenty.low > 0.8


def test_an_unreadable_order_is_missing_and_no_tie() -> None:
    result = count_duels([("first", None), (None, None), ("first", "first")], [1, 2, 3])
    assert result.n_missing == 2
    assert result.outcomes["tie"] == 0
    assert result.score is not None
    assert result.score.n == 1
    assert count_duels([(None, "tie")], [1]).score is None


WINNERS: dict[str, Winner | None] = {
    "model_1": "first",
    "model_2": "second",
    "tie": "tie",
    "error": None,
}


def test_the_duels_that_the_authors_released_count_as_read(shared_data: Path) -> None:
    """640 verdicts of TACOS against four arms: 489 same, 103 one-sided ties, 46 flips, 2 unreadable."""
    folder = shared_data / "evaluation" / "mt_bench" / "judgments_pairwise"
    same = one_sided = flips = missing = 0
    scores = {}
    for file in sorted(folder.iterdir()):
        lines = gzip.decompress(file.read_bytes()).splitlines()
        rows = [json.loads(line) for line in lines]
        verdicts = [(WINNERS[r["g1_winner"]], WINNERS[r["g2_winner"]]) for r in rows]
        result = count_duels(verdicts, [row["question_id"] for row in rows])
        same += result.same
        one_sided += result.one_sided_ties
        flips += result.outcomes["flip"]
        missing += result.n_missing
        assert result.score is not None
        scores[file.name.split(".")[0]] = result.score
    assert (same, one_sided, flips, missing) == (489, 103, 46, 2)
    # training-and-evaluation.md: 57.5%, 56.2%, 53.3%, 50.5%, clustered by question
    assert round(scores["myprompt-alpaca-52k"].mean, 3) == 0.575
    assert round(scores["myprompt-random"].mean, 3) == 0.562
    assert round(scores["myprompt-score"].mean, 3) == 0.533
    assert round(scores["myprompt-longest"].mean, 3) == 0.506
    longest = scores["myprompt-longest"]
    assert longest.low is not None
    assert longest.high is not None
    assert longest.low < 0.5 < longest.high
