"""Finds the ranks or scores of several answers: in a field of each, or in a column beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import orjson

from tacos.methods.samples.cells import LIST_START, read_number
from tacos.methods.samples.column_names import (
    find_first_column,
    list_found_columns,
    normalise_name,
)
from tacos.methods.samples.messages import is_message_list

Row = Mapping[str, Any]

RANKS = (
    "rank",
    "ranking",
)
"""Names of ranks: the lowest is best."""
SCORES = (
    "score",
    "pm_score",
    "overall_score",
    "rating",
    "overall_rating",
    "quality",
    "reward",
    "votes",
    "upvotes",
    "selected",
    "is_selected",
    "accepted",
    "is_accepted",
    "chosen",
    "is_chosen",
    "correct",
    "is_correct",
)
"""Names of scores, and of marks of the best answer: the highest is best."""


def find_rating(answers: Sequence[Row]) -> str:
    """The field of the answers' ranks or scores, or ""."""
    fields = dict.fromkeys(name for answer in answers for name in answer)
    columns = tuple(fields)
    for name in (*RANKS, *SCORES):
        field = find_first_column((name,), columns)
        if field and any(is_rating(answer.get(field)) for answer in answers):
            return field
    return ""


def list_rating_columns(row: Row, column: str) -> dict[str, Sequence[Any]]:
    """The columns beside the answers that hold a list of ranks or scores."""
    names = [(name, f"{name}s") for name in (*RANKS, *SCORES)]
    found: dict[str, Sequence[Any]] = {}
    for rating in list_found_columns(chain.from_iterable(names), tuple(row)):
        value = row[rating]
        if isinstance(value, str) and LIST_START.match(value):
            try:
                value = orjson.loads(value)
            except ValueError:
                continue
        if rating != column and _may_be_ratings(value):
            found[rating] = value
    return found


def _may_be_ratings(value: Any) -> bool:
    """Whether a value is a list of other things than texts and messages, such as those of a
    preference.
    """
    if not isinstance(value, list | tuple) or not value or is_message_list(value):
        return False
    return any(is_rating(item) or not isinstance(item, str) for item in value)


def is_rating(value: Any) -> bool:
    return read_number(value) is not None


def is_unclear(rating: Any) -> bool:
    """Whether a text holds digits but is no number, such as 1,234 or 4/5."""
    if not isinstance(rating, str) or is_rating(rating):
        return False
    return any(map(str.isdigit, rating))


def read_worth(rating: Any, rated_by: str) -> float:
    """How good an answer is by its rank or score; one without comes last.

    >>> read_worth("2", "rank") > read_worth("10", "rank") > read_worth(None, "rank")
    True
    """
    number = read_number(rating)
    if number is None:
        return -math.inf
    is_rank = normalise_name(rated_by).removesuffix("s") in RANKS
    # A rank of -1 stands for none.
    if is_rank and number < 0:
        return -math.inf
    return -number if is_rank else number
