"""Annotation and edits by hand in a real browser: by keyboard, by two people at once, on a phone,
and on rows that try to run.
"""

import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.browser.screens import (
    PageWatch,
    assert_accessible,
    assert_fits,
    take_screenshot,
)
from tests.small_world import make_rows, tag_by_words

import tacos
from tacos.web.application import build_application
from tacos.web.guard import Door
from tacos.web.server import build_server, open_socket
from tacos.workflows.selection import Selection

# The short form is tests/browser/test_short.py.
pytestmark = pytest.mark.slow

Serve = Callable[[Selection], str]
# Agreement is computed, and machines of CI are slow.
expect.set_options(timeout=20_000)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serves a copy of a run, and returns the link to its page."""
    running = []

    def start(done: Selection) -> str:
        run = tmp_path / "selected.jsonl.run"
        shutil.copytree(done.run, run)
        listener = stack.enter_context(open_socket(None))
        door = Door.with_new_token(listener.getsockname()[1])
        server = build_server(build_application(tacos.ui(run), door))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        running.append((server, thread))
        return door.url

    with ExitStack() as stack:
        yield start
        for server, thread in running:
            server.should_exit = True
            thread.join()


def judge_twice(
    instructions: list[str], responses: list[str]
) -> list[tuple[float, float]]:
    """Value by the length of the response, correctness by that of the instruction."""
    pairs = zip(instructions, responses, strict=True)
    return [(len(b) % 89 + 1.0, len(a) % 89 + 1.0) for a, b in pairs]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Selection:
    """A run whose judge gives two numbers."""
    folder = tmp_path_factory.mktemp("annotating")
    return tacos.select(
        make_rows(),
        n=20,
        run=folder / "selected.jsonl.run",
        tagger=tag_by_words,
        judge=judge_twice,
        settings={
            "normalise": {"alpha": 1},
            "check": {"n_precision": 3, "n_consistency": 2, "n_planted": 1},
        },
    )


def go(page: Page, url: str, path: str) -> None:
    """To a screen of the page."""
    page.goto(re.sub(r"\?.*", "", url) + f"#/{path}")


def open_annotate(watch: PageWatch, url: str, **look: object) -> Page:
    page = watch.open(url, **look)  # type: ignore[arg-type]
    page.get_by_role("link", name="Annotate").click()
    return page


def start_as(page: Page, person: str, kind: str) -> None:
    page.get_by_label("Your name").fill(person)
    page.get_by_label(kind).check()
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(kind)


def draw(page: Page, n_pairs: int) -> None:
    page.get_by_label("Pairs of rows").fill(str(n_pairs))
    page.get_by_role("button", name="Draw tasks").click()
    expect(page.get_by_label("Your name")).to_be_visible()


def test_two_people_at_once_by_keyboard(
    page_watch: PageWatch, serve: Serve, finished: Selection, tmp_path: Path
) -> None:
    url = serve(finished)
    ann = open_annotate(page_watch, url)
    draw(ann, 4)
    bea = open_annotate(page_watch, url)
    for page, person in ((ann, "ann"), (bea, "bea")):
        start_as(page, person, "Which row is better?")
        expect(page.locator(".done")).to_contain_text("0 done, 4 left")
    # Each answers three questions a task, by turns.
    for number in range(1, 5):
        for page, choice in ((ann, "1"), (bea, "ArrowLeft")):
            page.keyboard.press(choice)
            expect(page.locator("fieldset.current legend")).to_contain_text(
                "worth more"
            )
            page.keyboard.press("3")
            expect(page.locator("fieldset.current legend")).to_contain_text("correct")
            page.keyboard.press("Enter" if number == 1 else "4")
            expect(page.locator(".done")).to_contain_text(
                f"{number} done, {4 - number} left"
            )
    expect(ann.get_by_text("no other task of this kind")).to_be_visible()
    # Undo, and another answer.
    ann.keyboard.press("u")
    expect(ann.locator(".done")).to_contain_text("3 done, 1 left")
    ann.get_by_label("Comment").fill("second thoughts")
    ann.get_by_role("button", name="Cannot tell 4").first.click()
    ann.get_by_role("button", name="Leave out the rest").click()
    expect(ann.locator(".done")).to_contain_text("4 done, 0 left")
    # Who left the pair alone is missing from the agreement.
    ann.get_by_role("link", name="How far people agree").click()
    row = ann.get_by_role("row").filter(has_text="better row").first
    expect(row).to_contain_text("2 people")
    expect(row.get_by_role("cell").last).to_have_text("3")
    ann.get_by_role("button", name="Export labels").click()
    expect(ann.get_by_text("8 labels written to")).to_be_visible()
    labels = (tmp_path / "selected.jsonl.labels" / "labels.jsonl").read_text("utf-8")
    comments = [json.loads(line)["comment"] for line in labels.splitlines()]
    assert comments.count("second thoughts") == 1
    pairs = (tmp_path / "selected.jsonl.labels" / "pairs.jsonl").read_text("utf-8")
    for line in pairs.splitlines():
        assert json.loads(line)["value"] == "tie"


def test_agreement_follows_what_others_answer(
    page_watch: PageWatch, serve: Serve, finished: Selection
) -> None:
    url = serve(finished)
    ann = open_annotate(page_watch, url)
    draw(ann, 2)
    start_as(ann, "ann", "Is the tag right?")
    ann.keyboard.press("2")
    expect(ann.locator(".done")).to_contain_text("1 done, 3 left")
    watching = page_watch.open(url)
    go(watching, url, "agreement")
    expect(
        watching.get_by_role("row").filter(has_text="Is the tag right?")
    ).to_contain_text("3")
    ann.keyboard.press("1")
    expect(ann.locator(".done")).to_contain_text("2 done, 2 left")
    # Without a reload.
    row = watching.get_by_role("row").filter(has_text="Is the tag right?")
    expect(row.get_by_role("cell").nth(1)).to_have_text("2", timeout=40_000)


def test_rows_are_kept_dropped_and_tagged_by_keyboard(
    page_watch: PageWatch, serve: Serve, finished: Selection, tmp_path: Path
) -> None:
    url = serve(finished)
    page = page_watch.open(url)
    row = finished.table["id"][0]
    go(page, url, f"row?row={row}")
    page.get_by_role("heading", name="By hand").wait_for()
    page.keyboard.press("d")
    drop = page.get_by_role("button", name="Drop", exact=True)
    expect(drop).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("t")
    page.keyboard.press("Control+A")
    page.keyboard.type("Topology\n<img src=x onerror=hacked()>")
    page.get_by_role("button", name="Set these tags").click()
    expect(page.locator(".edits > p.faint")).to_contain_text(
        "By hand: dropped; tags set: Topology, <img"
    )
    page.get_by_role("link", name="All edits").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("by hand")
    file = tmp_path / "selected.jsonl.edits.jsonl"
    [edit] = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert (edit["decision"], edit["id"], edit["tags"][0]) == ("drop", row, "Topology")
    again = tacos.load(tmp_path / "selected.jsonl.run").reselect(20, edits=file)
    assert row not in again.table["id"].to_list()
    page.get_by_role("button", name="Take back").click()
    expect(page.get_by_text("There is none yet")).to_be_visible()
    assert file.read_text("utf-8") == ""


@pytest.mark.parametrize(
    ("scheme", "width"),
    [
        pytest.param("light", 390),
        pytest.param("light", 1280, marks=pytest.mark.slow),
        pytest.param("dark", 390, marks=pytest.mark.slow),
        pytest.param("dark", 1280, marks=pytest.mark.slow),
    ],
)
def test_every_screen_can_be_read_and_reached(
    page_watch: PageWatch, serve: Serve, finished: Selection, scheme: str, width: int
) -> None:
    url = serve(finished)
    page = open_annotate(page_watch, url, scheme=scheme, width=width)

    def check(name: str) -> None:
        assert_accessible(page)
        assert_fits(page)
        take_screenshot(page, f"{name}-{scheme}-{width}")

    expect(page.get_by_label("Pairs of rows")).to_be_visible()
    check("annotate-draw")
    draw(page, 5)
    check("annotate-start")
    start_as(page, "ann", "Which row is better?")
    page.keyboard.press("2")
    check("annotate-pair")
    page.get_by_role("link", name="Other tasks").click()
    start_as(page, "ann", "Does the tag mean the same?")
    check("annotate-tag")
    page.keyboard.press("2")
    expect(page.locator(".done")).to_contain_text("1 done")
    page.get_by_role("link", name="Other tasks").click()
    start_as(page, "bea", "Does the tag mean the same?")
    page.keyboard.press("2")
    expect(page.locator(".done")).to_contain_text("1 done")
    go(page, url, "agreement")
    expect(page.get_by_text("Gwet AC1").first).to_be_visible()
    check("agreement")
    go(page, url, f"row?row={finished.table['id'][0]}")
    page.get_by_role("button", name="Keep", exact=True).click()
    page.get_by_text("Edit tags").click()
    check("row-by-hand")
    page.get_by_role("link", name="All edits").click()
    expect(page.get_by_role("button", name="Take back")).to_be_visible()
    check("edits")


def test_hostile_rows_are_shown_as_text(
    page_watch: PageWatch, serve: Serve, hostile_selection: Selection
) -> None:
    page = open_annotate(page_watch, serve(hostile_selection))
    draw(page, 30)
    start_as(page, "ann", "Which row is better?")
    for number in range(1, 31):
        page.keyboard.press("3")
        if page.locator("fieldset.current").count() > 0:
            page.keyboard.press("Enter")
        if page.get_by_text("no other task of this kind").count():
            break
        expect(page.locator(".done")).to_contain_text(f"{number} done")
    assert page.locator("main img, main iframe, main script, main svg").count() == 0
