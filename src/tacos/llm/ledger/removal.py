"""Which replies are to be removed: by where and when they came."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from tacos.llm.ledger.schema import LedgerEntry


@dataclass(frozen=True)
class ReplyFilter:
    """Which replies are meant; None: whatever it is. Times are seconds since 1970."""

    model: str | None = None
    """The requested model."""
    endpoint: str | None = None
    """The endpoint's name, however it is spelt; "" for replies whose endpoint was not noted."""
    since: float = -math.inf
    until: float = math.inf
    """The first moment that is not meant any more."""


class FoundReply(NamedTuple):
    """A reply, and its row in the table: keys may change, rows do not."""

    row: int
    entry: LedgerEntry
