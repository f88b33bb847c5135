"""A real browser for the report and the page."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright
from playwright.sync_api import Error as PlaywrightError
from tests.browser.screens import PageWatch, open_browser
from tests.hostile import select_hostile

import tacos


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window; skipped where there is none, unless TACOS_BROWSER=required.

    Of a module, not of the session: its event loop would disturb tests that run their own.
    """
    with sync_playwright() as playwright:
        try:
            chromium = open_browser(playwright)
        except PlaywrightError as error:
            if os.environ.get("TACOS_BROWSER") == "required":
                raise
            reason = str(error).splitlines()[0]
            pytest.skip(f"no chromium ({reason}); run scripts/install_chromium.sh")
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def hostile_selection(tmp_path_factory: pytest.TempPathFactory) -> tacos.Selection:
    """A run over sixty hostile samples; see `tests.hostile`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "sk-none")
        return select_hostile(tmp_path_factory.mktemp("hostile"))


@pytest.fixture
def page_watch(browser: Browser) -> Iterator[PageWatch]:
    """Opens pages; fails the test on any error, dialog, or request to elsewhere."""
    watch = PageWatch(browser)
    yield watch
    watch.close()
    assert watch.faults == []
