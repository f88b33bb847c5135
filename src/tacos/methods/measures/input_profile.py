"""What the samples of a data set are like, counted batch by batch in bounded memory: turns,
lengths, languages, and rows that look odd.

Lengths are in characters. An odd row is read like any other: it is only named, with the first ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from tacos.methods.samples.languages import guess_language
from tacos.methods.samples.tool_messages import TOOL_MARK

N_IDS = 3
"""Ids that are kept of each kind of odd rows."""
N_LANGUAGE_ROWS = 1_000
"""Rows of each batch whose language is guessed."""
N_LANGUAGE_CHARS = 500
"""Characters of each that are read for it."""
VERY_LONG = 32_000
"""Characters of a question and its answer, from which on few models read all of them."""

_QUESTION = pl.col("instruction")
_ANSWER = pl.col("response")
_TEXT = pl.concat_str("instruction", "response", separator="\n")
ODD_ROWS = {
    "control characters": _TEXT.str.contains(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"),
    "replacement characters (U+FFFD), a sign of a broken encoding": _TEXT.str.contains(
        "\ufffd", literal=True
    ),
    "letters of a wrong encoding (such as â€™ or Ã©)": _TEXT.str.contains(
        r"â€[™œ“”˜¦\x{9d}\x{99}\x{9c}]|Ã[©¨¼¶¤±³¡\x{a0}]"
    ),
    "an answer that only repeats the question": (
        _ANSWER.str.strip_chars() == _QUESTION.str.strip_chars()
    ),
    "an answer of one character": _ANSWER.str.strip_chars().str.len_chars() == 1,
    f"longer than {VERY_LONG:,} characters": (
        _QUESTION.str.len_chars() + _ANSWER.str.len_chars() > VERY_LONG
    ),
}
"""Kind of odd rows -> the expression that is true for them."""
REPEATED_QUESTION = "the question of an earlier row, with another answer"
"""Another kind, which is found across batches."""


@dataclass
class OddRows:
    """Rows that look odd in one way: how many, and the first ids."""

    n_rows: int = 0
    ids: list[str] = field(default_factory=list)

    def add(self, ids: Sequence[str]) -> None:
        """Count more of them."""
        self.n_rows += len(ids)
        n_free = max(0, N_IDS - len(self.ids))
        self.ids += ids[:n_free]


@dataclass
class InputProfile:
    """Counts over samples, tables of `tacos.records.SAMPLES`, that were added one after another."""

    n_samples: int = 0
    roles: Counter[str] = field(default_factory=Counter)
    """Role -> turns; those of tools apart."""
    n_questions: Counter[int] = field(default_factory=Counter)
    """Number of a user's turns in a row -> rows."""
    question_lengths: Counter[int] = field(default_factory=Counter)
    """Characters before the last answer -> rows."""
    answer_lengths: Counter[int] = field(default_factory=Counter)
    """Characters of the last answer -> rows."""
    languages: Counter[str] = field(default_factory=Counter)
    """Language or script -> rows, of the `n_language_rows` that were read for it."""
    odd: dict[str, OddRows] = field(default_factory=dict)

    @property
    def n_language_rows(self) -> int:
        """Rows whose language was guessed."""
        return self.languages.total()

    def add(self, samples: pl.DataFrame) -> None:
        """Count more samples."""
        if samples.is_empty():
            return
        self.n_samples += samples.height
        roles = pl.col("turns").list.eval(pl.element().struct.field("role"))
        turns = samples.select(pl.col("turns").explode()).unnest("turns")
        is_tool = (pl.col("role") == "system") & pl.col("text").str.starts_with(
            TOOL_MARK
        )
        speaker = pl.when(is_tool).then(pl.lit("tool")).otherwise("role")
        self.roles.update(_count_values(turns.select(role=speaker)["role"]))
        asked = samples.select(n=roles.list.count_matches("user"))
        self.n_questions.update(_count_values(asked["n"]))
        lengths = samples.select(_QUESTION.str.len_chars(), _ANSWER.str.len_chars())
        self.question_lengths.update(_count_values(lengths["instruction"]))
        self.answer_lengths.update(_count_values(lengths["response"]))
        texts = samples["instruction"].head(N_LANGUAGE_ROWS)
        for text in texts.str.slice(0, N_LANGUAGE_CHARS):
            self.languages[guess_language(text)] += 1
        for kind, is_odd in ODD_ROWS.items():
            self.add_odd(kind, samples.filter(is_odd)["id"].to_list())

    def add_odd(self, kind: str, ids: Sequence[str]) -> None:
        """Count more odd rows of a kind."""
        if ids:
            rows = self.odd.setdefault(kind, OddRows())
            rows.add(ids)


def name_speaker(role: str, text: str) -> tuple[str, str]:
    """Who speaks in a turn, and the text: samples have what tools return as text of the system.

    >>> name_speaker("system", "Tool: 12 mg")
    ('tool', '12 mg')
    """
    if role == "system" and text.startswith(TOOL_MARK):
        return "tool", text.removeprefix(TOOL_MARK)
    return role, text


def summarise_counts(counts: Mapping[int, int]) -> dict[str, float]:
    """Least, median, 95th percentile, greatest and mean of counted numbers; empty without any.

    The percentiles are numbers that occur: the least that so many rows do not exceed.

    >>> summarise_counts({1: 2, 5: 1, 10: 1})
    {'min': 1, 'median': 1, 'p95': 10, 'max': 10, 'mean': 4.25}
    """
    if not counts:
        return {}
    n_rows = sum(counts.values())
    total = sum(number * count for number, count in counts.items())
    return {
        "min": min(counts),
        "median": _find_quantile(counts, n_rows * 0.5),
        "p95": _find_quantile(counts, n_rows * 0.95),
        "max": max(counts),
        "mean": total / n_rows,
    }


def _find_quantile(counts: Mapping[int, int], n_wanted: float) -> int:
    """The least number that at least `n_wanted` of the counted numbers do not exceed."""
    n_seen = 0
    for number, count in sorted(counts.items()):
        n_seen += count
        if n_seen >= n_wanted:
            return number
    return max(counts)


def list_most_frequent(counts: Mapping[str, int]) -> dict[str, int]:
    """The counts, largest first; equal ones by name."""
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def _count_values(values: pl.Series) -> dict[Any, int]:
    """Value -> how often it occurs."""
    counts = values.value_counts()
    return dict(counts.iter_rows())
