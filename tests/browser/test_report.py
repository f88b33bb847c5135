"""The report in a browser: sixty hostile samples and a hundred plain ones, compared by a model."""

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page
from tests.browser.screens import (
    LOOKS,
    PageWatch,
    Scheme,
    assert_accessible,
    assert_fits,
    take_screenshot,
)
from tests.browser.visible import UNSHOWN, make_comparable
from tests.hostile import FILE_NAME, HOSTILE, MODEL_NAME

import tacos

# The short form is tests/browser/test_short.py.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report(
    hostile_selection: tacos.Selection, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return hostile_selection.report(tmp_path_factory.mktemp("report") / "report.html")


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_it_is_quiet_accessible_and_as_wide_as_its_window(
    page_watch: PageWatch, report: Path, scheme: Scheme, width: int
) -> None:
    page = page_watch.open(report, scheme=scheme, width=width)
    take_screenshot(page, f"report-{scheme}-{width}")
    assert_fits(page)
    assert_accessible(page)


def test_it_reads_without_scripts(page_watch: PageWatch, report: Path) -> None:
    page = page_watch.open(report, scripts=False)
    assert page.locator("main section").count() > 5
    # What needs the script is not offered.
    assert not page.get_by_role("button", name="Save as").first.is_visible()


# Hostile samples


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


def test_every_sample_is_shown_as_text(page_watch: PageWatch, report: Path) -> None:
    text = page_watch.open(report).locator("body").text_content() or ""
    shown = make_comparable(text)
    missing = [
        name for name, text in HOSTILE.items() if make_comparable(text) not in shown
    ]
    assert missing == []
    assert FILE_NAME in shown
    assert MODEL_NAME in shown


def test_no_character_of_the_file_is_obeyed(report: Path) -> None:
    assert UNSHOWN.findall(report.read_text("utf-8")) == []


# What the script adds


def read_column(table: Locator, column: int) -> list[float]:
    cells = table.locator(f"tbody tr > :nth-child({column + 1})").all_text_contents()
    numbers = [re.sub(r"[,$%\s]", "", cell) for cell in cells]
    return [float(number) for number in numbers if re.fullmatch(r"-?[\d.]+", number)]


def find_sortable_columns(page: Page) -> Iterator[tuple[Locator, int]]:
    """Visible tables with the numbers of their columns that hold different numbers."""
    for table in page.locator("table[data-sortable]:visible").all():
        for column, head in enumerate(table.locator("thead tr > *").all()):
            is_number = "n" in (head.get_attribute("class") or "").split()
            if is_number and len(set(read_column(table, column))) > 2:
                yield table, column


def test_tables_are_sorted_by_a_click_and_by_a_key(
    page_watch: PageWatch, report: Path
) -> None:
    page = page_watch.open(report)
    table, column = next(find_sortable_columns(page))
    heads = table.locator("thead tr > *")
    heads.nth(column).get_by_role("button").click()
    values = read_column(table, column)
    assert values == sorted(values, reverse=True)
    assert heads.nth(column).get_attribute("aria-sort") == "descending"
    page.keyboard.press("Enter")
    assert read_column(table, column) == sorted(values)


def test_every_figure_is_saved_as_svg_and_png(
    page_watch: PageWatch, report: Path, tmp_path: Path
) -> None:
    page = page_watch.open(report, scheme="dark")
    figures = page.locator("figure.figure")
    assert figures.count() > 0
    for number in range(figures.count()):
        figure = figures.nth(number)
        name = figure.get_attribute("id")
        for kind in ("SVG", "PNG"):
            with page.expect_download() as waiting:
                figure.get_by_role("button", name=f"Save as {kind}").click()
            assert waiting.value.suggested_filename == f"{name}.{kind.lower()}"
            path = tmp_path / waiting.value.suggested_filename
            waiting.value.save_as(path)
            if kind == "PNG":
                assert path.read_bytes().startswith(b"\x89PNG")
                continue
            text = path.read_text("utf-8")
            # By its structure: a tag that reads like markup stands in it as text.
            for part in ElementTree.fromstring(text).iter():
                assert not part.tag.endswith(("script", "foreignObject"))
                for attribute, value in part.attrib.items():
                    assert not attribute.startswith("on")
                    assert "href" not in attribute or value.startswith("#")
            # A file of its own has no colours of the page to refer to.
            assert "var(--" not in text
            assert "currentColor" not in text


