"""What models cost: a dated table, a user's own table before it, and given prices before both.

Prices are dollars per million tokens. `batch` is the factor on them for the batch API. The table is
a snapshot of the date in it; vendors' own pages decide. A user's table is `prices.toml` in tacos'
folder of the user's configuration.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
import platformdirs

from tacos.errors import ConfigError

GIVEN = "given"
"""The source of prices that were set for a command."""
NOTE = "price "
"""Before a model's name: under this name the ledger notes such a price."""
SNAPSHOT = re.compile(r"(?:[-@]\d{3,}(?:-\d\d){0,2})?")
"""What follows a model's name in the name of a snapshot: a date or a build's number, or nothing."""


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """Dollars per million tokens, and the factor of the batch API."""

    per_million_in: float
    per_million_out: float
    batch: float | None = None
    """None: not known."""
    source: str = ""

    @property
    def batch_factor(self) -> float:
        """The factor of the batch API; the full price where it is not known."""
        return 1.0 if self.batch is None else self.batch

    def usd(self, prompt_tokens: float, answer_tokens: float) -> float:
        """Dollars for these tokens."""
        return (
            prompt_tokens * self.per_million_in + answer_tokens * self.per_million_out
        ) / 1e6


def find_user_file() -> Path:
    """The file of a user's own prices."""
    return platformdirs.user_config_path("tacos") / "prices.toml"


def find_price(
    model: str,
    per_in: float | None = None,
    per_out: float | None = None,
    batch: float | None = None,
) -> ModelPrice | None:
    """The price of `model`, None where it is not known; what is given goes before the tables.

    A dated snapshot (`gpt-x-2026-01-31`) costs what its family does, unless it has a line of its
    own. Raises `ConfigError` where only one of the two prices is given for a model that no table
    has.
    """
    listed = _look_up_price(model)
    if per_in is None and per_out is None:
        if listed is None or batch is None:
            return listed
        return replace(listed, batch=batch)
    if listed is None:
        if per_in is None or per_out is None:
            raise ConfigError(
                f"the model {model!r} is in no price table: "
                "give both prices (price_in and price_out, or --price-in and --price-out)"
            )
        return ModelPrice(per_in, per_out, batch=batch, source=GIVEN)
    return ModelPrice(
        per_million_in=listed.per_million_in if per_in is None else per_in,
        per_million_out=listed.per_million_out if per_out is None else per_out,
        batch=listed.batch if batch is None else batch,
        source=GIVEN,
    )


def keep_given_price(
    model: str,
    price: ModelPrice | None,
    note: Callable[[str, str], None],
) -> None:
    """Have the ledger `note` a price that was set for a command, for `tacos ledger`."""
    if price is not None and price.source == GIVEN:
        line = asdict(price)
        note(f"{NOTE}{model}", orjson.dumps(line).decode())


def read_kept_price(text: str) -> ModelPrice | None:
    """A price that `keep_given_price` noted; None for ""."""
    return ModelPrice(**orjson.loads(text)) if text else None


def _look_up_price(model: str) -> ModelPrice | None:
    """The line of the longest name that `model` is, or is a snapshot of; the user's table first."""
    tables = {
        "your prices.toml": _read_user_prices(find_user_file()),
        "tacos": read_shipped_prices(),
    }
    for source, table in tables.items():
        names = [name for name in table.get("models", {}) if _is_snapshot(model, name)]
        if names:
            longest_name = max(names, key=len)
            date = table.get("date", "undated")
            return _parse_price(table["models"][longest_name], f"{source}, {date}")
    return None


def _is_snapshot(model: str, name: str) -> bool:
    """Whether `model` is `name`, or `name` with a date (or a build's number) behind it, not another
    version.

    >>> models = ("gpt-4o-2024-08-06", "gpt-4o-mini", "openai/gpt-4o")
    >>> [_is_snapshot(model, "gpt-4o") for model in models]
    [True, False, True]
    >>> _is_snapshot("claude-opus-4-5", "claude-opus-4")
    False
    >>> _is_snapshot("claude-opus-4-20250514", "claude-opus-4")
    True
    """
    # Routers put a vendor before the name: openai/gpt-4o.
    plain_name = model.rpartition("/")[2]
    if not plain_name.startswith(name):
        return False
    rest = plain_name.removeprefix(name)
    return SNAPSHOT.fullmatch(rest) is not None


def _parse_price(line: Any, source: str) -> ModelPrice:
    """A line of a table: `{in = 2.5, out = 10.0, batch = 0.5}`. Raises `ConfigError`."""
    try:
        price = ModelPrice(
            per_million_in=float(line["in"]),
            per_million_out=float(line["out"]),
            batch=float(line["batch"]) if "batch" in line else None,
            source=source,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        price = ModelPrice(math.nan, math.nan)
    # NaN fails every comparison. With such a price a budget in dollars would never be reached.
    numbers = (
        price.per_million_in,
        price.per_million_out,
        price.batch_factor,
    )
    if not all(0 <= number < math.inf for number in numbers):
        raise ConfigError(
            f"prices ({source}): {line!r} is not of the form {{in = 2.5, out = 10.0}}"
        )
    return price


def read_shipped_prices() -> dict[str, Any]:
    """The table that comes with tacos."""
    file = files("tacos.llm").joinpath("prices.toml")
    return tomllib.loads(file.read_text("utf-8"))


def _read_user_prices(file: Path) -> dict[str, Any]:
    """A user's table, empty if it does not exist. Raises `ConfigError`."""
    try:
        table = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the prices file {file} cannot be read: {error}; fix it"
        ) from None
    if not isinstance(table.get("models", {}), dict):
        raise ConfigError(
            f"the prices file {file}: [models] must be a table, a line per model"
        )
    return table
