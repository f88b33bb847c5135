"""The short form of this folder, for every change: report and page of a small run, some of its rows
hostile, operated in one browser. The other modules look closer, at more and larger rows.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.browser.screens import (
    PageWatch,
    assert_accessible,
    assert_fits,
    take_screenshot,
)
from tests.browser.visible import make_comparable
from tests.hostile import HOSTILE
from tests.small_world import MODELS, judge_by_instruction, make_rows
from tests.web.conftest import Page as Site
from tests.web.conftest import serve

import tacos

expect.set_options(timeout=30_000)


N_HOSTILE = 12
N_SELECTED = 20


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tacos.Selection:
    """A run of 92 rows, of which the first twelve are hostile and selected."""
    folder = tmp_path_factory.mktemp("short")
    hostile = list(HOSTILE.values())[:N_HOSTILE]
    rows = [{"instruction": text, "output": f"{text} yes"} for text in hostile]
    return tacos.select(
        [*rows, *make_rows(80)],
        n=N_SELECTED,
        run=folder / "run",
        **{**MODELS, "judge": judge_by_instruction},
        settings={
            "normalise": {"alpha": 1},
            "select": {"keep": [f"data:{number}" for number in range(N_HOSTILE)]},
        },
    )


@pytest.fixture(scope="module")
def site(done: tacos.Selection) -> Iterator[Site]:
    with serve(tacos.ui(done.run)) as served:
        yield served


def test_the_report_is_quiet_and_its_row_finder_works(
    page_watch: PageWatch, done: tacos.Selection
) -> None:
    page = page_watch.open(done.run / "report.html", scheme="dark", width=390)
    find_exactly(page, done)
    find_nothing(page)
    find_by_words(page)
    page.evaluate("document.getElementById('row-finder').scrollIntoView()")
    take_screenshot(page, "short-report", whole=False)
    # What was found is read by a screen reader, too.
    assert_accessible(page)
    assert_fits(page)


def find_exactly(page: Page, done: tacos.Selection) -> None:
    """A whole id, and a number by itself, stand apart from the rows that only contain it."""
    verdict = done.explain("data:7")["verdict"].partition(" (")[0]
    for typed in ("data:7", "7"):
        page.get_by_label("The id of a row").fill(typed)
        expect(page.locator("#row-exact li")).to_have_count(1)
        shown = page.locator("#row-exact li").inner_text()
        assert shown.startswith("data:7 ")
        assert make_comparable(verdict) in make_comparable(shown)
    # 17, 27, ... 87 and 70 to 79 contain the number.
    others = page.locator("#row-found li").all_inner_texts()
    assert len(others) >= 18
    assert not any(text.startswith("data:7 ") for text in others)


def find_by_words(page: Page) -> None:
    """A row is found by words of its text, in any order, capitals or not; it is shown as text."""
    number = list(HOSTILE).index("closing style")
    page.get_by_label("The id of a row").fill("CLOSING </Style>")
    expect(page.locator("#row-exact li")).to_have_count(0)
    texts = page.locator("#row-found li").all_inner_texts()
    assert [text.partition(" ")[0] for text in texts] == [f"data:{number}"]
    assert HOSTILE["closing style"] in texts[0]
    assert page.locator(".hostile").count() == 0


def find_nothing(page: Page) -> None:
    """What is not found may still be there: the page says what it has looked at."""
    page.get_by_label("The id of a row").fill("no such row")
    expect(page.locator("#row-count")).to_contain_text("0 rows found: no id has this")
    expect(page.locator("#row-count")).to_contain_text("texts that are in this page")


def test_what_if_is_tried_changed_and_saved(page_watch: PageWatch, site: Site) -> None:
    page = page_watch.open(f"{site.door.url}#/what-if")
    results = page.get_by_role("region", name="What would change")
    expect(results.locator(".verdict")).to_contain_text(f"{N_SELECTED} rows")
    page.get_by_label("Strategy").select_option("longest")
    expect(results.locator(".verdict")).to_contain_text("come in")
    # More rows are to be kept than these: it is refused on one line, and the page goes on.
    page.get_by_label("Rows, a share").fill("5")
    expect(results.get_by_role("alert")).to_contain_text("the must-keep list has 12")
    assert "status of 400" in page_watch.faults.pop()
    page.get_by_label("Rows, a share").fill("16")
    expect(results.locator(".verdict")).to_contain_text("16 rows: ")
    source = site.view.search.list_filters()["source"][0]["name"]
    page.get_by_role("button", name="Add a quota of a source").click()
    page.get_by_label("Name of the source").fill(source)
    page.get_by_label("Share or rows").fill("100%")
    settled = page.get_by_text("Save it, or make it in the terminal")
    settled.click()
    expect(page.locator("details pre")).to_contain_text("--quota-source")
    page.get_by_role("button", name="Remove this quota").click()
    expect(page.locator("details pre")).not_to_contain_text("--quota-source")
    expect(results.locator(".verdict")).to_contain_text("16 rows: ")
    assert_accessible(page)
    save(page, site)


def save(page: Page, site: Site) -> None:
    """The file holds what the page showed."""
    page.get_by_text("Save it, or make it in the terminal").click()
    name = page.get_by_label("Save beside the run as")
    name.fill("longest.jsonl")
    page.get_by_role("button", name="Save", exact=True).click()
    told = page.locator("details p[role=status]")
    expect(told).to_contain_text("16 rows written to")
    file = Path(site.view.selection.run.absolute().parent) / "longest.jsonl"
    assert len([json.loads(line) for line in file.read_bytes().splitlines()]) == 16
    # What stands in the command does the same.
    assert "--strategy longest" in page.locator("details pre").inner_text()
