"""Answers of the page: JSON of bounded size, and errors of one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tacos.config import loading as config
from tacos.errors import TacosError

MAX_BODY = 64 * 1024
"""Bytes of a request's body."""
MAX_ANSWER = 8 * 1024 * 1024
"""Bytes of an answer; downloads are sent piece by piece and have limits of their own."""
ERROR_START = 700
ERROR_END = 300
"""Characters of an error: one that repeats what was sent loses its middle, as its end says what to
do.
"""

SHOWN = 60
"""Characters of a wrong value up to which an error repeats it."""
DEMANDS = {
    **config.DEMANDS,
    "string_too_short": "text",
    "string_too_long": "{max_length:,} characters or fewer",
    "too_long": "{max_length:,} entries or fewer",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
}
"""Pydantic's type of an error -> what the value must be."""
NOT_OF_THIS_PAGE = {
    "missing": "the request lacks this",
    "extra_forbidden": "nothing of this name can be asked for",
}
"""Types of errors that no person makes who uses the page."""

Given = TypeVar("Given", bound=BaseModel)


class PageError(TacosError):
    """A request of the page that cannot be answered."""


async def answer(work: Callable[..., Any], *arguments: Any) -> Response:
    """What `work` returns, as JSON; other requests are answered meanwhile."""
    value = await run_in_threadpool(work, *arguments)
    return write_json(value)


def write_json(value: Any, status: int = 200) -> Response:
    """A value as JSON. Raises `PageError` where it would be too large."""
    content = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    if len(content) > MAX_ANSWER:
        raise PageError(
            f"the answer has {len(content):,} bytes, more than the page takes: ask for less"
        )
    return Response(content, status, media_type="application/json")


def read_query(request: Request, model: type[Given]) -> Given:
    """The parameters of a URL. Raises `PageError` where they are not what the model says."""
    given: dict[str, Any] = {}
    for name in request.query_params:
        values = request.query_params.getlist(name)
        given[name] = values if len(values) > 1 else values[0]
    return _check(given, model)


async def read_body(request: Request, model: type[Given]) -> Given:
    """The body of a request. Raises `PageError` where it is not what the model says."""
    content = await request.body()
    try:
        given = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise PageError("the request is no JSON") from None
    return _check(given, model)


def _check(given: Any, model: type[Given]) -> Given:
    """What was given, in the types of a model."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise PageError(_describe_problem(error.errors()[0])) from None


def _describe_problem(problem: Any) -> str:
    """What is wrong with one value, of pydantic's first error, and what it must be."""
    place = ".".join(str(part) for part in problem["loc"]) or "the request"
    kind = problem["type"]
    if kind in DEMANDS:
        demand = DEMANDS[kind].format(**problem.get("ctx", {}))
        given = repr(problem["input"])
        contrast = f", not {given}" if len(given) <= SHOWN else ""
        return f"{place}: this must be {demand}{contrast}"
    if kind == "value_error":
        return f"{place}: {problem['ctx']['error']}"
    if kind in NOT_OF_THIS_PAGE:
        return (
            f"{place}: {NOT_OF_THIS_PAGE[kind]}; load the page anew, as it may be of another "
            "version of tacos"
        )
    return f"{place}: {problem['msg']}"


# Errors


async def answer_error(request: Request, error: Exception) -> Response:
    """What is wrong and what to do, on one line: the same sentence as in the terminal."""
    return write_error(str(error), 400)


async def answer_refusal(request: Request, error: Exception) -> Response:
    """A status that Starlette answers with, such as 404."""
    if not isinstance(error, HTTPException):
        raise error
    response = write_error(f"{error.detail}: {request.url.path}", error.status_code)
    response.headers.update(error.headers or {})
    return response


def write_error(text: str, status: int) -> Response:
    """What is wrong, on one line. No traceback leaves this process."""
    line = text
    if len(text) > ERROR_START + ERROR_END:
        line = f"{text[:ERROR_START]} ... {text[-ERROR_END:]}"
    return write_json({"error": line}, status)
