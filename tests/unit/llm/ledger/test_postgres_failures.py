"""What errors of PostgreSQL tell of an address: everything but its secrets."""

import pytest

psycopg = pytest.importorskip("psycopg", reason="the extra postgres is not installed")

from tacos.llm.ledger.location import PostgresAddress  # noqa: E402
from tacos.llm.ledger.postgres.failures import explain_failure  # noqa: E402


def explain(text: str, query: str, user: str = "boss:geheim") -> str:
    address = PostgresAddress(f"postgresql://{user}@host/tacos?{query}")
    return explain_failure(psycopg.OperationalError(text), address, "opened")


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("sslmode=require", "server does not support SSL, but SSL was required"),
        ("application_name=copies", "too many copies"),
        ("options=-csearch_path%3Dother", "unknown setting -csearch_path=other"),
        ("passfile=/home/boss/pass", "WARNING: /home/boss/pass is no plain file"),
        ("connect_timeout=1000", "no answer within 1000 s"),
    ],
)
def test_harmless_values_are_told(query: str, text: str) -> None:
    """Before: "SSL was [secret]d"."""
    assert text in explain(text, query)


def test_the_user_is_told() -> None:
    assert 'role "boss"' in explain('role "boss" does not exist', "", user="boss")


@pytest.mark.parametrize(
    "query",
    [
        "sslmode=require&password=ver%26raten",
        "sslpassword=ver%26raten",
        "pasword=ver%26raten",
        "ver%26raten",
        "oauth_client_secret=ver%26raten",
    ],
)
def test_secrets_are_not_told(query: str) -> None:
    text = 'invalid "ver&raten", ver%26raten for boss:geheim'
    said = explain(text, query)
    assert "raten" not in said
    assert "geheim" not in said
