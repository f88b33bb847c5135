"""How far a judge agrees with people: its verdicts on pairs of which somebody said which one is
better.

The judge's answer to a pair is the sign of the mean score difference over both orders and all
repetitions, as rating uses it; 0 is a tie. A pair without both orders is missing, never a tie.
Agreement counts labels that name a winner; the judge's own ties there are misses in `agreement` and
left out in `agreement_decided`. Kappa (Cohen) and AC1 (Gwet) are over all three answers: a, b, tie.

What it does not know: whether the people were right, or whether the pairs are like the data that
will be judged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tacos.methods.judging.judge_health import Measurement, diagnose_judge
from tacos.methods.judging.rating.presentation_orders import estimate_position_bias
from tacos.methods.measures.rater_agreement import (
    ConfidenceInterval,
    cohen_kappa,
    gwet_ac1,
    wilson_interval,
)
from tacos.records import Reject

ANSWERS = ("a", "b", "tie")
LEFT, RIGHT = "/a", "/b"
"""End the ids of a pair's two samples."""
PANEL = "panel"
FEW = 100
"""Labels that name a winner, below which the interval of agreement is wider than about 10 points
either way.
"""
MANY_FLIPS = 0.1
"""GPT-4 changed its mind with the order in 8.9% of the TACOS authors' swapped pairs."""


@dataclass(frozen=True)
class Calibration:
    """What is known of one judge, or of a panel; shares are in 0..1, every figure with the number
    it rests on.
    """

    judge: str
    n_labels: int
    n_judged: int
    """Pairs with a score from both orders."""
    agreement: ConfidenceInterval
    agreement_decided: ConfidenceInterval
    agreement_steady: ConfidenceInterval
    """Of pairs with the same winner in both orders, at every repetition."""
    kappa: float | None
    ac1: float | None
    tie_rate: ConfidenceInterval
    label_tie_rate: ConfidenceInterval
    flip_rate: Measurement
    first_share: Measurement
    position_bias: float | None
    """What the first place is worth, in points; None for judges that cannot see it."""
    position_error: float | None
    longer_judge: ConfidenceInterval
    """Choices of the longer response, where judge and people both chose and the lengths differ."""
    longer_people: ConfidenceInterval
    suggestions: tuple[str, ...]


def parse_label_batch(batch: Any) -> tuple[list[dict[str, Any]], list[Reject]]:
    """Rows of `LABELS` and rejects of a batch of raw rows (see
    `tacos.methods.samples.sample_parsing.NumberedRows`).
    """
    made = [parse_label(row, f"{batch.file}:{number}") for number, row in batch.rows]
    rejects = [*batch.rejects, *(each for each in made if isinstance(each, Reject))]
    return [each for each in made if not isinstance(each, Reject)], rejects


def parse_label(row: dict[str, Any], id_: str) -> dict[str, Any] | Reject:
    """A row of `LABELS`: `instruction`, or `instruction_a` and `instruction_b`; both responses;
    `preferred`.

    >>> parse_label({"instruction": "Hi", "response_a": "Yo", "response_b": "Hello.", "preferred": "B"}, "x:0")["preferred"]
    'b'
    >>> parse_label({"instruction": "Hi", "response_a": "Yo", "response_b": "Hello.", "preferred": "?"}, "x:1").reason
    'preferred is not a, b or tie'
    """
    both = {
        f"instruction_{side}": row.get(f"instruction_{side}", row.get("instruction"))
        for side in "ab"
    }
    texts = both | {f"response_{side}": row.get(f"response_{side}") for side in "ab"}
    missing = [name for name, text in texts.items() if not isinstance(text, str)]
    if missing:
        return Reject(id_, "label", f"no text in {missing[0]}", str(row)[:500])
    preferred = str(row.get("preferred")).strip().lower()
    if preferred not in ANSWERS:
        return Reject(id_, "label", "preferred is not a, b or tie", str(row.get("preferred"))[:500])
    return {"id": id_, **texts, "preferred": preferred}


