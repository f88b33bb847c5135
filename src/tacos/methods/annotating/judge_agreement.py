"""How far a run's judge agrees with people, on the pairs that people have compared.

Its verdicts on these pairs are evaluated as `tacos calibrate` evaluates them, without asking it
again. Where rows have scores, their difference is one more answer: what all verdicts together, or
the grades, say of the pair.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import polars as pl

from tacos.methods.annotating.label_exports import (
    build_label_table,
    build_labelled_pairs,
)
from tacos.methods.annotating.labels import Standing
from tacos.methods.annotating.tasks import PAIR, Task
from tacos.methods.judging.calibration import (
    LEFT,
    RIGHT,
    Calibration,
    calibrate_judges,
)
from tacos.records import VERDICTS, add_missing_columns

SCORES = "the scores of the run"
"""The judge whose answer is the difference of two scores."""
PAIR_SCHEMA = {"left": pl.String, "right": pl.String, "task": pl.String}
NUMBERS = ("score", "value", "correctness")


def compare_judges_with_people(
    tasks: Sequence[Task],
    standing: Standing,
    verdicts: pl.DataFrame,
    scores: pl.DataFrame,
    pointwise: Collection[str] = (),
    keys: Sequence[str] = (),
) -> list[Calibration]:
    """A calibration per judge of the run, of all together if there are several, and of its scores;
    none where people have compared no pair, and none of a judge without a verdict on their pairs.

    `verdicts` (by `VERDICTS`) are the run's own. `scores` has id and score; scores are comparable
    where the columns `keys` are the same.
    """
    labels = build_label_table(build_labelled_pairs(tasks, standing))
    if labels.is_empty():
        return []
    pairs = _list_pairs(tasks, labels)
    placed = place_verdicts(pairs, verdicts)
    calibrations = []
    if placed.height:
        calibrations += calibrate_judges(labels, placed, pointwise)
    by_score = place_scores(pairs, scores, keys)
    if by_score.height:
        calibrations += calibrate_judges(labels, by_score, [SCORES])
    return calibrations


def place_verdicts(pairs: pl.DataFrame, verdicts: pl.DataFrame) -> pl.DataFrame:
    """The verdicts on these pairs (left, right, task), under the ids of their tasks' two sides.

    A verdict on a pair whose rows stand the other way round is turned.
    """
    complete = add_missing_columns(verdicts, VERDICTS)
    turned = pairs.select(
        left="right",
        right="left",
        task="task",
    )
    same_way = complete.join(pairs, on=["left", "right"], maintain_order="left")
    other_way = complete.join(turned, on=["left", "right"], maintain_order="left")
    # What was said of the right row belongs to the left one, and the order shown is the other.
    swapped = {}
    for number in NUMBERS:
        swapped[f"{number}_left"] = pl.col(f"{number}_right")
        swapped[f"{number}_right"] = pl.col(f"{number}_left")
    swapped["order"] = pl.col("order").replace({"ab": "ba", "ba": "ab"})
    both = pl.concat([same_way, other_way.with_columns(**swapped)])
    return both.with_columns(
        left=pl.col("task") + LEFT,
        right=pl.col("task") + RIGHT,
    ).select(VERDICTS.names())


def place_scores(
    pairs: pl.DataFrame,
    scores: pl.DataFrame,
    keys: Sequence[str],
) -> pl.DataFrame:
    """The scores of both rows of a pair, as verdicts in both orders."""
    known = scores.drop_nulls("score").select("id", "score", *keys)
    left = known.rename({"id": "left", "score": "score_left"})
    right = known.rename({"id": "right", "score": "score_right"})
    scored = (
        pairs.join(left, on="left", maintain_order="left")
        # In `paper` a row has a score in each of its clusters.
        .join(right, on=["right", *keys], maintain_order="left")
        .unique("task", keep="first", maintain_order=True)
    )
    orders = pl.DataFrame({"order": ["ab", "ba"]})
    verdicts = scored.join(orders, how="cross").with_columns(
        left=pl.col("task") + LEFT,
        right=pl.col("task") + RIGHT,
        judge=pl.lit(SCORES),
        repetition=pl.lit(0),
        reason=pl.lit(""),
        reply=pl.lit(""),
        pair=pl.lit(0),
        cluster=pl.lit(0),
    )
    return (
        add_missing_columns(verdicts, VERDICTS).select(VERDICTS.names()).cast(VERDICTS)
    )


def _list_pairs(tasks: Sequence[Task], labels: pl.DataFrame) -> pl.DataFrame:
    """left, right, task of the pairs with a label."""
    labelled = set(labels["id"])
    rows = []
    for task in tasks:
        if task.kind != PAIR or task.id not in labelled:
            continue
        assert task.left is not None
        assert task.right is not None
        rows.append((task.left.id, task.right.id, task.id))
    return pl.DataFrame(rows, PAIR_SCHEMA, orient="row")
