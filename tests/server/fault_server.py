"""A real local HTTP server that behaves as badly as it is told to: `python -m
tests.server.fault_server
--port 8089 --faults 500=0.1`.

`faults` gives the share of questions that meet each fault. A question always meets the same one,
its first `n_times` times (so a retry, or the re-ask after an unusable answer, finds it healed), or
for ever when the name ends in "!". Everything that came in is counted: `/stats` says how often each
question was asked and how long after a Retry-After it came back.
"""

import argparse
import asyncio
import base64
import json
import math
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from aiohttp import web

from .answering import answer, answer_in_text, number, vector
from .batching import BatchApi, BatchBehaviour

TRANSPORT = (
    "429",
    "429-date",
    "500",
    "503",
    "reset",
    "timeout",
    "slow-body",
    "cut-body",
    "twice",
)
ENVELOPE = ("wrong-envelope", "html", "error-200")
CONTENT = (
    "invalid-json",
    "wrong-schema",
    "empty",
    "refusal",
    "length",
    "repeated",
    "contradiction",
)
HARMLESS = ("fenced", "chatty", "single-quotes", "think")
ITEMS = ("item-missing", "item-invalid", "item-twice", "item-renumbered", "item-cut")
LAZY = "item-lazy"
"""One tag at most for each instruction of several, more for one that is asked alone."""
"""Faults of one answer among several."""
VECTORS = ("wrong-count", "nan", "no-index", "ragged", "same-index")
"""Faults of a reply with embeddings."""
ALL = (*TRANSPORT, *ENVELOPE, *CONTENT, *HARMLESS)


@dataclass
class Behaviour:
    """What the server does; `seconds` are those of Retry-After."""

    faults: dict[str, float] = field(default_factory=dict)
    latency: float = 0.0
    n_times: int = 1
    seconds: float = 1.0
    hang: float = 30.0
    key: str = ""
    model: str = "tiny-1"
    snapshot: str = "tiny-1-2026-01-01"
    refuses: tuple[str, ...] = ()
    """Body fields that are answered with 400."""
    max_in_flight: int = 0
    """More than so many at once are answered with 429; 0: any number."""
    change: Callable[[str], str] = str
    """What is done to the text of every good answer."""
    headers: dict[str, str] = field(default_factory=dict)
    """Sent with every good answer."""
    dim: int = 16
    """Length of an embedding."""
    poison: str = ""
    """A word that makes a request for embeddings be refused with 400."""
    echo_key: bool = False
    """Whether errors repeat the key that came, as some servers do."""
    gives_logprobs: bool = False
    """Whether a request for log-probabilities of a letter gets them: 0.9 for it, 0.1 for another."""
    script: Callable[[dict[str, Any]], "Scripted | None"] = lambda body: None
    """The answer to a request's body instead of the usual one; None for that."""


@dataclass
class Scripted:
    """An answer that a test writes itself: `body` is bytes, or a value that is sent as JSON."""

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> web.Response:
        """The answer as it goes out."""
        data = self.body
        if not isinstance(data, bytes):
            data = json.dumps(data).encode()
        headers = {"Content-Type": "application/json", **self.headers}
        return web.Response(status=self.status, body=data, headers=headers)


Good = Callable[[dict[str, Any], str], dict[str, Any]]
"""From a request's body and a fault of the content to the reply."""


