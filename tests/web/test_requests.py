"""A request that is wrong is answered in words that a person can act on."""

from typing import Any

import pytest
from tests.web.conftest import Page

OTHER_VERSION = "; load the page anew, as it may be of another version of tacos"


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("what-if", {"limit": "x"}, "limit: this must be a number, not 'x'"),
        (
            "what-if",
            {"n": "9" * 41},
            "n: this must be 40 characters or fewer, not '" + "9" * 41 + "'",
        ),
        ("what-if", {"n": "9" * 90}, "n: this must be 40 characters or fewer"),
        ("what-if", [], "the request: this must be an object, not []"),
        (
            "what-if",
            {"zz": 1},
            f"zz: nothing of this name can be asked for{OTHER_VERSION}",
        ),
        (
            "what-if/save",
            {"what_if": {}},
            f"name: the request lacks this{OTHER_VERSION}",
        ),
        (
            "edit/change",
            {"content_hash": "f00", "decision": "burn"},
            "decision: this must be 'keep', 'drop' or 'none', not 'burn'",
        ),
        (
            "edit/change",
            {"content_hash": ""},
            "content_hash: this must be text, not ''",
        ),
        (
            "edit/change",
            {"content_hash": "f00", "tags": "x"},
            "tags: this must be a list, not 'x'",
        ),
        ("annotate/draw", {"n_pairs": -1}, "n_pairs: this must be at least 0, not -1"),
        (
            "annotate/draw",
            {"n_pairs": 0.5},
            "n_pairs: this must be a whole number, not 0.5",
        ),
        ("annotate/undo", {"person": 7}, "person: this must be text, not 7"),
    ],
)
def test_what_is_wrong_and_what_it_must_be(
    page: Page, path: str, body: Any, error: str
) -> None:
    answer = page.post(f"/api/{path}", body)
    assert answer.status == 400
    assert answer.json()["error"] == error


def test_a_wrong_address_is_told_the_same(page: Page) -> None:
    answer = page.get("/api/rows", page="x")
    assert answer.json()["error"] == "page: this must be a whole number, not 'x'"
    answer = page.get("/api/diff")
    assert answer.json()["error"] == f"name: the request lacks this{OTHER_VERSION}"
