"""Nobody but the page itself gets anything, and no answer lets a browser do more than the page."""

import os
import re
from contextlib import suppress
from pathlib import Path

import pytest
from tests.web.conftest import Page

from tacos.web import answers
from tacos.web.application import STATIC

PATHS = ["/", "/static/app.js", "/api/run", "/nosuch", "/static/nosuch.js"]
JSON = ("Content-Type", "application/json")


def replace(
    headers: list[tuple[str, str]], name: str, *values: str
) -> list[tuple[str, str]]:
    """The headers with these values of one name."""
    others = [header for header in headers if header[0] != name]
    return [*others, *((name, value) for value in values)]


def test_the_link_opens_the_page_and_sets_the_cookie(page: Page) -> None:
    path = page.door.url.partition(page.door.hosts[0])[2]
    # As from a link in another program: the browser calls that another site.
    for site in ("none", "cross-site"):
        headers = [("Host", page.door.hosts[0]), ("Sec-Fetch-Site", site)]
        answer = page.send("GET", path, headers)
        assert answer.status == 200
        assert b"<title>tacos</title>" in answer.body
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith(f"{page.door.cookie}={page.door.token};")
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert page.get("/").headers["Set-Cookie"] is None


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "cookie",
    [None, "", "tacos=1", "NAME=", "NAME=x", "NAME=TOKENx", "=", "\x80", ";;="],
)
def test_without_the_token_there_is_nothing(
    page: Page, path: str, cookie: str | None
) -> None:
    headers = [("Host", page.door.hosts[0])]
    if cookie is not None:
        text = cookie.replace("NAME", page.door.cookie).replace(
            "TOKEN", page.door.token
        )
        headers.append(("Cookie", text))
    answer = page.send("GET", path, headers)
    assert answer.status == 403
    assert b"tacos ui" in answer.body
    assert answer.headers["Set-Cookie"] is None


@pytest.mark.parametrize(
    "query", ["token=", "token=x", "token=%00", "x", "token=TOKEN&token=x"]
)
def test_a_wrong_token_in_the_link_opens_nothing(page: Page, query: str) -> None:
    text = query.replace("TOKEN", page.door.token)
    answer = page.send("GET", f"/?{text}", [("Host", page.door.hosts[0])])
    assert (answer.status, answer.headers["Set-Cookie"]) == (403, None)


def test_the_token_opens_the_first_page_only(page: Page) -> None:
    answer = page.send(
        "GET", f"/api/run?token={page.door.token}", [("Host", page.door.hosts[0])]
    )
    assert answer.status == 403


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        ["evil.example"],
        ["127.0.0.1"],
        ["127.0.0.1:1"],
        ["evil.example:PORT"],
        ["127.0.0.1:PORT.evil.example"],
        ["0.0.0.0:PORT"],
        ["[::1]:PORT"],
        ["127.0.0.1:PORT", "evil.example"],
        ["127.0.0.1:PORT", "127.0.0.1:PORT"],
    ],
)
@pytest.mark.parametrize("path", ["/api/run", "/?token=TOKEN"])
def test_another_name_for_this_machine_is_not_answered(
    page: Page, hosts: list[str], path: str
) -> None:
    """DNS rebinding: a site whose name leads to this machine sends its own name."""
    values = [host.replace("PORT", str(page.door.port)) for host in hosts]
    headers = replace(page.own_headers, "Host", *values)
    answer = page.send("GET", path.replace("TOKEN", page.door.token), headers)
    # The HTTP parser itself refuses a request with none or with two.
    assert answer.status in (400, 421)
    assert b"160" not in answer.body
    assert answer.headers["Set-Cookie"] is None


@pytest.mark.parametrize(
    "origin",
    ["null", "http://evil.example", "https://127.0.0.1:PORT", "http://127.0.0.1:1", ""],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_sites_get_nothing(page: Page, origin: str, method: str) -> None:
    text = origin.replace("PORT", str(page.door.port))
    headers = [*page.own_headers, ("Origin", text), JSON]
    body = b"{}" if method == "POST" else b""
    assert page.send(method, "/api/run", headers, body).status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "x"])
def test_what_the_browser_calls_another_site_gets_nothing(
    page: Page, site: str
) -> None:
    headers = replace(page.own_headers, "Sec-Fetch-Site", site)
    assert page.send("GET", "/api/run", headers).status == 403


def test_a_post_must_name_its_origin(page: Page) -> None:
    headers = [*page.own_headers, JSON]
    assert page.send("POST", "/api/run", headers, b"{}").status == 403


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
    ],
)
def test_what_a_form_can_send_is_refused(page: Page, content_type: str | None) -> None:
    headers = [*page.own_headers, ("Origin", page.door.origins[0])]
    if content_type is not None:
        headers.append(("Content-Type", content_type))
    assert page.send("POST", "/api/run", headers, b"{}").status == 415