class FaultServer:
    """The server, its counts, and the files and batches of its batch API."""

    def __init__(
        self, behaviour: Behaviour | None = None, batches: BatchBehaviour | None = None
    ) -> None:
        self.behaviour = behaviour or Behaviour()
        self.batches = BatchApi(self, batches or BatchBehaviour())
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.met: Counter[str] = Counter()
        self.told_to_wait: dict[str, tuple[float, float]] = {}
        self.early: list[float] = []
        self.waits: list[float] = []
        self.in_flight = self.most_in_flight = 0
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.queries: list[str] = []
        self.times: list[float] = []
        self.url = ""
        self._stop: Callable[[], None] = lambda: None

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=256 * 2**20)
        app.router.add_post("/v1/chat/completions", self.chat)
        app.router.add_post("/v1/embeddings", self.embed)
        app.router.add_get("/stats", self.stats)
        self.batches.add_routes(app)
        return app

    async def stats(self, request: web.Request) -> web.Response:
        """Counts, for a server that runs as a process of its own."""
        return web.json_response(
            {
                "n_requests": self.asked.total(),
                "n_questions": len(self.asked),
                "n_answered": self.answered.total(),
                "n_answered_twice": sum(
                    1 for times in self.answered.values() if times > 1
                ),
                "met": self.met,
                "n_early": len(self.early),
                "most_in_flight": self.most_in_flight,
            }
        )

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """One chat completion, or what goes wrong with it."""
        return await self.counted(request, "messages", self.envelope)

    async def embed(self, request: web.Request) -> web.StreamResponse:
        """Embeddings of some texts, or what goes wrong with them."""
        return await self.counted(request, "input", self.embeddings)

    async def counted(
        self, request: web.Request, name: str, good: Good
    ) -> web.StreamResponse:
        """The reply to one request, while it is counted as in flight."""
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self.reply(request, name, good)
        finally:
            self.in_flight -= 1

    async def reply(
        self, request: web.Request, name: str, good: Good
    ) -> web.StreamResponse:
        """The reply to one request; `name` is the field of the body that holds the question."""
        body = json.loads(await request.read())
        self.times.append(time.monotonic())
        self.headers.append(dict(request.headers))
        self.queries.append(request.query_string)
        self.bodies.append(body)
        question = json.dumps(body[name], sort_keys=True)
        self.asked[question] += 1
        self.note_return(question)
        scripted = self.behaviour.script(body)
        if scripted is not None:
            return scripted.response()
        refused = self.refusal(request, body)
        if refused is not None:
            return refused
        await asyncio.sleep(self.behaviour.latency)
        fault = self.fault(question)
        if fault:
            self.met[fault] += 1
        if fault in TRANSPORT or fault in ENVELOPE:
            return await self.misbehave(
                fault, question, request, lambda: good(body, "")
            )
        text = self.behaviour.change(json.dumps(good(body, fault)))
        return web.Response(
            text=text, headers=self.behaviour.headers, content_type="application/json"
        )

    def refusal(
        self, request: web.Request, body: dict[str, Any]
    ) -> web.Response | None:
        """401, 404, 400 or 429 by the behaviour."""
        sent = request.headers.get("Authorization", "")
        if self.behaviour.key and sent != f"Bearer {self.behaviour.key}":
            shown = sent if self.behaviour.echo_key else "..."
            return problem(
                401, f"Incorrect API key provided: {shown}", "invalid_api_key"
            )
        if body["model"] != self.behaviour.model:
            return problem(
                404, f"The model `{body['model']}` does not exist", "model_not_found"
            )
        for name in self.behaviour.refuses:
            wanted, _, value = name.partition("=")
            if wanted in body and (not value or value in json.dumps(body[wanted])):
                hint = (
                    ": use 'max_completion_tokens' instead"
                    if wanted == "max_tokens"
                    else ""
                )
                return problem(
                    400,
                    f"Unsupported parameter: '{wanted}'{hint}",
                    "unsupported_parameter",
                )
        texts = body.get("input", [])
        if "" in texts or (
            self.behaviour.poison and self.behaviour.poison in " ".join(texts)
        ):
            return problem(400, "'$.input' is invalid", "invalid_request_error")
        if (
            self.behaviour.max_in_flight
            and self.in_flight > self.behaviour.max_in_flight
        ):
            return problem(429, "too many at once", "rate_limit")
        return None

    def note_return(self, question: str) -> None:
        """Measure how long after a Retry-After its question came back."""
        if question in self.told_to_wait:
            told_at, seconds = self.told_to_wait.pop(question)
            waited = time.monotonic() - told_at
            self.waits.append(waited)
            if waited < seconds:
                self.early.append(seconds - waited)

    def fault(self, question: str) -> str:
        """The fault that this question meets now, "" for none."""
        first = json.dumps(json.loads(question)[:2], sort_keys=True)
        draw, start = number(first) / 2**48, 0.0
        for name, share in self.behaviour.faults.items():
            if start <= draw < start + share:
                plain = name.rstrip("!")
                healed = (
                    first != question
                    if plain in CONTENT
                    else self.asked[question] > self.behaviour.n_times
                )
                return "" if healed and not name.endswith("!") else plain
            start += share
        return ""

    async def misbehave(
        self,
        name: str,
        question: str,
        request: web.Request,
        good: Callable[[], dict[str, Any]],
    ) -> web.StreamResponse:
        """A fault of the transport or the envelope."""
        if name in ("429", "503", "429-date"):
            return self.busy(name, question)
        if name == "500":
            return problem(500, "the server had an error", "server_error")
        if name == "timeout":
            await asyncio.sleep(self.behaviour.hang)
        if name in ("reset", "timeout"):
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if name in ("slow-body", "cut-body", "twice"):
            return await self.raw(name, request, good())
        return {
            "wrong-envelope": web.json_response({"result": "ok"}),
            "html": web.Response(text="<html>gateway</html>", content_type="text/html"),
            "error-200": web.json_response(
                {"error": {"message": "upstream failed", "code": 502}}
            ),
        }[name]

    def busy(self, name: str, question: str) -> web.Response:
        """429 or 503 with Retry-After in seconds or as a date."""
        seconds = self.behaviour.seconds
        response = problem(int(name[:3]), "slow down", "rate_limit")
        if name == "429-date":
            until = float(int(time.time() + seconds) + 1)
            seconds = until - time.time()
            response.headers["Retry-After"] = formatdate(until, usegmt=True)
        else:
            response.headers["Retry-After"] = f"{seconds:g}"
        self.told_to_wait[question] = (time.monotonic(), seconds)
        return response

    async def raw(
        self, name: str, request: web.Request, good: dict[str, Any]
    ) -> web.StreamResponse:
        """A body that dribbles, ends early, or comes twice."""
        text = json.dumps(good).encode()
        head = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % len(text)
        )
        transport = request.transport
        assert isinstance(transport, asyncio.Transport)
        if name == "twice":
            wrong = text.replace(b"asks", b"SOMEONE ELSE").replace(
                b"differ", b"SOMEONE ELSE"
            )
            again = (
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(wrong) + wrong
            )
            transport.write(
                head + text + again
            )  # at once: nobody can tell a late one from the next answer
            await asyncio.sleep(0.05)
        elif name == "cut-body":
            transport.write(head + text[: len(text) // 2])
            await asyncio.sleep(0.01)
        else:
            transport.write(head)
            for start in range(0, len(text), max(1, len(text) // 4)):
                await asyncio.sleep(0.05)
                transport.write(text[start : start + max(1, len(text) // 4)])
            await asyncio.sleep(0.05)
        transport.abort() if name == "cut-body" else transport.close()
        return web.Response()

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """The chat completion that a request gets by another way than HTTP, faults of the content
        included.
        """
        fault = self.fault(json.dumps(body["messages"], sort_keys=True))
        return self.envelope(body, fault if fault in (*CONTENT, *HARMLESS) else "")

    def envelope(self, body: dict[str, Any], fault: str) -> dict[str, Any]:
        """A chat completion with the right answer, spoilt by a fault of the content."""
        question = json.dumps(body["messages"], sort_keys=True)
        self.answered[question] += 1
        plain = answer_in_text(body["messages"])
        if plain is not None:
            text = spoil_plain_text(plain, fault)
        else:
            text = json.dumps(answer(body["messages"]))
            is_item = fault in (*ITEMS, LAZY)
            text = spoil_items(text, fault) if is_item else spoil(text, fault)
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if fault == "refusal":
            message = {
                "role": "assistant",
                "content": None,
                "refusal": "I can't help with that.",
            }
        finish = "length" if fault == "length" else "stop"
        logprobs = None
        if self.behaviour.gives_logprobs and body.get("logprobs") and text in "AB":
            logprobs = weigh_letter(text)
        n_prompt, n_answer = len(question) // 4, len(text) // 4 + 1
        return {
            "id": f"chatcmpl-{number(question)}",
            "object": "chat.completion",
            "model": self.behaviour.snapshot,
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "finish_reason": finish,
                    "logprobs": logprobs,
                }
            ],
            "usage": {
                "prompt_tokens": n_prompt,
                "completion_tokens": n_answer,
                "total_tokens": n_prompt + n_answer,
            },
        }

    def embeddings(self, body: dict[str, Any], fault: str) -> dict[str, Any]:
        """Embeddings, last ones first, whose last digits depend on how many there are."""
        texts = body["input"]
        noise = 1e-9 * len(texts)
        rows: list[list[float | None]] = [
            [
                value + noise
                for value in vector(text, body.get("dimensions", self.behaviour.dim))
            ]
            for text in texts
        ]
        self.answered.update(texts)
        if fault == "nan":
            rows[0][0] = None
        if fault == "ragged" and len(rows) > 1:
            rows[0].append(1.0)
        coded = (
            [encoded(row) for row in rows]
            if body.get("encoding_format") == "base64"
            else rows
        )
        data = [
            {"object": "embedding", "index": place, "embedding": row}
            for place, row in enumerate(coded)
        ][::-1]
        if fault == "wrong-count":
            data.pop()
        if fault == "no-index":
            data[0].pop("index")
        if fault == "same-index":
            data[0]["index"] = data[-1]["index"] if len(data) > 1 else 5
        n_tokens = sum(1 + len(text) // 4 for text in texts)
        usage = {"prompt_tokens": n_tokens, "total_tokens": n_tokens}
        return {
            "object": "list",
            "model": self.behaviour.snapshot,
            "data": data,
            "usage": usage,
        }

    def start(self, port: int = 0, tls: ssl.SSLContext | None = None) -> "FaultServer":
        """Serve from a thread; `url` is the base URL then."""
        ready = threading.Event()
        loop = asyncio.new_event_loop()

        async def up() -> web.AppRunner:
            runner = web.AppRunner(self.app(), access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", port, backlog=4096, ssl_context=tls)
            await site.start()
            self.url = (
                f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}/v1"
            )
            return runner

        def serve() -> None:
            asyncio.set_event_loop(loop)
            runner = loop.run_until_complete(up())
            ready.set()
            loop.run_forever()
            loop.run_until_complete(runner.cleanup())
            loop.run_until_complete(
                asyncio.sleep(0.02)
            )  # transports close on the next turns
            loop.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        assert ready.wait(20)

        def stop() -> None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

        self._stop = stop
        return self

    def stop(self) -> None:
        """Stop serving."""
        self._stop()

    def __enter__(self) -> "FaultServer":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def problem(status: int, message: str, code: str) -> web.Response:
    """An error as OpenAI writes it."""
    return web.json_response(
        {"error": {"message": message, "type": code, "code": code}}, status=status
    )


def spoil(text: str, fault: str) -> str:
    """The model's text with a fault."""
    return {
        "": text,
        "invalid-json": "I would say that this deserves "
        + text.replace(":", " is").replace("{", "").replace("[", ""),
        "wrong-schema": json.dumps({"labels": ["a", "b"], "score_a": 1000}),
        "empty": "",
        "refusal": "",
        "length": text[: len(text) // 3],
        "repeated": f"{text}\n{text}",
        "contradiction": text
        + json.dumps(
            {
                "tags": [{"tag": "other", "explanation": "x"}],
                "analysis": "x",
                "score_a": 100,
                "score_b": 100,
                "score": 100,
                "value_a": 100,
                "value_b": 100,
                "correctness_a": 100,
                "correctness_b": 100,
                "value": 100,
                "correctness": 100,
            }
        ),
        "fenced": f"Here you are:\n```json\n{text}\n```\nAnything else?",
        "chatty": f"Certainly! {text} I hope that helps {{you}}.",
        "single-quotes": str(json.loads(text)),
        "think": '<think>It may be {"tags": []} or {"score_a": 5}.</think>' + text,
    }[fault]


def weigh_letter(letter: str) -> dict[str, Any]:
    """The log-probabilities of a letter that is written, and of the other one."""
    other = "B" if letter == "A" else "A"
    tops = [
        {"token": letter, "logprob": math.log(0.9)},
        {"token": other, "logprob": math.log(0.1)},
    ]
    return {"content": [{"token": letter, "logprob": 0.0, "top_logprobs": tops}]}


def spoil_plain_text(text: str, fault: str) -> str:
    """A plain text with a fault of the content."""
    if fault in ("empty", "refusal"):
        return ""
    if fault in ("invalid-json", "wrong-schema", "length"):
        return "Some of it is good, some is not."
    if fault == "contradiction":
        return f"{text} No: [[100]]"
    if fault == "think":
        return f"<think>It may be [[2]], or A.</think>{text}"
    return text


def encoded(row: list[float | None]) -> str:
    """A vector as base64 of little-endian float32."""
    values = [float("nan") if value is None else value for value in row]
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


def spoil_items(text: str, fault: str) -> str:
    """The model's text with one answer among several spoilt; an answer that stands alone is left as
    it is.
    """
    found = json.loads(text)
    items = found.get("answers", [])
    if not items:
        return text
    if fault == "item-missing":
        items.pop(0)
    elif fault == "item-invalid":
        items[0]["tags"] = "none"
    elif fault == "item-twice":
        items.append({"number": 1, "tags": [{"tag": "another", "explanation": "x"}]})
    elif fault == "item-renumbered":
        items[0]["number"] = 77
    elif fault == LAZY:
        for item in items:
            item["tags"] = item["tags"][:1]
    text = json.dumps(found)
    return text[: len(text) - 12] if fault == "item-cut" else text


def main() -> None:
    """Serve until killed; prints the base URL."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8089)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument(
        "--faults", default="", help="name=share,name=share; names: " + " ".join(ALL)
    )
    parser.add_argument("--n-times", type=int, default=1)
    parser.add_argument("--key", default="")
    args = parser.parse_args()
    pairs = (each.split("=") for each in args.faults.split(",") if each)
    behaviour = Behaviour(
        {name: float(share) for name, share in pairs},
        args.latency,
        args.n_times,
        key=args.key,
    )
    server = FaultServer(behaviour).start(args.port)
    print(server.url, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
