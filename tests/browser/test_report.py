"""The report in a browser."""

from pathlib import Path

import pytest
from tests.browser.screens import (
    SCHEMES,
    WIDTHS,
    PageWatch,
    Scheme,
    assert_accessible,
    assert_fits,
    take_screenshot,
)
from tests.small_world import MODELS, long_response, make_rows

import tacos


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    rows = make_rows(160, long_response)
    selection = tacos.select(rows, 20, run=folder / "run", **MODELS)
    return selection.report(folder / "report.html")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_screen_is_quiet(
    page_watch: PageWatch, report: Path, scheme: Scheme, width: int
) -> None:
    page = page_watch.open(report, scheme=scheme, width=width)
    take_screenshot(page, f"report-{scheme}-{width}")


def test_the_report_is_accessible(page_watch: PageWatch, report: Path) -> None:
    page = page_watch.open(report)
    assert_accessible(page)
    assert_fits(page)