def build_label_pairs(labels: pl.DataFrame, first: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Labels as the pairs and texts of `judging.questions`; pairs are numbered from `first`."""
    texts = [
        labels.select(
            pl.col("id") + end, instruction=f"instruction_{side}", response=f"response_{side}"
        )
        for side, end in (("a", LEFT), ("b", RIGHT))
    ]
    constant = {"cluster": pl.lit(0, pl.UInt32), "bridge": pl.lit(False), "orders": pl.lit("both")}
    numbered = labels.with_row_index("pair", first).with_columns(**constant)
    sides = {"left": pl.col("id") + LEFT, "right": pl.col("id") + RIGHT}
    return numbered.select("pair", "cluster", **sides, bridge="bridge", orders="orders"), pl.concat(
        texts
    )


def calibrate_judges(
    labels: pl.DataFrame,
    verdicts: pl.DataFrame,
    pointwise: Iterable[str] = (),
    judges: Iterable[str] = (),
) -> list[Calibration]:
    """One calibration per judge, and one of all together where there are several.

    `pointwise` cannot see order; `judges` were asked, so they have one even where they gave no
    usable verdict.
    """
    asked, blind = sorted({*verdicts["judge"], *judges}), set(pointwise)
    found = [
        _calibrate_judge(name, labels, verdicts.filter(judge=name), name in blind) for name in asked
    ]
    return (
        [*found, _calibrate_judge(PANEL, labels, verdicts, blind >= set(asked))]
        if len(asked) > 1
        else found
    )


def _calibrate_judge(
    name: str, labels: pl.DataFrame, verdicts: pl.DataFrame, pointwise: bool
) -> Calibration:
    """The calibration of one judge's verdicts."""
    table = _collect_answers(labels, verdicts)
    lengths = _measure_side_lengths(labels)
    checks = diagnose_judge(verdicts, lengths, pointwise)
    bias = (
        estimate_position_bias(verdicts).row(0, named=True)
        if not pointwise and verdicts["judge"].n_unique() == 1
        else {}
    )
    judged = table.drop_nulls("answer")
    ratings = _encode_answers(judged)
    figures = _measure_agreement(judged) | _measure_ties(judged) | _measure_length_choices(judged)
    found = Calibration(
        judge=name,
        n_labels=labels.height,
        n_judged=judged.height,
        kappa=cohen_kappa(ratings, 3),
        ac1=gwet_ac1(ratings, 3),
        flip_rate=checks.flip_rate,
        first_share=checks.first_share,
        position_bias=bias.get("bias"),
        position_error=bias.get("error"),
        suggestions=(),
        **figures,
    )
    return Calibration(
        **{**vars(found), "suggestions": tuple(_suggest_changes(found, checks.collapsed))}
    )


def _collect_answers(labels: pl.DataFrame, verdicts: pl.DataFrame) -> pl.DataFrame:
    """Per label: preferred, the judge's `answer` (null: missing), whether it was `steady`, and
    which side is longer.
    """
    difference = pl.col("score_left") - pl.col("score_right")
    sitting = ["left", "judge", "repetition"]
    both = verdicts.filter(pl.col("order").n_unique().over(sitting) == 2).with_columns(d=difference)
    # each judge's mean counts alike, however many of its verdicts are missing
    by_judge = both.group_by("left", "judge").agg(
        pl.col("d").mean(),
        pl.col("d").sign().n_unique().alias("n_signs"),
        pl.col("d").abs().min().alias("least"),
    )
    by_pair = by_judge.group_by("left").agg(
        pl.col("d").mean().round(9),
        ((pl.col("n_signs") == 1) & (pl.col("least") > 0)).all().alias("steady")
        & (pl.col("d").sign().n_unique() == 1),
    )
    answer = pl.when(pl.col("d") > 0).then(pl.lit("a")).when(pl.col("d") < 0).then(pl.lit("b"))
    longer = (
        pl.col("response_a").str.len_chars().cast(pl.Int64) - pl.col("response_b").str.len_chars()
    )
    side = pl.when(longer > 0).then(pl.lit("a")).when(longer < 0).then(pl.lit("b"))
    table = labels.with_columns(left=pl.col("id") + LEFT, longer=side)
    joined = table.join(by_pair, on="left", how="left", maintain_order="left")
    known = answer.otherwise(pl.when(pl.col("d").is_not_null()).then(pl.lit("tie")))
    return joined.select("id", "preferred", known.alias("answer"), "steady", "longer")


def _encode_answers(judged: pl.DataFrame) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """People's and judge's answers as numbers, shape (pairs, 2)."""
    columns = [
        judged[name].cast(pl.Enum(ANSWERS)).to_physical().to_numpy()
        for name in ("preferred", "answer")
    ]
    return np.stack(columns, axis=1).astype(np.int64)


def _estimate_share(hits: pl.Series) -> ConfidenceInterval:
    """The share of true values, with Wilson's interval."""
    return wilson_interval(int(hits.sum()), len(hits))


def _measure_agreement(judged: pl.DataFrame) -> dict[str, Any]:
    """Agreement where people named a winner: over all of these, those the judge decided, those it
    was steady on.
    """
    labelled = judged.filter(pl.col("preferred") != "tie")
    decided = labelled.filter(pl.col("answer") != "tie")
    named = {
        "agreement": labelled,
        "agreement_decided": decided,
        "agreement_steady": decided.filter("steady"),
    }
    return {
        name: _estimate_share(table["preferred"] == table["answer"])
        for name, table in named.items()
    }


def _measure_ties(judged: pl.DataFrame) -> dict[str, Any]:
    """The shares of ties, the judge's and the people's, over the same pairs."""
    return {
        "tie_rate": _estimate_share(judged["answer"] == "tie"),
        "label_tie_rate": _estimate_share(judged["preferred"] == "tie"),
    }


def _measure_length_choices(judged: pl.DataFrame) -> dict[str, Any]:
    """How often judge and people chose the longer response, over the pairs in which both chose."""
    both = judged.filter(
        pl.col("preferred") != "tie", pl.col("answer") != "tie", pl.col("longer").is_not_null()
    )
    return {
        "longer_judge": _estimate_share(both["answer"] == both["longer"]),
        "longer_people": _estimate_share(both["preferred"] == both["longer"]),
    }


def _measure_side_lengths(labels: pl.DataFrame) -> pl.DataFrame:
    """id, length of both sides of every pair."""
    return pl.concat(
        labels.select(pl.col("id") + end, length=pl.col(f"response_{side}").str.len_chars())
        for side, end in (("a", LEFT), ("b", RIGHT))
    )


def _suggest_changes(found: Calibration, collapsed: bool) -> list[str]:
    """What to change, by fixed rules; an empty list says that none of them applies, not that the
    judge is good.
    """
    rules = (
        (
            f"nothing can be said of {found.judge}: none of its answers could be used",
            found.n_judged == 0,
        ),
        (
            "no agreement can be told: in no pair that it judged did you name a winner",
            found.n_judged > 0 and found.agreement.n == 0,
        ),
        (
            "label more pairs: fewer than 100 with a winner leave agreement uncertain by 10 points or more either way",
            0 < found.agreement.n < FEW,
        ),
        (
            "do not rely on this judge: its agreement with you is not shown to be better than chance",
            found.agreement.n > 0
            and (found.agreement_decided.low is None or found.agreement_decided.low <= 0.5),
        ),
        (
            "it gives nearly everything the same score: ask for the whole scale in your criteria, or take another model",
            collapsed,
        ),
        (
            "keep both orders, and add judge.repetitions or a second judge (judge.models): it often changes its mind "
            "with the order",
            _exceeds_limit(found.flip_rate.value, MANY_FLIPS),
        ),
        (
            "never ask one order only: the first place by itself is worth points to it",
            _has_position_bias(found),
        ),
        (
            "it takes the longer response more often than you do: say in your criteria that length is no merit, or match "
            "lengths when you select",
            _is_clearly_above(found.longer_judge, found.longer_people),
        ),
        (
            "it takes the shorter response more often than you do: say in your criteria what a full answer is",
            _is_clearly_above(found.longer_people, found.longer_judge),
        ),
        (
            "it calls more ties than you do: name in your criteria what should decide between good responses",
            _is_clearly_above(found.tie_rate, found.label_tie_rate),
        ),
        (
            "some pairs have no verdict in both orders: look at the model's replies before you trust the rest",
            0 < found.n_judged < 0.98 * found.n_labels,
        ),
    )
    return [text for text, holds in rules if holds]


def _exceeds_limit(value: float | None, limit: float) -> bool:
    """Whether a figure is there and over a limit."""
    return value is not None and value > limit


def _has_position_bias(found: Calibration) -> bool:
    """Whether the place is worth a point or more, and two standard errors."""
    if found.position_bias is None or found.position_error is None:
        return False
    return abs(found.position_bias) >= max(1.0, 2 * found.position_error)


def _is_clearly_above(high: ConfidenceInterval, low: ConfidenceInterval) -> bool:
    """Whether one share is above another by ten points, with intervals that do not touch."""
    if high.value is None or low.value is None or high.low is None or low.high is None:
        return False
    return high.value - low.value >= 0.1 and high.low > low.high
