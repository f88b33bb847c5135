"""What an error status means: wait, retry, ask in another form, give this request up, or stop.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal, NamedTuple

from tacos.llm.chat.error_body import (
    ServerComplaint,
    read_complaint,
    read_error_message,
)
from tacos.llm.sending.refused_parts import (
    REFUSING,
    RefusedPart,
    find_refused_part,
)

Kind = Literal[
    "wait",
    "retry",
    "refused",
    "unclear",
    "too-long",
    "answer-too-long",
    "row",
    "no-credit",
    "stop",
]

NO_CREDIT_CODES = frozenset(
    {
        "insufficient_quota",
        "exceeded_current_quota_error",
        "terminal_quota_exhausted",
        "billing_hard_limit_reached",
        "billing_not_active",
        "insufficient_balance",
        "insufficient_credits",
        "insufficient_user_quota",
        "budget_exceeded",
        "arrearage",
        "accountoverdueerror",
        "1113",
    }
)
NO_CREDIT = re.compile(
    r"insufficient.{0,12}(balance|credit|fund)|(balance|credits?).{0,25}(insufficient|too low"
    r"|exhausted|depleted|used up|not enough)|(not enough|no|out of|all available|more) credits\b"
    r"|spending limit|(billing )?hard limit|budget (has been )?exceeded|budget has been"
    r"|account.{0,60}(overdue|arrears|suspended|not active|good standing)|payment required"
    r"|included credits|overdue balance|余额不足|欠费|充值",
    re.IGNORECASE,
)
"""Words that only a server says whose customer must pay."""
MAYBE_NO_CREDIT = re.compile(
    r"billing|current quota|payment|purchase|credit", re.IGNORECASE
)
"""Words that also stand in a refusal for this minute, after "you can raise your limit by"."""
PASSING = re.compile(
    r"per.?(second|minute|hour|day)|minute|rate.?limit|resource_exhausted|too.many|concurren|\b[rt]p[md]\b|temporar"
    r"|slow down|throttl|overload|capacity|try again|retry",
    re.IGNORECASE,
)
THROTTLED = re.compile(
    r"too.many.(concurrent.)?requests|throttl|rate.?limit|overloaded|resource.?exhausted"
    r"|server is busy|繁忙",
    re.IGNORECASE,
)
"""Words of a refusal for lack of room, whatever its status."""
LOADING = re.compile(r"loading|warming up|starting", re.IGNORECASE)
TOO_LARGE = re.compile(
    r"request too large|reduce (the length|your message)", re.IGNORECASE
)
TOO_LONG = re.compile(
    r"context.{0,12}(length|size|window|limit|overflow)|context_length|n_ctx|max_model_len"
    r"|(prompt|input|sequence|messages?).{0,60}(too long|too large|longer than|exceeds?\b)"
    r"|(input|prompt|total|maximum|number of).{0,30}tokens.{0,60}(exceed|must|too|maximum|limit"
    r"|longer|at most|than)|token count.{0,40}exceed|exceed.{0,40}(token|length)|string too long"
    r"|maximum (prompt|input|sequence|request).{0,10}length|inputs?\W.{0,20}less than \d+ tokens"
    r"|reduce the length|shorter input|max_new_tokens|input length|too many (input )?tokens"
    r"|max_tokens must be at least 1",
    re.IGNORECASE,
)
ANSWER_TOO_LONG = re.compile(
    r"(max_?(completion_|output_|new_)?tokens|completion tokens).{0,80}"
    r"(too large|at most|less than|<=|range|exceed|maximum|max value|greater|larger)"
    r"|range of max_",
    re.IGNORECASE,
)
FILTERED = re.compile(
    r"content.?(filter|management|polic|moderation)|safety|inappropriate|moderation|flagged"
    r"|data_?inspection|sensitive|usage polic|敏感",
    re.IGNORECASE,
)
NO_MODEL = re.compile(
    r"model_not_found|model.{0,80}(does not exist|not found|not exist)|unknown model|no such model"
    r"|no models? loaded|failed to load model|invalid model (name|id)",
    re.IGNORECASE,
)
NO_SUCH_PATH = re.compile(
    r"unexpected endpoint|unknown (url|path|endpoint)", re.IGNORECASE
)
FAILED_GENERATION = "json_validate_failed"
"""Groq's code for an answer of its model that is no JSON: another try may be."""
PASSING_STATUSES = frozenset({408, 409, 423, 424, 425, 499})


class ErrorAction(NamedTuple):
    """What to do, and why in one line; `part` is what was refused."""

    kind: Kind
    reason: str
    part: RefusedPart | None = None


