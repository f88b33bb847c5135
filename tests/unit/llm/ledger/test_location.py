"""Where a ledger is: files and addresses, and what is never told of an address."""

from pathlib import Path

import pytest

import tacos
from tacos.errors import ConfigError
from tacos.llm.ledger.location import (
    PostgresAddress,
    has_ledger,
    list_ledger_files,
    locate_ledger,
    parse_location,
)

URL = "postgresql://me:geheim@db.example.com:5433/tacos?sslmode=verify-full&password=geheim"


@pytest.mark.parametrize(
    "url", [URL, URL.replace("postgresql", "postgres"), URL.upper()]
)
def test_an_address_is_told_without_login_and_query(url: str) -> None:
    location = parse_location(url)
    assert isinstance(location, PostgresAddress)
    scheme, separator, rest = url.partition("://")
    # libpq knows no scheme in capitals.
    assert location.url == scheme.lower() + separator + rest
    for text in (str(location), repr(location), f"{location}", str([location])):
        assert "geheim" not in text.lower()
        assert "me:" not in text.lower()
    assert str(location).lower().endswith("://db.example.com:5433/tacos")
    assert parse_location(location) is location


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://boss:geh#eim@host:5433/tacos",
        "postgresql://boss:geh?eim@host:5433/tacos",
        "postgresql://boss:geh/eim@host:5433/tacos",
        "postgresql://boss:p@geheim@host:5433/tacos",
        "postgresql://boss:geheim@[::1/tacos",
        "postgresql://boss:geheim@[fe80::z]:3/tacos",
        "postgresql:boss:geheim@host/tacos",
        " postgresql://boss:geheim@host/tacos",
        "host=127.0.0.1 password=geheim dbname=tacos",
    ],
)
def test_an_address_whose_password_might_be_shown_is_refused(address: str) -> None:
    """Before: cut at the mark, the start of the password was told as the host; or a traceback, or a
    file of this name.
    """
    with pytest.raises(
        ConfigError, match=r"(write it|written) as postgresql://USER@"
    ) as error:
        parse_location(address)
    for part in ("boss", "geh", "eim"):
        assert part not in str(error.value)


@pytest.mark.parametrize("query", ["replication=database", "a=b&%72eplication=true"])
def test_a_connection_that_takes_no_statements_is_refused(query: str) -> None:
    """Before: lines of psycopg's own, and tries for half a minute."""
    with pytest.raises(
        ConfigError, match=r"leave replication=\.\.\. out of its address"
    ) as error:
        parse_location(f"postgresql://boss:geheim@host/tacos?{query}")
    assert "geheim" not in str(error.value)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://boss:geh%23%3F%2F%40eim@host:5433/tacos",
        "postgresql:///tacos?host=/run/postgresql",
        "postgresql://me@[::1]:5433/tacos",
        "postgresql://me@first:5432,second:5432/tacos",
    ],
)
def test_addresses_of_any_right_form_are_taken(address: str) -> None:
    location = parse_location(address)
    assert isinstance(location, PostgresAddress)
    assert location.url == address


def test_a_path_is_a_file_and_nothing_is_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert locate_ledger("a/b.sqlite") == Path("a/b.sqlite")
    assert locate_ledger(None) == locate_ledger("") == tmp_path / "tacos/ledger.sqlite"
    assert not has_ledger(None)
    assert not has_ledger(tmp_path / "none")
    assert has_ledger(tmp_path)
    assert has_ledger(URL), "nobody can know before it is asked"
    assert list_ledger_files(URL) == []
    assert list_ledger_files("a") == [Path("a")]


@pytest.mark.parametrize(
    "url", ["mysql://me:geheim@h/db", "sqlite:///geheim?x=1", "s3://b/l"]
)
def test_other_addresses_are_no_ledgers(url: str) -> None:
    with pytest.raises(
        ConfigError, match=r"is no ledger: name a file, or a Postgre"
    ) as caught:
        parse_location(url)
    assert "me:geheim" not in str(caught.value)
    assert not Path(url.partition(":")[0] + ":").exists()


def test_an_address_that_was_made_a_path_is_refused_without_its_password() -> None:
    with pytest.raises(ConfigError, match="is a text, not a path") as caught:
        parse_location(Path(URL))
    assert "geheim" not in str(caught.value)


def test_a_ledger_is_a_path_or_an_address() -> None:
    with pytest.raises(TypeError, match="ledger must be a path or an address, not int"):
        tacos.ledger(3)  # type: ignore[arg-type]
