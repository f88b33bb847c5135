"""Shows where tags come from: which canonical tag a raw tag became and why, and the reverse."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from tacos.errors import InputError
from tacos.methods.tags import stem_keys, tag_links

N_SUGGESTIONS = 5
SIMILARITY = 0.5
"""How similar in spelling a suggestion must be (`difflib`, 0 to 1)."""


@dataclass(frozen=True, slots=True)
class TagLineage:
    """What a vocabulary says of a name; the tables are by `VOCABULARY`, most frequent first."""

    name: str
    as_raw: pl.DataFrame
    """The raw tag of that name and where it went: one row, or none."""
    as_canonical: pl.DataFrame
    """The raw tags that became that name; empty if it is not a canonical tag."""
    parents: pl.DataFrame
    """Broader canonical tags that it is not merged into: tag, step, reason."""
    children: pl.DataFrame
    """Narrower ones, in the same form."""


def list_canonical_tags(vocabulary: pl.DataFrame) -> pl.DataFrame:
    """Canonical tags, most frequent first: canonical, count, n_raw, raws.

    `count` is that of all raw tags of a canonical tag; `raws` lists them, most frequent first.
    """
    kept = _sort_by_count(vocabulary.drop_nulls("canonical"))
    # The groups keep the order of rows, so that `raws` is sorted.
    groups = kept.group_by(
        "canonical",
        maintain_order=True,
    )
    # Counts are UInt32, and their sum may be larger.
    count = pl.col("count").cast(pl.UInt64)
    tags = groups.agg(
        count.sum(),
        n_raw=pl.len(),
        raws=pl.col("raw"),
    )
    return tags.sort("count", "canonical", descending=[True, False])


def find_lineage(
    vocabulary: pl.DataFrame,
    name: str,
) -> TagLineage:
    """Lineage of a name: the tag spelt exactly so, else the most frequent with the same words.

    Raises `InputError` that suggests similar tags if there is none.
    """
    ordered = _sort_by_count(vocabulary)
    is_raw = name in vocabulary["raw"]
    if not is_raw and name not in vocabulary["canonical"]:
        name = _find_same_words(ordered, name)
    as_canonical = ordered.filter(pl.col("canonical") == name)
    links = _list_links(ordered)
    return TagLineage(
        name,
        as_raw=ordered.filter(pl.col("raw") == name),
        as_canonical=as_canonical,
        parents=links.filter(pl.col("child") == name).drop("child"),
        children=links.filter(pl.col("tag") == name).select(
            "step",
            "reason",
            tag="child",
        ),
    )


def _list_links(vocabulary: pl.DataFrame) -> pl.DataFrame:
    """child, and tag, step, reason of each of its parents."""
    with_parents = tag_links.read_parents(vocabulary)
    canonical = with_parents.unique("canonical", maintain_order=True)
    links = canonical.select("parents", child="canonical").explode("parents")
    return links.drop_nulls("parents").unnest("parents")


def _find_same_words(
    ordered: pl.DataFrame,
    name: str,
) -> str:
    """The most frequent raw tag with the words of `name`; `InputError` if there is none."""
    key = stem_keys.stem_tags([name])[0]
    raws: list[str] = ordered["raw"].to_list()
    raw_keys = stem_keys.stem_tags(raws)
    # A name without letters or digits has an empty key and matches nothing.
    if key and key in raw_keys:
        place = raw_keys.index(key)
        return raws[place]
    message = f"no tag is called {name!r}"
    suggestions = _suggest_tags(ordered, name)
    if suggestions:
        quoted = [repr(tag) for tag in suggestions]
        message += f"; similar tags: {', '.join(quoted)}"
    raise InputError(message)


def _suggest_tags(
    vocabulary: pl.DataFrame,
    name: str,
) -> list[str]:
    """Up to `N_SUGGESTIONS` tags that `name` may mean.

    First come tags with all its words, most frequent first, then similar spellings.

    >>> columns = {"raw": ["geometry", "Poetry Writing"], "count": [9, 2], "canonical": None}
    >>> _suggest_tags(pl.DataFrame(columns), "poetry")
    ['Poetry Writing', 'geometry']
    """
    tags = _list_all_tags(vocabulary)
    words = set(stem_keys.stem_tags([name])[0].split())
    suggestions = _find_tags_with_words(tags, words)
    suggestions += difflib.get_close_matches(
        name,
        sorted(tags),  # in an order that does not depend on counts
        n=N_SUGGESTIONS,
        cutoff=SIMILARITY,
    )
    # Each once, at its first place.
    distinct = list(dict.fromkeys(suggestions))
    return distinct[:N_SUGGESTIONS]


def _list_all_tags(vocabulary: pl.DataFrame) -> list[str]:
    """Raw and canonical tags, most frequent first."""
    # A raw tag that is its own canonical tag counts once.
    canonical = pl.col("canonical").fill_null(pl.col("raw"))
    names = pl.concat_list("raw", canonical).list.unique()
    rows = vocabulary.select("count", tag=names).explode("tag")
    totals = rows.group_by("tag").agg(pl.col("count").sum())
    ordered = totals.sort("count", "tag", descending=[True, False])
    return ordered["tag"].to_list()


def _find_tags_with_words(
    tags: Sequence[str],
    words: set[str],
) -> list[str]:
    """The tags with all of `words`, as stems, and perhaps more; none if there are no words."""
    if not words:
        return []
    found = []
    keys = stem_keys.stem_tags(tags)
    for tag, key in zip(tags, keys, strict=True):
        if words <= set(key.split()):
            found.append(tag)
    return found


def _sort_by_count(vocabulary: pl.DataFrame) -> pl.DataFrame:
    """The rows, most frequent raw tag first."""
    return vocabulary.sort("count", "raw", descending=[True, False])
