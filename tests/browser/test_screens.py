"""The tests' own eyes: each fault of a page is seen."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser
from tests.browser.screens import PageWatch, assert_accessible, assert_fits

# The short form is tests/browser/test_short.py.
pytestmark = pytest.mark.slow

HEAD = '<!doctype html><html lang="en"><title>A page</title><main><h1>A page</h1>'


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("<script>console.error('no')</script>", "console error: no"),
        ("<script>throw new Error('no')</script>", "page error: no"),
        ("<script>alert('no')</script>", "dialog: no"),
        ("<img src=https://example.org/pixel alt=''>", "request: https://example.org"),
        ("<img src=file:///etc/passwd alt=''>", "request: file:///etc/passwd"),
        ("<img src=x onerror=hacked('seven') alt=''>", "seven ran"),
        (
            "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'\">"
            "<script>hacked()</script>",
            "console error: ",
        ),
    ],
)
def test_what_a_page_must_not_do_is_seen(
    browser: Browser, tmp_path: Path, body: str, fault: str
) -> None:
    (tmp_path / "page.html").write_text(HEAD + body)
    watch = PageWatch(browser)
    watch.open(tmp_path / "page.html").wait_for_timeout(100)
    watch.close()
    assert [text for text in watch.faults if text.startswith(fault)]


@pytest.mark.parametrize(
    "body",
    ["<img src=data:, >", "<input>", "<p style='color:#aaa;background:#fff'>pale"],
)
def test_what_cannot_be_read_is_seen(
    browser: Browser, tmp_path: Path, body: str
) -> None:
    (tmp_path / "page.html").write_text(HEAD + body)
    watch = PageWatch(browser)
    page = watch.open(tmp_path / "page.html")
    with pytest.raises(AssertionError, match=r"\((serious|critical)\)"):
        assert_accessible(page)
    watch.close()


def test_a_page_wider_than_its_window_is_seen(
    page_watch: PageWatch, tmp_path: Path
) -> None:
    (tmp_path / "page.html").write_text(HEAD + "<div style='width:500px'>wide</div>")
    page = page_watch.open(tmp_path / "page.html", width=390)
    with pytest.raises(AssertionError, match="px wide in a window"):
        assert_fits(page)
