"""A hand-written file of overrides, honoured by every step of normalisation and reported.

    # these tags, in all their spellings, leave before the first step
    drop = ["request"]
    keep_apart = [["Python", "JavaScript"]]          # no step may give these one name

    [merge]                                          # before the first step: counts add up
    "Mathematics" = ["maths", "arithmetic"]

    [rename]                                         # after the last step: the name shown
    "data analysi" = "Data Analysis"

A name stands for the tag spelt exactly so, else for all tags with the same words (case, special
characters and endings aside); `drop` and the sources of `merge` always mean all spellings. Names
that no tag has are reported; contradictions (two targets, chains, cycles) are errors. In TOML,
`drop` and `keep_apart` stand before the tables: below one they would be part of it, which is an
error too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tacos.errors import InputError
from tacos.methods.tags.stem_keys import stem_tags


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


def parse_overrides(value: Mapping[str, Any], signs: bool = True) -> Overrides:
    """Overrides from a parsed TOML or JSON file. Raises `InputError` that names the part which is
    wrong.

    Without `signs` C++ and C# are other spellings of C, so more of what a file says may contradict
    itself.
    """
    known = {"drop", "merge", "rename", "keep_apart"}
    for part in value:
        if part not in known:
            raise InputError(
                f"overrides: unknown part {part!r}; there are {', '.join(sorted(known))}"
            )
    merge, rename = value.get("merge", {}), value.get("rename", {})
    if not isinstance(merge, Mapping) or not isinstance(rename, Mapping):
        raise InputError("overrides: merge and rename are tables")
    for part, table in (("merge", merge), ("rename", rename)):
        if swallowed := known & table.keys():
            raise InputError(
                f"overrides: {min(swallowed)} is part of [{part}]: write it before the tables"
            )
    if not all(isinstance(new, str) and new.strip() for new in rename.values()):
        raise InputError("overrides: rename gives one new name, not empty, for each old one")
    sets = value.get("keep_apart", [])
    if not isinstance(sets, list):
        raise InputError("overrides: keep_apart is a list of lists of names")
    found = Overrides(
        drop=_read_names("drop", value.get("drop", [])),
        merge={
            target: _read_names(f"merge.{target}", sources) for target, sources in merge.items()
        },
        rename=dict(rename),
        keep_apart=tuple(_read_names("keep_apart", members) for members in sets),
    )
    _refuse_contradictions(found, signs)
    return found


def _refuse_contradictions(overrides: Overrides, signs: bool) -> None:
    """Raise `InputError` where the file says two things of one name (chains and cycles too); names
    by their words.
    """
    into = _resolve_merges(overrides, signs)
    _refuse_chains(into, "merged into", signs)
    _refuse_chains(
        {_word_key(old, signs): new for old, new in overrides.rename.items()}, "renamed to", signs
    )
    dropped = {_word_key(name, signs) for name in overrides.drop}
    for new in overrides.rename.values():
        if _word_key(new, signs) in dropped:
            raise InputError(f"overrides: '{new}' is dropped, so nothing can be renamed to it")
    for members in overrides.keep_apart:
        ends = [into.get(_word_key(name, signs), name) for name in members]
        for name, end in zip(members, ends, strict=True):
            if end != name and ends.count(end) > 1:
                raise InputError(
                    f"overrides: '{name}' is merged into '{end}', and keep_apart forbids it"
                )


def _resolve_merges(overrides: Overrides, signs: bool) -> dict[str, str]:
    """Where `merge` takes each name, by its words: one place, and none that is dropped."""
    _read_names("merge", list(overrides.merge))
    dropped = {_word_key(name, signs) for name in overrides.drop}
    into: dict[str, str] = {}
    for target, sources in overrides.merge.items():
        if _word_key(target, signs) in dropped:
            raise InputError(f"overrides: '{target}' is dropped, so nothing can be merged into it")
        for source in sources:
            first = into.setdefault(_word_key(source, signs), target)
            if first != target:
                raise InputError(
                    f"overrides: '{source}' is merged into '{first}' and into '{target}'"
                )
    return into


def _refuse_chains(moves: Mapping[str, str], kind: str, signs: bool) -> None:
    """Raise `InputError` where a name that is moved to is moved on."""
    for target in moves.values():
        last = moves.get(_word_key(target, signs), target)
        if last != target:
            raise InputError(
                f"overrides: '{target}' is itself {kind} '{last}'; give each name its last one"
            )


def _word_key(name: str, signs: bool) -> str:
    """The words of a name; what has no words is itself."""
    return stem_tags([name], signs)[0] or name


def _read_names(part: str, value: Any) -> tuple[str, ...]:
    """`value` as a tuple of names, else `InputError`."""
    if not isinstance(value, list) or not all(
        isinstance(name, str) and name.strip() for name in value
    ):
        raise InputError(f"overrides: {part} is a list of names, not empty")
    return tuple(value)


class SpellingLookup:
    """Finds the tags that a name in the file stands for."""

    def __init__(self, tags: Sequence[str], signs: bool) -> None:
        self.tags = frozenset(tags)
        self.signs = signs
        self.by_key: dict[str, list[str]] = {}
        for tag, key in zip(tags, stem_tags(tags, signs), strict=True):
            self.by_key.setdefault(key, []).append(tag)

    def spellings(self, name: str) -> list[str]:
        """All tags with the same words as `name`."""
        key = stem_tags([name], self.signs)[0]
        return self.by_key.get(key, []) if key else [name] if name in self.tags else []

    def tag(self, name: str) -> list[str]:
        """The tag spelt exactly so, else all its spellings."""
        return [name] if name in self.tags else self.spellings(name)


def find_override_moves(
    overrides: Overrides, tags: Sequence[str], signs: bool
) -> tuple[dict[str, Move], list[str]]:
    """Moves of `drop` and `merge`, and a note for every name of the file that no tag has."""
    speller = SpellingLookup(tags, signs)
    moves: dict[str, Move] = {}
    for target, sources in overrides.merge.items():
        for source in sources:
            for tag in speller.spellings(source):
                if tag != target:
                    moves[tag] = Move(target, f"merged into '{target}' by hand")
    for name in overrides.drop:
        moves |= {tag: Move(None, "dropped by hand") for tag in speller.spellings(name)}
    named = [
        *overrides.drop,
        *(source for sources in overrides.merge.values() for source in sources),
    ]
    named += [name for members in overrides.keep_apart for name in members]
    return moves, [f"no tag is called '{name}'" for name in named if not speller.tag(name)]


def expand_keep_apart(
    overrides: Overrides, tags: Sequence[str], signs: bool
) -> list[list[list[str]]]:
    """For each keep-apart set, for each of its members, the raw tags meant: none belongs to two
    members.
    """
    if not overrides.keep_apart:
        return []
    speller = SpellingLookup(tags, signs)
    sets = []
    for members in overrides.keep_apart:
        exact = {name for name in members if name in speller.tags}
        sets.append(
            [[t for t in speller.tag(name) if t == name or t not in exact] for name in members]
        )
    return sets


def enforce_keep_apart(
    moves: Mapping[str, Move],
    sets: Iterable[Sequence[Sequence[str]]],
    name_of: Mapping[str, str | None],
    counts: Mapping[str, int],
) -> dict[str, Move]:
    """`moves` without those that would give two members of a keep-apart set one name.

    The member that bears the name keeps it, else the most frequent (ties: the smaller string); the
    others stay where they are.
    """
    kept = dict(moves)
    for members in sets:
        holder: dict[str | None, int] = {}
        named = [
            (name, i)
            for i, raws in enumerate(members)
            for name in {name_of.get(raw) for raw in raws}
            if name
        ]
        for name, i in sorted(named, key=lambda pair: _rank_name(pair[0], kept, counts)):
            target = kept[name].target if name in kept else name
            if target is not None and holder.setdefault(target, i) != i:
                kept.pop(name, None)
    return kept


def _rank_name(
    name: str, moves: Mapping[str, Move], counts: Mapping[str, int]
) -> tuple[bool, int, str]:
    """Names that stay come first, then the more frequent, then the smaller string."""
    return (name in moves, -counts.get(name, 0), name)


def find_rename_moves(
    overrides: Overrides, names: Sequence[str], signs: bool
) -> tuple[dict[str, Move], list[str]]:
    """Moves of `rename` on canonical names, and a note for every old name that is none."""
    if not overrides.rename:
        return {}, []
    speller = SpellingLookup(names, signs)
    moves = {
        tag: Move(new, f"renamed to '{new}' by hand")
        for old, new in overrides.rename.items()
        for tag in speller.tag(old)
        if tag != new
    }
    return moves, [
        f"no canonical tag is called '{old}' to rename"
        for old in overrides.rename
        if not speller.tag(old)
    ]
