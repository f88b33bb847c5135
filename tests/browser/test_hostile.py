"""Sixty hostile samples in the report: none runs, all are shown as the text that they are."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page
from tests.browser.screens import PageWatch, take_screenshot
from tests.hostile import FILE_NAME, HOSTILE, MODEL_NAME

import tacos

# What a browser would obey or leave out: a sign stands for each.
UNSHOWN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


@pytest.fixture(scope="module")
def report(
    hostile_selection: tacos.Selection, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return hostile_selection.report(tmp_path_factory.mktemp("report") / "report.html")


def read_text(page: Page) -> str:
    """What the page shows or can unfold, in one line."""
    return make_comparable(page.text_content("body") or "")


def make_comparable(text: str) -> str:
    return " ".join(UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", text).split())


def touch_everything(page: Page) -> None:
    """Unfold, hover and focus what there is, so that handlers that wait for a person run, too."""
    page.evaluate(
        """() => {
            for (const details of document.querySelectorAll("details")) details.open = true;
            for (const element of document.querySelectorAll("body *")) {
                for (const name of ["mouseover", "focus", "toggle", "load", "error"])
                    element.dispatchEvent(new Event(name));
            }
        }"""
    )
    page.wait_for_timeout(200)


def test_no_sample_runs_or_becomes_markup(page_watch: PageWatch, report: Path) -> None:
    page = page_watch.open(report)
    touch_everything(page)
    assert page.locator(".hostile").count() == 0
    assert page.evaluate("Object.prototype.hostile === undefined")
    take_screenshot(page, "report-hostile", whole=False)


def test_every_sample_is_shown_as_text(page_watch: PageWatch, report: Path) -> None:
    shown = read_text(page_watch.open(report))
    missing = [
        name for name, text in HOSTILE.items() if make_comparable(text) not in shown
    ]
    assert missing == []
    assert FILE_NAME in shown
    assert MODEL_NAME in shown


def test_no_character_of_the_file_is_obeyed(report: Path) -> None:
    assert UNSHOWN.findall(report.read_text("utf-8")) == []
