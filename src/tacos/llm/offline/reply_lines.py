"""One line of a reply file: what was answered, or why it was not."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, NamedTuple

import orjson

from tacos.llm.chat.body_json import EnvelopeError, parse_json_body
from tacos.llm.chat.error_body import read_error_message

NUMBER = re.compile(r"\d+")
MAX_REASON = 160
"""Characters of a reason that are shown."""
NO_REASON = "the line holds no answer and does not say why"


class ReplyLine(NamedTuple):
    """The key of a question and the server's answer, or "" where it failed, and the reason."""

    key: str
    body: str
    failure: str = ""


class FailureCounts:
    """Why lines of reply files hold no answer, counted; reasons that differ in their numbers alone
    count as one.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    def add(self, reason: str) -> None:
        """Count one line."""
        pattern = NUMBER.sub("#", reason)
        self._counts[pattern] += 1
        self._examples.setdefault(pattern, reason)

    def update(self, other: FailureCounts) -> None:
        """Add the counts of another file."""
        self._counts.update(other._counts)
        self._examples = {**other._examples, **self._examples}

    def list_most_common(self, n: int) -> list[tuple[str, int]]:
        """The n most frequent reasons, each by its first example, with their counts."""
        most_common = self._counts.most_common(n)
        return [(self._examples[pattern], count) for pattern, count in most_common]

    def describe(self, n: int = 3) -> str:
        """The most frequent reasons in one line.

        >>> failures = FailureCounts()
        >>> for n_tokens in (9000, 9001):
        ...     failures.add(f"too long: {n_tokens} tokens")
        >>> failures.describe()
        '2 x too long: 9000 tokens'
        """
        texts = [f"{count:,} x {reason}" for reason, count in self.list_most_common(n)]
        n_more = len(self._counts) - n
        if n_more > 0:
            texts.append(f"and {n_more:,} more reasons")
        return "; ".join(texts)


def parse_reply_line(text: bytes) -> ReplyLine | None:
    """A reply line, None where it is not one.

    >>> parse_reply_line(b'{"custom_id": "a", "response": {"status_code": 500, "body": {}}}')
    ReplyLine(key='a', body='', failure='HTTP 500')
    """
    try:
        value = parse_json_body(text)
        key = value["custom_id"]
    except (EnvelopeError, KeyError, TypeError):
        return None
    if not isinstance(key, str):
        return None
    if value.get("content") is not None:  # written by hand
        return ReplyLine(key, _wrap_handwritten_answer(value["content"]))
    body = _extract_response_body(value)
    if body:
        return ReplyLine(key, body)
    return ReplyLine(key, "", _read_failure(value))


def _extract_response_body(value: dict[str, Any]) -> str:
    """The server's answer in a reply line, as JSON; "" where it failed."""
    response = value.get("response")
    if not isinstance(response, dict) or value.get("error"):
        return ""
    # Some tools leave the status out of good answers.
    status = response.get("status_code", 200)
    body = response.get("body")
    if status != 200 or not isinstance(body, dict):
        return ""
    return orjson.dumps(body).decode()


def _wrap_handwritten_answer(content: Any) -> str:
    """A chat completion around an answer that somebody wrote: text, or the JSON itself."""
    text = content if isinstance(content, str) else orjson.dumps(content).decode()
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": text},
    }
    return orjson.dumps({"model": "by hand", "choices": [choice]}).decode()


# Why a line holds no answer


def _read_failure(value: dict[str, Any]) -> str:
    """Why a line holds no answer: the error's kind and words, or what stands in their place."""
    response = value.get("response")
    response = response if isinstance(response, dict) else {}
    # OpenAI has errors of the request in the body, those of the batch beside it; Anthropic calls
    # the whole outcome a result.
    for error in (
        value.get("error"),
        _find_error(response.get("body")),
        _find_error(value.get("result")),
    ):
        if error:
            return _describe_error(error, response.get("status_code"))
    status = response.get("status_code")
    return NO_REASON if status in (None, 200) else f"HTTP {status}"


def _find_error(body: Any) -> Any:
    """The error that a body holds, or is."""
    if not isinstance(body, dict):
        return body
    nested = body.get("error") or body.get("detail")
    if nested:
        return nested
    is_error = "message" in body or "type" in body
    return body if is_error else None


def _describe_error(error: Any, status: Any) -> str:
    """`kind: words` of an error.

    >>> _describe_error({"code": "batch_expired", "message": "Too late."}, None)
    'batch_expired: Too late.'
    >>> _describe_error({"message": "bad request"}, 400)
    'HTTP 400: bad request'
    """
    message = read_error_message(error if isinstance(error, dict) else str(error))
    kinds: list[str] = []
    if isinstance(error, dict):
        nested = error.get("error")
        source = nested if isinstance(nested, dict) else error
        named = (source.get("type"), source.get("code"))
        kinds = [
            kind for kind in dict.fromkeys(named) if isinstance(kind, str) and kind
        ]
        if not source.get("message") and kinds:
            return ", ".join(kinds)
    if not kinds and status not in (None, 200):
        kinds = [f"HTTP {status}"]
    return ": ".join([*([", ".join(kinds)] if kinds else []), message])[:MAX_REASON]
