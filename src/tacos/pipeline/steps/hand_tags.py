"""Tags that a person has set (`canonicalise.tags`), in place of those that a row has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import polars as pl

from tacos.errors import InputError
from tacos.records import CANONICAL_TAGS, Table

TagsByContent = Mapping[str, Sequence[str]]
"""Content hash -> tags, as the settings have them."""


class HandTags(NamedTuple):
    """The tags set by hand, by id."""

    tags: dict[str, list[str]]
    untagged: dict[str, list[str]]
    """Sample -> those right after it that have tags by hand alone, since tagging lost them."""


NONE = HandTags({}, {})


def find_hand_tags(
    samples: Table,
    tagged: Table,
    by_content: TagsByContent,
) -> HandTags:
    """The tags set by hand of a run's samples; `tagged` has a row or more per tagged sample.

    Raises `InputError` if a row is not in the data.
    """
    if not by_content:
        return NONE
    tagged_ids = tagged.scan().select(pl.col("id").unique()).collect()["id"]
    is_tagged = pl.col("id").is_in(tagged_ids.implode())
    # The tagged sample before each one; before the first, the one after it.
    anchor = pl.when(is_tagged).then("id").forward_fill().backward_fill()
    placed = samples.scan().select("id", "content_hash", anchor=anchor)
    is_listed = pl.col("content_hash").is_in(list(by_content))
    listed = placed.filter(is_listed).collect()
    _refuse_unknown_rows(by_content, listed)

    hand = HandTags({}, {})
    for row_id, content_hash, anchor_id in listed.rows():
        hand.tags[row_id] = list(by_content[content_hash])
        if anchor_id is not None and anchor_id != row_id:
            hand.untagged.setdefault(anchor_id, []).append(row_id)
    return hand


def set_hand_tags(canonical: pl.DataFrame, hand: HandTags) -> pl.DataFrame:
    """Canonical tags (by `CANONICAL_TAGS`) with those set by hand in their place."""
    if not hand.tags:
        return canonical
    rows = list(_iterate_rows(canonical, hand))
    return pl.DataFrame(rows, CANONICAL_TAGS, orient="row")


def _iterate_rows(
    canonical: pl.DataFrame,
    hand: HandTags,
) -> Iterator[tuple[str, list[str]]]:
    """Id and tags of each sample, and of those that tagging lost."""
    for row_id, tags in canonical.select("id", "tags").iter_rows():
        yield row_id, hand.tags.get(row_id, tags)
        for lost_id in hand.untagged.get(row_id, ()):
            yield lost_id, hand.tags[lost_id]


def _refuse_unknown_rows(by_content: TagsByContent, listed: pl.DataFrame) -> None:
    """Raise `InputError` if tags are set for rows that are not in the data."""
    unknown = set(by_content).difference(listed["content_hash"])
    if unknown:
        raise InputError(
            f"tags are set by hand for {len(unknown)} rows that are not in the data, "
            f"e.g. {min(unknown)!r}: remove them from the edits"
        )
