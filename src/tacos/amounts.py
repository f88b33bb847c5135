"""Amounts that a person writes: the size of a selection, and the part of it that a source or a tag
may have.

A size is rows (`500`, `2k`), a share of the pool (`5%`, `0.05`, `1.0` for all) or a budget of
tokens (`2Mtokens`). A part is a share of the selection (`30%`, `0.3`) or rows (`300`); `<=` before
it makes it a limit, else it is met exactly.

A token is four characters of instruction and response (`sizes.estimate_tokens`): right within a tenth or so
for English.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tacos.errors import ConfigError

FORM = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([kKmMgG]?)\s*(%|tokens|rows|)", re.ASCII)
SCALES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


@dataclass(frozen=True)
class SelectionSize:
    """`value` rows, `value` of the pool (0..1), or `value` tokens."""

    unit: Literal["rows", "share", "tokens"]
    value: float

    def __str__(self) -> str:
        """As a person writes it, one way for each size.

        >>> str(parse_size("2k")), str(parse_size(0.05)), str(parse_size("2Mtokens"))
        ('2000', '5%', '2000000tokens')
        """
        if self.unit == "share":
            return f"{100 * self.value:.12g}%"
        return f"{self.value:.15g}" + ("tokens" if self.unit == "tokens" else "")


def parse_size(text: str | float) -> SelectionSize:
    """A size from what a person writes; `ConfigError` for anything else.

    >>> parse_size(500), parse_size("10%"), parse_size("2Mtokens")
    (SelectionSize(unit='rows', value=500.0), SelectionSize(unit='share', value=0.1), SelectionSize(unit='tokens', value=2000000.0))
    """
    found = FORM.fullmatch(str(text).strip())
    if not found or (found[3] == "%" and found[2]):
        raise ConfigError(
            f"-n {text!r} (select.n) is no size: "
            "write rows (500), a share of the pool (10% or 0.1) or a token budget (2Mtokens)"
        )
    value, unit = float(found[1]) * SCALES[found[2].lower()], found[3]
    if unit == "%":
        size = SelectionSize("share", value / 100)
    elif unit == "" and not found[2] and (0 < value < 1 or (value == 1 and "." in found[1])):
        size = SelectionSize("share", value)
    else:
        size = SelectionSize("tokens" if unit == "tokens" else "rows", value)
    if (
        value <= 0
        or (size.unit == "share" and size.value > 1)
        or (size.unit == "rows" and value % 1)
    ):
        raise ConfigError(
            f"-n {text!r} (select.n): a size is more than 0, a share at most 100%, and rows are whole"
        )
    return size


@dataclass(frozen=True)
class QuotaAmount:
    """What a source or a tag has of a selection: `value` rows or `value` of all (0..1), exactly or
    at most.
    """

    value: float
    unit: Literal["rows", "share"]
    at_most: bool = False

    def __str__(self) -> str:
        return ("<=" if self.at_most else "") + (
            f"{100 * self.value:.12g}%" if self.unit == "share" else str(self.rows(0))
        )

    def rows(self, n: int) -> int:
        """How many of n rows: a limit is rounded down, an exact share to the nearest number."""
        if self.unit == "rows":
            return int(self.value)
        return (
            math.floor(self.value * n + 1e-9) if self.at_most else math.floor(self.value * n + 0.5)
        )


def parse_quota(text: str | float, what: str = "a quota") -> QuotaAmount:
    """A part from what a person writes; `ConfigError` for anything else.

    >>> parse_quota(0.3), parse_quota("<=200")
    (QuotaAmount(value=0.3, unit='share', at_most=False), QuotaAmount(value=200.0, unit='rows', at_most=True))
    """
    written = str(text).strip()
    at_most, written = written.startswith("<="), written.removeprefix("<=").strip()
    if re.fullmatch(r"0(\.0*)?%?", written) and at_most:
        return QuotaAmount(0.0, "rows", at_most)
    try:
        size = parse_size(written)
    except ConfigError:
        size = SelectionSize("tokens", 0)
    if size.unit == "tokens":
        raise ConfigError(
            f"{what} of {text!r}: write a share of the selection (0.3 or 30%), rows (300), or a limit (<=30%, <=300)"
        )
    return QuotaAmount(size.value, "share" if size.unit == "share" else "rows", at_most)


def parse_quotas(given: Mapping[str, str | float], what: str) -> dict[str, QuotaAmount]:
    """The part of each name."""
    return {
        name: parse_quota(value, f"the {what} {name!r} has a quota")
        for name, value in given.items()
    }
