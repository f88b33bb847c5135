"""What failures of PostgreSQL mean: whether to try again, and what to say.

psycopg's errors of a statement have a code (SQLSTATE). Those of connecting have only a text, which
a server may write in another language: what is looked for in it may be missed, never misread.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
from psycopg.pq import Conninfo

from tacos.errors import OutputError
from tacos.llm.ledger.location import FORM, PostgresAddress, read_query
from tacos.llm.transport.redaction import (
    list_secrets,
    list_url_secrets,
    redact,
)

LOST = ("08", "57P")
"""Classes of codes by which a server ends a connection, or takes none for a while."""
IN_THE_WAY = ("40001", "40P01")
"""Codes of a transaction that others were in the way of: the same one works when it is repeated."""
REMEDIES = {
    "53100": "free some space on the database's disk",
    "53200": "give the database more memory",
    "25006": "give the address of the primary server: this one is read-only",
    "42501": "let a user who may make tables in it open it first, or grant that right",
}
"""Code -> what a person can do."""
CONNECTING = {
    "password": "give the password of this user in ~/.pgpass or PGPASSWORD",
    "role .* does not exist|pg_hba": "check the user in the address, and the server's pg_hba.conf",
    "database .* does not exist": "make it (createdb), or check its name in the address",
    "too many clients|connection slots": "raise the server's max_connections, or run fewer "
    "commands at once",
    "resolve|name or service": "check the host in the address",
}
"""Part of a text about connecting -> what a person can do."""


def is_passing(error: psycopg.Error) -> bool:
    """Whether the same transaction may work if it is tried again soon, on a new connection if need
    be.
    """
    code = error.sqlstate
    if code is None:  # libpq's own: no connection, or one that broke
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return code.startswith(LOST) or code in IN_THE_WAY


def explain_failure(
    error: Exception,
    address: PostgresAddress,
    done: str,
) -> str:
    """One line: what cannot be done, why, and what a person can do."""
    reason = _take_reason(error, address)
    return f"the ledger {address} cannot be {done}: {reason}; {_find_remedy(error, reason)}"


@contextmanager
def explain_failures(address: PostgresAddress, done: str) -> Iterator[None]:
    """Turn errors of PostgreSQL into `OutputError`s of one line."""
    try:
        yield
    except psycopg.Error as error:
        raise OutputError(explain_failure(error, address, done)) from None


def list_address_secrets(address: PostgresAddress) -> tuple[str, ...]:
    """What of an address is never shown: its password, and secrets of its query.

    libpq marks the options that a form must not show. The value of a name that it does not know
    may be a password whose name is misspelt.
    """
    shown = {each.keyword for each in Conninfo.get_defaults() if not each.dispchar}
    secrets = []
    for name, value in read_query(address.url):
        if name.encode() not in shown:
            secrets.append(value)
    # A user without a password is no secret.
    if urlsplit(address.url).password is not None:
        secrets += list_url_secrets(address.url)
    return list_secrets(secrets)


def _take_reason(error: Exception, address: PostgresAddress) -> str:
    """The first line of an error, without secrets."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    reason = re.sub(
        r"^(connection failed|connection is bad|consuming input failed|sending query failed"
        r"|failed to connect|sending query and params failed): ",
        "",
        lines[0],
    )
    reason = reason.replace("FATAL:  ", "").replace("ERROR:  ", "")
    return redact(reason, list_address_secrets(address)).rstrip(".")


def _find_remedy(error: Exception, reason: str) -> str:
    """What a person can do."""
    if isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None:
        return f"write the address as {FORM}"
    code = getattr(error, "sqlstate", None) or ""
    if code in REMEDIES:
        return REMEDIES[code]
    for pattern, remedy in CONNECTING.items():
        if re.search(pattern, reason, re.IGNORECASE):
            return remedy
    if code and not code.startswith(LOST):
        return "use another ledger (--ledger)"
    return "start the database, or check the address; then run the same command again"
