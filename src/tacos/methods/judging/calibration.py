"""Measure how far a judge agrees with people, on pairs that people have labelled.

The judge's answer to a pair is the sign of the mean score difference over both orders and all
repetitions, as in rating; 0 is a tie. A pair without both orders is missing, never a tie. Agreement
counts labels that name a winner; the judge's own ties there are misses in `agreement` and left out
of `agreement_decided`. Kappa (Cohen 1960) and AC1 (Gwet 2008) are over all three answers: a, b,
tie.

What it does not know: whether the people were right, or whether the pairs are like the data that
will be judged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.methods.judging.comparisons import NUMBERS
from tacos.methods.judging.judge_health import Measurement, diagnose_judge
from tacos.methods.judging.judge_reliability import estimate_from_agreement
from tacos.methods.judging.rating.presentation_orders import estimate_position_bias
from tacos.methods.measures.rater_agreement import (
    ConfidenceInterval,
    cohen_kappa,
    gwet_ac1,
    wilson_interval,
)
from tacos.records import VERDICTS, Reject, add_missing_columns

ANSWERS = ("a", "b", "tie")
LEFT = "/a"
RIGHT = "/b"
"""LEFT and RIGHT end the ids of a pair's two samples."""
SIDES = (("a", LEFT), ("b", RIGHT))
PANEL = "panel"
FEW = 100
"""With fewer labels that name a winner, agreement is uncertain by about 10 points or more."""
MANY_FLIPS = 0.1
"""GPT-4 changed its mind with the order in 8.9% of the TACOS authors' swapped pairs."""
MAX_RAW_CHARS = 500


@dataclass(frozen=True)
class Calibration:
    """What is known of one judge, or of a panel.

    Shares are in 0..1, each with the number of pairs that it rests on.
    """

    judge: str
    n_labels: int
    n_judged: int
    """Pairs with a score from both orders."""
    agreement: ConfidenceInterval
    agreement_decided: ConfidenceInterval
    agreement_steady: ConfidenceInterval
    """Of pairs with the same winner in both orders, at every repetition."""
    agreement_by_number: dict[str, ConfidenceInterval]
    """By the judge's value alone, and by its correctness alone: which `judge.target` fits the
    labels. Empty where it gives one score.
    """
    reliability: ConfidenceInterval
    """What the agreement says of `judge.reliability`: see
    `judge_reliability.estimate_from_agreement`. The judge's ties count half. It rests on pairs of
    two instructions, since two answers to one are no random rows; with fewer than `FEW` of them it
    has no value.
    """
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


# Reading labels


def parse_label_batch(batch: Any) -> tuple[list[dict[str, Any]], list[Reject]]:
    """Rows of `LABELS` and rejects of a batch of raw rows.

    `batch` is a `tacos.methods.samples.sample_parsing.NumberedRows`.
    """
    labels = []
    rejects = list(batch.rejects)
    for number, row in batch.rows:
        label = parse_label(row, f"{batch.file}:{number}")
        if isinstance(label, Reject):
            rejects.append(label)
        else:
            labels.append(label)
    return labels, rejects


def parse_label(
    row: dict[str, Any],
    id_: str,
) -> dict[str, Any] | Reject:
    """A row of `LABELS`, or a `Reject`.

    The row has `instruction`, or `instruction_a` and `instruction_b`; both responses; `preferred`.

    >>> row = {"instruction": "Hi", "response_a": "Yo", "response_b": "Hello."}
    >>> parse_label(row | {"preferred": "B"}, "x:0")["preferred"]
    'b'
    >>> parse_label(row | {"preferred": "?"}, "x:1").reason
    'preferred is not a, b or tie'
    """
    instruction = row.get("instruction")
    texts = {
        "instruction_a": row.get("instruction_a", instruction),
        "instruction_b": row.get("instruction_b", instruction),
        "response_a": row.get("response_a"),
        "response_b": row.get("response_b"),
    }
    for name, text in texts.items():
        if not isinstance(text, str):
            raw = str(row)[:MAX_RAW_CHARS]
            return Reject(id_, "label", f"no text in {name}", raw)
    answer = str(row.get("preferred"))
    preferred = answer.strip().lower()
    if preferred not in ANSWERS:
        raw = answer[:MAX_RAW_CHARS]
        return Reject(id_, "label", "preferred is not a, b or tie", raw)
    return {"id": id_, **texts, "preferred": preferred}


