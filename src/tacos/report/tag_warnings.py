"""What a user must know about the tags: too many rows have none, or are not in English, which is
all that the embedded tagger reads.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from tacos.methods.samples.languages import reads_as_english
from tacos.store.artifacts import Artifact

Artifacts = Mapping[str, Artifact]

EMBEDDED = "tacos-tagger"
"""How the names of the shipped taggers begin."""
MANY_UNTAGGED = 0.1
"""The share of rows without a tag from which on a user is told."""
MOSTLY = 0.5
"""The share of rows in other languages from which on a user is told."""
N_READ = 1_000
"""Rows that the language is judged by."""
N_CHARS = 500
"""Characters of each that are read."""


def warn_about_tags(artifacts: Artifacts, n_untagged: int) -> list[str]:
    """One sentence if more than a tenth of the rows have no tag, or if most are not in English and
    the embedded tagger, which reads nothing else, tagged them.
    """
    if "tags" not in artifacts or "canonical_tags" not in artifacts:
        return []
    n_rows = artifacts["samples"].manifest["n_rows"]
    if not n_rows:
        return []
    is_embedded = str(artifacts["tags"].model).startswith(EMBEDDED)
    if is_embedded and _measure_other_languages(artifacts["samples"]) > MOSTLY:
        return [
            f"most instructions are not in English, which is all that the embedded tagger reads "
            f"({n_untagged:,} of {n_rows:,} rows have no tag): name a language model (--model)"
        ]
    # One warning is enough: the language explains the rows without a tag.
    share = n_untagged / n_rows
    if share <= MANY_UNTAGGED:
        return []
    remedy = (
        "tag with a language model (--model)" if is_embedded else "look at the tags"
    )
    return [
        f"{n_untagged:,} of {n_rows:,} rows ({share:.0%}) have no tag, so that they count for "
        f"nothing in the coverage of tags: {remedy}, or keep rarer tags (normalise.alpha)"
    ]


def _measure_other_languages(samples: Artifact) -> float:
    """The share of instructions that are not in English."""
    texts = samples.scan().select(pl.col("instruction").str.slice(0, N_CHARS))
    is_english = [
        reads_as_english(text) for text in texts.head(N_READ).collect().to_series()
    ]
    return 1 - sum(is_english) / max(len(is_english), 1)
