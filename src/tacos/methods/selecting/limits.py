"""Limits of a selection: how many rows a source, a tag or a band of lengths may have, and what to
say where they bind.

A quota is met exactly or not exceeded (`tacos.amounts.QuotaAmount`). Each becomes a `GroupBound`: a group for
every row, and room for so many rows of a group. Exact quotas give all groups together room for n
rows, so a selection of n rows that keeps to them fills every one. A row has one source, so the
exact quotas of sources are one bound; a row may have several tags, so each tag is a bound of its
own, of rows with it and rows without. Several exact quotas of tags that often stand together may
leave no way to n rows; then the selection fails and says which groups were not filled.

Length matching gives each tenth of the pool by length its tenth of the selection (`walking.bands`).
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.amounts import QuotaAmount
from tacos.errors import InputError
from tacos.methods.selecting.preference_walk import GroupRoom, build_length_bands
from tacos.methods.selecting.quotas import round_shares

Ints = npt.NDArray[np.int64]
N_NAMED = 8


@dataclass(frozen=True)
class Limits:
    """What a selection must keep to; false where nothing is asked for.

    `cosine` below 1 turns away rows whose cosine to a row taken is larger (near duplicates).
    """

    per_source: Mapping[str, QuotaAmount] = field(default_factory=dict)
    per_tag: Mapping[str, QuotaAmount] = field(default_factory=dict)
    match_length: bool = False
    cosine: float = 1.0

    def __bool__(self) -> bool:
        return bool(self.per_source or self.per_tag or self.match_length or self.cosine < 1)


@dataclass(frozen=True)
class GroupBound:
    """Room for rows of groups: `groups` has the group of each row, `names` says what a group with
    room is.

    `exact`: a selection of n rows fills all the room there is. `first` is a group that is served
    before all others, since the rows that could fill it may be few.
    """

    groups: Ints
    room: Mapping[int, int]
    names: Mapping[int, str]
    exact: bool
    first: int | None = None


def build_bounds(table: pl.DataFrame, n: int, limits: Limits) -> list[GroupBound]:
    """The bounds of n rows of a pool (id, source, tags, length, in the order of the row numbers).

    Raises `InputError` for a source or a tag that the pool does not have, and for quotas that
    cannot make n rows.
    """
    found: list[GroupBound] = []
    _check_nonzero_shares(limits, n)
    if limits.per_source:
        found += bound_sources(table["source"], n, limits.per_source)
    if limits.per_tag:
        found += _bound_tags(table["tags"], n, limits.per_tag)
    if limits.match_length and table.height:
        found.append(_bound_lengths(table["length"], n))
    return found


def _check_nonzero_shares(limits: Limits, n: int) -> None:
    """Raise `InputError` for a share that a person wants rows of and that comes to none of n."""
    for name, part in [*limits.per_source.items(), *limits.per_tag.items()]:
        if part.value > 0 and not part.at_most and part.rows(n) == 0:
            raise InputError(
                f"the quota {part} of {name!r} comes to no row of {n:,}; give it in rows"
            )


def build_rooms(found: Iterable[GroupBound]) -> list[GroupRoom]:
    """Bounds as limits of a walk, with nothing taken yet."""
    return [GroupRoom(bound.groups, bound.room) for bound in found]


def move_first_served(order: Ints, found: Iterable[GroupBound]) -> Ints:
    """An order of preference with the rows in front that groups served first ask for; otherwise as
    it was.
    """
    ahead = np.zeros(len(order), bool)
    for bound in found:
        if bound.first is not None:
            ahead |= bound.groups[order] == bound.first
    return np.concatenate([order[ahead], order[~ahead]])


def bound_sources(sources: pl.Series, n: int, parts: Mapping[str, QuotaAmount]) -> list[GroupBound]:
    """At most two bounds: one of the exact quotas and all other rows together, one of the limits."""
    named = resolve_sources(parts, sources.unique().sort().to_list())
    number = {name: place for place, name in enumerate(named)}
    groups = sources.replace_strict(number, default=len(number), return_dtype=pl.Int64).to_numpy()
    exact = _count_exact_rows(
        {number[name]: part for name, part in named.items() if not part.at_most}, n
    )
    most = {number[name]: part.rows(n) for name, part in named.items() if part.at_most}
    titles = {place: f"the quota of the source {name}" for name, place in number.items()}
    found = (
        [GroupBound(groups, most, {place: titles[place] for place in most}, False)] if most else []
    )
    if exact:
        others, left = len(number), n - sum(exact.values())
        merged = np.where(np.isin(groups, list(exact)), groups, others)
        _check_source_total(left, n, bool((merged == others).any()))
        names = {place: titles[place] for place in exact} | {
            others: "the room that the quotas leave to other sources"
        }
        found.append(GroupBound(merged, exact | {others: left}, names, True))
    return found


def _check_source_total(left: int, n: int, others: bool) -> None:
    """Raise `InputError` where the quotas of sources are more than n rows, or less with no other
    source there.
    """
    if left < 0:
        raise InputError(
            f"the quotas of the sources come to {n - left:,} rows, more than the {n:,} asked for"
        )
    if left > 0 and not others:
        raise InputError(
            f"the quotas of the sources come to {n - left:,} of {n:,} rows, and the data has no other source"
        )


def _count_exact_rows(parts: Mapping[int, QuotaAmount], n: int) -> dict[int, int]:
    """Rows of each exact quota; shares are rounded so that together they are what they come to."""
    shares = {place: part.value * n for place, part in parts.items() if part.unit == "share"}
    rounded = round_shares(shares, int(sum(shares.values()) + 0.5))
    return {
        place: rounded[place] if place in rounded else part.rows(n) for place, part in parts.items()
    }


def _bound_tags(tags: pl.Series, n: int, parts: Mapping[str, QuotaAmount]) -> list[GroupBound]:
    """A bound per tag: group 1 is the rows that carry it, group 0 the others."""
    check_tags_exist(parts, tags.explode().drop_nulls().unique().to_list())
    found = []
    for name, part in parts.items():
        groups = tags.list.contains(name).fill_null(False).cast(pl.Int64).to_numpy()
        room = min(part.rows(n), n)
        title = f"the quota of the tag {name!r}"
        if part.at_most:
            found.append(GroupBound(groups, {1: room}, {1: title}, False))
        else:
            names = {1: title, 0: f"the room for rows without the tag {name!r}"}
            found.append(GroupBound(groups, {1: room, 0: n - room}, names, True, first=1))
    return found


def _bound_lengths(lengths: pl.Series, n: int) -> GroupBound:
    """Tenths of the pool by length; their room is rounded up."""
    values = lengths.to_numpy()
    room = build_length_bands(values, n, np.arange(len(values)))
    groups = np.asarray(room.groups, np.int64)
    names = {band: _describe_band(values[groups == band]) for band in np.unique(groups).tolist()}
    return GroupBound(groups, room.room, names, True)


def _describe_band(lengths: npt.NDArray[np.generic]) -> str:
    """What a band of lengths is called."""
    return f"the band of responses of {int(lengths.min()):,} to {int(lengths.max()):,} characters"


def resolve_sources(
    parts: Mapping[str, QuotaAmount], known: Sequence[str]
) -> dict[str, QuotaAmount]:
    """Parts by the source's whole name; a name may be given without folder or without what follows
    its first dot.
    """
    found: dict[str, QuotaAmount] = {}
    for name, part in parts.items():
        meant = [each for each in known if each == name] or [
            each for each in known if name in _list_short_names(each)
        ]
        if len(meant) != 1:
            what = "there is no source" if not meant else "more than one source is called"
            raise InputError(f"{what} {name!r} in the data; there are {_join_first_names(known)}")
        if meant[0] in found:
            raise InputError(f"the source {meant[0]} has two quotas")
        found[meant[0]] = part
    return found


def _list_short_names(source: str) -> set[str]:
    """What else a source may be called.

    >>> sorted(_list_short_names("a/dolly.json.gz"))
    ['a/dolly', 'dolly', 'dolly.json.gz']
    """
    base = source.rpartition("/")[2]
    return {base, base.partition(".")[0], source.removesuffix(base) + base.partition(".")[0]}


def check_tags_exist(parts: Collection[str], known: Collection[str]) -> None:
    """Raise `InputError` for a tag that no row carries, naming the nearest ones."""
    for name in parts:
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.4)
            hint = f"; near it: {', '.join(near)}" if near else ""
            raise InputError(f"no row carries the tag {name!r} after normalisation{hint}")


def _join_first_names(names: Sequence[str]) -> str:
    """The first few names."""
    return ", ".join(names[:N_NAMED]) + (
        f" and {len(names) - N_NAMED} more" if len(names) > N_NAMED else ""
    )


def check_must_keep(found: Iterable[GroupBound], kept: Ints) -> None:
    """Raise `InputError` where the must-keep rows alone are more than a group has room for."""
    for bound in found:
        for group, n_kept in _count_by_group(bound, kept).items():
            if n_kept > bound.room.get(group, n_kept):
                room = f"{bound.names[group]} ({n_kept:,}, room for {bound.room[group]:,})"
                raise InputError(f"the must-keep list alone has more rows than {room}")


def describe_shortfall(found: Iterable[GroupBound], taken: Ints) -> str:
    """Which groups of exact bounds the rows taken do not fill, for a message; "" where there is
    none.
    """
    lacking = []
    for bound in found:
        counts = _count_by_group(bound, taken)
        lacking += [
            f"{bound.names[group]} ({counts.get(group, 0):,} of {room:,})"
            for group, room in bound.room.items()
            if bound.exact and counts.get(group, 0) < room
        ]
    return _join_first_names(lacking)


def explain_full_limits(found: Iterable[GroupBound], taken: Ints, row: int) -> list[str]:
    """Which limits have no room left for a row beside the rows taken."""
    reasons = []
    for bound in found:
        group = int(bound.groups[row])
        n_taken = _count_by_group(bound, taken).get(group, 0)
        named = bound.first is None or group == bound.first  # that a row lacks a tag is no reason
        if named and group in bound.room and n_taken >= bound.room[group]:
            reasons.append(
                f"{bound.names[group]} was full ({n_taken:,} of {bound.room[group]:,} rows)"
            )
    return reasons


def _count_by_group(bound: GroupBound, taken: Ints) -> dict[int, int]:
    """Rows taken of each group."""
    groups, counts = np.unique(bound.groups[taken], return_counts=True)
    return dict(zip(groups.tolist(), counts.tolist(), strict=True))
