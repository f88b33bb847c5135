"""What is shown of an address: nothing of a login or a query, whatever they hold."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tacos.addresses import has_query, hide_secrets, redact_address
from tacos.formats.reading import name_files
from tacos.formats.remote_files import RemoteFile

SCHEMES = st.sampled_from(["https", "HTTP", "ftp", "sftp", "smb", "s3", "abfs"])
WORDS = st.text("abz019-_.~", min_size=1)
MARKS = st.text("ab9/?#@:[]%&= \\'", min_size=1)


@given(scheme=SCHEMES, user=WORDS, password=st.text() | MARKS)
@example("https", "me", "geh?eim")
@example("https", "me", "geh#eim")
@example("https", "me", "geh/eim")
@example("https", "me", "ge@h/eim")
@example("https", "me", "8000/geheim")
@example("s3", "AKIA", "geh/eim")
def test_no_part_of_a_login_is_shown(scheme: str, user: str, password: str) -> None:
    """Before: "https://me:geh" was shown of https://me:geh?eim@host/a.jsonl."""
    shown = redact_address(f"{scheme}://{user}:{password}@host/a.jsonl")
    assert shown in {
        f"{scheme}://host/a.jsonl",
        f"{scheme}://.../host/a.jsonl",
        f"{scheme}://...",
    }


@given(user=WORDS, password=MARKS, query=MARKS)
def test_no_part_of_a_query_is_shown(user: str, password: str, query: str) -> None:
    secret = f"sig=SECRET{query}SECRET"
    for login in ("", f"{user}@", f"{user}:{password}@"):
        shown = redact_address(f"https://{login}host/a.jsonl?{secret}")
        assert "SECRET" not in shown


@given(
    scheme=SCHEMES,
    host=WORDS,
    path=st.lists(st.text("abz019-_.~@:", min_size=1)),
)
@example("https", "host", ["a@b.jsonl"])
@example("https", "host", ["a:b@c.jsonl"])
def test_an_address_without_a_login_stays_as_it_is(
    scheme: str, host: str, path: list[str]
) -> None:
    address = "/".join([f"{scheme}://{host}", *path])
    assert redact_address(address) == address
    assert redact_address(f"{address}?sig=a@b:c") == address


@given(host=WORDS, port=st.integers(1, 65535), path=st.lists(st.text("abz019-_.~:")))
def test_an_address_with_a_port_stays_as_it_is(
    host: str, port: int, path: list[str]
) -> None:
    address = "/".join([f"http://{host}:{port}", *path])
    assert redact_address(address) == address
    assert redact_address(f"{address}?sig=1#2") == address


@pytest.mark.parametrize(
    "address",
    [
        "hf://datasets/openai/gsm8k@main/a.parquet",
        "hf://datasets/openai/gsm8k@main:socratic/train",
        "abfs://container@account.dfs.core.windows.net/a@b.parquet",
        "s3://bucket/2026-01-01T00:00:00@x/a.jsonl",
        "http://[::1]:8000/a.jsonl",
    ],
)
def test_an_at_that_ends_no_login_is_shown(address: str) -> None:
    assert redact_address(address) == address


@given(st.text() | MARKS)
def test_what_is_shown_is_shown_again_as_it_is(text: str) -> None:
    for address in (f"https://{text}", f"s3://{text}", text):
        shown = redact_address(address)
        assert redact_address(shown) == shown


def test_addresses_in_an_error_are_cut_too() -> None:
    said = hide_secrets("GET https://me:geh/eim@host/a.jsonl failed")
    assert said == "GET https://.../host/a.jsonl failed"


def test_files_that_look_the_same_once_cut_have_names_of_their_own() -> None:
    addresses = ["http://host:8000/a@1.jsonl", "http://host:8000/b@1.jsonl"]
    assert all(map(has_query, addresses))
    files = [RemoteFile(address, "", None) for address in addresses]
    assert name_files(files) == ["1.jsonl", "1.jsonl~2"]
