"""A cascade of taggers: which instructions a language model tags, and which a small model that
learned from these.

Both choices rest on a number by chance, the lot: a hash of the seed and the instruction, so that
they are the same whatever the order of the input, and equal instructions go the same way. What the
small model is least sure of goes back to the language model. It is as sure of a row as the mean
probability of the tags that it gives there, and not at all where it gives none (of eight rules
tried the best, or within .001 of it: `docs/log.md`). It cannot be unsure of what it never saw: a
wrong tag of high probability stays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import polars as pl

TURN = ["id", "turn"]


def hash_instructions(instructions: Sequence[str], seed: int) -> pl.Series:
    """The lot of each instruction, uint64."""
    salt = f"{seed}\0".encode()
    hashes = (
        hashlib.blake2b(salt + text.encode("utf-8", "replace"), digest_size=8)
        for text in instructions
    )
    return pl.Series("lot", [int.from_bytes(each.digest()) for each in hashes], dtype=pl.UInt64)


def draw_tagging_questions(questions: Iterable[pl.DataFrame], n: int, seed: int) -> pl.DataFrame:
    """The `n` questions (id, turn, instruction, ...) with the smallest lots, in that order; holds
    no others.
    """
    kept: list[pl.DataFrame] = []
    for batch in questions:
        marked = batch.with_columns(hash_instructions(batch["instruction"].to_list(), seed))
        kept = [pl.concat([*kept, marked]).sort("lot", *TURN).head(n)]
    return pl.concat(kept)


def mean_confidence() -> pl.Expr:
    """How sure a model is of a row: the mean of its `confidences`, 0 where it gives no tag."""
    return pl.col("confidences").list.mean().fill_null(0).cast(pl.Float32).alias("sureness")


def pick_least_confident(guesses: pl.LazyFrame, n: int) -> pl.DataFrame:
    """id and turn of the `n` guesses that the model is least sure of; among equals the smallest
    lots.
    """
    narrow = guesses.select(*TURN, "sureness", "lot").sort("sureness", "lot", *TURN)
    return narrow.head(n).select(TURN).collect()