@pytest.mark.parametrize(
    "method", ["OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "X"]
)
@pytest.mark.parametrize("path", ["/", "/api/run", "/static/app.js"])
def test_other_methods_are_refused(page: Page, method: str, path: str) -> None:
    answer = page.send(method, path, page.own_headers)
    assert answer.status == 405
    assert answer.headers["Access-Control-Allow-Origin"] is None


@pytest.mark.parametrize("path", ["/", "/api/run", "/static/app.js"])
def test_head_is_get_without_a_body(page: Page, path: str) -> None:
    head = page.send("HEAD", path, page.own_headers)
    get = page.get(path)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(get.body))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
@pytest.mark.parametrize("is_own", [True, False])
def test_every_answer_forbids_what_the_page_does_not_do(
    page: Page, path: str, method: str, is_own: bool
) -> None:
    headers = page.own_headers if is_own else [("Host", "evil.example")]
    answer = page.send(method, path, headers)
    policy = dict(
        part.split(" ", 1)
        for part in answer.headers["Content-Security-Policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in str(policy)
    assert "http" not in str(policy)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["Server"] is None


def test_what_browsers_run_has_its_type(page: Page) -> None:
    types = {
        "/": "text/html; charset=utf-8",
        "/static/app.js": "text/javascript; charset=utf-8",
        "/static/style.css": "text/css; charset=utf-8",
        "/static/icon.svg": "image/svg+xml",
        "/api/run": "application/json",
    }
    for path, expected in types.items():
        assert page.get(path).headers["Content-Type"] == expected


@pytest.mark.parametrize(
    "path",
    [
        "/static/../guard.py",
        "/static/%2e%2e/guard.py",
        "/static/..%2fguard.py",
        "/static/%2e%2e%2fguard.py",
        "/static/..\\guard.py",
        "/static/..%5cguard.py",
        "/static/screens/../../guard.py",
        "/static//SECRET",
        "/static/%2fSECRET",
        "/static/UPSECRET",
        "/static/%00",
        "/static/app.js%00.png",
        "/static/" + "a" * 5000,
        "/static/",
        "/static",
        "/static/screens",
        "/SECRET",
        "//SECRET",
        "/../../../../../../SECRET",
        "/guard.py",
        "/run.json",
        "http://evil.example/static/app.js",
    ],
)
def test_no_other_file_is_served(page: Page, secret: Path, path: str) -> None:
    place = str(secret).lstrip("/")
    up = "..%2f" * (len(STATIC.parts) + 1)
    text = path.replace("UPSECRET", f"{up}{place}").replace("SECRET", place)
    answer = page.get(text)
    assert answer.status in (400, 404, 307)
    assert b"the secret" not in answer.body
    assert b"Guard" not in answer.body


def test_a_link_out_of_the_static_files_is_not_followed(
    page: Page, secret: Path
) -> None:
    link = STATIC / f"link-{os.getpid()}.txt"
    link.symlink_to(secret)
    try:
        assert page.get(f"/static/{link.name}").status == 404
    finally:
        link.unlink()


def test_large_requests_are_refused(page: Page) -> None:
    headers = [*page.own_headers, ("Origin", page.door.origins[0]), JSON]
    body = b"[" + b" " * answers.MAX_BODY + b"]"
    # The path takes no POST, and no body is read for it.
    assert page.send("POST", "/api/run", headers, body).status in (405, 413)
    # The server may close the connection before all of it is sent.
    with suppress(ConnectionError):
        answer = page.send("GET", "/", [*page.own_headers, ("X", "x" * 200_000)])
        assert answer.status in (400, 431)
    assert page.get("/api/run").status == 200


def test_static_files_name_nothing_elsewhere_and_hold_nothing_inline() -> None:
    for file in STATIC.rglob("*.*"):
        text = file.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//cdn", text), file
        assert not re.search(r"\bstyle=|\bon[a-z]+=\"|javascript:", text), file
        if file.suffix == ".js":
            sinks = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
            assert not re.search(sinks, text), file


def test_every_module_of_the_page_is_named_in_it() -> None:
    """A browser would find them one after another otherwise."""
    page = (STATIC / "page.html").read_text("utf-8")
    modules = {f"/static/{file.relative_to(STATIC)}" for file in STATIC.rglob("*.js")}
    assert set(re.findall(r'(?:src|href)="(/static/[\w/]+\.js)"', page)) == modules
