"""What every screen must hold: no error on the console, no request to anywhere else, nothing that
a screen reader or a keyboard cannot reach, nothing cut off on a phone.
"""

import json
import os
import shutil
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import (
    Browser,
    BrowserContext,
    Dialog,
    Page,
    Playwright,
    Route,
    sync_playwright,
)

SCREENS = Path(__file__).resolve().parents[2] / "build" / "screens"
AXE = files("axe_playwright_python").joinpath("axe.min.js")
NAMES = ("chromium", "chromium-browser", "google-chrome")
GRAVE = ("serious", "critical")

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
WIDTHS = (1280, 390)
"""Pixels: a laptop's and a phone's"""
LOOKS = [
    ("light", 1280),
    ("dark", 390),
    ("dark", 1280),
    ("light", 390),
]
"""Parameters (scheme, width) of a test."""


def open_browser(playwright: Playwright) -> Browser:
    """Chromium without a window: the machine's, or else Playwright's own."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    # Chromium refuses its sandbox to root.
    return playwright.chromium.launch(
        executable_path=path, chromium_sandbox=os.geteuid() != 0
    )


class PageWatch:
    """Opens pages and notes what they must not do.

    `hacked` can be called by scripts of every page: samples that try to run call it.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._origins: tuple[str, ...] = ("data:", "blob:")
        self.faults: list[str] = []

    def open(
        self,
        target: Path | str,
        *,
        scheme: Scheme = "light",
        width: int = 1280,
        scripts: bool = True,
    ) -> Page:
        """Open a file or a URL of a server on 127.0.0.1 as a new person, with cookies of their
        own.
        """
        url = target.resolve().as_uri() if isinstance(target, Path) else target
        self.allow(url)
        context = self._browser.new_context(
            color_scheme=scheme,
            viewport={"width": width, "height": 900},
            java_script_enabled=scripts,
            accept_downloads=True,
        )
        # Machines that do more than one thing are slow.
        context.set_default_timeout(120_000)
        self._contexts.append(context)
        context.route("**/*", self._check_request)
        context.expose_function(
            "hacked", lambda what="": self.faults.append(f"{what} ran")
        )
        page = context.new_page()
        page.on("console", self._check_message)
        page.on("pageerror", lambda error: self.faults.append(f"page error: {error}"))
        page.on("dialog", self._refuse_dialog)
        page.on("websocket", lambda socket: self.faults.append(f"socket: {socket.url}"))
        page.on("popup", lambda popup: self.faults.append(f"popup: {popup.url}"))
        page.goto(url, wait_until="load")
        return page

    def allow(self, url: str) -> None:
        """Let pages ask for a file, or for anything of a server."""
        file = url.partition("#")[0]
        self._origins += (file if url.startswith("file:") else _find_origin(url),)

    def close(self) -> None:
        """Close all pages; what is still on its way counts."""
        for context in self._contexts:
            context.close()

    def _check_request(self, route: Route) -> None:
        url = route.request.url
        if url.startswith(self._origins):
            route.continue_()
            return
        self.faults.append(f"request: {url[:200]}")
        route.abort()

    def _check_message(self, message: Any) -> None:
        if message.type in ("error", "warning", "assert"):
            self.faults.append(f"console {message.type}: {message.text[:500]}")

    def _refuse_dialog(self, dialog: Dialog) -> None:
        self.faults.append(f"dialog: {dialog.message[:200]}")
        dialog.dismiss()


def assert_accessible(page: Page) -> None:
    """No serious or critical violation of axe-core's rules on the page as it is shown now."""
    # By evaluating, since the page's own policy refuses scripts that are not its own.
    page.evaluate(AXE.read_text("utf-8"))
    options = {"preload": False, "resultTypes": ["violations"]}
    violations = page.evaluate("options => axe.run(document, options)", options)[
        "violations"
    ]
    grave = [
        f"{violation['id']} ({violation['impact']}): {violation['help']}: "
        + json.dumps([node["html"][:120] for node in violation["nodes"][:3]])
        for violation in violations
        if violation["impact"] in GRAVE
    ]
    assert not grave, "\n".join(grave)


def assert_fits(page: Page) -> None:
    """The page is no wider than its window: nobody has to scroll sideways to read it."""
    width = page.evaluate("document.documentElement.scrollWidth")
    shown = page.evaluate("document.documentElement.clientWidth")
    assert width <= shown, f"{width} px wide in a window of {shown} px"


def take_screenshot(page: Page, name: str, *, whole: bool = True) -> Path:
    """Write build/screens/NAME.png, of the whole page or of what the window shows."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    path = SCREENS / f"{name}.png"
    page.screenshot(path=path, full_page=whole)
    return path


def _find_origin(url: str) -> str:
    """Scheme, host and port, with the slash after it; only this machine's loopback is a server."""
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0]
    assert host.startswith("127.0.0.1:"), f"{url} is on no server of a test"
    return f"{scheme}://{host}/"


def _look(browser: Browser, target: Path | str, name: str) -> None:
    """Write a screenshot of each scheme and width, and print what is wrong with it."""
    for scheme in SCHEMES:
        for width in WIDTHS:
            watch = PageWatch(browser)
            page = watch.open(target, scheme=scheme, width=width)
            print(take_screenshot(page, f"{name}-{scheme}-{width}"))
            for check in (assert_accessible, assert_fits):
                try:
                    check(page)
                except AssertionError as error:
                    print(error)
            watch.close()
            print(*watch.faults, sep="\n")


if __name__ == "__main__":
    given, screen = sys.argv[1:]
    with sync_playwright() as started:
        _look(open_browser(started), given if "://" in given else Path(given), screen)
