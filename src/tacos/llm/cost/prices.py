"""What models cost: a dated table that a user's own table and `--price-in/--price-out` go before.

Prices are dollars per million tokens. `batch` is the factor on them for the batch API. The table is
a snapshot: the date in it says of when, and vendors' own pages decide. A user's table is
`prices.toml` in tacos' folder of the user's configuration.
"""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import platformdirs

from tacos.errors import ConfigError

SNAPSHOT = re.compile(r"(?:[-@]\d{3,}(?:-\d\d){0,2})?")


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """Dollars per million tokens, and the factor of the batch API."""

    per_million_in: float
    per_million_out: float
    batch: float = 1.0
    source: str = ""

    def usd(self, prompt_tokens: float, answer_tokens: float) -> float:
        """Dollars for so many tokens."""
        return (prompt_tokens * self.per_million_in + answer_tokens * self.per_million_out) / 1e6


def find_user_file() -> Path:
    """Where a user's own prices stand."""
    return platformdirs.user_config_path("tacos") / "prices.toml"


def find_price(
    model: str, per_in: float | None = None, per_out: float | None = None
) -> ModelPrice | None:
    """The price of `model`, None where nobody knows it.

    A dated snapshot (`gpt-x-2026-01-31`) costs what its family does, unless it has a line of its
    own. Raises `ConfigError` where only one of the two prices is given for a model that no table
    has.
    """
    listed = _look_up_price(model)
    if per_in is None and per_out is None:
        return listed
    if listed is None and (per_in is None or per_out is None):
        raise ConfigError(
            f"the model {model!r} is in no price table: give both --price-in and --price-out"
        )
    chosen_in = per_in if per_in is not None else listed.per_million_in if listed else 0.0
    chosen_out = per_out if per_out is not None else listed.per_million_out if listed else 0.0
    return ModelPrice(chosen_in, chosen_out, listed.batch if listed else 1.0, "given")


def _look_up_price(model: str) -> ModelPrice | None:
    """The line of the longest name that `model` is, or is a snapshot of; the user's table first."""
    for source, table in (
        ("your prices.toml", _read_user_prices(find_user_file())),
        ("tacos", read_shipped_prices()),
    ):
        names = [name for name in table.get("models", {}) if _is_snapshot(model, name)]
        if names:
            line = table["models"][max(names, key=len)]
            return _parse_price(line, f"{source}, {table.get('date', 'undated')}")
    return None


def _is_snapshot(model: str, name: str) -> bool:
    """Whether `model` is `name` or `name` with a date (or a build's number) behind it, not another
    version.

    >>> [_is_snapshot(model, "gpt-4o") for model in ("gpt-4o-2024-08-06", "gpt-4o-mini", "openai/gpt-4o")]
    [True, False, True]
    >>> _is_snapshot("claude-opus-4-5", "claude-opus-4"), _is_snapshot("claude-opus-4-20250514", "claude-opus-4")
    (False, True)
    """
    plain = model.rpartition("/")[2]
    return plain.startswith(name) and SNAPSHOT.fullmatch(plain.removeprefix(name)) is not None


def _parse_price(line: Any, source: str) -> ModelPrice:
    """A line of a table: `{in = 2.5, out = 10.0, batch = 0.5}`."""
    try:
        found = ModelPrice(
            float(line["in"]), float(line["out"]), float(line.get("batch", 1.0)), source
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        found = ModelPrice(math.nan, math.nan)
    if not all(
        0 <= each < math.inf for each in (found.per_million_in, found.per_million_out, found.batch)
    ):
        raise ConfigError(
            f"prices ({source}): {line!r} is not of the form {{in = 2.5, out = 10.0}}"
        )
    return found


def read_shipped_prices() -> dict[str, Any]:
    """The table that comes with tacos."""
    return tomllib.loads(files("tacos.llm").joinpath("prices.toml").read_text("utf-8"))


def _read_user_prices(file: Path) -> dict[str, Any]:
    """A user's table, empty where there is none."""
    try:
        table = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"prices file {file}: {error}") from None
    if not isinstance(table.get("models", {}), dict):
        raise ConfigError(f"prices file {file}: [models] must be a table, a line per model")
    return table
