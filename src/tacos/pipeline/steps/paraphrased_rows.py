"""Finds rows that say the same as an earlier row in other words, by the static encoder: the rule
"paraphrases" of `tacos clean`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.methods.cleaning.paraphrases import ParaphraseFinder, hash_details
from tacos.models import encoder
from tacos.records import Reject, build_reject_frame
from tacos.store.exact_duplicates import RowNumbers

RULE = "paraphrases"

ReadBatches = Callable[[], Iterator[pl.DataFrame]]


def find_paraphrases(read: ReadBatches) -> pl.DataFrame:
    """The paraphrases, as rejects that name the row they repeat.

    `read` reads the samples from the first on: `id`, `instruction` and `response`.
    """
    static = encoder.load("static")
    finder = ParaphraseFinder(static.dim)
    rows = RowNumbers()
    numbers: list[npt.NDArray[np.int64]] = [np.zeros(0, np.int64)]
    for batch in read():
        finder.add(
            static.encode(batch["instruction"].to_list()),
            static.encode(batch["response"].to_list()),
            hash_details(batch["instruction"], batch["response"]),
        )
        numbers.append(rows.number_all(batch["id"]))
    number_of = np.concatenate(numbers)
    rejects = []
    for found in finder.find():
        original = rows.name(int(number_of[found.original]))
        reason = f"{original} in other words (cosine {found.similarity:.2f})"
        id_ = rows.name(int(number_of[found.row]))
        rejects.append(Reject(id_, RULE, reason))
    return build_reject_frame(rejects)
