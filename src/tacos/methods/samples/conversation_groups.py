"""Find rows that are stages of one conversation, of which one is enough.

Multi-turn sets often hold a conversation several times: after its first answer, after its second,
and so on, each row a longer beginning of the same exchange, or other answers at the same point.
Rows belong together if

- the turns of one are the beginning of the other's, or
- what stands before the last answer of one, with an earlier answer in it, is what the other begins
  with, or what it answers, too, or
- both open with the same question, of at least `LEAST_BYTES` bytes, and one goes on after the first
  answer

and so do rows that belong with the same third row. Short openings ("Hi") say nothing, nor does a
question that more than `MOST_ROWS` rows open with, which is a template. A row of a single exchange
("Hi", "Hello!") with which several conversations open belongs to none of them: it is no reason to
drop all but one.

What it does not know: rows that say the same in other words, and conversations that were cut at
their start.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

Turns = Sequence[Mapping[str, str]]
"""The `role` and `text` of each turn."""
ANSWERING = "assistant"
LEAST_BYTES = 24
MOST_ROWS = 10


@dataclass
class ConversationGroups:
    """Rows seen so far, and which of them share a conversation.

    Rows of one exchange only matter beside longer ones, so the longer rows of all data must be
    added first (`add_long`), the others after them (`add_short`).
    """

    _row_of_key: dict[bytes, str] = field(default_factory=dict)
    """A beginning that rows share -> one of these rows."""
    _openings: dict[bytes, set[str]] = field(default_factory=dict)
    """A first exchange -> rows that go on after it."""
    _questions: dict[bytes, list[str]] = field(default_factory=dict)
    """A first question -> rows that open with it, if a longer row does."""
    _parent: dict[str, str] = field(default_factory=dict)
    """A row -> another row of its conversation; the representative is its own."""
    _long: list[tuple[str, list[bytes]]] = field(default_factory=list)

    def add_long(
        self,
        rows: Iterable[tuple[str, Turns]],
    ) -> None:
        """Add rows with more than one answer."""
        for row, turns in rows:
            keys = list(_hash_beginnings(turns))
            self._parent[row] = row
            self._long.append((row, keys))
            # The whole row, and what stands before its last answer.
            for key in keys[-2:]:
                self._join(self._row_of_key.setdefault(key, row), row)
            answer = _find_first_answer(turns)
            self._openings.setdefault(keys[answer], set()).add(row)
            place = max(answer - 1, 0)
            if _count_bytes(turns[place]) >= LEAST_BYTES:
                self._questions.setdefault(keys[place], []).append(row)

    def add_short(
        self,
        rows: Iterable[tuple[str, Turns]],
    ) -> None:
        """Add rows of a single exchange, after all longer ones."""
        self._join_beginnings()
        for row, turns in rows:
            *questions, key = _hash_beginnings(turns)
            following = {self._find(other) for other in self._openings.get(key, ())}
            if len(following) == 1:
                self._parent[row] = row
                self._join(following.pop(), row)
            if questions and questions[-1] in self._questions:
                self._parent.setdefault(row, row)
                self._questions[questions[-1]].append(row)

    def list_groups(self) -> dict[str, int]:
        """Row -> the number of its conversation, for the rows that share it with another."""
        self._join_beginnings()
        for rows in self._questions.values():
            if len(rows) <= MOST_ROWS:
                for row in rows:
                    self._join(rows[0], row)
        members: dict[str, list[str]] = {}
        for row in self._parent:
            members.setdefault(self._find(row), []).append(row)
        shared = [rows for rows in members.values() if len(rows) > 1]
        shared.sort(key=min)
        return {row: number for number, rows in enumerate(shared) for row in rows}

    def _join_beginnings(self) -> None:
        """Join each longer row with the rows that are its beginning."""
        for row, keys in self._long:
            for key in keys:
                if key in self._row_of_key:
                    self._join(self._row_of_key[key], row)

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


def _find_first_answer(turns: Turns) -> int:
    """The place of the first answer."""
    roles = [turn["role"] for turn in turns]
    return roles.index(ANSWERING)


def _count_bytes(turn: Mapping[str, str]) -> int:
    """The size of a turn's text: a Chinese character says more than a Latin letter."""
    return len(turn["text"].strip().encode(errors="surrogatepass"))


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
