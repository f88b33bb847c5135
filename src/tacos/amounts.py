"""Amounts as users write them: the size of a selection, the quota of a source or a tag, the cap on
what a command may spend, and memory.

A size is rows (`500`, `2k`), a share of the pool (`5%`, `0.05`, `1.0` for all) or a budget of
tokens (`2Mtokens`). A quota is a share of the selection (`30%`, `0.3`) or rows (`300`), and is met
exactly; with `<=` before it, it is an upper limit. A cap is dollars (`5usd`, `$5`), tokens
(`2Mtokens`) or requests (`1000requests`).

A token is four characters of instruction and response (`tacos.methods.selecting.sizes`): right to
within about a tenth for English.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tacos.errors import ConfigError

FORM = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([kKmMgG]?)\s*(%|tokens|rows|)", re.ASCII)
ZERO = re.compile(r"0(\.0*)?%?")
BUDGET = re.compile(
    r"(\d+(?:[_,]\d{3})*(?:\.\d+)?|\.\d+)\s*([kKmM]?)\s*(usd|\$|tokens?|requests?)",
    re.ASCII,
)
MEMORY = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([kKmMgGtT])i?[bB]?", re.ASCII)
BudgetUnit = Literal["usd", "tokens", "requests"]
BUDGET_UNITS: dict[str, BudgetUnit] = {
    "u": "usd",
    "$": "usd",
    "t": "tokens",
    "r": "requests",
}
"""By the first letter."""
SCALES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


@dataclass(frozen=True)
class SelectionSize:
    """`value` rows, `value` of the pool (0..1), or `value` tokens."""

    unit: Literal["rows", "share", "tokens"]
    value: float

    def __str__(self) -> str:
        """The size as users write it, in one way for each size.

        >>> str(parse_size("2k")), str(parse_size(0.05)), str(parse_size("2Mtokens"))
        ('2000', '5%', '2000000tokens')
        """
        if self.unit == "share":
            return _format_percent(self.value)
        number = f"{self.value:.15g}"
        if self.unit == "tokens":
            return f"{number}tokens"
        return number


@dataclass(frozen=True)
class QuotaAmount:
    """The part of a selection that a source or a tag has: `value` rows or `value` of all rows
    (0..1), exactly or at most.
    """

    value: float
    unit: Literal["rows", "share"]
    at_most: bool = False

    def __str__(self) -> str:
        """The quota as users write it, in one way for each quota."""
        amount = str(int(self.value))
        if self.unit == "share":
            amount = _format_percent(self.value)
        return f"<={amount}" if self.at_most else amount

    def rows(self, n: int) -> int:
        """How many of n rows: a limit is rounded down, an exact share to the nearest number."""
        if self.unit == "rows":
            return int(self.value)
        share = self.value * n
        if self.at_most:
            # 0.29 * 100 is a little less than 29, which must not become 28.
            return math.floor(share + 1e-9)
        # Not `round`, which takes a half to the even number.
        return math.floor(share + 0.5)


@dataclass(frozen=True, slots=True)
class BudgetCap:
    """The most that a command may spend."""

    amount: float
    unit: BudgetUnit

    def __str__(self) -> str:
        """The cap as users write it, in one way for each cap.

        >>> str(parse_budget("2Mtokens")), str(parse_budget("$0.50"))
        ('2000000tokens', '0.5usd')
        """
        return f"{self.amount:.15g}{self.unit}"


def parse_size(text: str | float) -> SelectionSize:
    """A size as users write it. Raises `ConfigError` for anything else.

    >>> parse_size(500)
    SelectionSize(unit='rows', value=500.0)
    >>> parse_size("10%")
    SelectionSize(unit='share', value=0.1)
    >>> parse_size("2Mtokens")
    SelectionSize(unit='tokens', value=2000000.0)
    """
    match = FORM.fullmatch(str(text).strip())
    if match is None:
        raise _describe_bad_size(text)
    number, scale, unit = match.groups()
    # 2k% means nothing.
    if unit == "%" and scale:
        raise _describe_bad_size(text)
    factor = SCALES[scale.lower()]
    value = float(number) * factor
    is_bare = not unit and not scale
    if unit == "%":
        size = SelectionSize("share", value / 100)
    elif unit == "tokens":
        size = SelectionSize("tokens", value)
    elif is_bare and _is_share(number, value):
        size = SelectionSize("share", value)
    else:
        size = SelectionSize("rows", value)
    _check_range(size, text)
    return size


def parse_budget(text: str) -> BudgetCap | None:
    """A cap from `5usd`, `$5`, `2mtokens`, `1000 requests`; None for "". Raises `ConfigError`.

    >>> parse_budget("5usd"), parse_budget("2.5Mtokens").amount, parse_budget("")
    (BudgetCap(amount=5.0, unit='usd'), 2500000.0, None)
    """
    normalized = text.strip().lower()
    if not normalized:
        return None
    if normalized.startswith("$"):
        normalized = f"{normalized[1:]}usd"
    match = BUDGET.fullmatch(normalized)
    if match is None:
        raise ConfigError(
            f"the budget {text!r} is not of the form 5usd, 2000000tokens or 1000requests "
            "(--budget, llm.budget)"
        )
    number, scale, unit = match.groups()
    # Both signs that people put between thousands.
    digits = number.replace(",", "").replace("_", "")
    # The first letter is enough: usd, tokens or requests.
    return BudgetCap(float(digits) * SCALES[scale], BUDGET_UNITS[unit[0]])


def parse_memory(text: str) -> float:
    """Bytes from `6GB` or `800M`. Raises `ConfigError`.

    >>> parse_memory("6GB"), parse_memory("1.5g")
    (6000000000.0, 1500000000.0)
    """
    match = MEMORY.fullmatch(text.strip())
    n_bytes = float(match[1]) * SCALES[match[2].lower()] if match else 0.0
    # So many digits that no number is so large are an infinite one.
    if not 0 < n_bytes < math.inf:
        raise ConfigError(
            f"{text!r} is no amount of memory (--max-memory): write 6GB or 800MB"
        )
    return n_bytes


def format_memory(n_bytes: float) -> str:
    """Bytes in the largest unit of which they are at least one, with a decimal.

    >>> format_memory(3.24e9), format_memory(8e8), format_memory(1500), format_memory(20)
    ('3.2 GB', '800.0 MB', '1.5 KB', '20 bytes')
    """
    for unit in ("g", "m", "k"):
        if n_bytes >= SCALES[unit]:
            return f"{n_bytes / SCALES[unit]:,.1f} {unit.upper()}B"
    return f"{n_bytes:.0f} bytes"


def parse_quota(text: str | float, what: str = "a quota") -> QuotaAmount:
    """A quota as users write it. Raises `ConfigError`, which starts with `what`, for anything else.

    >>> parse_quota(0.3)
    QuotaAmount(value=0.3, unit='share', at_most=False)
    >>> parse_quota("<=200")
    QuotaAmount(value=200.0, unit='rows', at_most=True)
    """
    stripped = str(text).strip()
    at_most = stripped.startswith("<=")
    amount = stripped.removeprefix("<=").strip()
    # 0 is a valid limit, but not a valid size.
    if at_most and ZERO.fullmatch(amount):
        return QuotaAmount(0.0, "rows", at_most)
    try:
        size = parse_size(amount)
    except ConfigError:
        raise _describe_bad_quota(text, what) from None
    if size.unit == "tokens":
        raise _describe_bad_quota(text, what)
    return QuotaAmount(size.value, size.unit, at_most)


def parse_quotas(
    given: Mapping[str, str | float],
    what: str,
) -> dict[str, QuotaAmount]:
    """The quota of each name."""
    quotas = {}
    for name, value in given.items():
        quota = parse_quota(
            value,
            what=f"the {what} {name!r} has a quota",
        )
        quotas[name] = quota
    return quotas


def _is_share(number: str, value: float) -> bool:
    """Whether a bare number is a share: below 1, or 1 with a decimal point."""
    # `1` is one row, `1.0` all of them.
    if value == 1:
        return "." in number
    return 0 < value < 1


def _check_range(size: SelectionSize, text: str | float) -> None:
    """Raise `ConfigError` for sizes that cannot be."""
    is_positive = size.value > 0
    is_above_all = size.unit == "share" and size.value > 1
    is_broken_row = size.unit == "rows" and size.value % 1 != 0
    if not is_positive or is_above_all or is_broken_row:
        raise ConfigError(
            f"{text!r} is not a valid size (-n, select.n): "
            "use a whole number of rows (1 or more), a share (up to 100%) "
            "or a token budget (2Mtokens)"
        )


def _describe_bad_size(text: str | float) -> ConfigError:
    return ConfigError(
        f"{text!r} is not a valid size (-n, select.n): "
        "write rows (500), a share of the pool (10% or 0.1) or a budget of tokens (2Mtokens)"
    )


def _describe_bad_quota(text: str | float, what: str) -> ConfigError:
    return ConfigError(
        f"{what} of {text!r}: write a share of the selection (0.3 or 30%), rows (300), "
        "or a limit (<=30%, <=300)"
    )


def _format_percent(share: float) -> str:
    return f"{100 * share:.12g}%"
