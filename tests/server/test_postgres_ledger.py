"""The command line with a ledger in PostgreSQL: every command, every mistake in the address, and no
password anywhere.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from tests.server.fault_server import Behaviour, FaultServer
from tests.server.postgres_server import (
    ESCAPED_PASSWORD,
    PASSWORD,
    PostgresServer,
)
from tests.server.questions import KEY

import tacos as library
from tacos.errors import OutputError
from tacos.llm.ledger.ledger import open_ledger
from tacos.llm.ledger.location import PostgresAddress
from tacos.llm.ledger.postgres.connection import Outage, SteadyConnection, connect
from tacos.llm.ledger.postgres.tables import MIGRATIONS, prepare_tables
from tacos.llm.ledger.schema import LedgerEntry

SAMPLE = Path(__file__).parents[2] / "demo" / "sample.jsonl"
SECRETS = (PASSWORD, ESCAPED_PASSWORD, KEY)

pytestmark = [pytest.mark.postgres, pytest.mark.usefixtures("data_folder")]


def entry(key: str, raw: str = "{}") -> LedgerEntry:
    return LedgerEntry(
        key, "m", "m-1", "tag", "stop", 10, 5, 0.2, 1.8e9, "online", raw, "http://h/v1"
    )


def tacos(*words: object, code: int = 0, **environment: str) -> str:
    """Run a command in a process of its own; what it printed, which holds no secret."""
    done = subprocess.run(
        [sys.executable, "-m", "tacos", *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "OPENAI_API_KEY": KEY, "NO_PROXY": "*", **environment},
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "Traceback" not in said
    assert not any(secret in said for secret in SECRETS), said
    return said


def refuse(ledger: str, *parts: str, **environment: str) -> str:
    """The one line with which a command refuses a ledger."""
    said = tacos("ledger", "--ledger", ledger, code=2, **environment)
    (line,) = said.strip().splitlines()
    assert line.startswith("tacos: the ledger postgresql://"), line
    for part in parts:
        assert part in line
    return line


def database_of(ledger: str) -> str:
    return ledger.rpartition("/")[2]


# Every command


@pytest.mark.slow
def test_commands_of_a_run_and_of_the_ledger_work_over_it_and_keep_no_password(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    ledger = ("--ledger", postgres.make_database())
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(SAMPLE.read_text().splitlines(keepends=True)[:40]))
    output = tmp_path / "out.jsonl"
    run = f"{output}.run"
    with FaultServer(Behaviour({"fenced": 0.1})) as server:
        endpoint = ("--llm", server.url, "--model", "tiny-1", *ledger)
        prices = ("--set", "llm.price_in=1", "--set", "llm.price_out=2")
        tacos("quote", data, "-n", 10, *endpoint, *prices)
        tacos("select", data, "-n", 10, "-o", output, *endpoint, *prices, "-v")
        n_asked = server.asked.total()
        # The same selection anew, by other words: all replies are there.
        tacos("select", data, "-n", 10, "-o", tmp_path / "again.jsonl", *endpoint)
        assert server.asked.total() == n_asked == len(server.asked)
        tacos("refine", run, "-o", tmp_path / "refined.jsonl", *ledger)
    tacos("report", run, "-o", tmp_path / "report.html")
    tacos("explain", run, "rows.jsonl:3")
    tacos("requests", "export", run, tmp_path / "requests.jsonl", *ledger, code=2)

    overview = json.loads(tacos("ledger", "--json", *ledger))
    assert overview["path"].startswith("postgresql://127.0.0.1:")
    assert overview["n_replies"] >= n_asked
    assert "tiny-1" in tacos("ledger", *ledger)
    exported = tmp_path / "replies.jsonl"
    tacos("ledger", "export", exported, *ledger)
    assert len(exported.read_bytes().splitlines()) == overview["n_replies"]
    second = ("--ledger", postgres.make_database())
    said = tacos("ledger", *second, "import", exported)
    assert said.startswith(f"{overview['n_replies']:,} new replies")
    tacos("ledger", "remove", "--model", "tiny-1", "--dry-run", *second)
    assert "replies removed" in tacos(
        "ledger", "remove", "--model", "tiny-1", "--yes", *second
    )
    assert json.loads(tacos("ledger", "--json", *second))["n_replies"] == 0

    for path in tmp_path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(secret.encode() in content for secret in SECRETS), path


def test_python_takes_the_same_address(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    address = postgres.make_database()
    with open_ledger(address) as book:
        book.put_all([entry("a")])
    assert library.ledger(address).size.n_replies == 1
    in_capitals = address.replace("postgresql", "PostgreSQL")
    assert library.ledger(in_capitals).size.n_replies == 1
    assert library.export_ledger(tmp_path / "out.jsonl", address) == 1
    assert library.import_ledger(tmp_path / "out.jsonl", address).n_known == 1
    (group,) = library.remove_from_ledger(address, model="m")
    assert group.n_replies == 1


# Every mistake


def test_the_extra_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ImportError('no pq wrapper available')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    said = tacos(
        *("ledger", "--ledger", f"postgresql://u:{ESCAPED_PASSWORD}@h/db"),
        code=2,
        PYTHONPATH=path,
    )
    assert said == (
        "tacos: the ledger postgresql://h/db needs a package: "
        "pip install 'tacos-select[postgres]'\n"
    )


def test_a_wrong_address_is_one_line_that_says_what_to_do(
    postgres: PostgresServer,
) -> None:
    good = postgres.make_database()
    port = str(postgres.port)
    refuse(
        good.replace(port, "9"), "Connection refused", "start the database, or check"
    )
    refuse(good.replace("127.0.0.1", "no.such.host.invalid"), "check the host in")
    refuse(postgres.address("absent"), '"absent" does not exist', "make it (createdb)")
    wrong = refuse(postgres.address("postgres", "wr0ngw0rd"), "~/.pgpass or PGPASSWORD")
    assert "wr0ngw0rd" not in wrong
    refuse(good.replace(f":{ESCAPED_PASSWORD}", ""), "no password supplied")
    # Before: "SSL was [secret]d", and lines of psycopg's own for half a minute.
    refuse(f"{good}?sslmode=require", "SSL was required")
    refuse(f"{good}?replication=database", "leave replication=... out of its address")
    for bad in (
        f"postgresql://u:p%zz{ESCAPED_PASSWORD}@h/db",
        f"{good}?pasword={ESCAPED_PASSWORD}",
    ):
        refuse(bad, "write the address as postgresql://USER@HOST:PORT/DATABASE")


def test_the_password_may_come_from_the_environment(postgres: PostgresServer) -> None:
    address = postgres.make_database().replace(f":{ESCAPED_PASSWORD}", "")
    assert "0 replies" in tacos("ledger", "--ledger", address, PGPASSWORD=PASSWORD)


def test_a_ledger_of_a_newer_tacos_is_left_alone(postgres: PostgresServer) -> None:
    address = postgres.make_database()
    open_ledger(address).close()
    postgres.execute("UPDATE tacos_ledger SET version = 99", database_of(address))
    refuse(address, "written by a newer tacos (version 99 of the tables, not 1)")


def test_a_database_that_holds_no_unicode_is_refused(postgres: PostgresServer) -> None:
    address = postgres.make_database(
        ENCODING="'LATIN1'", LOCALE="'C'", TEMPLATE="template0"
    )
    refuse(address, "the database's encoding is LATIN1", "createdb -E UTF8")


def test_a_user_who_may_make_no_tables_is_told_so(postgres: PostgresServer) -> None:
    address = postgres.make_database()
    postgres.execute("DROP ROLE IF EXISTS guest")
    postgres.execute("CREATE ROLE guest LOGIN PASSWORD 'gast-wort'")
    guest = address.replace(f"tacos:{ESCAPED_PASSWORD}", "guest:gast-wort")
    line = refuse(
        guest, "permission denied for schema public", "let a user who may make"
    )
    assert "gast-wort" not in line


def test_a_server_that_takes_no_writes_is_told_so(postgres: PostgresServer) -> None:
    address = postgres.make_database()
    open_ledger(address).close()
    name = database_of(address)
    postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with open_ledger(address) as book:
        assert book.get(["a"]) == {}
        with pytest.raises(OutputError, match="give the address of the primary server"):
            book.take(["a"])


# Tables


def test_an_older_version_is_brought_up_to_date_once_and_loses_nothing(
    postgres: PostgresServer,
) -> None:
    address = PostgresAddress(postgres.make_database())
    with open_ledger(address) as book:
        book.put_all([entry("a"), entry("b")])
        before = list(book.entries())
    newer = (
        *MIGRATIONS,
        "ALTER TABLE tacos_replies ADD COLUMN note TEXT DEFAULT 'old'",
    )
    for _ in range(2):
        connection = connect(address)
        prepare_tables(connection, address, newer)
        connection.close()
    name = database_of(address.url)
    assert postgres.execute("SELECT version FROM tacos_ledger", name) == [(2,)]
    notes = "SELECT key, note FROM tacos_replies ORDER BY key"
    assert postgres.execute(notes, name) == [("a", "old"), ("b", "old")]
    postgres.execute("UPDATE tacos_ledger SET version = 1", name)
    with open_ledger(address) as book:
        assert list(book.entries()) == before


def test_a_migration_that_fails_changes_nothing(postgres: PostgresServer) -> None:
    address = PostgresAddress(postgres.make_database())
    connection = connect(address)
    with pytest.raises(psycopg.errors.UndefinedTable):
        prepare_tables(
            connection, address, (*MIGRATIONS, "ALTER TABLE absent ADD a TEXT")
        )
    connection.close()
    tables = "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'tacos%'"
    assert postgres.execute(tables, database_of(address.url)) == [(0,)]
    with open_ledger(address) as book:
        assert book.put_all([entry("a")]) == 1


def test_several_ledgers_fit_into_one_database(postgres: PostgresServer) -> None:
    address = postgres.make_database()
    postgres.execute("CREATE SCHEMA other", database_of(address))
    with (
        open_ledger(address) as one,
        open_ledger(f"{address}?options=-csearch_path%3Dother") as two,
    ):
        one.put_all([entry("a")])
        assert two.get(["a"]) == {}
        assert two.take(["a"]).ours == {"a"}


def test_leases_do_not_depend_on_the_servers_isolation(
    postgres: PostgresServer,
) -> None:
    address = postgres.make_database()
    level = "SET default_transaction_isolation = 'serializable'"
    postgres.execute(f"ALTER DATABASE {database_of(address)} {level}")
    link = SteadyConnection(PostgresAddress(address), Outage())
    cursor = link.run(lambda each: each.execute("SHOW transaction_isolation"))
    assert cursor.fetchone() == ("read committed",)
    link.close()


# Replies that could not be written


def test_replies_that_could_not_be_written_wait_for_the_next_command(
    postgres: PostgresServer, data_folder: Path
) -> None:
    address = postgres.make_database()
    name = database_of(address)
    with open_ledger(address) as book:
        book.put_all([entry("a"), entry("b", "unusable")])
        postgres.execute("ALTER TABLE tacos_replies RENAME TO moved", name)
        failures: list[Exception | None] = []
        for key in ("b", "c"):
            paid = entry(key, "paid")._replace(at=1.8e9 + 1)
            book.put(paid, lambda written, error: failures.append(error))
        book.flush()
        with pytest.raises(OutputError, match="cannot be written") as caught:
            book.put_all([entry("d")])
        assert "are kept in" not in str(caught.value), "whoever imports has them"
        assert "are kept in" in str(failures[0])
        assert str(data_folder) in str(failures[0])
        postgres.execute("ALTER TABLE moved RENAME TO tacos_replies", name)
    files = list((data_folder / "unwritten").glob("*.jsonl"))
    assert files
    for file in files:
        assert not any(secret in file.read_text() for secret in SECRETS)
    # Another ledger does not take them.
    with open_ledger(postgres.make_database()) as other:
        assert other.size().n_replies == 0
    damaged = files[0].with_stem(files[0].stem[:17] + "!")
    damaged.write_text("nonsense")
    message = f"{damaged} holds paid replies for the ledger, but is damaged"
    with pytest.raises(OutputError, match=message):
        open_ledger(address)
    damaged.unlink()
    with open_ledger(address) as book:
        replies = book.get(["a", "b", "c", "d"])
        assert {key: each.raw for key, each in replies.items()} == {
            "a": "{}",
            "b": "paid",
            "c": "paid",
        }
        assert book.size().n_replies == 4, "the reply that made room is still there"
    assert not list((data_folder / "unwritten").iterdir())
