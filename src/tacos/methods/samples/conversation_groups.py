"""Find rows that are stages of one conversation, of which one is enough.

Multi-turn sets often hold a conversation several times: after its first answer, after its second,
and so on, each row a longer beginning of the same exchange, or other answers at the same point.
What a row answers is all that stands before its last answer; of a row with a single exchange it is
the whole row, since an opening question alone ("Hi") says nothing. Rows belong together if

- they answer the same, or
- what one answers is the beginning of the other.

Where rows go on from there in different ways, as conversations do that all open with the same
greeting or menu, the shorter row belongs to none of them: it is no reason to drop all but one.

What it does not know: rows that say the same in other words, and conversations that were cut at
their start or have another system text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

Turns = Sequence[Mapping[str, str]]
"""The `role` and `text` of each turn."""
ASKING = "user"
ANSWERING = "assistant"


class _Stem(NamedTuple):
    """What a row answers: how many turns it has, and their hash."""

    n_turns: int
    key: bytes


@dataclass
class ConversationGroups:
    """Rows seen so far, and which of them share a conversation.

    Rows of one exchange only matter beside longer ones, so the longer rows of all data must be
    added first (`add_long`), the others after them (`add_short`).
    """

    _rows_of_stem: dict[_Stem, list[str]] = field(default_factory=dict)
    """What rows answer -> these rows."""
    _openings: set[bytes] = field(default_factory=set)
    """The first exchanges of the longer rows."""
    _long: list[tuple[str, list[bytes]]] = field(default_factory=list)
    """Each longer row, and the hashes of its beginnings up to what it answers."""
    _parent: dict[str, str] = field(default_factory=dict)
    """A row -> another row of its conversation; the representative is its own."""

    def add_long(
        self,
        rows: Iterable[tuple[str, Turns]],
    ) -> None:
        """Add rows with more than one answer."""
        for row, turns in rows:
            keys = list(_hash_beginnings(turns))
            answers = _find_answers(turns)
            n_answered = _count_answered_turns(answers, len(turns))
            self._openings.update(keys[place] for place in answers[:1])
            self._long.append((row, keys[:n_answered]))
            self._add(row, _Stem(n_answered, keys[n_answered - 1]))

    def add_short(
        self,
        rows: Iterable[tuple[str, Turns]],
    ) -> None:
        """Add rows of a single exchange, after all longer ones."""
        for row, turns in rows:
            *_, key = _hash_beginnings(turns)
            if key in self._openings:
                self._add(row, _Stem(len(turns), key))

    def list_groups(self) -> dict[str, int]:
        """Row -> the number of its conversation, for the rows that share it with another."""
        followers = self._find_followers()
        # The longest first: what follows a beginning is joined before it is counted.
        for stem in sorted(self._rows_of_stem, reverse=True):
            first, *others = self._rows_of_stem[stem]
            for other in others:
                self._join(first, other)
            following = {self._find(row) for row in followers.get(stem, ())}
            if len(following) == 1:
                self._join(first, following.pop())
        members: dict[str, list[str]] = {}
        for row in self._parent:
            members.setdefault(self._find(row), []).append(row)
        shared = [rows for rows in members.values() if len(rows) > 1]
        shared.sort(key=min)
        return {row: number for number, rows in enumerate(shared) for row in rows}

    def _add(
        self,
        row: str,
        stem: _Stem,
    ) -> None:
        """Note a row and what it answers."""
        self._parent[row] = row
        self._rows_of_stem.setdefault(stem, []).append(row)

    def _find_followers(self) -> dict[_Stem, list[str]]:
        """What rows answer -> the longer rows that begin with it and go on."""
        followers: dict[_Stem, list[str]] = {}
        for row, keys in self._long:
            for n_turns, key in enumerate(keys[:-1], 1):
                stem = _Stem(n_turns, key)
                if stem in self._rows_of_stem:
                    followers.setdefault(stem, []).append(row)
        return followers

    def _find(
        self,
        row: str,
    ) -> str:
        """The representative of a row's conversation."""
        while self._parent[row] != row:
            # Each row on the way is moved one step up, so that ways stay short.
            self._parent[row] = self._parent[self._parent[row]]
            row = self._parent[row]
        return row

    def _join(
        self,
        row: str,
        other: str,
    ) -> None:
        """Note that two rows share a conversation; the smaller id represents it."""
        one, two = sorted((self._find(row), self._find(other)))
        self._parent[two] = one


def group_conversations(rows: Iterable[tuple[str, Turns]]) -> dict[str, int]:
    """Row -> the number of its conversation, for rows (id, turns) that share it with another one.

    >>> ask, answer = {"role": "user", "text": "?"}, {"role": "assistant", "text": "!"}
    >>> group_conversations([("a", [ask, answer]), ("b", [ask, answer, ask, answer])])
    {'b': 0, 'a': 0}
    """
    short = []
    groups = ConversationGroups()
    for row, turns in rows:
        if count_answers(turns) > 1:
            groups.add_long([(row, turns)])
        else:
            short.append((row, turns))
    groups.add_short(short)
    return groups.list_groups()


def count_answers(turns: Turns) -> int:
    """How many of the turns are answers."""
    return sum(turn["role"] == ANSWERING for turn in turns)


def _find_answers(turns: Turns) -> list[int]:
    """The places of the answers to questions; a greeting before the first question is none."""
    answers = []
    is_asked = False
    for place, turn in enumerate(turns):
        is_asked |= turn["role"] == ASKING
        if is_asked and turn["role"] == ANSWERING:
            answers.append(place)
    return answers


def _count_answered_turns(answers: Sequence[int], n_turns: int) -> int:
    """How many turns stand before the last answer, or are in the row if it has no other answer."""
    return answers[-1] if len(answers) > 1 else n_turns


def _hash_beginnings(turns: Turns) -> Iterator[bytes]:
    """A hash of the first turn, of the first two, and so on; white space at their ends is nothing.

    16 bytes each.
    """
    state = hashlib.blake2b(digest_size=16)
    for turn in turns:
        for part in (turn["role"], turn["text"].strip()):
            content = part.encode(errors="surrogatepass")
            # The length keeps "a" + "bc" apart from "ab" + "c".
            state.update(len(content).to_bytes(8, "little"))
            state.update(content)
        yield state.digest()
