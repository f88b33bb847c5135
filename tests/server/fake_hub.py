"""A Hugging Face hub on this machine: repositories of data sets, kept in memory."""

import base64
import json
import re
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
    commits: dict[str, list[tuple[str, dict[str, bytes]]]] = field(default_factory=dict)
    """Repository -> commit and content of each revision that was published, the oldest first."""
    asked: list[str] = field(default_factory=list)

    def publish(self, repository: str, files: dict[str, bytes]) -> str:
        """Make the next revision, and return its commit."""
        history = self.commits.setdefault(repository, [])
        commit = f"{len(history) + 1:x}" * 40
        history.append((commit, files))
        return commit

    def find_files(
        self, repository: str, revision: str
    ) -> tuple[str, dict[str, bytes]]:
        """The commit of a revision, and its files. Raises `KeyError` where there is none."""
        history = self.commits[repository]
        if revision in ("main", ""):
            return history[-1]
        for commit, files in history:
            if commit == revision:
                return commit, files
        raise KeyError(revision)

    def read(self, path: str) -> tuple[int, Any]:
        """What the hub tells of what was published."""
        _, _, _, owner, name, *rest = path.split("/")
        repository = f"{owner}/{name}"
        if repository not in self.commits:
            return 404, {"error": "Repository not found"}
        kind = rest[0] if rest else "revision"
        revision = rest[1] if len(rest) > 1 else ""
        try:
            commit, files = self.find_files(repository, revision)
        except KeyError:
            return 404, {"error": f"Invalid rev id: {revision}"}
        if kind == "revision":
            siblings = [{"rfilename": name} for name in files]
            return 200, {"id": repository, "sha": commit, "siblings": siblings}
        folder = "/".join(rest[2:])
        return 200, _list_tree(files, folder)

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
        if kind == "tree" and repository in self.files:
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


def _list_tree(files: dict[str, bytes], folder: str) -> list[dict[str, Any]]:
    """Everything in a folder and below it."""
    start = f"{folder}/" if folder else ""
    folders: dict[str, None] = {}
    entries: list[dict[str, Any]] = []
    for path, content in files.items():
        if not path.startswith(start):
            continue
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            folders["/".join(parts[:depth])] = None
        oid = f"{abs(hash(content)):040x}"[:40]
        entries.append({"type": "file", "path": path, "size": len(content), "oid": oid})
    entries += [
        {"type": "directory", "path": path, "size": 0, "oid": "0" * 40}
        for path in folders
        if path.startswith(start)
    ]
    return entries


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub

    def do_GET(self) -> None:
        self.reply(b"")

    def do_HEAD(self) -> None:
        self.reply(b"")

    def send_published_file(self, path: str) -> None:
        """A file, or the part that is asked for."""
        found = re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        assert found
        try:
            commit, files = self.hub.find_files(found[1], found[2])
            content = files[found[3]]
        except KeyError:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        part = content
        asked = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked:
            last = int(asked[2] or len(content) - 1)
            part = content[int(asked[1]) : last + 1]
        self.send_response(206 if asked else 200)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{abs(hash(content)):x}"')
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(part)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.reply(self.rfile.read(length))

    def reply(self, body: bytes) -> None:
        path = urlsplit(self.path).path
        self.hub.asked.append(path)
        given = self.headers.get("Authorization", "")
        if given != f"Bearer {TOKEN}":
            # Some servers repeat what they were given.
            status, answer = 401, {"error": f"Invalid credentials: {given}"}
        elif path.startswith("/datasets/"):
            self.send_published_file(path)
            return
        elif self.command != "POST" and path.split("/")[3:5] not in [
            repository.split("/") for repository in self.hub.files
        ]:
            status, answer = self.hub.read(path)
        else:
            status, answer = self.hub.answer(path, body)
        content = json.dumps(answer).encode()
        self.send_response(status)
        if status == 404 and "error" in answer:
            is_revision = "rev id" in answer["error"]
            code = "RevisionNotFound" if is_revision else "RepoNotFound"
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing."""


@contextmanager
def open_fake_hub() -> Iterator[FakeHub]:
    """A hub that accepts `TOKEN`, for as long as the context lasts."""
    hub = FakeHub()
    handler = type("Handler", (_Handler,), {"hub": hub})

    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
