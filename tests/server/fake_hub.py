"""A Hugging Face hub on this machine: repositories of data sets, kept in memory."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

TOKEN = "hf_write-secret-4711"


@dataclass
class FakeHub:
    """What the hub holds, and what it was asked."""

    address: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Repository -> path -> content."""
    private: dict[str, bool] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def create(self, body: dict[str, Any]) -> tuple[int, Any]:
        """Make a repository."""
        name = body.get("organization", "")
        repository = f"{name}/{body['name']}" if name else body["name"]
        url = f"{self.address}/datasets/{repository}"
        if repository in self.files:
            return 409, {"error": "You already created this dataset repo", "url": url}
        self.files[repository] = {}
        self.private[repository] = bool(
            body.get("private") or body.get("visibility") == "private"
        )
        return 200, {"url": url, "name": repository}

    def commit(self, repository: str, lines: list[dict[str, Any]]) -> tuple[int, Any]:
        """Write and delete files."""
        held = self.files[repository]
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                held[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "deletedFile":
                del held[value["path"]]
        return 200, {
            "commitUrl": f"{self.address}/datasets/{repository}/commit/1",
            "commitOid": "1" * 40,
            "hookOutput": "",
        }

    def answer(self, path: str, body: bytes) -> tuple[int, Any]:
        """The status and the JSON of an answer."""
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        _, _, _, owner, name, kind, *_ = path.split("/")
        repository = f"{owner}/{name}"
        if kind == "tree":
            held = self.files[repository]
            return 200, [
                {"type": "file", "path": path, "size": len(content), "oid": "0" * 40}
                for path, content in held.items()
            ]
        if kind == "preupload":
            given = json.loads(body)["files"]
            return 200, {
                "files": [
                    {
                        "path": each["path"],
                        "uploadMode": "regular",
                        "shouldIgnore": False,
                    }
                    for each in given
                ]
            }
        if kind == "commit":
            lines = [json.loads(line) for line in body.splitlines() if line]
            return self.commit(repository, lines)
        return 404, {"error": f"no {kind} here"}


@contextmanager
def open_fake_hub() -> Iterator[FakeHub]:
    """A hub that accepts `TOKEN`, for as long as the context lasts."""
    hub = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply(b"")

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            self.reply(self.rfile.read(length))

        def reply(self, body: bytes) -> None:
            path = urlsplit(self.path).path
            hub.asked.append(path)
            given = self.headers.get("Authorization", "")
            if given != f"Bearer {TOKEN}":
                # Some servers repeat what they were given.
                status, answer = 401, {"error": f"Invalid credentials: {given}"}
            else:
                status, answer = hub.answer(path, body)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
