"""A PostgreSQL server of this machine, in a temporary directory, on loopback.

`apt-get install postgresql` brings the programs (`make test-postgres`). They refuse to run as root,
so they run as the user postgres then.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

USER = "tacos"
PASSWORD = "pass@word/Wörter%41"
"""With signs that an address must escape."""
ESCAPED_PASSWORD = "pass%40word%2FW%C3%B6rter%2541"
INSTALL = "needs PostgreSQL: make test-postgres"
_numbers = count(1)


def find_programs() -> Path | None:
    """The folder of PostgreSQL's programs, the newest; None where there is none."""
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda folder: float(folder.parent.name),
    )
    found = shutil.which("initdb")
    if found:
        folders.append(Path(found).parent)
    return folders[-1] if folders else None


class PostgresServer:
    """A server with a user `USER`, who must give a password and may make databases."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        programs = find_programs()
        assert programs is not None, INSTALL
        self.programs = programs
        self.folder = folder
        self.data = folder / "data"
        self.settings = settings
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def address(self, database: str, password: str = ESCAPED_PASSWORD) -> str:
        """The address of a database, with user and password."""
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def create(self) -> None:
        """Make the server's files."""
        password_file = self.folder / "password"
        password_file.write_text(PASSWORD)
        self._run(
            *("initdb", "--pgdata", str(self.data), "--username", USER),
            *("--pwfile", str(password_file), "--auth", "scram-sha-256"),
            *("--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"),
        )

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            **self.settings,
        }
        words = [f"-c{name}={value}" for name, value in options.items()]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.programs / "postgres"), "-D", str(self.data), *words],
                stdout=log,
                stderr=log,
                **_user(),
            )
        end = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.address("postgres")).close()
                return
            except psycopg.OperationalError:
                is_gone = self.process.poll() is not None
                if is_gone or time.monotonic() > end:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stop it: SIGQUIT at once, as if the machine had lost power; SIGINT in good order."""
        if self.process is None:
            return
        self.process.send_signal(how)
        self.process.wait(60)
        self.process = None

    def make_database(self, **options: str) -> str:
        """A new, empty database; its address."""
        name = f"ledger_{os.getpid()}_{next(_numbers)}"
        words = " ".join(f"{key} {value}" for key, value in options.items())
        self.execute(f"CREATE DATABASE {name} {words}")
        return self.address(name)

    def execute(self, statement: str, database: str = "postgres") -> list[Any]:
        """Run a statement; the rows that it gives."""
        with psycopg.connect(self.address(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def _run(self, program: str, *words: str) -> None:
        subprocess.run(
            [str(self.programs / program), *words],
            check=True,
            stdout=subprocess.DEVNULL,
            **_user(),
        )


@contextmanager
def run_postgres(
    parent: Path | None = None, **settings: str
) -> Iterator[PostgresServer]:
    """A server that runs while the context lasts, with settings of postgresql.conf.

    Its files are in `parent`, by default in the folder of temporary files.
    """
    folder = Path(tempfile.mkdtemp(prefix="tacos-postgres-", dir=parent))
    try:
        if _user():
            shutil.chown(folder, "postgres", "postgres")
        server = PostgresServer(folder, settings)
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _user() -> dict[str, Any]:
    """Who runs the programs: postgres, where root would."""
    if os.geteuid() != 0:
        return {}
    return {"user": "postgres", "group": "postgres", "extra_groups": []}
