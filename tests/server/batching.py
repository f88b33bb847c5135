"""The batch API of the fault server: files, batches, and the ways in which they end."""

import email
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from .answering import number


@dataclass
class BatchBehaviour:
    """What the batch API does."""

    polls: int = 2
    """Looks at a batch before it ends."""
    expire: float = 0.0
    """Share of questions that a first submission leaves out, the batch being "expired"."""
    fail: float = 0.0
    """Share of questions that a first submission answers with an error line."""
    fail_always: float = 0.0
    lose_reply: bool = False
    """Whether the reply to the first submission is lost on its way, although the batch was made."""
    slow: str = ""
    """The name of a batch that takes thrice as many looks."""
    refuse: str = ""
    """Every batch ends as failed, for this reason."""


@dataclass
class BatchApi:
    """Files and batches in memory; `server` is the `FaultServer` that answers each line."""

    server: Any
    behaviour: BatchBehaviour = field(default_factory=BatchBehaviour)
    files: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    submitted: Counter[str] = field(default_factory=Counter)

    def add_routes(self, app: web.Application) -> None:
        """/v1/files and /v1/batches."""
        app.router.add_post("/v1/files", self.upload)
        app.router.add_get("/v1/files/{id}/content", self.content)
        app.router.add_post("/v1/batches", self.create)
        app.router.add_get("/v1/batches", self.list)
        app.router.add_get("/v1/batches/{id}", self.look)
        app.router.add_post("/v1/batches/{id}/cancel", self.cancel)

    async def upload(self, request: web.Request) -> web.Response:
        """A file of requests."""
        parts = parts_of(request.headers["Content-Type"], await request.read())
        assert parts["purpose"] == b"batch"
        name = f"file-{len(self.files)}"
        self.files[name] = parts["file"]
        return web.json_response({"id": name, "object": "file"})

    async def content(self, request: web.Request) -> web.Response:
        """A file's content."""
        return web.Response(body=self.files[request.match_info["id"]])

    async def create(self, request: web.Request) -> web.StreamResponse:
        """A batch."""
        body = await request.json()
        name = f"batch-{len(self.batches)}"
        lines = [
            json.loads(line) for line in self.files[body["input_file_id"]].splitlines()
        ]
        self.submitted.update(line["custom_id"] for line in lines)
        self.batches[name] = {
            "id": name,
            "status": "validating",
            "metadata": body["metadata"],
            "lines": lines,
            "looks": 0,
        }
        if self.behaviour.lose_reply and len(self.batches) == 1:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(self.shown(self.batches[name]))

    async def list(self, request: web.Request) -> web.Response:
        """All batches."""
        return web.json_response(
            {
                "data": [self.shown(batch) for batch in self.batches.values()],
                "has_more": False,
            }
        )

    async def look(self, request: web.Request) -> web.Response:
        """A batch, which gets on by being looked at."""
        batch = self.batches[request.match_info["id"]]
        batch["looks"] += 1
        if batch["looks"] == self.behaviour.polls * (
            3 if batch["id"] == self.behaviour.slow else 1
        ):
            self.end(batch)
        elif batch["status"] == "validating":
            batch["status"] = "in_progress"
        return web.json_response(self.shown(batch))

    async def cancel(self, request: web.Request) -> web.Response:
        """A batch stops; half of it is answered by then."""
        batch = self.batches[request.match_info["id"]]
        batch["lines"] = batch["lines"][: len(batch["lines"]) // 2]
        self.end(batch)
        batch |= {"status": "cancelled", "looks": 1000}
        return web.json_response(self.shown(batch))

    def shown(self, batch: dict[str, Any]) -> dict[str, Any]:
        """What the API says of a batch."""
        return {
            key: value for key, value in batch.items() if key not in ("lines", "looks")
        }

    def end(self, batch: dict[str, Any]) -> None:
        """Answer a batch, or part of it, in any order."""
        if self.behaviour.refuse:
            batch |= {
                "status": "failed",
                "errors": {"data": [{"message": self.behaviour.refuse}]},
            }
            return
        good, bad, n_left_out = [], [], 0
        for line in batch["lines"]:
            first, draw = (
                self.submitted[line["custom_id"]] == 1,
                number(line["custom_id"]) / 2**48,
            )
            if first and draw < self.behaviour.expire:
                n_left_out += 1
            elif (
                first and draw > 1 - self.behaviour.fail
            ) or draw > 1 - self.behaviour.fail_always:
                bad.append(
                    reply_line(
                        line["custom_id"],
                        500,
                        {"error": {"message": "the model fell over"}},
                    )
                )
            else:
                good.append(
                    reply_line(line["custom_id"], 200, self.server.answer(line["body"]))
                )
        random.Random(len(good)).shuffle(good)
        batch["status"] = "expired" if n_left_out else "completed"
        for key, lines in (("output_file_id", good), ("error_file_id", bad)):
            if lines:
                name = f"file-{len(self.files)}"
                self.files[name] = "\n".join(lines).encode()
                batch[key] = name


def parts_of(kind: str, body: bytes) -> dict[str, bytes]:
    """The parts of a form by name; aiohttp's own reader warns where a boundary comes in two pieces."""
    form = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    return {
        str(part.get_param("name", header="content-disposition")): bytes(
            part.get_payload(decode=True)
        )
        for part in form.walk()
        if not part.is_multipart()
    }


def reply_line(key: str, status: int, body: dict[str, Any]) -> str:
    """A line of an output or error file."""
    return json.dumps(
        {
            "id": "x",
            "custom_id": key,
            "response": {"status_code": status, "body": body},
            "error": None,
        }
    )
