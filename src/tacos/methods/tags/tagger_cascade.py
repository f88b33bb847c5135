"""Chooses which instructions a language model tags, and which a small model trained on its tags.

Both choices use a random number per instruction, the lot: a hash of seed and instruction. So they
do not depend on the order of the input, and equal instructions are treated alike.

The rows of which the small model is least sure go back to the language model. Its confidence in a
row is the mean probability of the tags it gives, and 0 if it gives none (the best of eight rules
tried, or within .001 of it: `docs/log.md`). It cannot be unsure of what it has never seen: a wrong
tag of high probability stays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import polars as pl

TURN = ["id", "turn"]
"""What identifies a question."""
LOT_BYTES = 8


def hash_instructions(
    instructions: Sequence[str],
    seed: int,
) -> pl.Series:
    """The lot of each instruction, uint64."""
    salt = f"{seed}\0".encode()
    lots = []
    for text in instructions:
        # "replace": a lone surrogate has no UTF-8 form, and its row still needs a lot.
        salted = salt + text.encode("utf-8", "replace")
        hasher = hashlib.blake2b(
            salted,
            digest_size=LOT_BYTES,
        )
        lot = int.from_bytes(hasher.digest())
        lots.append(lot)
    return pl.Series("lot", lots, dtype=pl.UInt64)


def draw_tagging_questions(
    questions: Iterable[pl.DataFrame],
    n: int,
    seed: int,
) -> pl.DataFrame:
    """The `n` questions (id, turn, instruction, ...) with the smallest lots, in that order.

    Holds no more than these and one batch in memory.
    """
    drawn: list[pl.DataFrame] = []
    for batch in questions:
        lots = hash_instructions(batch["instruction"].to_list(), seed)
        drawn.append(batch.with_columns(lots))
        candidates = pl.concat(drawn)
        # Equal instructions have equal lots: id and turn break the tie.
        ordered = candidates.sort("lot", *TURN)
        drawn = [ordered.head(n)]
    return pl.concat(drawn)


def mean_confidence() -> pl.Expr:
    """How sure a model is of a row: the mean of its `confidences`, 0 if it gives no tag."""
    mean = pl.col("confidences").list.mean()
    return mean.fill_null(0).cast(pl.Float32).alias("sureness")


def pick_least_confident(
    guesses: pl.LazyFrame,
    n: int,
) -> pl.DataFrame:
    """id and turn of the `n` guesses of which the model is least sure; ties: the smallest lots."""
    # Only what decides is read: the guesses may be far larger than memory.
    columns = guesses.select(*TURN, "sureness", "lot")
    ordered = columns.sort(
        "sureness",
        "lot",
        *TURN,
    )
    least = ordered.head(n)
    return least.select(TURN).collect()
