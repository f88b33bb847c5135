"""A web server of files on this machine: with and without parts, checksums and folders, and with
faults.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class WebServer:
    """The files, how they are served, and what was asked."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    """Path without its first slash -> content."""
    sends_parts: bool = True
    names_versions: bool = True
    """Whether an ETag says which content this is."""
    names_sizes: bool = True
    signature: str = ""
    """What a query must hold, if anything."""
    n_broken: int = 0
    """Answers that are still to break off in the middle."""
    redirects: dict[str, str] = field(default_factory=dict)
    """Path without its first slash -> where it leads."""
    statuses: list[int] = field(default_factory=list)
    """Failures that are still to come instead of an answer."""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path with query, range."""
    n_sent: int = 0
    """Bytes of bodies."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web: WebServer

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing."""

    def _answer(self, *, with_body: bool) -> None:
        web = self.web
        parts = urlsplit(self.path)
        path = unquote(parts.path).lstrip("/")
        web.asked.append((self.command, self.path, self.headers.get("Range", "")))
        if web.statuses:
            self._fail(web.statuses.pop(0))
        elif path in web.redirects:
            self._fail(302, location=web.redirects[path])
        elif web.signature and web.signature not in parts.query:
            self._fail(403)
        elif path == "" or path.endswith("/"):
            self._send_folder(path, with_body=with_body)
        elif path not in web.files:
            is_folder = any(file.startswith(f"{path}/") for file in web.files)
            self._fail(301 if is_folder else 404, location=f"/{path}/")
        else:
            self._send_file(web.files[path], with_body=with_body)

    def _fail(self, status: int, location: str = "") -> None:
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_folder(self, path: str, *, with_body: bool) -> None:
        names = set()
        for file in self.web.files:
            if file.startswith(path):
                name, slash, _ = file.removeprefix(path).partition("/")
                names.add(f"{name}{slash}")
        links = [f'<a href="{name}">{name}</a>' for name in sorted(names)]
        # As Apache has them.
        page = '<a href="?C=N;O=D">Name</a>' + "".join(links)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        if with_body:
            self.wfile.write(page.encode())

    def _send_file(self, content: bytes, *, with_body: bool) -> None:
        web = self.web
        asked = RANGE.match(self.headers.get("Range", ""))
        status = 200
        part = content
        first = 0
        if web.sends_parts and asked:
            status = 206
            first = int(asked[1])
            last = int(asked[2] or len(content) - 1)
            part = content[first : last + 1]
        self.send_response(status)
        if web.sends_parts:
            self.send_header("Accept-Ranges", "bytes")
        if status == 206:
            range_ = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
            self.send_header("Content-Range", range_)
        if web.names_versions:
            self.send_header("ETag", f'"{sha256(content).hexdigest()[:16]}"')
        if web.names_sizes or not with_body:
            self.send_header(
                "Content-Length", str(len(part)) if web.names_sizes else ""
            )
        else:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if not with_body:
            return
        is_long = len(part) > 1
        if web.n_broken and is_long:
            web.n_broken -= 1
            self._write(part[: len(part) // 2])
            self.close_connection = True
            return
        self._write(part)
        if not web.names_sizes:
            self.wfile.write(b"0\r\n\r\n")

    def _write(self, part: bytes) -> None:
        self.web.n_sent += len(part)
        try:
            if self.web.names_sizes:
                self.wfile.write(part)
            else:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        except OSError:  # the reader has gone
            self.close_connection = True


@contextmanager
def open_web_server() -> Iterator[WebServer]:
    """A server for as long as the context lasts."""
    web = WebServer()
    handler = type("Handler", (_Handler,), {"web": web})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    web.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