def classify_error_reply(
    status: int,
    body: bytes,
    answered_before: bool,
    fields: Collection[str] = (),
    *,
    names_wait: bool = False,
    is_proven: bool = False,
) -> ErrorAction:
    """What to do about an answer with this status and body.

    `answered_before` says whether the server has answered anything yet, `fields` are the optional
    fields of the request's body, `names_wait` says whether the answer says how long to wait, and
    `is_proven` whether the server has answered a request of this kind in this form.

    >>> classify_error_reply(401, b'{"error": {"message": "Incorrect API key"}}', False).kind
    'stop'
    >>> classify_error_reply(503, b"busy", True).kind
    'wait'
    """
    complaint = read_complaint(body)
    reason = f"HTTP {status}: {read_error_message(body)}"
    if status == 429:
        kind = _classify_refusal_of_room(complaint, names_wait=names_wait)
        return ErrorAction(kind, reason)
    if status in (498, 503):
        return ErrorAction("wait", reason)
    if 300 <= status < 400:
        hint = "a redirect, which is not followed; use the address it leads to"
        return ErrorAction("stop", f"{reason} {hint}")
    if status == 402 or (status < 500 and _has_no_credit(complaint)):
        return ErrorAction("no-credit", reason)
    if status == 401:
        return ErrorAction("stop", reason)
    if status in PASSING_STATUSES or FAILED_GENERATION in complaint.codes:
        return ErrorAction("retry", reason)
    if status >= 500:
        return _classify_server_error(
            status, complaint, reason, fields, is_proven=is_proven
        )
    return _classify_bad_request(status, complaint, reason, answered_before, fields)


def infer_status(body: bytes, fields: Collection[str]) -> int:
    """The HTTP status that an error in a good envelope should have had; 0 where nothing says so.

    >>> infer_status(b'{"error": {"message": "Rate limit exceeded"}}', [])
    429
    """
    complaint = read_complaint(body)
    if complaint.status:
        return complaint.status
    if _has_no_credit(complaint):
        return 402
    words = _join_words(complaint)
    if THROTTLED.search(words):
        return 429
    is_about_request = TOO_LONG.search(words) or find_refused_part(complaint, fields)
    return 400 if is_about_request else 0


def is_loading(body: bytes) -> bool:
    """Whether a server says that its model is not in memory yet."""
    return LOADING.search(read_complaint(body).text) is not None


def _classify_refusal_of_room(complaint: ServerComplaint, *, names_wait: bool) -> Kind:
    """The meaning of a 429: wait, unless waiting cannot help."""
    if TOO_LARGE.search(complaint.text):
        return "too-long"
    if _has_no_credit(complaint):
        return "no-credit"
    # "See your billing" also stands below the refusal of a request for this minute.
    is_passing = names_wait or PASSING.search(_join_words(complaint)) is not None
    if not is_passing and MAYBE_NO_CREDIT.search(complaint.text):
        return "no-credit"
    return "wait"


def _has_no_credit(complaint: ServerComplaint) -> bool:
    """Whether the server says for certain that somebody must pay."""
    has_code = not NO_CREDIT_CODES.isdisjoint(complaint.codes)
    return has_code or NO_CREDIT.search(complaint.text) is not None


def _classify_server_error(
    status: int,
    complaint: ServerComplaint,
    reason: str,
    fields: Collection[str],
    *,
    is_proven: bool,
) -> ErrorAction:
    """The meaning of a 5xx: a fault that may pass, unless it names a part of the request."""
    if status not in (500, 501):
        return ErrorAction("retry", reason)
    if TOO_LONG.search(complaint.text):
        return ErrorAction("too-long", reason)
    # A fault that passes may name any part; what a server cannot do at all is a 501.
    if is_proven and status == 500:
        return ErrorAction("retry", reason)
    part = find_refused_part(complaint, fields)
    # "Internal error" names fields too: only words of refusal count.
    is_refusal = REFUSING.search(complaint.text) or part == RefusedPart("format")
    if part is not None and is_refusal:
        return ErrorAction("refused", reason, part)
    return ErrorAction("retry", reason)


def _classify_bad_request(
    status: int,
    complaint: ServerComplaint,
    reason: str,
    answered_before: bool,
    fields: Collection[str],
) -> ErrorAction:
    """The meaning of a 4xx that may be about this one row."""
    text = _join_words(complaint)
    if status == 413 or TOO_LONG.search(text):
        return ErrorAction("too-long", reason)
    if ANSWER_TOO_LONG.search(text):
        return ErrorAction("answer-too-long", reason)
    if THROTTLED.search(text):
        return ErrorAction("wait", reason)
    part = find_refused_part(complaint, fields)
    if NO_MODEL.search(text) or (part is None and NO_SUCH_PATH.search(text)):
        return ErrorAction("stop", reason)
    if FILTERED.search(text):
        return ErrorAction("row", reason)
    if part is not None:
        return ErrorAction("refused", reason, part)
    if status in (403, 404, 405) and not answered_before:
        return ErrorAction("stop", reason)
    kind: Kind = "unclear" if status in (400, 422) else "row"
    return ErrorAction(kind, reason)


def _join_words(complaint: ServerComplaint) -> str:
    """A complaint's text and its codes."""
    return " ".join([complaint.text, *sorted(complaint.codes)])
