"""Reads hand-written overrides of tags, which every step of normalisation follows and reports.

    # these tags, in all their spellings, are dropped before the first step
    drop = ["request"]
    keep_apart = [["Python", "JavaScript"]]          # no step may give these the same name

    [merge]                                          # before the first step: counts add up
    "Mathematics" = ["maths", "arithmetic"]

    [rename]                                         # after the last step: the name shown
    "data analysi" = "Data Analysis"

A name means the tag spelt exactly so, else all tags with the same words (ignoring case, special
characters and endings); `drop` and the sources of `merge` always mean all spellings. Names that no
tag has are reported; contradictions (two targets, chains, cycles) are errors. In TOML, `drop` and
`keep_apart` must come before the tables: below one they would be part of it, which is an error too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tacos.errors import InputError
from tacos.methods.tags.stem_keys import stem_tags

PARTS = ("drop", "keep_apart", "merge", "rename")
TABLES = ("merge", "rename")


class Move(NamedTuple):
    """Where a step takes a name, and why; `target` None: dropped."""

    target: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Overrides:
    """What a person decided about tags."""

    drop: tuple[str, ...] = ()
    merge: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)
    keep_apart: tuple[tuple[str, ...], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.drop or self.merge or self.rename or self.keep_apart)


NONE = Overrides()


# Reading


def parse_overrides(
    value: Mapping[str, Any],
    signs: bool = True,
) -> Overrides:
    """Overrides from a parsed TOML or JSON file.

    Without `signs`, C++ and C# are spellings of C, so that more names may contradict each other.
    Raises `InputError` that names the faulty part.
    """
    _check_parts(value)
    merge = {}
    for target, sources in value.get("merge", {}).items():
        merge[target] = _read_names(f"merge.{target}", sources)
    rename = dict(value.get("rename", {}))
    for new in rename.values():
        if not _is_name(new):
            raise InputError(
                "overrides: rename must give one new name, not empty, per old name"
            )
    sets = value.get("keep_apart", [])
    if not isinstance(sets, list):
        raise InputError("overrides: keep_apart must be a list of lists of names")
    overrides = Overrides(
        drop=_read_names("drop", value.get("drop", [])),
        merge=merge,
        rename=rename,
        keep_apart=tuple(_read_names("keep_apart", members) for members in sets),
    )
    _refuse_contradictions(overrides, signs)
    return overrides


def _check_parts(value: Mapping[str, Any]) -> None:
    """Raise `InputError` unless the parts are known and in their places."""
    for part in value:
        if part not in PARTS:
            raise InputError(
                f"overrides: unknown part {part!r}; the parts are {', '.join(PARTS)}"
            )
    for part in TABLES:
        table = value.get(part, {})
        if not isinstance(table, Mapping):
            raise InputError(f"overrides: {part} must be a table")
        # In TOML, a key below a table's header belongs to the table.
        for other in PARTS:
            if other in table:
                raise InputError(
                    f"overrides: {other} is part of [{part}]; move it before the tables"
                )


def _read_names(
    part: str,
    value: Any,
) -> tuple[str, ...]:
    """`value` as a tuple of names. Raises `InputError` if it is no list of names."""
    if not isinstance(value, list) or not all(_is_name(name) for name in value):
        raise InputError(
            f"overrides: {part} must be a list of names, none of them empty"
        )
    return tuple(value)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


# Contradictions. Names are compared by their words, as all their spellings are meant.


def _refuse_contradictions(
    overrides: Overrides,
    signs: bool,
) -> None:
    """Raise `InputError` if the file says two things of one name; chains and cycles included."""
    targets = _resolve_merges(overrides, signs)
    new_names = {_word_key(old, signs): new for old, new in overrides.rename.items()}
    _refuse_chains(
        targets,
        "merged into",
        signs,
    )
    _refuse_chains(
        new_names,
        "renamed to",
        signs,
    )
    dropped = {_word_key(name, signs) for name in overrides.drop}
    for new in overrides.rename.values():
        if _word_key(new, signs) in dropped:
            raise InputError(
                f"overrides: '{new}' is dropped, so nothing can be renamed to it"
            )
    for members in overrides.keep_apart:
        _refuse_merged_members(members, targets, signs)


def _refuse_merged_members(
    members: Sequence[str],
    targets: Mapping[str, str],
    signs: bool,
) -> None:
    """Raise `InputError` if `merge` gives two members of a keep-apart set one name."""
    ends = []
    for name in members:
        key = _word_key(name, signs)
        ends.append(targets.get(key, name))
    for name, end in zip(members, ends, strict=True):
        if end != name and ends.count(end) > 1:
            raise InputError(
                f"overrides: '{name}' is merged into '{end}', and keep_apart forbids it"
            )


def _resolve_merges(
    overrides: Overrides,
    signs: bool,
) -> dict[str, str]:
    """Where `merge` takes each name, by its words.

    Raises `InputError` if that is two places, or a name that is dropped.
    """
    _read_names("merge", list(overrides.merge))
    dropped = {_word_key(name, signs) for name in overrides.drop}
    targets: dict[str, str] = {}
    for target, sources in overrides.merge.items():
        if _word_key(target, signs) in dropped:
            raise InputError(
                f"overrides: '{target}' is dropped, so nothing can be merged into it"
            )
        for source in sources:
            key = _word_key(source, signs)
            first = targets.setdefault(key, target)
            if first != target:
                raise InputError(
                    f"overrides: '{source}' is merged into '{first}' and into '{target}'"
                )
    return targets


def _refuse_chains(
    moves: Mapping[str, str],
    kind: str,
    signs: bool,
) -> None:
    """Raise `InputError` if the target of a move is moved itself."""
    for target in moves.values():
        key = _word_key(target, signs)
        last = moves.get(key, target)
        if last != target:
            raise InputError(
                f"overrides: '{target}' is itself {kind} '{last}'; give each name its last one"
            )


def _word_key(
    name: str,
    signs: bool,
) -> str:
    """The words of a name, or a name without words itself."""
    return stem_tags([name], signs)[0] or name


# Moves


class _SpellingLookup:
    """Finds the tags that a name in the file means."""

    def __init__(
        self,
        tags: Sequence[str],
        signs: bool,
    ) -> None:
        self.tags = frozenset(tags)
        self.signs = signs
        self.by_key: dict[str, list[str]] = {}
        keys = stem_tags(tags, signs)
        for tag, key in zip(tags, keys, strict=True):
            self.by_key.setdefault(key, []).append(tag)

    def find_spellings(self, name: str) -> list[str]:
        """All tags with the same words as `name`."""
        key = stem_tags([name], self.signs)[0]
        if key:
            return self.by_key.get(key, [])
        # All names without words share the empty key, but are not spellings of each other.
        return [name] if name in self.tags else []

    def find_tags(self, name: str) -> list[str]:
        """The tag spelt exactly so, else all its spellings."""
        if name in self.tags:
            return [name]
        return self.find_spellings(name)


def find_override_moves(
    overrides: Overrides,
    tags: Sequence[str],
    signs: bool,
) -> tuple[dict[str, Move], list[str]]:
    """Moves of `drop` and `merge`, and a note for every name of the file that no tag has."""
    lookup = _SpellingLookup(tags, signs)
    moves: dict[str, Move] = {}
    for target, sources in overrides.merge.items():
        merged = Move(target, f"merged into '{target}' by hand")
        for source in sources:
            for tag in lookup.find_spellings(source):
                if tag != target:
                    moves[tag] = merged
    dropped = Move(None, "dropped by hand")
    for name in overrides.drop:
        for tag in lookup.find_spellings(name):
            moves[tag] = dropped

    unused = [name for name in _list_names(overrides) if not lookup.find_tags(name)]
    notes = [f"no tag is called '{name}'" for name in unused]
    return moves, notes


def _list_names(overrides: Overrides) -> list[str]:
    """The raw tags that the file names, in its order; a target of `merge` may be a new name."""
    names = list(overrides.drop)
    for sources in overrides.merge.values():
        names += sources
    for members in overrides.keep_apart:
        names += members
    return names


def find_rename_moves(
    overrides: Overrides,
    names: Sequence[str],
    signs: bool,
) -> tuple[dict[str, Move], list[str]]:
    """Moves of `rename` on canonical names, and a note for every old name that no tag has."""
    if not overrides.rename:
        return {}, []
    lookup = _SpellingLookup(names, signs)
    moves: dict[str, Move] = {}
    notes = []
    for old, new in overrides.rename.items():
        tags = lookup.find_tags(old)
        if not tags:
            notes.append(f"no canonical tag is called '{old}' to rename")
        renamed = Move(
            target=new,
            reason=f"renamed to '{new}' by hand",
        )
        for tag in tags:
            if tag != new:
                moves[tag] = renamed
    return moves, notes


# Keeping apart


def expand_keep_apart(
    overrides: Overrides,
    tags: Sequence[str],
    signs: bool,
) -> list[list[list[str]]]:
    """For each keep-apart set, the raw tags of each of its members; no tag belongs to two."""
    if not overrides.keep_apart:
        return []
    lookup = _SpellingLookup(tags, signs)
    sets = []
    for members in overrides.keep_apart:
        # A tag spelt exactly like one member is not a spelling of another.
        exact = {name for name in members if name in lookup.tags}
        expanded = []
        for name in members:
            others = exact - {name}
            spellings = lookup.find_tags(name)
            expanded.append([tag for tag in spellings if tag not in others])
        sets.append(expanded)
    return sets


def enforce_keep_apart(
    moves: Mapping[str, Move],
    sets: Iterable[Sequence[Sequence[str]]],
    name_of: Mapping[str, str | None],
    counts: Mapping[str, int],
) -> dict[str, Move]:
    """`moves` without those that would give two members of a keep-apart set one name.

    The member that bears the name keeps it, else the most frequent (ties: the smaller string); the
    others stay where they are. `name_of` gives the current name of a raw tag, `counts` the samples
    per name.
    """
    kept = dict(moves)
    for members in sets:
        # Which member holds a name; the first to claim it keeps it.
        holder: dict[str, int] = {}
        for name, member in _rank_members(
            members,
            name_of,
            kept,
            counts,
        ):
            target: str | None = name
            if name in kept:
                target = kept[name].target
            if target is None:
                continue
            if holder.setdefault(target, member) != member:
                kept.pop(name, None)
    return kept


def _rank_members(
    members: Sequence[Sequence[str]],
    name_of: Mapping[str, str | None],
    moves: Mapping[str, Move],
    counts: Mapping[str, int],
) -> list[tuple[str, int]]:
    """(current name, number of the member): first names that stay, then by falling count."""
    named: list[tuple[str, int]] = []
    for number, raws in enumerate(members):
        names = {name_of.get(raw) for raw in raws}
        named += [(name, number) for name in names if name]

    def rank(pair: tuple[str, int]) -> tuple[bool, int, str, int]:
        name, number = pair
        is_moved = name in moves
        count = counts.get(name, 0)
        return is_moved, -count, name, number

    return sorted(named, key=rank)
