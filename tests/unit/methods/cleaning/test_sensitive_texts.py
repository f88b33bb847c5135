"""Secrets and personal data are found by their form, and what only looks like them is left alone.

Keys are put together here, since no file of a repository may hold what looks like one.
"""

import json
import random
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.methods.cleaning.personal_data import find_personal_data
from tacos.methods.cleaning.secret_keys import find_secret_keys
from tacos.methods.cleaning.sensitive_rows import find_sensitive_text, mask_row

ALPHANUMERIC = string.ascii_letters + string.digits


def draw(length: int, alphabet: str = ALPHANUMERIC) -> str:
    """Random characters, the same in each run; a digit first."""
    rng = random.Random(length)
    return "7" + "".join(rng.choice(alphabet) for _ in range(length - 1))


CAPITALS = string.ascii_uppercase + string.digits
KEYS = {
    "OpenAI or Anthropic key": [
        "sk-" + draw(48),
        "sk-" + "proj-" + draw(60),
        "sk-" + "ant-api03-" + draw(90),
        "sk-" + draw(32, "0123456789abcdef"),
    ],
    "AWS key": ["AK" + "IA" + draw(16, CAPITALS)],
    "GitHub key": ["gh" + "p_" + draw(36), "github_" + "pat_" + draw(82)],
    "GitLab key": ["glpat" + "-" + draw(20)],
    "Slack key": [
        "xox" + "b-" + "1234567890-" + draw(24),
        "hooks.slack.com" + "/services/T0A1B2C3D/B0A1B2C3D/" + draw(24),
    ],
    "Google key": ["AI" + "za" + draw(35)],
    "Hugging Face key": ["h" + "f_" + draw(34)],
    "npm key": ["npm" + "_" + draw(36)],
    "Stripe key": ["sk" + "_live_" + draw(24)],
    "SendGrid key": ["SG" + "." + draw(22) + "." + draw(43)],
    "key of a model provider": ["gsk" + "_" + draw(52), "xai" + "-" + draw(80)],
    "JSON web token": ["ey" + f"J{draw(20)}.eyJ{draw(40)}.{draw(43)}"],
    "private key": [
        "-----BEGIN " + f"RSA PRIVATE KEY-----\n{draw(64)}\n{draw(40)}\n-----END "
        "RSA PRIVATE KEY-----",
        "-----BEGIN " + f"OPENSSH PRIVATE KEY-----\n{draw(64)}\n",
    ],
    "Telegram key": ["123456789" + ":AA" + draw(33)],
}


@pytest.mark.parametrize(
    "kind, key", [(kind, key) for kind, keys in KEYS.items() for key in keys]
)
def test_keys(kind: str, key: str) -> None:
    for text in (key, f'KEY="{key}"', f"use {key}\nand", f"密钥是{key}。"):
        (place,) = find_secret_keys(text)
        assert place.kind == kind
        found = text[place.start : place.end]
        if kind == "private key":
            # Where its last line is missing, words after it may be its own.
            assert found.startswith(key.strip())
        else:
            # Of a Slack hook only the path is secret.
            assert found == key.removeprefix("hooks.slack.com/services/")


def test_the_secret_half_of_an_aws_key() -> None:
    text = "aws_secret_access" + f"_key = {draw(40)}"
    (place,) = find_secret_keys(text)
    assert text[place.start : place.end] == draw(40)


@pytest.mark.parametrize(
    "text",
    [
        "sk-" + "x" * 48,
        "Set OPENAI_API_KEY to sk-... or sk-your-own-key-goes-here-please",
        "sk-learn, task-management-and-planning-for-2024-project",
        "AK" + "IA" + "X" * 16,
        "gh" + "p_" + "x" * 36,
        "A private key begins with -----BEGIN RSA " + "PRIVATE KEY-----, then Base64.",
        "-----BEGIN PUBLIC KEY-----\n" + draw(64),
        "a secret of 40 characters: " + draw(40),
        "risk-" + draw(48),
        "eyJhbGciOiJIUzI1NiJ9 is the head of a token",
        "commit " + draw(40, "0123456789abcdef"),
    ],
)
def test_what_is_no_key(text: str) -> None:
    assert find_secret_keys(text) == []


PERSONAL = {
    "e-mail address": [
        "jane.doe+news@mail.example.co.uk",
        "j@b.io",
        "JANE_1@CORP.DE",
    ],
    "phone number": [
        "+44 20 7946 0958",
        "+49 (0)30 1234567",
        "+8613912345678",
        "+1 (415) 555-0132",
        "+14155550132",
        "415-555-0132",
        "(555) 123-4567",
        "+1-555-123-4567",
        "(415) 555-0132",
        "415.555.0132",
    ],
    "IBAN": [
        "DE89370400440532013000",
        "GB82 WEST 1234 5698 7654 32",
        "NO9386011117947",
        "FR14 2004 1010 0505 0001 3M02 606",
    ],
    "card number": [
        "4111 1111 1111 1111",
        "5555-5555-5555-4444",
        "378282246310005",
        "6011111111111117",
    ],
    "IP address": ["81.2.69.142", "2001:4860:4860::8888"],
    "social security number": ["536-22-1234"],
}


