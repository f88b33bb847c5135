"""The page of a small run, behind a real server on a free port."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.small_world import (
    encode_letters,
    judge_by_instruction,
    make_rows,
    tag_by_words,
)

import tacos
from tacos.web.application import build_application
from tacos.web.guard import Door
from tacos.web.server import build_server, open_socket
from tacos.workflows.ui import RunView


@dataclass(frozen=True)
class Answer:
    """What the server sent."""

    status: int
    headers: HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Page:
    """A browser of few lines: it sends exactly what it is told to, `Host` and paths included."""

    door: Door
    view: RunView

    def send(
        self,
        method: str,
        path: str,
        headers: list[tuple[str, str]],
        body: bytes = b"",
    ) -> Answer:
        """Send a request with these headers and no others."""
        connection = HTTPConnection("127.0.0.1", self.door.port, timeout=30)
        try:
            connection.putrequest(
                method, path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in headers:
                connection.putheader(name, value)
            if body:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    @property
    def own_headers(self) -> list[tuple[str, str]]:
        """What the page itself sends with every request."""
        return [
            ("Host", self.door.hosts[0]),
            ("Cookie", f"{self.door.cookie}={self.door.token}"),
            ("Sec-Fetch-Site", "same-origin"),
        ]

    def get(self, path: str, **params: Any) -> Answer:
        """What the page gets."""
        query = urlencode(params, doseq=True)
        return self.send("GET", f"{path}?{query}" if query else path, self.own_headers)

    def post(self, path: str, value: Any) -> Answer:
        """What the page gets for a value that it sends."""
        headers = [
            *self.own_headers,
            ("Origin", self.door.origins[0]),
            ("Content-Type", "application/json"),
        ]
        return self.send("POST", path, headers, json.dumps(value).encode())


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tacos.Selection:
    """A run of 160 rows, two of which cannot be used, of which 20 are selected."""
    folder = tmp_path_factory.mktemp("page")
    rows = [*make_rows(), {"instruction": "", "output": "nothing"}, make_rows()[0]]
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return tacos.select(
        data,
        n=20,
        output=folder / "selected.jsonl",
        tagger=tag_by_words,
        judge=judge_by_instruction,
        encoder=encode_letters,
        settings={"shortlist": {"rule": "all"}, "normalise": {"alpha": 1}},
        ledger=folder / "ledger.sqlite",
    )


@contextmanager
def serve(view: RunView) -> Iterator[Page]:
    """The page of a run, while the context lasts."""
    with open_socket(None) as listener:
        door = Door.with_new_token(listener.getsockname()[1])
        server = build_server(build_application(view, door))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield Page(door, view)
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="session")
def page(finished: tacos.Selection) -> Iterator[Page]:
    """The page of that run."""
    with serve(tacos.ui(finished.run)) as served:
        yield served


@pytest.fixture(scope="session")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that the page has no business with."""
    file = tmp_path_factory.mktemp("secret") / "secret.txt"
    file.write_text("the secret", "utf-8")
    return file
