"""Finds rows whose instruction has a better answer in another row, as the embedded judge's fast
tier scores them: the rule "same-instruction" of `tacos clean`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.config import DEFAULT_TARGET
from tacos.methods.cleaning.normalised_texts import hash_normalised
from tacos.methods.judging.comparisons import combine_scores
from tacos.models import judge
from tacos.records import Reject, build_reject_frame
from tacos.store.exact_duplicates import RowNumbers

RULE = "same-instruction"

ReadBatches = Callable[[], Iterator[pl.DataFrame]]
Keys = npt.NDArray[np.uint64]


def find_worse_answers(read: ReadBatches) -> pl.DataFrame:
    """All answers to an instruction but the best, as rejects that name the best.

    Each call of `read` reads the samples from the first on: `id`, `instruction` and `response`.
    Instructions are the same if they differ in case, punctuation and white space only. Of answers
    with equal scores the first is the best. Memory: 8 bytes per sample, and 24 per answer to an
    instruction that has several.
    """
    keys = [_hash_instructions(batch) for batch in read()]
    if not keys:
        return build_reject_frame()
    distinct, counts = np.unique(np.concatenate(keys), return_counts=True)
    repeated = distinct[counts > 1]
    rows = RowNumbers()
    answers = [_score_answers(batch, repeated, rows) for batch in read()]
    return _list_worse(pl.concat(answers), rows)


def _hash_instructions(samples: pl.DataFrame) -> Keys:
    """64 bits of the hash of each instruction, normalised."""
    digests = [hash_normalised(text, "")[:16] for text in samples["instruction"]]
    return np.array([int(digest, 16) for digest in digests], dtype=np.uint64)


def _score_answers(
    samples: pl.DataFrame,
    repeated: Keys,
    rows: RowNumbers,
) -> pl.DataFrame:
    """The answers to repeated instructions: `key`, `row` (a number of `rows`) and `score`."""
    keys = _hash_instructions(samples)
    is_repeated = np.isin(keys, repeated)
    answers = samples.filter(pl.Series(is_repeated))
    numbers = rows.number_all(answers["id"])
    values: npt.NDArray[np.float64] = np.zeros(len(numbers))
    correctness = values
    if len(numbers):
        values, correctness = judge.load().score(
            answers["instruction"].to_list(),
            answers["response"].to_list(),
        )
    scored = pl.DataFrame(
        {
            "key": keys[is_repeated],
            "row": numbers,
            "value": values,
            "correctness": correctness,
        }
    )
    return scored.select(
        "key",
        "row",
        score=combine_scores(
            pl.col("value"),
            pl.col("correctness"),
            DEFAULT_TARGET,
        ),
    )


def _list_worse(answers: pl.DataFrame, rows: RowNumbers) -> pl.DataFrame:
    """The answers but the best to each instruction, in the order of the input."""
    best = answers.sort("score", descending=True, maintain_order=True).unique(
        "key",
        keep="first",
        maintain_order=True,
    )
    pairs = answers.join(best, on="key", suffix="_best", maintain_order="left")
    rejects = []
    for _, row, score, row_best, score_best in pairs.iter_rows():
        if row == row_best:
            continue
        reason = (
            f"a better answer to the same instruction: {rows.name(row_best)} "
            f"({score_best:.1f} against {score:.1f})"
        )
        rejects.append(Reject(rows.name(row), RULE, reason))
    return build_reject_frame(rejects)
