"""Joins the pieces of a streamed reply (server-sent events) to the reply that was streamed. Pure.

A server may stream though nobody asked it to, and gateways put comment lines (": PROCESSING")
before a reply to keep the connection open. The format is that of the HTML standard, section
9.2.6 (https://html.spec.whatwg.org/multipage/server-sent-events.html).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tacos.llm.chat.body_json import (
    EnvelopeError,
    ForeignReplyError,
    parse_json_body,
)

END = "[DONE]"
FIELDS = ("data:", "event:", "id:", "retry:")
"""The beginnings of the lines of an event."""


def read_streamed_body(body: bytes | str) -> Any:
    """The JSON of a body that is an event stream, or has comment lines before its JSON.

    Raises `ForeignReplyError` for any other body, `EnvelopeError` for a stream that ended before
    its reply did.
    """
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    lines = text.lstrip("\ufeff").splitlines()
    if not any(line.startswith((":", *FIELDS)) for line in lines):
        raise ForeignReplyError("the reply is no event stream")
    if any(line.startswith("data:") for line in lines):
        return _join_events(lines)
    rest = [line for line in lines if not line.startswith((":", *FIELDS))]
    return parse_json_body("\n".join(rest))


def _join_events(lines: list[str]) -> dict[str, Any]:
    """One reply from the lines of a stream."""
    joined = _JoinedReply()
    has_ended = False
    for data in _list_data(lines):
        if data == END:
            has_ended = True
            break
        chunk = parse_json_body(data)
        if isinstance(chunk, dict) and chunk.get("error"):
            return {"error": chunk["error"]}
        joined.add(chunk)
    if not has_ended and not joined.finish:
        raise EnvelopeError("the stream ended before the reply did")
    return joined.build()


def _list_data(lines: list[str]) -> Iterator[str]:
    """The data of each event; gateways wrap even comments into data, and these are left out."""
    pieces: list[str] = []
    for line in [*lines, ""]:
        if line.startswith("data:"):
            pieces.append(line.removeprefix("data:").strip())
        # An event ends with a blank line, and servers that forget it put one event on a line.
        is_complete = not line.strip() or _is_whole(pieces)
        if not pieces or not is_complete:
            continue
        data = "\n".join(pieces).strip()
        pieces = []
        if data and not data.startswith(":"):
            yield data


def _is_whole(pieces: list[str]) -> bool:
    """Whether pieces make up an event already."""
    data = "\n".join(pieces)
    if data == END:
        return True
    try:
        parse_json_body(data)
    except ForeignReplyError:
        return False
    return True


class _JoinedReply:
    """The reply that a stream adds up to."""

    def __init__(self) -> None:
        self.model = ""
        self.finish = ""
        self.usage: Any = None
        self.error: Any = None
        self.logprobs: list[Any] = []
        self.message: dict[str, Any] | None = None
        self.calls: dict[int, dict[str, Any]] = {}

    def add(self, chunk: Any) -> None:
        """Take in one event."""
        if not isinstance(chunk, dict):
            return
        self.model = self.model or str(chunk.get("model") or "")
        self.usage = chunk.get("usage") or self.usage
        choices = chunk.get("choices")
        if not isinstance(choices, list) or not choices:
            return
        choice = choices[0]
        if not isinstance(choice, dict):
            return
        self.finish = str(choice.get("finish_reason") or self.finish)
        self.error = choice.get("error") or self.error
        logprobs = choice.get("logprobs")
        if isinstance(logprobs, dict) and isinstance(logprobs.get("content"), list):
            self.logprobs += logprobs["content"]
        whole = choice.get("message")
        if isinstance(whole, dict):
            self.message = whole
        delta = choice.get("delta")
        if isinstance(delta, dict):
            self._add_delta(delta)
        elif isinstance(choice.get("text"), str):
            self._add_delta({"content": choice["text"]})

    def build(self) -> dict[str, Any]:
        """The whole as a chat completion; one without a choice where no event had one."""
        reply: dict[str, Any] = {
            "model": self.model,
            "choices": [],
            "usage": self.usage,
        }
        if self.message is None:
            return reply
        if self.calls:
            self.message["tool_calls"] = list(self.calls.values())
        choice = {
            "index": 0,
            "message": self.message,
            "finish_reason": self.finish,
            "error": self.error,
            "logprobs": {"content": self.logprobs},
        }
        reply["choices"].append(choice)
        return reply

    def _add_delta(self, delta: dict[str, Any]) -> None:
        """Add what is new in a message: texts and lists grow, a tool call's arguments too."""
        if self.message is None:
            self.message = {}
        for name, value in delta.items():
            if name == "tool_calls" and isinstance(value, list):
                self._add_calls(value)
            elif name == "function_call" and isinstance(value, dict):
                call = self.message.setdefault(name, {})
                _add_arguments(call, value)
            else:
                self.message[name] = _append_piece(self.message.get(name), value)

    def _add_calls(self, calls: list[Any]) -> None:
        for place, call in enumerate(calls):
            if not isinstance(call, dict) or not isinstance(call.get("function"), dict):
                continue
            number = call.get("index")
            if not isinstance(number, int):
                number = place
            known = self.calls.setdefault(number, {"function": {}})
            _add_arguments(known["function"], call["function"])


def _add_arguments(call: dict[str, Any], piece: dict[str, Any]) -> None:
    """Add a piece of a call's arguments."""
    call["name"] = piece.get("name") or call.get("name")
    call["arguments"] = _append_piece(call.get("arguments"), piece.get("arguments"))


def _append_piece(known: Any, piece: Any) -> Any:
    """A text or list with a piece at its end; of other values the last one that is not null."""
    if isinstance(known, str) and isinstance(piece, str):
        return known + piece
    if isinstance(known, list) and isinstance(piece, list):
        return known + piece
    return known if piece is None else piece
