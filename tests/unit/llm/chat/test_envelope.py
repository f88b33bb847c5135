"""What goes out, and what comes back."""

import orjson
import pytest

from tacos.llm.chat import envelope
from tacos.llm.chat.body_json import EnvelopeError
from tacos.llm.chat.messages import render_request
from tacos.llm.chat.request_form import LEVELS, RequestForm
from tacos.llm.sending.error_statuses import classify_error_reply
from tacos.methods.judging import comparisons
from tacos.records import Request

FIELDS = {
    "instruction_a": "a",
    "response_a": "b",
    "instruction_b": "c",
    "response_b": "d",
}
ASKED = render_request(
    Request(
        "judge",
        FIELDS,
        "judge",
        "",
        comparisons.SCHEMA,
        {"temperature": 0.0, "max_tokens": 50},
    ),
    "m",
)


def test_the_strictest_form_closes_every_object() -> None:
    wanted = envelope.build_chat_body(ASKED, RequestForm())["response_format"][
        "json_schema"
    ]
    assert wanted["strict"] is True
    assert wanted["schema"]["additionalProperties"] is False
    assert wanted["schema"]["properties"]["value_a"]["maximum"] == 100
    assert list(wanted["schema"]["properties"]) == [
        "analysis",
        "correctness_a",
        "value_a",
        "correctness_b",
        "value_b",
    ]
    assert comparisons.SCHEMA.get("additionalProperties") is None  # ours stays as it is


@pytest.mark.parametrize(
    ("level", "kind"),
    [(LEVELS[1], "json_schema"), ("json_object", "json_object"), ("none", None)],
)
def test_simpler_forms(level: str, kind: str | None) -> None:
    wanted = envelope.build_chat_body(ASKED, RequestForm(level)).get("response_format")
    assert (wanted or {}).get("type") == kind
    assert "maximum" not in orjson.dumps(wanted).decode()


def test_fields_can_be_renamed_and_left_out() -> None:
    body = envelope.build_chat_body(
        ASKED, RequestForm(tokens_field="max_completion_tokens"), ("temperature",)
    )
    assert body["max_completion_tokens"] == 50
    assert "max_tokens" not in body
    assert "temperature" not in body


def test_a_reply_is_read() -> None:
    body = {
        "model": "m-2026",
        "choices": [
            {
                "message": {"content": [{"type": "text", "text": "a"}, {"text": "b"}]},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    }
    assert envelope.read_chat_reply(orjson.dumps(body)) == (
        "ab",
        "",
        "stop",
        "m-2026",
        3,
        2,
        "",
        (),
    )


def test_what_the_answer_may_have_begun_with_is_read() -> None:
    """White space before the answer is passed over; what is no number is no alternative."""
    tops = [
        {"token": "M", "logprob": -2.0},
        {"token": "m", "logprob": -0.2},
        {"token": " m", "logprob": None},
    ]
    places = [
        {"token": "\n", "logprob": 0.0, "top_logprobs": []},
        {"token": "m", "logprob": -0.2, "top_logprobs": tops},
    ]
    choice = {"message": {"content": "m"}, "logprobs": {"content": places}}
    said = envelope.read_chat_reply(orjson.dumps({"choices": [choice]}))
    assert said.alternatives == (("m", -0.2), ("M", -2.0))
    # The form of OpenAI's older completions, which some servers still use.
    older = {"tokens": ["m"], "top_logprobs": [{"m": -0.1, "M": -3}]}
    choice = {"message": {"content": "m"}, "logprobs": older}
    said = envelope.read_chat_reply(orjson.dumps({"choices": [choice]}))
    assert said.alternatives == (("m", -0.1), ("M", -3))
    for nothing in (None, {}, {"content": None}, {"content": []}, []):
        choice = {"message": {"content": "m"}, "logprobs": nothing}
        said = envelope.read_chat_reply(orjson.dumps({"choices": [choice]}))
        assert said.alternatives == ()


def test_alternatives_of_a_stream_are_joined() -> None:
    place = {
        "token": "m",
        "logprob": -0.2,
        "top_logprobs": [{"token": "m", "logprob": -0.2}],
    }
    chunks: list[dict[str, object]] = [
        {"delta": {"content": "m"}, "logprobs": {"content": [place]}},
        {"delta": {}, "finish_reason": "stop", "logprobs": None},
    ]
    events = [
        f"data: {orjson.dumps({'choices': [chunk]}).decode()}" for chunk in chunks
    ]
    body = "\n\n".join([*events, "data: [DONE]", ""])
    assert envelope.read_chat_reply(body).alternatives == (("m", -0.2),)


def test_a_plain_text_is_asked_for_without_response_format() -> None:
    asked = ASKED._replace(schema={"type": "string"})
    assert "response_format" not in envelope.build_chat_body(asked, RequestForm())


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"choices": []}',
        b'{"error": {"message": "x"}}',
        b'{"choices": [{"message": 1}]}',
    ],
)
def test_other_bodies_are_no_reply(body: bytes) -> None:
    with pytest.raises(EnvelopeError):
        envelope.read_chat_reply(body)


@pytest.mark.parametrize(
    ("status", "body", "answered", "kind"),
    [
        (429, '{"error": {"message": "slow down"}}', True, "wait"),
        (429, '{"error": {"code": "insufficient_quota"}}', True, "no-credit"),
        (
            429,
            '{"error": {"message": "Request too large for gpt-x: Limit 30000, Requested 41000"}}',
            True,
            "too-long",
        ),
        (503, "busy", False, "wait"),
        (500, "oops", False, "retry"),
        (529, "overloaded", True, "retry"),
        (401, '{"error": {"message": "bad key"}}', True, "stop"),
        (403, "flagged", True, "row"),
        (403, "no", False, "stop"),
        (404, '{"error": {"message": "The model `x` does not exist"}}', False, "stop"),
        (400, '{"error": {"code": "model_not_found", "message": "?"}}', True, "stop"),
        (
            400,
            '{"error": {"message": "Unknown field response_format"}}',
            False,
            "refused",
        ),
        (
            400,
            '{"error": {"message": "Use max_completion_tokens instead"}}',
            False,
            "refused",
        ),
        (
            400,
            '{"error": {"message": "maximum context length is 4096"}}',
            False,
            "too-long",
        ),
        (301, "", False, "stop"),
    ],
)
def test_what_a_refusal_means(
    status: int, body: str, answered: bool, kind: str
) -> None:
    assert classify_error_reply(status, body.encode(), answered).kind == kind
