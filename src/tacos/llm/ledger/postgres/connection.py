"""Connections to a PostgreSQL database that are made again where they are lost.

A database is restarted now and then, and takes seconds for it. Replies that are on their way then
are paid for, so a command waits for it; where it does not come back, the command stops.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus

from tacos.errors import OutputError
from tacos.llm.ledger.location import PostgresAddress
from tacos.llm.ledger.postgres.failures import explain_failure, is_passing

PATIENCE = 30.0
"""Seconds for which a database that does not answer is waited for."""
PAUSE = 0.2
"""Seconds between two tries."""
OPTIONS = {
    "connect_timeout": "10",
    # A machine that vanishes says nothing: without these, waiting for it takes hours.
    "keepalives_idle": "20",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "30000",
    "application_name": "tacos",
}
"""Of every connection, unless the address has others."""

IDLE = TransactionStatus.IDLE
Connection = psycopg.Connection[tuple[Any, ...]]
log = logging.getLogger(__name__)
T = TypeVar("T")


class Outage:
    """Whether a database was waited for in vain: nothing waits for it again then."""

    is_given_up = False


def connect(address: PostgresAddress) -> Connection:
    """A new connection in autocommit mode. Raises `psycopg.Error`."""
    given = conninfo_to_dict(address.url)
    options = {name: value for name, value in OPTIONS.items() if name not in given}
    connection = psycopg.connect(
        make_conninfo(address.url, **options, client_encoding="UTF8"),
        autocommit=True,
        # Poolers give each transaction another connection, where a statement is not prepared.
        prepare_threshold=None,
    )
    # Leases rely on it: each statement sees what was committed before it.
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    return connection


class SteadyConnection:
    """One connection for all threads; methods raise `OutputError` of one line."""

    def __init__(self, address: PostgresAddress, outage: Outage) -> None:
        self._address = address
        self._outage = outage
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def run(self, work: Callable[[Connection], T], done: str = "used") -> T:
        """What `work` does in one transaction; `done` says what that is, for an error.

        `work` sends statements and returns their cursors, which have their rows once this returns.
        It is done again where the connection is lost or others were in the way. The connection may
        have been lost after the transaction was committed, so `work` must allow for that.
        """
        deadline = 0.0
        with self._lock:
            while True:
                try:
                    result = self._try(work)
                except psycopg.Error as error:
                    now = time.monotonic()
                    deadline = deadline or now + PATIENCE
                    if not is_passing(error):
                        raise self._explain(error, done) from None
                    if self._outage.is_given_up or now > deadline:
                        self._outage.is_given_up = True
                        raise self._explain(error, done) from None
                    log.info("%s; trying again", self._explain(error, done))
                    time.sleep(PAUSE)
                else:
                    self._outage.is_given_up = False
                    return result

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()

    def _try(self, work: Callable[[Connection], T]) -> T:
        """Do it once."""
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._address)
        connection = self._connection
        try:
            # One round trip for all statements: `work` waits for none of their results.
            with connection.pipeline(), connection.transaction():
                return work(connection)
        except BaseException:
            # A statement's failure may be noticed only after the last one was sent.
            if not connection.closed and connection.info.transaction_status != IDLE:
                connection.rollback()
            raise

    def _explain(self, error: Exception, done: str) -> OutputError:
        return OutputError(explain_failure(error, self._address, done))
