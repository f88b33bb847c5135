"""Links from a tag to a broader one: what is said of two tags that are not merged.

A link deletes nothing. The narrower tag keeps its name and its samples; its broader tags stand in
the column `parents` of the vocabulary, with the step and the reason that put them there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import polars as pl

from tacos.methods.tags.tag_trace import TagTrace
from tacos.records import VOCABULARY


class TagLink(NamedTuple):
    """A tag and a broader one, both by their current names."""

    child: str
    parent: str
    step: str
    reason: str


def drop_cycles(
    links: Iterable[TagLink],
    counts: Mapping[str, int],
) -> list[TagLink]:
    """The links without repetitions and without any that would close a circle.

    Where links contradict each other, those to more frequent tags stay (ties: the smaller strings).
    """

    def rank(link: TagLink) -> tuple[int, str, str]:
        return -counts.get(link.parent, 0), link.parent, link.child

    parents: dict[str, set[str]] = {}
    kept = []
    for link in sorted(links, key=rank):
        known = parents.setdefault(link.child, set())
        if link.parent in known or _is_above(link.child, link.parent, parents):
            continue
        known.add(link.parent)
        kept.append(link)
    return sorted(kept)


def _is_above(
    name: str,
    other: str,
    parents: Mapping[str, set[str]],
) -> bool:
    """Whether `name` is `other`, or a parent of it, directly or through others."""
    open_names = [other]
    seen: set[str] = set()
    while open_names:
        current = open_names.pop()
        if current == name:
            return True
        if current not in seen:
            seen.add(current)
            open_names += parents.get(current, ())
    return False


def follow_names(
    links: Iterable[TagLink],
    before: TagTrace,
    after: TagTrace,
) -> list[TagLink]:
    """Links between names of `before`, by the names that these have in `after`.

    Links of dropped names, and of two names that have become one, are left out.
    """
    new_names: dict[str, str | None] = {}
    for raw, name in before.name.items():
        if name is not None:
            new_names[name] = after.name.get(raw)
    followed = []
    for link in links:
        child = new_names.get(link.child)
        parent = new_names.get(link.parent)
        if child is not None and parent is not None and child != parent:
            followed.append(link._replace(child=child, parent=parent))
    return followed


def attach_parents(
    vocabulary: pl.DataFrame,
    links: Iterable[TagLink],
) -> pl.DataFrame:
    """The vocabulary with the parents of each canonical tag, by `VOCABULARY`."""
    columns = ["canonical", "tag", "step", "reason"]
    rows = [(link.child, link.parent, link.step, link.reason) for link in links]
    schema = dict.fromkeys(columns, pl.String)
    table = pl.DataFrame(rows, schema, orient="row")
    by_child = table.group_by("canonical", maintain_order=True)
    parents = by_child.agg(parents=pl.struct(columns[1:]))
    # A left join keeps the order of the vocabulary.
    joined = vocabulary.join(parents, on="canonical", how="left", maintain_order="left")
    filled = pl.col("parents").fill_null([]).cast(VOCABULARY["parents"])
    return joined.with_columns(filled).select(VOCABULARY.names())


def read_parents(vocabulary: pl.DataFrame) -> pl.DataFrame:
    """The vocabulary with the column `parents`, empty where a run from before has none."""
    if "parents" in vocabulary.columns:
        return vocabulary
    return attach_parents(vocabulary, ())
