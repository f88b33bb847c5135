"""Turn quotas and length matching into bounds on groups of rows, and explain where they bind.

A quota is met exactly or not exceeded (`tacos.amounts.QuotaAmount`). Each becomes a `GroupBound`: a
group for every row, and room for so many rows of a group. Exact quotas give all groups together
room for n rows, so a selection of n rows within them fills every group. A row has one source, so
the exact quotas of sources are one bound. It may have several tags, so each tag is a bound of its
own: rows with it and rows without. If the tags of several exact quotas often occur together, there
may be no selection of n rows; then selecting fails and names the groups that were not filled.

Length matching gives each tenth of the pool by length its tenth of the selection
(`preference_walk.build_length_bands`).
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.amounts import QuotaAmount
from tacos.counts import count_words
from tacos.errors import ConfigError, InputError
from tacos.methods.selecting.preference_walk import GroupRoom, build_length_bands
from tacos.methods.selecting.quotas import round_shares
from tacos.methods.tags import stem_keys

Ints = npt.NDArray[np.int64]
N_NAMED = 8
"""How many names a message lists."""


@dataclass(frozen=True)
class Limits:
    """The limits of a selection; false if there are none.

    `cosine` below 1 skips near-duplicates: rows whose cosine similarity to a selected row is above
    it. A `min_correctness` above 0 skips rows whose correctness is known to be below it. With
    `questions`, rows that ask nearly the same as a selected row are skipped, and with
    `conversations` rows of a conversation of which one is selected; both are taken after all where
    there are no others.
    """

    per_source: Mapping[str, QuotaAmount] = field(default_factory=dict)
    per_tag: Mapping[str, QuotaAmount] = field(default_factory=dict)
    match_length: bool = False
    cosine: float = 1.0
    min_correctness: float = 0.0
    questions: bool = False
    conversations: bool = False

    def __bool__(self) -> bool:
        return bool(
            self.per_source
            or self.per_tag
            or self.match_length
            or self.cosine < 1
            or self.min_correctness
            or self.questions
            or self.conversations
        )


def check_floor(pool: pl.DataFrame, min_correctness: float) -> None:
    """Raise `ConfigError` for a floor that no row could fall below, as none has a correctness."""
    if min_correctness and pool["correctness"].count() == 0:
        raise ConfigError(
            "select.min_correctness (--min-correctness) needs a judge that tells correctness from "
            "value; this one gives a single score"
        )


def is_below_floor(min_correctness: float) -> pl.Expr:
    """Whether the column `correctness` is known to be below the floor; 0 is no floor."""
    is_below = pl.col("correctness") < min_correctness
    return is_below.fill_null(False)


@dataclass(frozen=True)
class GroupBound:
    """Room for rows of groups.

    `groups` is the group of each row, shape (rows,); `room` is how many rows of a group there may
    be (no limit for groups not named); `names` describes each group with room. `exact`: a selection
    of n rows fills all the room. `first` is a group that is served before all others, since only a
    few rows may be able to fill it. `gives_way`: it is dropped where too few rows are left.
    """

    groups: Ints
    room: Mapping[int, int]
    names: Mapping[int, str]
    exact: bool
    first: int | None = None
    gives_way: bool = False


def build_bounds(
    table: pl.DataFrame,
    n: int,
    limits: Limits,
) -> list[GroupBound]:
    """The bounds of n rows of a pool (id, source, tags, length, in the order of the row numbers).

    Raises `InputError` for a source or a tag that the pool does not have, and for quotas that
    cannot add up to n rows.
    """
    bounds: list[GroupBound] = []
    _check_nonzero_shares(limits, n)
    if limits.per_source:
        source_bounds = bound_sources(table["source"], n, limits.per_source)
        bounds += source_bounds
    if limits.per_tag:
        tag_bounds = _bound_tags(table["tags"], n, limits.per_tag)
        bounds += tag_bounds
    if limits.match_length and table.height:
        length_bound = _bound_lengths(table["length"], n)
        bounds.append(length_bound)
    if limits.conversations and "conversation" in table.columns:
        conversation_bound = _bound_conversations(table["conversation"])
        bounds.append(conversation_bound)
    return bounds


def _check_nonzero_shares(
    limits: Limits,
    n: int,
) -> None:
    """Raise `InputError` for an exact quota above 0 that rounds to no row of n."""
    named_parts = [*limits.per_source.items(), *limits.per_tag.items()]
    for name, part in named_parts:
        if part.at_most or part.value <= 0:
            continue
        if part.rows(n) == 0:
            raise InputError(
                f"the quota {part} of {name!r} comes to no row of {n:,}; give it in rows"
            )


# Using bounds in a walk


def build_rooms(bounds: Iterable[GroupBound]) -> list[GroupRoom]:
    """Bounds as limits of a walk, with nothing taken yet."""
    return [GroupRoom(bound.groups, bound.room) for bound in bounds]


def move_first_served(
    order: Ints,
    bounds: Iterable[GroupBound],
) -> Ints:
    """An order of preference with the rows of groups served first in front, else unchanged."""
    is_first = np.zeros(len(order), bool)
    for bound in bounds:
        if bound.first is None:
            continue
        groups = bound.groups[order]
        is_first |= groups == bound.first
    # Masks keep the order of preference within both parts.
    first = order[is_first]
    others = order[~is_first]
    return np.concatenate([first, others])


def check_must_keep(
    bounds: Iterable[GroupBound],
    kept: Ints,
) -> None:
    """Raise `InputError` if the must-keep rows alone are more than a group has room for."""
    for bound in bounds:
        if bound.gives_way:
            continue
        for group, n_kept in _count_by_group(bound, kept).items():
            room = bound.room.get(group)
            if room is not None and n_kept > room:
                name = bound.names[group]
                raise InputError(
                    f"the must-keep list alone exceeds {name} "
                    f"({count_words(n_kept, 'row')}, at most {room:,} allowed)"
                )


# Quotas of sources


def bound_sources(
    sources: pl.Series,
    n: int,
    parts: Mapping[str, QuotaAmount],
) -> list[GroupBound]:
    """At most two bounds: of the "at most" quotas, and of the exact ones with all other rows.

    Raises `InputError` as `build_bounds` does.
    """
    quotas = resolve_sources(parts, sources.unique().sort().to_list())
    # Sources with a quota are groups 0, 1, ...; all others together are the next number.
    number = {name: place for place, name in enumerate(quotas)}
    others = len(number)
    groups = sources.replace_strict(
        number,
        default=others,
        return_dtype=pl.Int64,
    ).to_numpy()
    names = {place: f"the quota of the source {name}" for name, place in number.items()}

    bounds = []
    most = {number[name]: part.rows(n) for name, part in quotas.items() if part.at_most}
    if most:
        names_of_most = {place: names[place] for place in most}
        bounds.append(GroupBound(groups, most, names_of_most, exact=False))

    exact_parts = {
        number[name]: part for name, part in quotas.items() if not part.at_most
    }
    exact = _count_exact_rows(exact_parts, n)
    if exact:
        bounds.append(
            _bound_exact_sources(
                groups,
                n,
                exact,
                names,
                others,
            )
        )
    return bounds


def _bound_exact_sources(
    groups: Ints,
    n: int,
    exact: Mapping[int, int],
    names: Mapping[int, str],
    others: int,
) -> GroupBound:
    """The bound of the exact quotas; sources without one share what is left of n rows."""
    n_left = n - sum(exact.values())
    merged = np.where(np.isin(groups, list(exact)), groups, others)
    has_others = bool((merged == others).any())
    _check_source_total(n_left, n, has_others)
    exact_names = {place: names[place] for place in exact}
    exact_names[others] = "what the quotas leave to other sources"
    room = {**exact, others: n_left}
    return GroupBound(merged, room, exact_names, exact=True)


def _check_source_total(
    n_left: int,
    n: int,
    has_others: bool,
) -> None:
    """Raise `InputError` if the quotas are more than n rows, or less with no other source."""
    total = n - n_left
    if n_left < 0:
        raise InputError(
            f"the quotas of the sources come to {count_words(total, 'row')}, "
            f"more than the {n:,} to select"
        )
    if n_left > 0 and not has_others:
        raise InputError(
            f"the quotas of the sources come to {total:,} of {n:,} rows, and the data has no other "
            "source"
        )


def _round_exact_shares(
    parts: Mapping[int, QuotaAmount],
    n: int,
) -> dict[int, int]:
    """Rows of the quotas that are shares; those in rows are left out."""
    shares = {}
    for place, part in parts.items():
        if part.unit == "share":
            shares[place] = part.value * n
    exact_total = sum(shares.values())
    # Halves are rounded up; round() would round them to the even number.
    total = int(exact_total + 0.5)
    return round_shares(shares, total)


def _count_exact_rows(
    parts: Mapping[int, QuotaAmount],
    n: int,
) -> dict[int, int]:
    """Rows of each exact quota; shares are rounded so that their sum is rounded once."""
    rounded = _round_exact_shares(parts, n)
    n_rows = {}
    for place, part in parts.items():
        if place in rounded:
            n_rows[place] = rounded[place]
        else:
            n_rows[place] = part.rows(n)
    return n_rows


def resolve_sources(
    parts: Mapping[str, QuotaAmount],
    known: Sequence[str],
) -> dict[str, QuotaAmount]:
    """Quotas by the source's whole name.

    A source may be given as the path that was typed for it, without its folder, or without what
    follows its first dot. Raises `InputError` if no source of `known` is meant, or several are, or
    one has two quotas.
    """
    resolved: dict[str, QuotaAmount] = {}
    for name, part in parts.items():
        source = _resolve_source(name, known)
        if source in resolved:
            raise InputError(f"the source {source} has two quotas: leave out one")
        resolved[source] = part
    return resolved


def _resolve_source(
    name: str,
    known: Sequence[str],
) -> str:
    """The whole name of the one source that is meant."""
    candidates = [source for source in known if source == name]
    if not candidates:
        candidates = [source for source in known if name in _list_short_names(source)]
    if not candidates:
        # Sources are named by the ends of their paths.
        candidates = [source for source in known if _is_end_of_path(source, name)]
    if len(candidates) == 1:
        return candidates[0]
    problem = "ambiguous source" if candidates else "unknown source"
    raise InputError(f"{problem} {name!r}; available: {_join_first_names(known)}")


def _is_end_of_path(source: str, path: str) -> bool:
    """Whether a path, as typed, ends with the name of a source; `-` is standard input.

    >>> _is_end_of_path("a.json", "/data/a.json"), _is_end_of_path("a.json", "data/ba.json")
    (True, False)
    """
    if path == "-":
        return source == "stdin"
    folders = [part for part in path.split("/") if part not in {"", "."}]
    own = source.split("/")
    return folders[-len(own) :] == own


def _list_short_names(source: str) -> set[str]:
    """What else a source may be called.

    >>> sorted(_list_short_names("a/dolly.json.gz"))
    ['a/dolly', 'dolly', 'dolly.json.gz']
    """
    file_name = source.rpartition("/")[2]
    folder = source.removesuffix(file_name)
    stem = file_name.partition(".")[0]
    return {file_name, stem, folder + stem}


# Quotas of tags


def _bound_tags(
    tags: pl.Series,
    n: int,
    parts: Mapping[str, QuotaAmount],
) -> list[GroupBound]:
    """A bound per tag: group 1 is the rows that carry it, group 0 the others."""
    quotas = resolve_tags(parts, tags.explode().drop_nulls().unique().to_list())
    bounds = []
    for name, part in quotas.items():
        carries = tags.list.contains(name).fill_null(False)
        groups = carries.cast(pl.Int64).to_numpy()
        room = {1: min(part.rows(n), n)}
        names = {1: f"the quota of the tag {name!r}"}
        if part.at_most:
            bounds.append(GroupBound(groups, room, names, exact=False))
            continue
        room[0] = n - room[1]
        names[0] = f"the quota of rows without the tag {name!r}"
        bounds.append(
            GroupBound(
                groups,
                room,
                names,
                exact=True,
                first=1,
            )
        )
    return bounds


def resolve_tags(
    parts: Mapping[str, QuotaAmount],
    known: Collection[str],
) -> dict[str, QuotaAmount]:
    """Quotas by the tag's name; one may be given in other words, as for `tacos tags --tag`.

    Raises `InputError` for a tag that no row carries, naming similar ones, and if one tag has two
    quotas.
    """
    resolved: dict[str, QuotaAmount] = {}
    for name, part in parts.items():
        tag = _resolve_tag(name, known)
        if tag in resolved:
            raise InputError(f"the tag {tag!r} has two quotas: leave out one")
        resolved[tag] = part
    return resolved


def _resolve_tag(name: str, known: Collection[str]) -> str:
    """The one tag that is meant: by its name, in capitals or not, or by its words."""
    if name in known:
        return name
    ordered = sorted(known)
    same_letters = [tag for tag in ordered if tag.casefold() == name.casefold()]
    if same_letters:
        return same_letters[0]
    # A name without letters or digits has an empty key, and matches nothing.
    key = stem_keys.stem_tags([name])[0]
    keys = stem_keys.stem_tags(ordered)
    same_words = [tag for tag, each in zip(ordered, keys, strict=True) if each == key]
    if key and len(same_words) == 1:
        return same_words[0]
    similar = same_words or difflib.get_close_matches(
        name,
        ordered,
        n=3,
        cutoff=0.4,
    )
    hint = f"; did you mean: {', '.join(similar[:3])}" if similar else ""
    raise InputError(f"no row has the tag {name!r} after normalisation{hint}")


# Length matching


def _bound_lengths(
    lengths: pl.Series,
    n: int,
) -> GroupBound:
    """Tenths of the pool by length; their room is rounded up."""
    values = lengths.to_numpy()
    all_rows = np.arange(len(values))
    room = build_length_bands(values, n, all_rows)
    groups = np.asarray(room.groups, np.int64)
    names = {}
    bands = np.unique(groups)
    for band in bands.tolist():
        in_band = groups == band
        names[band] = _describe_band(values[in_band])
    return GroupBound(
        groups,
        room=room.room,
        names=names,
        exact=True,
    )


def _describe_band(lengths: npt.NDArray[np.generic]) -> str:
    """The name of a band of lengths."""
    shortest = int(lengths.min())
    longest = int(lengths.max())
    return f"the band of responses of {shortest:,} to {longest:,} characters"


# Conversations


def _bound_conversations(conversations: pl.Series) -> GroupBound:
    """One row of each conversation; null is a row that shares its conversation with no other."""
    alone = -1
    groups = conversations.cast(pl.Int64).fill_null(alone).to_numpy()
    numbers = np.unique(groups[groups != alone]).tolist()
    name = "the limit of one row a conversation"
    return GroupBound(
        groups,
        room=dict.fromkeys(numbers, 1),
        names=dict.fromkeys(numbers, name),
        exact=False,
        gives_way=True,
    )


def list_mates(
    bound: GroupBound,
    taken: Ints,
) -> list[tuple[int, int]]:
    """Each row whose group is full, with the row taken of that group."""
    row_of_group = dict(zip(bound.groups[taken].tolist(), taken.tolist(), strict=True))
    chosen = set(taken.tolist())
    full = [group for group in row_of_group if group in bound.room]
    mates = np.flatnonzero(np.isin(bound.groups, full)).tolist()
    return [
        (row, row_of_group[int(bound.groups[row])])
        for row in mates
        if row not in chosen
    ]


# Messages


def describe_shortfall(
    bounds: Iterable[GroupBound],
    taken: Ints,
) -> str:
    """Which groups of exact bounds the rows taken do not fill; "" if all are full."""
    shortfalls = []
    for bound in bounds:
        if not bound.exact:
            continue
        counts = _count_by_group(bound, taken)
        for group, room in bound.room.items():
            n_taken = counts.get(group, 0)
            if n_taken < room:
                shortfalls.append(f"{bound.names[group]} ({n_taken:,} of {room:,})")
    return _join_first_names(shortfalls)


class FullGroup(NamedTuple):
    """A group of a bound that had no room left for a row.

    `rows` are the numbers of the rows taken of it. `is_rest` where it is the rows without a tag,
    which nobody would call a reason.
    """

    name: str
    room: int
    rows: Ints
    is_rest: bool

    @property
    def text(self) -> str:
        """What was full, and with how many rows."""
        return f"{self.name} was full ({len(self.rows):,} of {count_words(self.room, 'row')})"


def find_full_groups(
    bounds: Iterable[GroupBound],
    taken: Ints,
    row: int,
) -> list[FullGroup]:
    """The groups of a row that have no room left for it beside the rows taken."""
    full = []
    for bound in bounds:
        group = int(bound.groups[row])
        if group not in bound.room:
            continue
        rows = taken[bound.groups[taken] == group]
        room = bound.room[group]
        if len(rows) < room:
            continue
        is_rest = bound.first is not None and group != bound.first
        full.append(
            FullGroup(
                bound.names[group],
                room,
                rows,
                is_rest,
            )
        )
    return full


def _count_by_group(
    bound: GroupBound,
    taken: Ints,
) -> dict[int, int]:
    """Rows taken of each group."""
    groups, counts = np.unique(bound.groups[taken], return_counts=True)
    return dict(zip(groups.tolist(), counts.tolist(), strict=True))


def _join_first_names(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    listed = ", ".join(names[:N_NAMED])
    n_more = len(names) - N_NAMED
    return f"{listed} and {n_more} more" if n_more > 0 else listed
