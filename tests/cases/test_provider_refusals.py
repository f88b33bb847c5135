"""Requests that a provider refuses in part: the part is changed, once, and the answers come.

Each refusal is that of a real server (OpenAI, Azure, Anthropic, Google, Mistral, DeepSeek, Groq,
OpenRouter, Moonshot, Alibaba, vLLM, SGLang, llama.cpp, TGI, LM Studio, LiteLLM), in our own words
where its own do not matter. The fault server answers with it as long as the request has the part.

Cases llm_temperature, llm_gpt5, llm_no_system_role, llm_roles_alternate, llm_generic_400,
llm_schema_500 and llm_context_all.
"""

import itertools
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.server.fault_server import Behaviour, FaultServer, Scripted
from tests.server.questions import judge_requests, tag_requests

from tacos.config import LLMSettings
from tacos.errors import LLMError
from tacos.llm.chat.messages import render_request
from tacos.llm.client import Client
from tacos.llm.ledger.ledger import Ledger
from tacos.llm.offline import batch_api
from tacos.llm.sending.error_statuses import classify_error_reply

Body = dict[str, Any]
Connect = Callable[..., Client]
Predicate = Callable[[Body], bool]


def error(message: str, **more: Any) -> Body:
    """An error as most servers write it."""
    return {"error": {"message": message, **more}}


def has(name: str) -> Predicate:
    return lambda body: name in body


def has_system(body: Body) -> bool:
    return any(message["role"] == "system" for message in body["messages"])


def has_schema(body: Body) -> bool:
    return body.get("response_format", {}).get("type") == "json_schema"


def does_not_stream(body: Body) -> bool:
    return not body.get("stream")


class Refusal:
    """A server that refuses every request of some kind, and counts how often it did."""

    def __init__(self, status: int, body: Any, is_refused: Predicate) -> None:
        self.answer = Scripted(status, body)
        self.is_refused = is_refused
        self.n_refused = 0

    def __call__(self, body: Body) -> Scripted | None:
        if not self.is_refused(body):
            return None
        self.n_refused += 1
        return self.answer


FIELDS = {
    "gpt-5": (
        400,
        error(
            "'temperature' cannot be 0.6 with this model, only 1",
            param="temperature",
            code="unsupported_value",
        ),
        "temperature",
    ),
    "openai, without param": (
        400,
        error("Unsupported value: 'temperature' does not support 0.6 with this model."),
        "temperature",
    ),
    "openai top_p": (
        400,
        error("Unsupported parameter: 'top_p' is not supported with this model."),
        "top_p",
    ),
    "azure": (400, error("Unrecognized request argument supplied: top_p"), "top_p"),
    "claude": (
        400,
        {"type": "error", **error("`temperature` is deprecated for this model.")},
        "temperature",
    ),
    "moonshot": (
        400,
        error("invalid top_p: only 0.95 is allowed for this model"),
        "top_p",
    ),
    "xai": (400, {"error": "Model does not support parameter topP."}, "top_p"),
    "gemini, a list": (
        400,
        [error('Invalid JSON payload received. Unknown name "top_k": no field.')],
        "top_k",
    ),
    "mistral": (
        422,
        {
            "object": "error",
            "message": {
                "detail": [
                    {
                        "type": "extra_forbidden",
                        "loc": ["body", "top_k"],
                        "msg": "Extra inputs are not permitted",
                        "input": 20,
                    }
                ]
            },
        },
        "top_k",
    ),
    "fastapi, with the request in its error": (
        422,
        {
            "detail": [
                {
                    "type": "extra_forbidden",
                    "loc": ["body", "seed"],
                    "msg": "Extra inputs are not permitted",
                    "input": {"temperature": 1, "top_p": 1, "messages": []},
                }
            ]
        },
        "seed",
    ),
    "serde, with the fields that it takes": (
        422,
        b"unknown field `seed`, expected one of `messages`, `temperature`, `top_p`",
        "seed",
    ),
    "litellm, as 500": (
        500,
        error("UnsupportedParamsError: this model does not support temperature=0.6"),
        "temperature",
    ),
    "a fault of 500 that names it": (
        500,
        {"object": "error", "message": "top_p is not supported by this backend"},
        "top_p",
    ),
    "groq": (
        400,
        error("property 'reasoning_effort' is unsupported"),
        "reasoning_effort",
    ),
    "openrouter, a quoted upstream": (
        400,
        error(
            "Provider returned error",
            code=400,
            metadata={
                "raw": json.dumps(error("Unsupported value: 'temperature' is fixed"))
            },
        ),
        "temperature",
    ),
    "a message that is json": (
        400,
        error(json.dumps(error("temperature: this model does not accept it"))),
        "temperature",
    ),
    "200 with an error and no status": (
        200,
        {"error": "temperature is not supported by this model"},
        "temperature",
    ),
    "200 with an error": (
        200,
        error("temperature is not supported", code=400),
        "temperature",
    ),
}
EXTRA = {"top_p": 0.9, "top_k": 20, "seed": 7, "reasoning_effort": "low"}


