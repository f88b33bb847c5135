"""What a person can do about a request, or a server, that failed: the second half of each error.

Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from tacos.config import LLMSettings
from tacos.llm.chat.body_json import EnvelopeError, ForeignReplyError
from tacos.llm.chat.messages import RenderedRequest
from tacos.llm.sending.error_statuses import ErrorAction, Kind
from tacos.llm.transport.endpoint import Endpoint
from tacos.llm.transport.protocol import HttpResponse

NO_CREDIT = "the account has no credit left: once it has, the same command continues"
PERHAPS_FORMAT = "if it answers other clients, --set llm.structured=none may help"
SECTIONS = {
    "grade": "judge",
    "match": "normalise",
    "rewrite": "refine",
    "reword": "refine",
}
"""By the first word of a task: the section of its settings, where that has another name."""
NEUTRAL = {("top_p", 1)}
"""Fields and values that mean the same as to leave the field out."""


def explain_row(
    question: RenderedRequest,
    action: ErrorAction,
    settings: LLMSettings,
) -> str:
    """Why a request is given up, and what a person can do about it."""
    if action.kind in ("too-long", "answer-too-long"):
        return f"{action.reason}; {suggest_shorter(question, action.kind)}"
    is_about_format = action.kind == "unclear" or (
        action.part is not None and action.part.kind == "format"
    )
    if is_about_format and settings.structured not in ("auto", "none"):
        return f"{action.reason}; perhaps --set llm.structured=none helps"
    return action.reason


def suggest_shorter(question: RenderedRequest, kind: Kind) -> str:
    """The settings that make a question, or its answer, shorter."""
    task = question.task
    if task == "embed":
        return "lower embed.max_chars (--set embed.max_chars=...)"
    section = _find_section(question)
    n_tokens = question.sampling.get("max_tokens")
    shorter_answer = f"--set {section}.max_tokens=... (now {n_tokens})"
    if kind == "answer-too-long" or section == "normalise":
        return f"lower {shorter_answer}"
    return f"lower {shorter_answer}, or --set {section}.max_chars=..."


def suggest_values(
    question: RenderedRequest,
    names: Sequence[str],
    settings: LLMSettings,
) -> str:
    """The settings whose values a server does not take; "" where these mean the same as none."""
    section = _find_section(question)
    texts = []
    for name in names:
        value = question.sampling.get(name)
        if (name, value) in NEUTRAL:
            continue
        setting = "llm.body" if name in settings.body else f"{section}.{name}"
        texts.append(
            f"{name} is {value}: set {setting} to what the server takes, or leave it out "
            f"(--set 'llm.omit=[\"{name}\"]')"
        )
    return "; ".join(texts)


def explain_unreadable(response: HttpResponse, error: EnvelopeError) -> str:
    """Why a body cannot be read: it may be compressed in a way that nobody asked for."""
    headers = response.decode_headers()
    encoding = headers.get("content-encoding", "identity")
    is_packed = encoding not in ("identity", "")
    if isinstance(error, ForeignReplyError) and is_packed:
        return f"the body is compressed (Content-Encoding: {encoding}), though none was asked for"
    return str(error)


def suggest_fix(
    status: int,
    endpoint: Endpoint,
    *,
    is_chat: bool,
) -> str:
    """What a person can do about the refusal of every request."""
    if status in (401, 403) and not endpoint.has_key:
        return f"the server needs a key: {endpoint.key_advice}"
    if status in (401, 403):
        return endpoint.key_advice
    setting = name_address_setting(is_chat=is_chat)
    if not is_chat:
        return f"check {setting} and the MODEL in endpoint:MODEL"
    return f"check {setting}, the URL up to /v1, and llm.model (--model, or --judge)"


def _find_section(question: RenderedRequest) -> str:
    """The section of the settings that a question was made by."""
    first_word = question.task.partition("-")[0]
    return SECTIONS.get(first_word, first_word)


def name_address_setting(*, is_chat: bool) -> str:
    """The setting that says where the server is."""
    return "llm.base_url (--llm)" if is_chat else "embed.base_url (or --llm)"