def build_label_pairs(
    labels: pl.DataFrame,
    first: int,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Labels as pairs and texts for `comparisons.list_comparison_questions`.

    Pairs are numbered from `first`.
    """
    numbered = labels.with_row_index("pair", first)
    pairs = numbered.select(
        "pair",
        cluster=pl.lit(0, pl.UInt32),
        left=pl.col("id") + LEFT,
        right=pl.col("id") + RIGHT,
        bridge=pl.lit(False),
        orders=pl.lit("both"),
    )
    texts = [
        labels.select(
            pl.col("id") + ending,
            instruction=f"instruction_{side}",
            response=f"response_{side}",
        )
        for side, ending in SIDES
    ]
    return pairs, pl.concat(texts)


# Calibrating


def calibrate_judges(
    labels: pl.DataFrame,
    verdicts: pl.DataFrame,
    pointwise: Iterable[str] = (),
    judges: Iterable[str] = (),
) -> list[Calibration]:
    """One calibration per judge, and one of the panel if there are several.

    `pointwise` names the judges that cannot see order. `judges` names those that were asked: they
    get a calibration even without a usable verdict.
    """
    names = sorted({*verdicts["judge"], *judges})
    pointwise_names = set(pointwise)
    calibrations = []
    for name in names:
        own_verdicts = verdicts.filter(judge=name)
        is_pointwise = name in pointwise_names
        calibrations.append(_calibrate_judge(name, labels, own_verdicts, is_pointwise))
    if len(names) > 1:
        all_pointwise = pointwise_names >= set(names)
        calibrations.append(_calibrate_judge(PANEL, labels, verdicts, all_pointwise))
    return calibrations


def _calibrate_judge(
    name: str,
    labels: pl.DataFrame,
    verdicts: pl.DataFrame,
    pointwise: bool,
) -> Calibration:
    """The calibration of one judge's verdicts."""
    lengths = _measure_side_lengths(labels)
    health = diagnose_judge(verdicts, lengths, pointwise)
    # A panel has no bias of its own: its members have one each.
    bias: dict[str, Any] = {}
    if not pointwise and verdicts["judge"].n_unique() == 1:
        bias = estimate_position_bias(verdicts).row(0, named=True)

    judged = _collect_answers(labels, verdicts).drop_nulls("answer")
    ratings = _encode_answers(judged)
    calibration = Calibration(
        judge=name,
        n_labels=labels.height,
        n_judged=judged.height,
        agreement_by_number=_measure_number_agreement(labels, verdicts),
        kappa=cohen_kappa(ratings, 3),
        ac1=gwet_ac1(ratings, 3),
        flip_rate=health.flip_rate,
        first_share=health.first_share,
        position_bias=bias.get("bias"),
        position_error=bias.get("error"),
        suggestions=(),
        **_measure_label_agreement(judged),
        **_measure_ties(judged),
        **_measure_length_choices(judged),
    )
    suggestions = _suggest_changes(calibration, health.collapsed)
    return replace(calibration, suggestions=tuple(suggestions))


def _collect_answers(
    labels: pl.DataFrame,
    verdicts: pl.DataFrame,
) -> pl.DataFrame:
    """`id`, `preferred`, `answer`, `steady`, `longer`, `is_one_instruction`, a row per label.

    `answer` is the judge's (null: missing), `steady` whether it is the same throughout, `longer`
    the side of the longer response (null: equal).
    """
    by_pair = _average_differences(verdicts)
    length_a = pl.col("response_a").str.len_chars().cast(pl.Int64)
    length_b = pl.col("response_b").str.len_chars()
    keyed = labels.with_columns(
        left=pl.col("id") + LEFT,
        longer=_name_side(length_a - length_b, otherwise=None),
        is_one_instruction=pl.col("instruction_a") == pl.col("instruction_b"),
    )
    joined = keyed.join(
        by_pair,
        on="left",
        how="left",
        maintain_order="left",
    )
    difference = pl.col("difference")
    tie = pl.when(difference.is_not_null()).then(pl.lit("tie"))
    return joined.select(
        "id",
        "preferred",
        _name_side(difference, otherwise=tie).alias("answer"),
        "steady",
        "longer",
        "is_one_instruction",
    )


def _average_differences(verdicts: pl.DataFrame) -> pl.DataFrame:
    """`left`, `difference` (points, left minus right) and `steady`, a row per pair.

    Only sittings (judge and repetition) with both orders count.
    """
    sitting = ["left", "judge", "repetition"]
    has_both_orders = pl.col("order").n_unique().over(sitting) == 2
    complete = verdicts.filter(has_both_orders)
    measured = complete.with_columns(
        difference=pl.col("score_left") - pl.col("score_right")
    )

    # The mean of means: each judge counts alike, however many of its verdicts are missing.
    difference = pl.col("difference")
    by_judge = measured.group_by("left", "judge").agg(
        difference.mean(),
        difference.sign().n_unique().alias("n_signs"),
        difference.abs().min().alias("least"),
    )
    never_changes = (pl.col("n_signs") == 1) & (pl.col("least") > 0)
    judges_agree = difference.sign().n_unique() == 1
    return by_judge.group_by("left").agg(
        difference.mean().round(9),
        never_changes.all().alias("steady") & judges_agree,
    )


def _name_side(
    difference: pl.Expr,
    otherwise: pl.Expr | None,
) -> pl.Expr:
    """ "a" where the difference is positive, "b" where it is negative."""
    is_a = pl.when(difference > 0).then(pl.lit("a"))
    return is_a.when(difference < 0).then(pl.lit("b")).otherwise(otherwise)


def _encode_answers(judged: pl.DataFrame) -> npt.NDArray[np.int64]:
    """People's and the judge's answers as numbers, shape (pairs, 2)."""
    columns = []
    for name in ("preferred", "answer"):
        codes = judged[name].cast(pl.Enum(ANSWERS)).to_physical()
        columns.append(codes.to_numpy())
    return np.stack(columns, axis=1).astype(np.int64)


def _measure_side_lengths(labels: pl.DataFrame) -> pl.DataFrame:
    """`id`, `length` of both sides of every pair."""
    return pl.concat(
        labels.select(
            pl.col("id") + ending,
            length=pl.col(f"response_{side}").str.len_chars(),
        )
        for side, ending in SIDES
    )


# Figures


def _estimate_share(hits: pl.Series) -> ConfidenceInterval:
    """The share of true values, with Wilson's interval."""
    return wilson_interval(int(hits.sum()), len(hits))


def _measure_label_agreement(judged: pl.DataFrame) -> dict[str, ConfidenceInterval]:
    """Agreement where people named a winner: over all, those decided, and those steady."""
    labelled = judged.filter(pl.col("preferred") != "tie")
    decided = labelled.filter(pl.col("answer") != "tie")
    steady = decided.filter("steady")
    return {
        "agreement": _estimate_agreement(labelled),
        "agreement_decided": _estimate_agreement(decided),
        "agreement_steady": _estimate_agreement(steady),
        "reliability": _estimate_reliability(labelled),
    }


def _measure_number_agreement(
    labels: pl.DataFrame,
    verdicts: pl.DataFrame,
) -> dict[str, ConfidenceInterval]:
    """Agreement where people named a winner, if the judge had gone by one number alone."""
    complete = add_missing_columns(verdicts, VERDICTS)
    agreements = {}
    for number in NUMBERS:
        scored = complete.with_columns(
            score_left=f"{number}_left",
            score_right=f"{number}_right",
        ).drop_nulls(["score_left", "score_right"])
        if scored.is_empty():
            continue
        judged = _collect_answers(labels, scored).drop_nulls("answer")
        labelled = judged.filter(pl.col("preferred") != "tie")
        agreements[number] = _estimate_agreement(labelled)
    return agreements


def _estimate_reliability(labelled: pl.DataFrame) -> ConfidenceInterval:
    """The reliability that agreement stands for, with the interval of the agreement."""
    # Two answers to one instruction differ in other ways than two rows of the data.
    labelled = labelled.filter(~pl.col("is_one_instruction"))
    agreement = _estimate_agreement(labelled)
    if agreement.n < FEW:
        return ConfidenceInterval(None, None, None, agreement.n)
    n_ties = int((labelled["answer"] == "tie").sum())
    half_of_ties = n_ties / labelled.height / 2
    bounds = []
    for share in agreement[:3]:
        assert share is not None
        with_ties = min(share + half_of_ties, 1.0)
        bounds.append(estimate_from_agreement(with_ties))
    value, low, high = bounds
    return ConfidenceInterval(value, low, high, agreement.n)


def _estimate_agreement(pairs: pl.DataFrame) -> ConfidenceInterval:
    """The share of pairs in which the judge answers as people do."""
    agrees = pairs["preferred"] == pairs["answer"]
    return _estimate_share(agrees)


def _measure_ties(judged: pl.DataFrame) -> dict[str, ConfidenceInterval]:
    """The shares of ties, the judge's and the people's, over the same pairs."""
    return {
        "tie_rate": _estimate_share(judged["answer"] == "tie"),
        "label_tie_rate": _estimate_share(judged["preferred"] == "tie"),
    }


def _measure_length_choices(judged: pl.DataFrame) -> dict[str, ConfidenceInterval]:
    """How often judge and people chose the longer response, over pairs in which both chose."""
    both = judged.filter(
        pl.col("preferred") != "tie",
        pl.col("answer") != "tie",
        pl.col("longer").is_not_null(),
    )
    return {
        "longer_judge": _estimate_share(both["answer"] == both["longer"]),
        "longer_people": _estimate_share(both["preferred"] == both["longer"]),
    }


# Suggestions


def _suggest_changes(
    figures: Calibration,
    collapsed: bool,
) -> list[str]:
    """What to change, by fixed rules.

    An empty list says that no rule applies, not that the judge is good.
    """
    n_judged = figures.n_judged
    n_won = figures.agreement.n
    rules = (
        (
            n_judged == 0,
            f"nothing can be said about {figures.judge}: none of its answers is usable",
        ),
        (
            n_judged > 0 and n_won == 0,
            "agreement cannot be measured: you named no winner in any pair that it judged",
        ),
        (
            0 < n_won < FEW,
            "label more pairs: with fewer than 100 that have a winner, agreement is uncertain by "
            "10 points or more",
        ),
        (
            n_won > 0 and not _is_above_chance(figures.agreement_decided),
            "do not rely on this judge: its agreement with you is not shown to be better than "
            "chance",
        ),
        (
            collapsed,
            "it gives nearly everything the same score: ask for the whole scale in your criteria, "
            "or use another model",
        ),
        (
            _exceeds_limit(figures.flip_rate.value, MANY_FLIPS),
            "keep both orders, and add judge.repetitions or a second judge (judge.models): it "
            "often changes its mind with the order",
        ),
        (
            _has_position_bias(figures),
            "never ask one order only: being shown first is by itself worth points to this judge",
        ),
        (
            _is_clearly_above(figures.longer_judge, figures.longer_people),
            "it prefers the longer response more often than you do: say in your criteria that "
            "length is no merit, or match lengths when you select",
        ),
        (
            _is_clearly_above(figures.longer_people, figures.longer_judge),
            "it prefers the shorter response more often than you do: say in your criteria what a "
            "full answer is",
        ),
        (
            _is_clearly_above(figures.tie_rate, figures.label_tie_rate),
            "it calls more ties than you do: say in your criteria what should decide between good "
            "responses",
        ),
        (
            0 < n_judged < 0.98 * figures.n_labels,
            "some pairs have no verdict in both orders: look at the model's replies before you "
            "trust the rest",
        ),
    )
    return [text for applies, text in rules if applies]


def _is_above_chance(share: ConfidenceInterval) -> bool:
    """Whether the whole interval lies above one half."""
    return share.low is not None and share.low > 0.5


def _exceeds_limit(
    value: float | None,
    limit: float,
) -> bool:
    """Whether a figure is known and above a limit."""
    return value is not None and value > limit


def _has_position_bias(figures: Calibration) -> bool:
    """Whether the first place is worth a point or more, and two standard errors."""
    bias = figures.position_bias
    error = figures.position_error
    if bias is None or error is None:
        return False
    return abs(bias) >= max(1.0, 2 * error)


def _is_clearly_above(
    high: ConfidenceInterval,
    low: ConfidenceInterval,
) -> bool:
    """Whether one share is above another by ten points, with intervals that do not touch."""
    if high.value is None or low.value is None:
        return False
    if high.low is None or low.high is None:
        return False
    return high.value - low.value >= 0.1 and high.low > low.high
