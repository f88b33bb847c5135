"""Lineage of tags, both ways: from a raw tag to its canonical tag with reasons, and from that to
its raw tags.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import polars as pl

from tacos.errors import InputError
from tacos.methods.tags import stem_keys

N_NEAR = 5


@dataclass(frozen=True, slots=True)
class TagLineage:
    """What a vocabulary says of a name; the tables are by `VOCABULARY`, most frequent first."""

    name: str
    as_raw: pl.DataFrame
    """The raw tag of that name and where it went; one row, or none."""
    as_canonical: pl.DataFrame
    """The raw tags that came to that name; empty where it is no canonical tag."""


def list_canonical_tags(vocabulary: pl.DataFrame) -> pl.DataFrame:
    """Canonical tags, most frequent first: canonical, count (of all its raw tags), n_raw, raws
    (likewise).
    """
    kept = vocabulary.drop_nulls("canonical").sort("count", "raw", descending=[True, False])
    groups = kept.group_by("canonical", maintain_order=True).agg(
        pl.col("count").cast(pl.UInt64).sum(), pl.len().alias("n_raw"), pl.col("raw").alias("raws")
    )
    return groups.sort("count", "canonical", descending=[True, False])


def count_moves_by_step(vocabulary: pl.DataFrame) -> pl.DataFrame:
    """How many raw tags each step moved or dropped last: step, dropped, n_raw, n_occurrences."""
    moved = vocabulary.filter(pl.col("step") != "").with_columns(
        pl.col("canonical").is_null().alias("dropped")
    )
    counted = moved.group_by("step", "dropped").agg(
        pl.len().alias("n_raw"), pl.col("count").cast(pl.UInt64).sum().alias("n_occurrences")
    )
    return counted.sort("n_raw", "step", "dropped", descending=[True, False, False])


def find_lineage(vocabulary: pl.DataFrame, name: str) -> TagLineage:
    """Lineage of a name: spelt so, else the most frequent tag with the same words.

    Raises `InputError` that names the nearest tags where there is none.
    """
    known = vocabulary["raw"].to_list() + vocabulary["canonical"].drop_nulls().unique().to_list()
    spelt = name if name in set(known) else _find_same_words(vocabulary, name)
    if spelt is None:
        near = _suggest_tags(vocabulary, name)
        hint = f"; near it are {', '.join(map(repr, near))}" if near else ""
        raise InputError(f"no tag is called {name!r}{hint}")
    ordered = vocabulary.sort("count", "raw", descending=[True, False])
    return TagLineage(
        spelt, ordered.filter(pl.col("raw") == spelt), ordered.filter(pl.col("canonical") == spelt)
    )


def _suggest_tags(vocabulary: pl.DataFrame, name: str) -> list[str]:
    """Up to `N_NEAR` tags that `name` may mean: those with all its words, most frequent first, then
    those spelt alike.

    >>> _suggest_tags(pl.DataFrame({"raw": ["geometry", "Poetry Writing"], "count": [9, 2], "canonical": None}), "poetry")
    ['Poetry Writing', 'geometry']
    """
    names = pl.concat_list("raw", pl.col("canonical").fill_null(pl.col("raw"))).list.unique()
    counts = (
        vocabulary.select("count", tag=names)
        .explode("tag")
        .group_by("tag")
        .agg(pl.col("count").sum())
    )
    tags = counts.sort("count", "tag", descending=[True, False])["tag"].to_list()
    words = set(stem_keys.stem_tags([name])[0].split())
    with_words = [
        tag
        for tag, key in zip(tags, stem_keys.stem_tags(tags), strict=True)
        if words and words <= set(key.split())
    ]
    alike = difflib.get_close_matches(name, sorted(tags), n=N_NEAR, cutoff=0.5)
    return list(dict.fromkeys([*with_words, *alike]))[:N_NEAR]


def _find_same_words(vocabulary: pl.DataFrame, name: str) -> str | None:
    """The most frequent raw tag with the words of `name`, or None."""
    key = stem_keys.stem_tags([name])[0]
    ordered = vocabulary.sort("count", "raw", descending=[True, False])["raw"].to_list()
    found = (
        raw
        for raw, other in zip(ordered, stem_keys.stem_tags(ordered), strict=True)
        if key and other == key
    )
    return next(found, None)