@pytest.mark.parametrize("case", FIELDS)
@pytest.mark.timeout(60)
def test_an_optional_field_that_is_refused_is_dropped_once(
    case: str, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """Case llm_temperature and its brothers: one refusal, then every answer, and one line; the next
    command begins without the field; the ledger's keys stay the same.
    """
    status, body, name = FIELDS[case]
    refusal = Refusal(status, body, has(name))
    questions = tag_requests(6)
    with FaultServer(Behaviour(script=refusal)) as server:
        client = connect(server.url, body=EXTRA, concurrency=1)
        replies = client.answer(questions)
        assert all(reply.text for reply in replies)
        assert refusal.n_refused == 1
        assert client.form.dropped == (name,)
        assert server.asked.total() == len(questions) + 1
        told = [line for line in caplog.messages if f"without {name}" in line]
        assert len(told) == 1
        assert f'llm.omit=["{name}"]' in told[0]
        client.close()

        again = connect(server.url, body=EXTRA)
        assert all(reply.text for reply in again.answer(tag_requests(4, 50)))
        assert refusal.n_refused == 1, "the ledger remembers what the server takes"
    keys = [render_request(question, "tiny-1", EXTRA).key for question in questions]
    assert [reply.key for reply in replies] == keys


VALUES = {
    "a range": (
        400,
        error("temperature must be between 0 and 1, received 1.5"),
        ("temperature", 1.5, "tag.temperature"),
    ),
    "claude": (
        400,
        {"type": "error", **error("temperature: range: 0..1")},
        ("temperature", 1.5, "tag.temperature"),
    ),
    "gigachat": (
        422,
        {"status": 422, "message": "Invalid params: temperature not in range (0, inf)"},
        ("temperature", 0.0, "tag.temperature"),
    ),
    "tgi": (
        422,
        {"error": "Input validation error: `temperature` must be strictly positive"},
        ("temperature", 0.0, "tag.temperature"),
    ),
    "pydantic": (
        422,
        {
            "detail": [
                {
                    "loc": ["body", "temperature"],
                    "msg": "Input should be less than or equal to 1",
                    "input": 1.5,
                }
            ]
        },
        ("temperature", 1.5, "tag.temperature"),
    ),
    "qwen, a field of the body": (
        400,
        error("Range of top_p should be (0.0, 1.0)"),
        ("top_p", 1.5, "llm.body"),
    ),
    "as 500": (
        500,
        error("invalid request: top_k must be at least 1 or be -1"),
        ("top_k", 0, "llm.body"),
    ),
}


@pytest.mark.parametrize("case", VALUES)
def test_a_value_that_is_refused_is_named_not_dropped(
    case: str, connect: Connect
) -> None:
    """Before: the field was left out, and answers at the server's own temperature were stored under
    keys that say 1.5.
    """
    status, body, (name, value, setting) = VALUES[case]
    refusal = Refusal(status, body, lambda body: body.get(name) == value)
    sampling = {"temperature": 0.6}
    extra = {}
    if setting == "llm.body":
        extra = {name: value}
    else:
        sampling = {name: value}
    questions = [replace(each, sampling=sampling) for each in tag_requests(60)]
    with FaultServer(Behaviour(script=refusal)) as server:
        client = connect(server.url, body=extra)
        with pytest.raises(LLMError) as stopped:
            client.answer(questions)
        assert f"{name} is {value}: set {setting} to" in str(stopped.value)
        assert f'llm.omit=["{name}"]' in str(stopped.value)
        assert client.form.dropped == ()
        assert refusal.n_refused == server.asked.total() <= 32


def test_a_value_that_means_the_same_as_none_is_dropped(connect: Connect) -> None:
    """TGI takes no `top_p` of 1, which is what it does without one."""
    words = "Input validation error: `top_p` must be > 0.0 and < 1.0"
    refusal = Refusal(422, {"error": words}, has("top_p"))
    with FaultServer(Behaviour(script=refusal)) as server:
        client = connect(server.url, body={"top_p": 1.0}, concurrency=1)
        assert all(reply.text for reply in client.answer(tag_requests(3)))
        assert (refusal.n_refused, client.form.dropped) == (1, ("top_p",))


def test_many_requests_in_flight_learn_of_a_refusal_together(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """Case llm_temperature: only the first round trip is refused, and the line comes once."""
    status, body, name = FIELDS["gpt-5"]
    refusal = Refusal(status, body, has(name))
    with FaultServer(Behaviour(script=refusal, latency=0.05)) as server:
        replies = connect(server.url).answer(tag_requests(200))
    assert all(reply.text for reply in replies)
    assert refusal.n_refused <= 64
    assert len(caplog.messages) == 1


def test_three_refusals_one_after_another(connect: Connect) -> None:
    """Case llm_gpt5: max_tokens first, then temperature, then the role of the system."""

    def script(body: Body) -> Scripted | None:
        if "max_tokens" in body:
            return Scripted(400, error("Use 'max_completion_tokens' instead."))
        if "temperature" in body:
            return FIELDS_ANSWER
        if has_system(body):
            words = "'messages[0].role' does not support 'system' with this model."
            return Scripted(400, error(words, param="messages[0].role"))
        return None

    with FaultServer(Behaviour(script=script)) as server:
        client = connect(server.url, concurrency=1)
        assert all(reply.text for reply in client.answer(tag_requests(5)))
        assert server.asked.total() == 5 + 3, "the same question, whatever its form"
        last = server.bodies[-1]
    assert last["max_completion_tokens"] == 200
    assert client.form.folds_system


FIELDS_ANSWER = Scripted(400, FIELDS["gpt-5"][1])


def test_of_two_fields_that_exclude_each_other_the_temperature_stays(
    connect: Connect,
) -> None:
    """Claude takes a temperature or a top_p."""
    words = "`temperature` and `top_p` cannot both be specified for this model."

    def both(body: Body) -> bool:
        return "temperature" in body and "top_p" in body

    with FaultServer(Behaviour(script=Refusal(400, error(words), both))) as server:
        client = connect(server.url, body={"top_p": 0.9})
        assert all(reply.text for reply in client.answer(tag_requests(3)))
    assert client.form.dropped == ("top_p",)


JINJA = (
    "While executing CallExpression at line 19, column 27 in source:\n...\n"
    "Error: Jinja Exception: Conversation roles must alternate user/assistant/..."
)
SYSTEM = {
    "a template": (400, error("This template has no role system")),
    "vllm, gemma": (
        400,
        {"object": "error", "message": "System role not supported", "code": 400},
    ),
    "fastchat": (
        400,
        {
            "object": "error",
            "message": "Roles must alternate user/assistant",
            "code": 400,
        },
    ),
    "mistral": (
        400,
        error(
            "After the optional system message, roles must alternate user/assistant/"
        ),
    ),
    "llama.cpp": (500, {"error": {"code": 500, "message": JINJA}}),
    "llama.cpp, gemma": (500, error("Jinja Exception: System role not supported")),
    "openai o1": (
        400,
        error(
            "Unsupported value: 'messages[0].role' does not support 'system'.",
            param="messages[0].role",
        ),
    ),
    "gemini, gemma": (
        400,
        [error("Developer instruction is not enabled for models/gemma-3-27b-it")],
    ),
    "anthropic": (
        400,
        error('messages: Unexpected role "system". The API takes a parameter `system`'),
    ),
    "bedrock": (400, {"message": "This model doesn't support system messages"}),
    "only two roles": (422, error("Only user and assistant roles are supported!")),
    "the first turn": (400, {"detail": "Conversation must start with a user message"}),
}


@pytest.mark.parametrize("case", SYSTEM)
@pytest.mark.timeout(60)
def test_the_system_text_goes_before_the_users_where_its_role_is_refused(
    case: str, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """Cases llm_no_system_role and llm_roles_alternate."""
    refusal = Refusal(*SYSTEM[case], has_system)
    with FaultServer(Behaviour(script=refusal)) as server:
        client = connect(server.url, concurrency=1)
        assert all(reply.text for reply in client.answer(tag_requests(6)))
        assert refusal.n_refused == 1
        sent = server.bodies[-1]["messages"]
        first = server.bodies[0]["messages"]
        client.close()
        assert all(
            reply.text for reply in connect(server.url).answer(tag_requests(2, 9))
        )
        assert refusal.n_refused == 1
    assert [message["role"] for message in sent] == ["user"]
    assert sent[0]["content"].startswith(first[0]["content"])
    told = [line for line in caplog.messages if "takes no system message" in line]
    assert len(told) == 1


def test_a_reask_alternates_too(connect: Connect) -> None:
    """Case llm_roles_alternate: user, assistant, user."""

    def script(body: Body) -> Scripted | None:
        roles = [message["role"] for message in body["messages"]]
        if any(one == two for one, two in itertools.pairwise(roles)):
            return Scripted(*SYSTEM["fastchat"])
        return Scripted(*SYSTEM["fastchat"]) if roles[0] == "system" else None

    behaviour = Behaviour({"invalid-json": 1.0}, script=script)
    with FaultServer(behaviour) as server:
        replies = connect(server.url).answer(tag_requests(3))
        roles = [message["role"] for message in server.bodies[-1]["messages"]]
    assert all(reply.text for reply in replies)
    assert roles == ["user", "assistant", "user"]


def test_roles_that_are_refused_in_either_form_end_in_one_line(
    connect: Connect,
) -> None:
    """A server that no form suits: its words, and no endless search."""
    refusal = Refusal(*SYSTEM["fastchat"], lambda body: True)
    with (
        FaultServer(Behaviour(script=refusal)) as server,
        pytest.raises(LLMError, match="Roles must alternate"),
    ):
        connect(server.url).answer(tag_requests(20))
    assert refusal.n_refused < 60


FORMATS = {
    "openai": (
        400,
        error(
            "Invalid parameter: 'response_format' of type 'json_schema' is not supported",
            param="response_format",
        ),
    ),
    "deepseek": (400, error("This response_format type is unavailable now")),
    "deepseek, as 422": (
        422,
        b"Failed to deserialize the JSON body into the target type: response_format",
    ),
    "llama.cpp": (400, error("Failed to initialize samplers: std::exception")),
    "llama.cpp, grammar": (
        500,
        {"error": {"code": 500, "message": "grammar cannot be compiled: minItems"}},
    ),
    "vllm": (
        400,
        error("The provided JSON schema contains features not supported by xgrammar."),
    ),
    "sglang": (500, {"object": "error", "message": "Failed to compile json grammar"}),
    "gemini": (
        400,
        [error("The specified schema produces a constraint that has too many states.")],
    ),
    "anthropic": (
        400,
        error("output_format.schema: For 'array' type, 'minItems' is not supported"),
    ),
    "openrouter": (
        404,
        error("No endpoints found that can handle the requested parameters.", code=404),
    ),
    "not implemented": (501, error("structured outputs are not implemented")),
    "a field of validation": (
        422,
        {"detail": [{"loc": ["body", "response_format", "type"], "msg": "unexpected"}]},
    ),
}


@pytest.mark.parametrize("case", FORMATS)
@pytest.mark.timeout(60)
def test_a_format_that_is_refused_is_asked_for_more_simply(
    case: str, connect: Connect
) -> None:
    """Case llm_schema_500 and its brothers, as 400, 404, 422, 500 and 501."""
    refusal = Refusal(*FORMATS[case], has_schema)
    with FaultServer(Behaviour(script=refusal)) as server:
        client = connect(server.url, concurrency=1)
        assert all(reply.text for reply in client.answer(tag_requests(6)))
        assert refusal.n_refused <= 2, "the strict form, and the one without bounds"
        assert client.form.level == "json_object"


@pytest.mark.parametrize("structured", ["json_schema", "json_object"])
def test_a_format_of_the_settings_is_kept_and_its_refusal_names_them(
    structured: str, connect: Connect
) -> None:
    """Case llm_schema_500: who has chosen a format is told which setting it was."""
    refusal = Refusal(*FORMATS["llama.cpp, grammar"], has("response_format"))
    with (
        FaultServer(Behaviour(script=refusal)) as server,
        pytest.raises(LLMError, match=r"--set llm\.structured=none"),
    ):
        connect(server.url, structured=structured).answer(tag_requests(8))


GENERIC = {
    "gemini": (400, [error("Request contains an invalid argument.", code=400)]),
    "no words": (400, b""),
    "a proxy": (422, {"detail": "Unprocessable Entity"}),
    "a text": (400, b"Bad Request"),
}


@pytest.mark.parametrize("case", GENERIC)
def test_a_refusal_without_a_reason_is_tried_once_without_the_format(
    case: str, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """Case llm_generic_400."""
    refusal = Refusal(*GENERIC[case], has("response_format"))
    with FaultServer(Behaviour(script=refusal)) as server:
        client = connect(server.url, concurrency=1)
        assert all(reply.text for reply in client.answer(tag_requests(6)))
        assert refusal.n_refused == 1
        assert client.form.level == "none"
        client.close()
        connect(server.url).answer(tag_requests(3, 20))
        assert refusal.n_refused == 1
    assert sum("without response_format" in line for line in caplog.messages) == 1


def test_a_refusal_of_everything_is_tried_in_two_forms_and_stops(
    connect: Connect,
) -> None:
    """Case llm_generic_400: where the format is not the reason, nothing is learned."""
    refusal = Refusal(*GENERIC["gemini"], lambda body: True)
    with FaultServer(Behaviour(script=refusal)) as server:
        client = connect(server.url, concurrency=1)
        with pytest.raises(LLMError, match=r"5 requests in a row failed.*invalid arg"):
            client.answer(tag_requests(20))
        assert client.form.level == "json_schema"
    assert refusal.n_refused == 10


def test_a_row_that_is_refused_where_others_are_answered_changes_no_form(
    connect: Connect,
) -> None:
    """Case llm_generic_400: a form that is proven is not given up for one row."""

    def is_refused(body: Body) -> bool:
        return "poem 7." in body["messages"][1]["content"]

    refusal = Refusal(*GENERIC["gemini"], is_refused)
    with FaultServer(Behaviour(script=refusal)) as server:
        client = connect(server.url, concurrency=1)
        replies = client.answer(tag_requests(12))
        assert client.form.level == "json_schema"
    assert [row for row, reply in enumerate(replies) if not reply.text] == [7]
    assert refusal.n_refused == 1


TOO_LONG = {
    "openai": (
        400,
        error(
            "the maximum context length is 512 tokens, you asked for 1600 "
            "(576 in the messages, 1024 in the completion)",
            code="context_length_exceeded",
        ),
    ),
    "vllm, with both fields": (
        400,
        error(
            "'max_tokens' or 'max_completion_tokens' is too large: 4096. This model's "
            "maximum context length is 4096 tokens and your request has 60 input tokens",
            param="max_tokens",
        ),
    ),
    "vllm, no room left": (400, error("max_tokens must be at least 1, got -5.")),
    "sglang": (
        400,
        error(
            "The input (5000 tokens) is longer than the model's context length (4096)"
        ),
    ),
    "llama.cpp": (
        400,
        error(
            "the request exceeds the available context size (4096 tokens)",
            type="exceed_context_size_error",
        ),
    ),
    "llama.cpp, as 500": (
        500,
        error("the request exceeds the available context size. try increasing it"),
    ),
    "tgi": (
        422,
        {
            "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be "
            "<= 4096. Given: 5000 `inputs` tokens and 1000 `max_new_tokens`"
        },
    ),
    "tgi, inputs": (
        422,
        {"error": "`inputs` must have less than 1024 tokens. Given: 1500"},
    ),
    "anthropic": (400, error("prompt is too long: 213222 tokens > 200000 maximum")),
    "gemini": (
        400,
        [error("The input token count (1200000) exceeds the maximum number of tokens")],
    ),
    "mistral": (
        400,
        {
            "message": "Prompt contains 40000 tokens, too large for model with 32768 "
            "maximum context length"
        },
    ),
    "xai": (
        400,
        {
            "error": "This model's maximum prompt length is 131072 but the request has more"
        },
    ),
    "lm studio": (
        400,
        {
            "error": "The number of tokens to keep from the initial prompt is greater "
            "than the context length (n_keep: 13055>= n_ctx: 4096)."
        },
    ),
    "lm studio, with 200": (
        200,
        {
            "error": "Trying to keep the first 6547 tokens when context the overflows. "
            "The model is loaded with a context length of only 4096 tokens"
        },
    ),
    "groq": (413, error("Request too large for model on tokens per minute (TPM)")),
    "groq, as 429": (429, error("Request too large: Limit 6000, Requested 7000")),
    "a proxy": (413, b"<html><h1>413 Request Entity Too Large</h1></html>"),
}


@pytest.mark.parametrize("case", TOO_LONG)
@pytest.mark.timeout(60)
def test_what_is_too_long_names_the_settings_of_the_stage(
    case: str, connect: Connect
) -> None:
    """Case llm_context_all."""
    refusal = Refusal(*TOO_LONG[case], lambda body: True)
    with (
        FaultServer(Behaviour(script=refusal)) as server,
        pytest.raises(LLMError) as told,
    ):
        connect(server.url, concurrency=1).answer(tag_requests(20))
    assert "--set tag.max_tokens=... (now 200)" in str(told.value)
    assert "--set tag.max_chars=..." in str(told.value)
    assert "\n" not in str(told.value)
    assert refusal.n_refused == 5


@pytest.mark.parametrize(
    "words",
    [
        "max_tokens is too large: 5000. This model supports at most 4096 completion tokens",
        "Invalid max_tokens value, the valid range of max_tokens is [1, 100]",
        "max_tokens: 8192 > 4096, which is the maximum allowed number of output tokens",
        "Range of max_tokens should be [1, 2000]",
        "`max_tokens` must be less than or equal to `100`",
    ],
)
def test_an_answer_that_may_be_too_long_names_max_tokens_alone(
    words: str, connect: Connect
) -> None:
    """A brother of llm_context_all: it is no reason to send another field."""
    refusal = Refusal(400, error(words, param="max_tokens"), lambda body: True)
    with (
        FaultServer(Behaviour(script=refusal)) as server,
        pytest.raises(LLMError, match=r"lower --set tag\.max_tokens=\.\.\.") as told,
    ):
        connect(server.url, concurrency=1).answer(tag_requests(20))
    assert "max_chars" not in str(told.value)
    assert refusal.n_refused == 5


@pytest.mark.parametrize(
    "words",
    [
        "This model only support stream mode, please enable the stream parameter",
        "parameter.enable_thinking must be set to false for non-streaming calls",
        "enable thinking can not be support when `stream=False`.",
    ],
)
def test_a_model_that_only_streams_is_asked_to_stream(
    words: str, connect: Connect
) -> None:
    """Alibaba's reasoning models: the stream is read as a whole."""
    refusal = Refusal(400, error(words), does_not_stream)

    def script(body: Body) -> Scripted | None:
        answer = refusal(body)
        if answer is not None:
            return answer
        chunk = json.dumps(
            {"choices": [{"delta": {"content": '{"tags": ["a"]}'}, "index": 0}]}
        )
        stream = f"data: {chunk}\n\ndata: [DONE]\n\n"
        return Scripted(200, stream.encode(), {"Content-Type": "text/event-stream"})

    with FaultServer(Behaviour(script=script)) as server:
        client = connect(server.url, concurrency=1)
        assert all(reply.text for reply in client.answer(tag_requests(4)))
    assert refusal.n_refused == 1
    assert client.form.streams


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        # what a filter says of one row is no reason to ask otherwise
        (400, error("The prompt triggered the content management policy"), "row"),
        (400, error("x", code="content_filter"), "row"),
        (400, error("x", code="data_inspection_failed"), "row"),
        (403, error("Your input was flagged by moderation"), "row"),
        # the model's fault, not the request's
        (400, error("Failed to generate JSON.", code="json_validate_failed"), "retry"),
        # a model that is not there
        (404, error('model "x" not found, try pulling it first'), "stop"),
        (400, {"error": "No models loaded. Please load a model first."}, "stop"),
        (400, {"error": 'Failed to load model "x". Error loading model.'}, "stop"),
        (400, error("invalid model name", code="bad"), "stop"),
        # what passes
        (408, b"", "retry"),
        (409, b"", "retry"),
        (423, b"", "retry"),
        (424, {"error": "Request failed during generation"}, "retry"),
        (425, b"", "retry"),
        (498, error("capacity exceeded"), "wait"),
        (499, b"client closed request", "retry"),
        (500, error("The server had an error while processing"), "retry"),
        (500, {"error": "model runner has unexpectedly stopped"}, "retry"),
        (500, error("context deadline exceeded"), "retry"),
        (502, b"<html>bad gateway: json_schema</html>", "retry"),
        (504, b"", "retry"),
        (520, b"", "retry"),
        (524, b"error code: 524", "retry"),
        (529, error("Overloaded", type="overloaded_error"), "retry"),
        # words of every day are no fields
        (400, error("roles of a user can stop here, at n = 1"), "unclear"),
    ],
)
def test_what_an_error_means(status: int, body: Any, kind: str) -> None:
    """Statuses and words that must not be taken for a refusal of a part."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = ["temperature", "top_p", "stop", "n", "user"]
    action = classify_error_reply(status, raw, answered_before=False, fields=fields)
    assert action.kind == kind


def test_a_command_that_begins_with_what_was_learned_says_so(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """Case llm_temperature: no command leaves a field out without a word."""
    status, body, name = FIELDS["gpt-5"]
    with FaultServer(Behaviour(script=Refusal(status, body, has(name)))) as server:
        connect(server.url).answer(tag_requests(2))
        caplog.clear()
        caplog.set_level(logging.WARNING)
        connect(server.url).answer(tag_requests(2, 10))
    assert caplog.messages == [
        "tiny-1 is asked without temperature: the server refused it before"
    ]


def test_a_batch_is_written_in_the_form_that_was_learned_online(
    connect: Connect, book: Ledger
) -> None:
    """Case llm_temperature: a batch would be refused a day later, line by line."""
    status, body, name = FIELDS["gpt-5"]
    questions = [render_request(each, "tiny-1") for each in tag_requests(4, 10)]
    with FaultServer(Behaviour(script=Refusal(status, body, has(name)))) as server:
        connect(server.url).answer(tag_requests(2))
        settings = LLMSettings(base_url=server.url, proxy="none")
        batch_api.fetch_batch_replies(questions, settings, book, poll=0.01)
        lines = b"".join(server.batches.files.values()).splitlines()
        requests = [json.loads(line) for line in lines if b'"body"' in line]
    sent = [line["body"] for line in requests if "method" in line]
    assert len(sent) == len(questions)
    assert not any(name in each for each in sent)


def test_a_fault_without_words_names_the_format_it_may_be_about(
    connect: Connect,
) -> None:
    """Case llm_schema_500: a server that says nothing but 500."""
    refusal = Refusal(500, b"Internal Server Error", lambda body: True)
    with (
        FaultServer(Behaviour(script=refusal)) as server,
        pytest.raises(LLMError, match=r"--set llm\.structured=none may help"),
    ):
        connect(server.url, retries=1, concurrency=2).answer(tag_requests(30))


PASSING = {
    "a database": error("relation does not exist in schema public"),
    "a field": error("unexpected error: invalid seed of the sampler, temperature 0.6"),
    "a role": error("unexpected state: no system message in the cache"),
}


@pytest.mark.parametrize("case", PASSING)
def test_a_fault_that_passes_changes_no_form_that_was_answered(
    connect: Connect, case: str
) -> None:
    """Before: one such answer lowered the form of all later requests, for a day."""
    met: set[str] = set()

    def script(body: Body) -> Scripted | None:
        question = json.dumps(body["messages"])
        if "poem 0." in question or question in met:
            return None
        met.add(question)
        return Scripted(500, PASSING[case])

    with FaultServer(Behaviour(script=script)) as server:
        client = connect(server.url)
        client.answer(tag_requests(1))
        form = client.form
        assert all(reply.text for reply in client.answer(tag_requests(8)))
        assert client.form == form
        assert client.tally.n_retried == 7
        first = server.bodies[0]
        for body in server.bodies:
            assert {**body, "messages": first["messages"]} == first


def test_a_server_that_fails_at_the_schema_of_one_task_is_asked_otherwise(
    connect: Connect,
) -> None:
    """The tags' schema was answered; that of the judge cannot be compiled."""

    def script(body: Body) -> Scripted | None:
        is_judged = "Say b." in json.dumps(body["messages"])
        return Scripted(*FORMATS["sglang"]) if is_judged and has_schema(body) else None

    with FaultServer(Behaviour(script=script)) as server:
        client = connect(server.url)
        assert all(reply.text for reply in client.answer(tag_requests(3)))
        assert all(reply.text for reply in client.answer(judge_requests(3)))


def test_a_long_row_is_named_after_others_were_answered() -> None:
    body = json.dumps(error("the prompt exceeds the context size (n_ctx 4096)"))
    action = classify_error_reply(500, body.encode(), True, is_proven=True)
    assert action.kind == "too-long"
