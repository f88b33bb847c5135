"""The page of a run in a browser: every screen, with a mouse and without, and hostile samples."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect
from tests.browser.screens import (
    LOOKS,
    PageWatch,
    Scheme,
    assert_accessible,
    assert_fits,
    take_screenshot,
)
from tests.browser.visible import make_comparable
from tests.hostile import FILE_NAME, HOSTILE
from tests.web.conftest import Page as Site
from tests.web.conftest import serve

import tacos

# The short form is tests/browser/test_short.py.
pytestmark = pytest.mark.slow

IS_SETTLED = """() => document.querySelector("main h1")
    && !document.querySelector("main > .left, main [aria-busy=true]")
    && [...document.querySelectorAll(".results")].every(each => each.hasChildNodes())"""

# Machines that do more than one thing are slow.
expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def site(hostile_selection: tacos.Selection) -> Iterator[Site]:
    with serve(tacos.ui(hostile_selection.run)) as served:
        yield served


def name_row(number: int) -> str:
    """The address of a row."""
    return f"#/row?row={quote(f'{FILE_NAME}.jsonl:{number}')}"


def open_page(watch: PageWatch, site: Site, **looks: Any) -> Page:
    """The first screen of the page, when it has been filled."""
    page = watch.open(site.door.url, **looks)
    settle(page)
    return page


def go(page: Page, address: str) -> None:
    """Go to another screen."""
    page.evaluate(
        """address => {
            if (location.hash === address) return;
            for (const old of document.querySelector("main").children) old.className = "left";
            location.hash = address;
        }""",
        address,
    )
    settle(page)


def settle(page: Page) -> None:
    """Wait until the page shows what it was asked for."""
    # Asked again and again from here: the page's policy forbids what `wait_for_function` does.
    for _ in range(1200):
        if page.evaluate(IS_SETTLED):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{page.url} is not filled")


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_every_screen_is_quiet_accessible_and_as_wide_as_its_window(
    page_watch: PageWatch, site: Site, scheme: Scheme, width: int
) -> None:
    page = open_page(page_watch, site, scheme=scheme, width=width)
    comparison = site.get("/api/comparisons", per_page=1).json()["comparisons"][0]
    places = "&".join(f"{name}={comparison[name]}" for name in ("round", "pair"))
    links = page.locator("#screens a").evaluate_all(
        "links => links.map(link => link.getAttribute('href'))"
    )
    faults = []
    for address in [*links, name_row(3), f"#/comparison?{places}"]:
        go(page, address)
        name = address.removeprefix("#/").partition("?")[0]
        take_screenshot(page, f"page-{name}-{scheme}-{width}", whole=False)
        assert page.get_by_role("alert").all_text_contents() == []
        for check in (assert_accessible, assert_fits):
            try:
                check(page)
            except AssertionError as error:
                faults.append(f"{name}: {error}")
    assert faults == []


# Hostile samples


def test_every_sample_is_a_text_in_the_list_and_in_its_story(
    page_watch: PageWatch, site: Site
) -> None:
    page = open_page(page_watch, site)
    listed = make_comparable(page.locator("main").text_content() or "")
    for number, (name, text) in enumerate(HOSTILE.items()):
        expected = make_comparable(text)
        assert expected[:60] in listed or number >= 40, name
        go(page, name_row(number))
        story = make_comparable(page.locator("main").text_content() or "")
        assert story.count(expected) >= 2, name
        assert page.locator(".hostile").count() == 0, name


def test_a_judge_says_hostile_things_in_words(
    page_watch: PageWatch, site: Site
) -> None:
    page = open_page(page_watch, site)
    said = set()
    for each in site.get("/api/comparisons", per_page=20).json()["comparisons"]:
        go(page, f"#/comparison?round={each['round']}&pair={each['pair']}")
        shown = make_comparable(page.locator("main").text_content() or "")
        said |= {
            name
            for name, text in HOSTILE.items()
            if f"{make_comparable(text)} A and B differ." in shown
        }
        assert page.locator(".hostile").count() == 0
    assert len(said) > 5


# Rows: search, filters, sorting, pages, download


def found(page: Page) -> str:
    settle(page)
    return page.locator(".found").inner_text().partition("Download")[0].strip()


def test_rows_are_searched_filtered_and_sorted(
    page_watch: PageWatch, site: Site
) -> None:
    page = open_page(page_watch, site)
    search = page.get_by_label("Search")
    search.fill('"What is this, closing style"')
    expect(page.locator(".found")).to_contain_text("1 of 162 rows")
    search.fill("")
    page.get_by_label("State").select_option("selected")
    expect(page.locator(".found")).to_contain_text("80 of 162 rows")
    page.get_by_role("button", name="Score").click()
    settle(page)
    cells = page.locator("td[data-title=Score]").all_inner_texts()
    scores = [float(cell) for cell in cells if cell]
    assert len(scores) > 10
    assert scores == sorted(scores, reverse=True)
    # The address holds it all: loaded again, the page shows the same.
    page.reload()
    expect(page.locator(".found")).to_contain_text("80 of 162 rows")
    assert page.locator("td[data-title=Score]").all_inner_texts() == cells
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".found")).to_contain_text("162 rows")


def test_pages_are_turned_by_button_and_by_key(
    page_watch: PageWatch, site: Site
) -> None:
    page = open_page(page_watch, site)
    first = page.locator("a.entry").all_inner_texts()
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".pager span")).to_contain_text("Page 2 of")
    second = page.locator("a.entry").all_inner_texts()
    assert not set(first) & set(second)
    page.keyboard.press("p")
    expect(page.locator(".pager span")).to_contain_text("Page 1 of")
    assert page.locator("a.entry").all_inner_texts() == first


def test_found_rows_are_downloaded(
    page_watch: PageWatch, site: Site, tmp_path: Any
) -> None:
    page = open_page(page_watch, site)
    page.get_by_label("State").select_option("selected")
    expect(page.locator(".found")).to_contain_text("80 of 162 rows")
    for ending, n_lines in (("JSONL", 80), ("CSV", None)):
        with page.expect_download() as waiting:
            page.get_by_role("link", name=ending, exact=True).click()
        path = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(path)
        if n_lines:
            rows = [json.loads(line) for line in path.read_bytes().splitlines()]
            assert len(rows) == n_lines


def test_a_row_is_found_read_and_left_by_keys_alone(
    page_watch: PageWatch, site: Site
) -> None:
    page = open_page(page_watch, site)
    page.keyboard.press("?")
    assert page.get_by_role("dialog").is_visible()
    assert_accessible(page)
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("number 7.")
    page.keyboard.press("Enter")
    settle(page)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    focused = page.evaluate("document.activeElement.innerText")
    page.keyboard.press("Enter")
    settle(page)
    assert "#/row?" in page.url
    assert make_comparable(focused) in make_comparable(
        page.locator("main").inner_text()
    )
    page.keyboard.press("u")
    settle(page)
    assert "#/rows" in page.url
    page.keyboard.press("2")
    settle(page)
    page.locator("table.comparisons").wait_for()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    settle(page)
    assert "#/comparison?" in page.url


def test_who_has_no_token_sees_nothing(page_watch: PageWatch, site: Site) -> None:
    page = page_watch.open(f"http://127.0.0.1:{site.door.port}/")
    assert "Open it by the link" in page.inner_text("body")
    assert "hostile" not in page.content()
    # The browser itself reports the refusal.
    assert len(page_watch.faults) == 1
    assert "status of 403" in page_watch.faults.pop()
