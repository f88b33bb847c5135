"""A judge with planted habits: calibration must find each of them, and nothing else."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from tacos.methods.judging import calibration
from tacos.methods.judging.calibration import LEFT, RIGHT, Calibration
from tacos.records import LABELS, VERDICTS, Reject

N = 600


def labelled(n: int = N, ties: float = 0.0, seed: int = 1) -> pl.DataFrame:
    """Pairs whose better side people know; lengths tell nothing about quality."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(n):
        longer = rng.random() < 0.5
        texts = {
            f"response_{side}": "x" * (200 if (side == "a") == longer else 100)
            for side in "ab"
        }
        preferred = "tie" if rng.random() < ties else "ab"[int(rng.random() < 0.5)]
        rows.append(
            {
                "id": f"p:{number}",
                "instruction_a": "i",
                "instruction_b": "i",
                **texts,
                "preferred": preferred,
            }
        )
    return pl.DataFrame(rows, schema=LABELS, orient="row")


def judged(
    labels: pl.DataFrame,
    noise: float = 8,
    place: float = 0,
    length: float = 0,
    judge: str = "j",
    seed: int = 2,
) -> pl.DataFrame:
    """Verdicts: people's choice is worth 10 points, the first place `place`, the longer response
    `length`.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for number, row in enumerate(labels.iter_rows(named=True)):
        better = {"a": 10.0, "b": -10.0, "tie": 0.0}[row["preferred"]]
        own = (
            better
            + rng.normal(0, noise)
            + length * np.sign(len(row["response_a"]) - len(row["response_b"]))
        )
        for order, sign in (("ab", 1), ("ba", -1)):
            gap = round(own + sign * place)
            known = {
                "pair": number,
                "cluster": 0,
                "left": row["id"] + LEFT,
                "right": row["id"] + RIGHT,
                "order": order,
            }
            scores = {"score_left": 50 + gap / 2, "score_right": 50 - gap / 2}
            rows.append(
                known
                | {"judge": judge, "repetition": 0, "reason": "", "reply": ""}
                | scores
            )
    return pl.DataFrame(rows, schema=VERDICTS, orient="row")


def of(
    labels: pl.DataFrame, verdicts: pl.DataFrame, pointwise: tuple[str, ...] = ()
) -> Calibration:
    (found,) = calibration.calibrate_judges(labels, verdicts, pointwise)
    return found


def test_a_judge_who_agrees_gets_no_advice() -> None:
    labels = labelled()
    found = of(labels, judged(labels))
    assert found.agreement.value == pytest.approx(0.89, abs=0.04)
    assert found.agreement.low is not None
    assert found.agreement.low < found.agreement.value < (found.agreement.high or 0)
    assert found.kappa == pytest.approx(2 * found.agreement.value - 1, abs=0.05)
    assert found.flip_rate.value == 0
    assert found.suggestions == ()


def test_agreement_is_said_as_a_reliability_too() -> None:
    labels = labelled().with_columns(instruction_b=pl.lit("another"))
    found = of(labels, judged(labels))
    share = found.agreement.value
    assert share is not None
    # Its own ties are half right.
    share += (found.agreement.n - found.agreement_decided.n) / found.agreement.n / 2
    expected = np.sin(np.pi * (share - 0.5)) ** 2
    assert found.reliability.value == pytest.approx(expected)
    assert 0.5 < found.reliability.low < found.reliability.value < 1
    # A judge that calls all pairs ties knows nothing, however they are counted.
    ties = judged(labels).with_columns(score_left=50.0, score_right=50.0)
    assert of(labels, ties).reliability.value == pytest.approx(0, abs=1e-12)


def test_a_judge_who_guesses_is_not_to_be_relied_on() -> None:
    labels = labelled()
    found = of(labels, judged(labels.with_columns(preferred=pl.lit("tie"))))
    assert found.agreement.value == pytest.approx(0.5, abs=0.06)
    assert any(
        "not shown to be better than chance" in text for text in found.suggestions
    )


def test_a_place_that_is_worth_points_is_measured_and_told() -> None:
    labels = labelled()
    found = of(labels, judged(labels, place=6))
    assert found.position_bias == pytest.approx(6, abs=0.1)
    assert (found.first_share.value or 0) > 0.6
    assert (found.flip_rate.value or 0) > 0.1
    assert {"never ask one order", "keep both orders, a"} <= {
        text[:19] for text in found.suggestions
    }
    assert found.agreement == of(labels, judged(labels)).agreement, (
        "both orders cancel it"
    )


def test_a_liking_for_length_is_told_from_people_who_share_it() -> None:
    labels = labelled()
    found = of(labels, judged(labels, length=8))
    assert (found.longer_judge.value or 0) > (found.longer_people.value or 1) + 0.15
    assert any("length is no merit" in text for text in found.suggestions)
    longer = (
        pl.when(pl.col("response_a").str.len_chars() > 150)
        .then(pl.lit("a"))
        .otherwise(pl.lit("b"))
    )
    alike = labels.with_columns(preferred=longer)
    assert not any(
        "length" in text for text in of(alike, judged(alike, length=8)).suggestions
    )


def test_ties_are_misses_in_agreement_and_left_out_where_only_decisions_count() -> None:
    labels = labelled(4).with_columns(preferred=pl.Series(["a", "b", "a", "tie"]))
    verdicts = judged(labels, noise=0).with_columns(
        score_left=pl.when(pl.col("pair") == 0).then(50.0).otherwise("score_left"),
        score_right=pl.when(pl.col("pair") == 0).then(50.0).otherwise("score_right"),
    )
    found = of(labels, verdicts)
    assert found.agreement[::3] == (pytest.approx(2 / 3), 3)
    assert found.agreement_decided[::3] == (1.0, 2)
    assert found.tie_rate[::3] == (0.5, 4)
    assert found.label_tie_rate[::3] == (0.25, 4)


def test_a_pair_without_both_orders_is_missing_not_a_tie() -> None:
    labels = labelled(10)
    verdicts = judged(labels).filter((pl.col("pair") > 1) | (pl.col("order") == "ab"))
    found = of(labels, verdicts)
    assert (found.n_judged, found.n_labels, found.agreement.n) == (8, 10, 8)
    assert any("no verdict in both orders" in text for text in found.suggestions)


def test_a_judge_that_cannot_see_order_has_no_flips_to_count() -> None:
    labels = labelled(50)
    found = of(labels, judged(labels), pointwise=("j",))
    assert (found.flip_rate.value, found.first_share.value, found.position_bias) == (
        None,
        None,
        None,
    )


def test_a_panel_has_a_calibration_of_its_own_beside_each_judge() -> None:
    labels = labelled()
    both = pl.concat(
        [
            judged(labels, noise=20, judge=name, seed=seed)
            for name, seed in (("a", 3), ("b", 4))
        ]
    )
    alone_a, alone_b, panel = calibration.calibrate_judges(labels, both)
    assert [each.judge for each in (alone_a, alone_b, panel)] == [
        "a",
        "b",
        calibration.PANEL,
    ]
    assert panel.n_judged == N
    assert (panel.agreement.value or 0) > max(
        alone_a.agreement.value or 1, alone_b.agreement.value or 1
    )


def test_a_judge_without_one_usable_answer_is_said_to_have_none() -> None:
    labels = labelled(120)
    talking, mute, panel = calibration.calibrate_judges(
        labels, judged(labels), judges=["j", "mute"]
    )
    assert (talking.judge, mute.judge, panel.judge) == ("j", "mute", calibration.PANEL)
    assert (talking.n_judged, mute.n_judged, panel.n_judged) == (120, 0, 120)
    assert mute.suggestions == (
        "nothing can be said about mute: none of its answers is usable",
    )


def test_labels_without_a_winner_tell_nothing_of_agreement() -> None:
    labels = labelled(30).with_columns(preferred=pl.lit("tie"))
    told = of(labels, judged(labels)).suggestions
    assert (
        told[0]
        == "agreement cannot be measured: you named no winner in any pair that it judged"
    )
    assert not any(
        "better than chance" in text or "label more" in text for text in told
    )


def test_the_sides_of_the_table_do_not_matter() -> None:
    labels = labelled(ties=0.2)
    mirror = {"a": "b", "b": "a", "tie": "tie"}
    turned = labels.rename(
        {"response_a": "response_b", "response_b": "response_a"}
    ).select(LABELS.names())
    turned = turned.with_columns(pl.col("preferred").replace_strict(mirror))
    there, back = (
        of(labels, judged(labels, noise=0)),
        of(turned, judged(turned, noise=0)),
    )
    assert there == back


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            {"instruction": "i", "response_a": "x", "response_b": "y"},
            "preferred is not a, b or tie",
        ),
        (
            {"instruction": "i", "response_a": "x", "preferred": "a"},
            "no text in response_b",
        ),
        (
            {"response_a": "x", "response_b": "y", "preferred": "a"},
            "no text in instruction_a",
        ),
    ],
)
def test_a_row_that_says_too_little_is_a_reject(
    row: dict[str, Any], reason: str
) -> None:
    found = calibration.parse_label(row, "p:0")
    assert isinstance(found, Reject)
    assert found.reason == reason


def test_agreement_by_each_number_alone_says_which_target_fits_the_labels() -> None:
    labels = labelled()
    right = judged(labels, noise=2)
    blind = judged(labels, noise=50)
    both = right.with_columns(
        correctness_left="score_left",
        correctness_right="score_right",
        value_left=blind["score_left"],
        value_right=blind["score_right"],
    )
    (found,) = calibration.calibrate_judges(labels, both)
    assert found.agreement_by_number["correctness"].value > 0.95
    assert found.agreement_by_number["value"].high < 0.7
    (plain,) = calibration.calibrate_judges(labels, right)
    assert plain.agreement_by_number == {}