@pytest.mark.parametrize(
    "kind, datum", [(kind, datum) for kind, data in PERSONAL.items() for datum in data]
)
def test_personal_data(kind: str, datum: str) -> None:
    for text in (datum, f"It is {datum}.", f"({datum}), or:", f"他的是{datum}。"):
        (place,) = find_personal_data(text)
        assert (place.kind, text[place.start : place.end]) == (kind, datum)


@pytest.mark.parametrize(
    "text, number",
    [
        ("Phone: 030 1234567", "030 1234567"),
        ("my phone number is 555-0132", "555-0132"),
        ("手机号：13912345678", "13912345678"),
        ("Tel. (020) 7946 0958", "(020) 7946 0958"),
    ],
)
def test_a_phone_number_by_the_word_before_it(text: str, number: str) -> None:
    (place,) = find_personal_data(text)
    assert text[place.start : place.end] == number


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",
        "1234567812345670 and 9876543210987654",
        "DE89370400440532013001",
        "GB82 WEST 1234 5698 7654 33",
        "000-12-3456 666-12-3456 912-12-3456 123-00-4567",
        "192.168.1.1 10.0.0.1 127.0.0.1 0.0.0.0 255.255.255.0 300.1.2.3",
        "version 10.15.7.1, git 1.7.7.3 and section 15.12.2.7",
        "fe80::1 ::1 std::vector 12:34:56",
        "123-456-7890 (123) 456-7890 (000) 000-0000 Phone: 12345678",
        "1-800-273-8255 and (888) 652-3617",
        "x = +1234567890123; y + 5 = +10; 200 300 4000",
        "2023-01-15, 1990-2000, 3.14159265358979, 1,234,567,890",
        "ISBN 978-3-16-148410-0",
        "@decorator a@b user@localhost me@home@example.com",
        "The population was 331449281 in 2020.",
    ],
)
def test_what_is_no_personal_data(text: str) -> None:
    assert [text[place.start : place.end] for place in find_personal_data(text)] == []


def test_a_row_is_read_in_every_field_but_not_in_its_keys() -> None:
    rules = ["secrets", "pii"]
    row = {"messages": [{"role": "user", "content": 'Say "a\\b\n jane@corp.org"'}]}
    assert find_sensitive_text(json.dumps(row), rules) == (
        "pii",
        "e-mail address: jan…",
    )
    assert find_sensitive_text(json.dumps({"jane@corp.org": 1}), rules) is None


def test_no_reason_shows_a_secret() -> None:
    for find, kinds in ((find_secret_keys, KEYS), (find_personal_data, PERSONAL)):
        for text in [text for texts in kinds.values() for text in texts]:
            (place,) = find(text)
            found = text[place.start : place.end]
            broken = find_sensitive_text(json.dumps(text), ["secrets", "pii"])
            assert broken is not None
            shown = broken[1].partition(": ")[2].removesuffix("…")
            assert len(shown) <= len(found) / 4


def test_masking_changes_nothing_else() -> None:
    row = (
        '{"a":"x","a": 1.50, "b\\u00e9" : ["\\u00e9", "é jane@corp.org \\n"],"n":1e400}'
    )
    masked, counts = mask_row(row, ["pii"])
    expected = row.replace("é jane@corp.org", "é [E-MAIL ADDRESS]")
    assert masked == expected
    assert counts == {"e-mail address": 1}
    assert mask_row(masked, ["pii"]) == (masked, {})


@given(st.recursive(st.text() | st.integers(), st.lists))
def test_rows_without_anything_stay_byte_for_byte(value: object) -> None:
    row = json.dumps({"text": value, "": value})
    masked, counts = mask_row(row, ["secrets"])
    assert counts or masked == row


@pytest.mark.parametrize(
    "piece",
    ["a@b.co ", "a.", "+1 ", "1-", "a" * 9, "4111", "sk-", ": ", "phone 12 ", "2001:"],
)
def test_long_texts_take_no_long(piece: str) -> None:
    text = "-----BEGIN " + "RSA PRIVATE KEY-----\nA: " + piece * (200_000 // len(piece))
    start = time.process_time()
    find_personal_data(f"@ 123 {text}")
    find_secret_keys(text)
    assert time.process_time() - start < 3