def test_hovering_says_what_a_point_is(page_watch: PageWatch, report: Path) -> None:
    page = page_watch.open(report)
    drawings = page.locator("[data-points]")
    for number in range(drawings.count()):
        drawing = drawings.nth(number)
        source = page.locator(f"#{drawing.get_attribute('data-points')}")
        x, y, text = json.loads(source.text_content() or "")["points"][0]
        drawing.scroll_into_view_if_needed()
        place = drawing.locator("svg").first.evaluate(
            """(svg, [x, y]) => {
                const place = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
                return [place.x, place.y];
            }""",
            [x, y],
        )
        page.mouse.move(*place)
        hover = page.locator("#hover")
        assert hover.is_visible()
        assert make_comparable(hover.text_content() or "")
        drawing_box = hover.bounding_box()
        assert drawing_box is not None
        assert drawing_box["x"] >= 0
        assert text
        page.mouse.move(0, 0)


def test_colours_are_switched_by_hand(page_watch: PageWatch, report: Path) -> None:
    page = page_watch.open(report)
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    page.get_by_role("button", name="Dark colours").click()
    assert page.evaluate(colour) != light
    assert_accessible(page)


def test_the_contents_are_reached_by_keyboard(
    page_watch: PageWatch, report: Path
) -> None:
    page = page_watch.open(report)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.outerHTML.slice(0, 40)"))
    assert len(reached) > 10


def test_any_row_is_found_with_the_reason_that_explain_gives(
    page_watch: PageWatch, report: Path, hostile_selection: tacos.Selection
) -> None:
    page = page_watch.open(report)
    field = page.get_by_label("The id of a row")
    samples = hostile_selection.artifacts["samples"]
    ids = samples.scan().select("id").collect()["id"]
    for row in (ids[0], ids[-1], hostile_selection.table["id"][0]):
        field.fill(row)
        found = page.locator("#row-exact li").inner_text()
        verdict = hostile_selection.explain(row)["verdict"]
        # New tags of a dropped row have no names in the report.
        start = verdict.partition(" (")[0]
        assert make_comparable(start) in make_comparable(found)
    field.fill("no such row")
    said = page.locator("#row-count").inner_text()
    assert said.startswith("0 rows found: no id has this, nor has any of the texts")


def test_ranges_are_sorted_by_their_start(page_watch: PageWatch, report: Path) -> None:
    page = page_watch.open(report)
    figure = page.locator("#lengths-selected")
    figure.get_by_text("The figure as a table").click()
    heads = figure.locator("thead th")
    for is_descending in (True, False):
        heads.first.get_by_role("button").click()
        cells = figure.locator("tbody th").all_inner_texts()
        starts = [float(cell.split(" to ")[0].replace(",", "")) for cell in cells]
        assert starts == sorted(starts, reverse=is_descending)
        assert starts[0] != starts[-1]


def test_a_link_to_a_part_leads_there(page_watch: PageWatch, report: Path) -> None:
    top = "name => document.getElementById(name).getBoundingClientRect().top"
    page = page_watch.open(f"{report.resolve().as_uri()}#row-finder")
    assert 0 <= page.evaluate(top, "row-finder") < 40
    for link in page.locator(".contents a").all():
        link.click()
        name = (link.get_attribute("href") or "").removeprefix("#")
        is_last = "innerHeight + scrollY >= document.body.scrollHeight - 2"
        assert page.evaluate(is_last) or 0 <= page.evaluate(top, name) < 40


def test_what_is_printed_has_no_controls_and_is_not_cut(
    page_watch: PageWatch, report: Path
) -> None:
    page = page_watch.open(report, scheme="dark")
    page.emulate_media(media="print")
    assert not page.get_by_role("button", name="Save as SVG").first.is_visible()
    assert not page.get_by_label("The id of a row").is_visible()
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(255, 255, 255)"
    # A page is 190 mm wide between its margins.
    page.set_viewport_size({"width": 718, "height": 900})
    assert_fits(page)
