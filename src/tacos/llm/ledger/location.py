"""Where a ledger is: a file, or a PostgreSQL database that several machines share."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from urllib.parse import unquote, urlsplit

import platformdirs

from tacos.addresses import is_url, redact_address
from tacos.errors import ConfigError

POSTGRES = re.compile(r"postgres(ql)?://", re.IGNORECASE)
FORM = "postgresql://USER@HOST:PORT/DATABASE"


@dataclass(frozen=True)
class PostgresAddress:
    """The address of a database; as a text, without login and query, which hold passwords."""

    url: str = field(repr=False)

    def __str__(self) -> str:
        return redact_address(self.url)


LedgerLocation = Path | PostgresAddress


def parse_location(given: LedgerLocation | PathLike[str] | str) -> LedgerLocation:
    """A location as people write it. Raises `ConfigError` for an address that is none of a ledger.

    >>> str(parse_location("postgresql://me:secret@host/tacos"))
    'postgresql://host/tacos'
    >>> parse_location("replies.sqlite").name
    'replies.sqlite'
    """
    if isinstance(given, PostgresAddress):
        return given
    text = fspath(given)
    if POSTGRES.match(text):
        _check_address(text)
        scheme, separator, rest = text.partition("://")
        # libpq takes a scheme in capitals for something else.
        return PostgresAddress(f"{scheme.lower()}{separator}{rest}")
    if is_url(text):
        raise ConfigError(
            f"{redact_address(text)} is no ledger: name a file, or a PostgreSQL database "
            f"as {FORM}"
        )
    # A path has one slash where an address had two.
    if re.match(r"postgres(ql)?:/", text, re.IGNORECASE):
        raise ConfigError(
            f"the address of a ledger is a text, not a path: give {FORM} as a str"
        )
    if re.match(r"\s*postgres(ql)?:|.*\bpassword=", text, re.IGNORECASE):
        raise ConfigError(f"the address of a ledger is written as {FORM}")
    return Path(text)


def read_query(address: str) -> list[tuple[str, str]]:
    """The names and values of an address' query; a part without a name is a value.

    >>> read_query("postgresql://host/db?sslmode=require&password=a%26b")
    [('sslmode', 'require'), ('password', 'a&b')]
    """
    pairs = []
    for part in filter(None, urlsplit(address).query.split("&")):
        # Not `parse_qsl`, which reads a plus sign as a space: libpq does not.
        name, separator, value = part.partition("=")
        pair = (name, value) if separator else ("", name)
        pairs.append((unquote(pair[0]), unquote(pair[1])))
    return pairs


def _check_address(address: str) -> None:
    """Raise `ConfigError` where a part of a password would be taken for another part, and shown,
    and where a connection would take no statements.
    """
    _, _, rest = address.partition("://")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    is_read = "#" not in rest and rest.count("@") == authority.count("@") <= 1
    try:
        urlsplit(address)
    except ValueError:  # brackets around no IPv6 address
        is_read = False
    if not is_read:
        raise ConfigError(
            f"the address of the ledger cannot be read: write it as {FORM}, "
            "with / ? # @ [ ] in a name or password as %2F %3F %23 %40 %5B %5D"
        )
    if "replication" in dict(read_query(address)):
        raise ConfigError(
            f"the ledger {redact_address(address)} needs an ordinary connection: "
            "leave replication=... out of its address"
        )


def locate_ledger(
    given: LedgerLocation | PathLike[str] | str | None = None,
) -> LedgerLocation:
    """The location of a ledger: what was given, or the file in the user's data folder."""
    if given is None or given == "":
        return platformdirs.user_data_path("tacos") / "ledger.sqlite"
    return parse_location(given)


def has_ledger(given: LedgerLocation | PathLike[str] | str | None = None) -> bool:
    """Whether a ledger may hold replies: its file exists, or it is a database elsewhere."""
    location = locate_ledger(given)
    return isinstance(location, PostgresAddress) or location.exists()


def list_ledger_files(
    given: LedgerLocation | PathLike[str] | str | None = None,
) -> list[Path]:
    """The file of a ledger, which nothing else may replace; none of a database elsewhere."""
    location = locate_ledger(given)
    return [] if isinstance(location, PostgresAddress) else [location]
