"""Replies in shapes that providers send: read where an answer is there, or refused with its reason.

The shapes are those of OpenAI, Azure, Anthropic, Google, Mistral, DeepSeek, OpenRouter, vLLM,
SGLang, llama.cpp, Ollama, LM Studio, TGI and of gateways before them. The fault server sends them
instead of its own answer.

Cases llm_reasoning_only, llm_function_call, llm_sse, llm_gzip, llm_empty_choices,
llm_error_in_choice and llm_tags_as_texts.
"""

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from tests.server.fault_server import Behaviour, FaultServer, Scripted
from tests.server.questions import judge_requests, tag_requests

from tacos.errors import LLMError
from tacos.llm.client import Client
from tacos.llm.ledger.ledger import Ledger

Body = dict[str, Any]
Connect = Callable[..., Client]
TAGS = {"tags": [{"tag": "cooking", "explanation": "asks for a recipe"}]}
ANSWER = json.dumps(TAGS)


def completion(message: Any, **more: Any) -> Body:
    """A chat completion with one message."""
    choice = {"index": 0, "message": message, "finish_reason": "stop", **more}
    usage = {"prompt_tokens": 90, "completion_tokens": 9}
    return {"model": "m", "choices": [choice], "usage": usage}


def called(arguments: Any) -> Body:
    """A call of a function that nobody offered."""
    return {"id": "1", "type": "function", "function": {"arguments": arguments}}


def event(value: Any) -> str:
    return f"data: {json.dumps(value)}\n\n"


def stream(*deltas: Body, finish: str | None = "stop") -> str:
    """A stream of a message's pieces."""
    events = [event({"choices": [{"index": 0, "delta": delta}]}) for delta in deltas]
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    usage = {"choices": [], "usage": {"prompt_tokens": 90, "completion_tokens": 9}}
    return "".join([*events, event(last), event(usage)])


THIRD = len(ANSWER) // 3
PIECES = [ANSWER[:THIRD], ANSWER[THIRD : 2 * THIRD], ANSWER[2 * THIRD :]]
CONTENT = [{"content": piece} for piece in PIECES]
CALLS = [
    {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in PIECES
]
SPACED = json.dumps(completion({"content": ANSWER}), indent=1)
DONE = "data: [DONE]\n\n"
WITH_CONSTANTS = (
    json.dumps(completion({"content": ANSWER}))[:-1]
    + ', "logprobs": [NaN, Infinity, -Infinity]}'
)

READ: dict[str, Any] = {
    # where the answer is
    "reasoning_content": completion({"content": None, "reasoning_content": ANSWER}),
    "reasoning": completion({"content": "", "reasoning": f"\n{ANSWER}\n"}),
    "reasoning, fenced": completion({"reasoning": f"```json\n{ANSWER}\n```"}),
    "reasoning_details": completion({"reasoning_details": [{"text": ANSWER}]}),
    "a reasoning part": completion(
        {"content": [{"type": "reasoning", "text": ANSWER}]},
    ),
    "a thinking part of parts": completion(
        {
            "content": [
                {
                    "type": "thinking",
                    "thinking": [{"type": "text", "text": 'Or {"tags": []}?'}],
                },
                {"type": "text", "text": ANSWER},
            ]
        }
    ),
    "text of parts": completion({"content": [{"type": "text", "text": ANSWER}]}),
    "text in a value": completion(
        {"content": [{"type": "text", "text": {"value": ANSWER}}]}
    ),
    "a list of texts": completion({"content": PIECES}),
    "an object": completion({"content": TAGS}),
    "function_call": completion(
        {"content": None, "function_call": {"name": "json", "arguments": ANSWER}},
        finish_reason="function_call",
    ),
    "tool_calls": completion({"content": None, "tool_calls": [called(ANSWER)]}),
    "tool_calls with an object": completion({"tool_calls": [called(TAGS)]}),
    "the same call twice": completion({"tool_calls": [called(ANSWER)] * 2}),
    "a tool_use part": completion({"content": [{"type": "tool_use", "input": TAGS}]}),
    "the text of a completion": {"choices": [{"text": ANSWER, "index": 0}]},
    "a delta": {"choices": [{"delta": {"content": ANSWER}}]},
    "ollama": {"message": {"content": ANSWER}, "done": True, "done_reason": "stop"},
    "a list of one": [completion({"content": ANSWER})],
    # what stands around it
    "think blocks": completion({"content": f"<think>{{}}</think>\n{ANSWER}"}),
    "a fence": completion({"content": f"```json\n{ANSWER}\n```"}),
    "no usage": {**completion({"content": ANSWER}), "usage": None},
    "usage of texts": {**completion({"content": ANSWER}), "usage": "12"},
    "no finish_reason": completion({"content": ANSWER}, finish_reason=None),
    "an error that is null": {**completion({"content": ANSWER}), "error": None},
    "nan": WITH_CONSTANTS.encode(),
    "a byte order mark": b"\xef\xbb\xbf" + SPACED.encode(),
    "blank lines before it": b"\n\n   \n" + SPACED.encode(),
    "a line break in a text": json.dumps(completion({"content": f"{ANSWER}  %"}))
    .replace("%", "\n")
    .encode(),
    # streams
    "a stream": (stream(*CONTENT) + DONE).encode(),
    "a stream without its end mark": stream(*CONTENT).encode(),
    "a stream without a finish": (stream(*CONTENT, finish=None) + DONE).encode(),
    "a stream of a call": (stream(*CALLS) + DONE).encode(),
    "a stream of an older call": (
        stream(*[{"function_call": {"arguments": piece}} for piece in PIECES]) + DONE
    ).encode(),
    "a stream of reasoning": (
        stream(*[{"reasoning_content": piece} for piece in PIECES]) + DONE
    ).encode(),
    "a stream with one whole message": event(completion({"content": ANSWER})).encode(),
    "a stream of texts": "".join(
        event({"choices": [{"text": piece}]}) for piece in PIECES
    ).encode()
    + DONE.encode(),
    "a stream with comments": (
        ": PROCESSING\n\n: PROCESSING\n\nevent: message\nid: 1\n"
        + stream(*CONTENT)
        + DONE
    ).encode(),
    "comments as data": ("data: : PROCESSING\n\n" + stream(*CONTENT) + DONE).encode(),
    "a stream of another system": (stream(*CONTENT) + DONE)
    .replace("\n", "\r\n")
    .encode(),
    "a stream without blanks": (stream(*CONTENT) + DONE)
    .replace("data: ", "data:")
    .replace("\n\n", "\n")
    .encode(),
    "comments before JSON": (": PROCESSING\n\n: PROCESSING\n\n" + SPACED).encode(),
    # tags
    "tags as texts": completion({"content": '{"tags": ["cooking", "eggs"]}'}),
    "a bare list of texts": completion({"content": '["cooking", "eggs"]'}),
    "texts and objects": completion(
        {"content": '{"tags": ["cooking", {"tag": "eggs", "explanation": "x"}]}'}
    ),
    "no explanation": completion({"content": '{"tags": [{"tag": "cooking"}]}'}),
    "a null explanation": completion(
        {"content": '{"tags": [{"tag": "cooking", "explanation": null}]}'}
    ),
}


def send(body: Any, **headers: str) -> Callable[[Body], Scripted]:
    return lambda asked: Scripted(200, body, headers)


@pytest.mark.parametrize("case", READ)
@pytest.mark.timeout(60)
def test_an_answer_is_read_in_every_shape(
    case: str, connect: Connect, book: Ledger
) -> None:
    """Cases llm_reasoning_only, llm_function_call, llm_sse and llm_tags_as_texts: one request for
    each question, and the ledger reads the reply as the wire did.
    """
    with FaultServer(Behaviour(script=send(READ[case]))) as server:
        replies = connect(server.url).answer(tag_requests(3))
        assert server.asked.total() == 3
        again = connect(server.url).answer(tag_requests(3))
        assert server.asked.total() == 3, "the ledger has them"
    for reply in replies:
        assert reply.text is not None, reply.failure
        tags = [item["tag"] for item in orjson.loads(reply.text)["tags"]]
        assert tags[0] == "cooking"
    assert again == replies
    assert book.spend()[0].prompt_tokens > 0


@pytest.mark.parametrize(
    ("reasoning", "what"),
    [
        ('It may be {"tags": []}. Or not.', "thoughts with a draft in them"),
        ("The person wants a recipe.", "thoughts"),
        ('{"labels": ["a"]}', "another object"),
    ],
)
def test_thoughts_are_no_answer_and_the_reason_says_where_the_text_is(
    reasoning: str, what: str, connect: Connect
) -> None:
    """Case llm_reasoning_only: a draft is not taken for an answer."""
    body = completion({"content": None, "reasoning_content": reasoning})
    with FaultServer(Behaviour(script=send(body))) as server:
        reply = connect(server.url).answer(tag_requests(1))[0]
        reask = server.bodies[-1]["messages"]
    assert reply.text is None, what
    assert "it is empty; all text is in the reasoning" in reply.failure
    # the words to the model, and so the ledger's key, are those of before
    assert "it is empty" in reask[-1]["content"]
    assert "reasoning" not in reask[-1]["content"]


def test_a_judges_answer_lacks_nothing(connect: Connect) -> None:
    """Case llm_tags_as_texts: only explanations may be missing, no number ever."""
    verdict = {"analysis": "x", "correctness_a": 5, "value_a": 5, "correctness_b": 5}
    body = completion({"content": json.dumps(verdict)})
    with FaultServer(Behaviour(script=send(body))) as server:
        reply = connect(server.url).answer(judge_requests(1))[0]
    assert reply.text is None
    assert "value_b" in reply.failure


PLAIN = json.dumps(completion({"content": ANSWER})).encode()
RAW_DEFLATE = zlib.compress(PLAIN)[2:-4]
PACKED = {
    "gzip": (gzip.compress(PLAIN), "gzip"),
    "gzip by its other name": (gzip.compress(PLAIN), "x-gzip"),
    "gzip that is not declared": (gzip.compress(PLAIN), ""),
    "gzip that is none": (PLAIN, "gzip"),
    "deflate": (zlib.compress(PLAIN), "deflate"),
    "deflate without its frame": (RAW_DEFLATE, "deflate"),
    "identity": (PLAIN, "identity"),
}


def packed(body: bytes, encoding: str, status: int = 200) -> Callable[[Body], Scripted]:
    headers = {"Content-Encoding": encoding} if encoding else {}
    return lambda asked: Scripted(status, body, headers)


@pytest.mark.parametrize("case", PACKED)
@pytest.mark.timeout(60)
def test_a_packed_body_is_unpacked(case: str, connect: Connect) -> None:
    """Case llm_gzip."""
    with FaultServer(Behaviour(script=packed(*PACKED[case]))) as server:
        replies = connect(server.url).answer(tag_requests(3))
        assert server.asked.total() == 3
    assert all(reply.text for reply in replies)


def test_a_packed_body_comes_through_a_proxy(connect: Connect) -> None:
    """Case llm_gzip, by the other transport."""
    with FaultServer(Behaviour(script=packed(*PACKED["gzip"]))) as server:
        proxy = server.url.removesuffix("/v1")
        client = connect("http://api.invalid/v1", proxy=proxy)
        assert all(reply.text for reply in client.answer(tag_requests(3)))


def test_a_packed_error_is_read(connect: Connect) -> None:
    """Case llm_gzip: an error's words are unpacked too."""
    words = gzip.compress(json.dumps({"error": "the model is on holiday"}).encode())
    with (
        FaultServer(Behaviour(script=packed(words, "gzip", 404))) as server,
        pytest.raises(LLMError, match="the model is on holiday"),
    ):
        connect(server.url).answer(tag_requests(2))


def test_a_packing_that_is_not_known_is_named(connect: Connect) -> None:
    """Case llm_gzip: what cannot be unpacked says what it is."""
    with (
        FaultServer(Behaviour(script=packed(b"\x0b\x02\x80ab", "br"))) as server,
        pytest.raises(LLMError, match=r"compressed.*Content-Encoding: br"),
    ):
        connect(server.url).answer(tag_requests(2))


def test_a_damaged_packing_is_a_cut_answer(connect: Connect) -> None:
    """Case llm_gzip: a body that ends too early is asked for again."""
    half = gzip.compress(PLAIN)[:-12]
    with FaultServer(Behaviour(script=packed(half, "gzip"))) as server:
        reply = connect(server.url, retries=1).answer(tag_requests(1))[0]
    assert reply.text is None
    assert "cut" in reply.failure


NO_CHOICES = {
    "an empty list": {"choices": [], "usage": {"prompt_tokens": 9}},
    "null": {"choices": None, "object": "chat.completion"},
    "a filter's report": {"choices": [], "prompt_filter_results": [{"x": 1}]},
    "a stream without a choice": (event({"choices": []}) + DONE).encode(),
}


@pytest.mark.parametrize("case", NO_CHOICES)
@pytest.mark.timeout(60)
def test_a_reply_without_a_choice_is_asked_for_twice(
    case: str, connect: Connect
) -> None:
    """Case llm_empty_choices: two tries, and a reason of its own; other rows go on."""

    def script(body: Body) -> Scripted | None:
        is_filtered = "poem 1." in body["messages"][1]["content"]
        return Scripted(200, NO_CHOICES[case]) if is_filtered else None

    with FaultServer(Behaviour(script=script)) as server:
        replies = connect(server.url).answer(tag_requests(4))
        assert server.asked.total() == 5
    assert [bool(reply.text) for reply in replies] == [True, False, True, True]
    assert replies[1].failure == "no choices (often a content filter)"


def test_only_replies_without_a_choice_stop_the_command(connect: Connect) -> None:
    """Case llm_empty_choices: where it is the rule, the reason is that of the rows."""
    with (
        FaultServer(Behaviour(script=send({"choices": []}))) as server,
        pytest.raises(LLMError, match=r"no choices \(often a content filter\)"),
    ):
        connect(server.url, concurrency=4).answer(tag_requests(30))


FILTERED = {
    "openai": completion({"content": ""}, finish_reason="content_filter"),
    "gemini, no message": {
        "choices": [{"index": 0, "finish_reason": "content_filter: SAFETY"}]
    },
    "zhipu": completion({"content": ""}, finish_reason="sensitive"),
    "a refusal": completion({"content": None, "refusal": "I cannot help with it."}),
    "a refusal part": completion(
        {"content": [{"type": "refusal", "refusal": "I cannot help with it."}]}
    ),
}


@pytest.mark.parametrize("case", FILTERED)
def test_a_filtered_answer_is_a_refusal(case: str, connect: Connect) -> None:
    """Brothers of llm_empty_choices: the model, or a filter, has answered; nobody asks again."""
    with FaultServer(Behaviour(script=send(FILTERED[case]))) as server:
        reply = connect(server.url).answer(tag_requests(1))[0]
        assert server.asked.total() == 1
    assert reply.failure.startswith("refused: ")


UPSTREAM = {
    "an error in a choice": completion(
        {"content": ""},
        finish_reason="error",
        error={"code": 502, "message": "upstream failed"},
    ),
    "with a part of an answer": completion(
        {"content": ANSWER},
        finish_reason="error",
        error={"code": 502, "message": "upstream failed"},
    ),
    "without a status": completion({}, error={"message": "upstream failed"}),
    "instead of a message": {"choices": [{"error": {"message": "upstream failed"}}]},
    "in the message": completion({"error": "upstream failed"}),
    "beside the choices": {"choices": [], "error": {"message": "upstream failed"}},
    "a text": {"error": "upstream failed"},
    "a detail": {"detail": "upstream failed"},
    "an object of its own": {"object": "error", "message": "upstream failed"},
    "in a stream": event({"error": {"message": "upstream failed"}}).encode(),
    "in a stream's choice": event(
        {
            "choices": [
                {
                    "delta": {"content": ""},
                    "finish_reason": "error",
                    "error": {"message": "upstream failed"},
                }
            ]
        }
    ).encode(),
    "in a list": [{"error": {"code": 503, "message": "upstream failed"}}],
    "quoted": {
        "error": {
            "message": "Provider returned error",
            "code": 502,
            "metadata": {"raw": '{"error": {"message": "upstream failed"}}'},
        }
    },
    "minimax": {
        "base_resp": {"status_code": 1000, "status_msg": "upstream failed"},
        "choices": None,
    },
    "a reason to finish": completion({"content": "x"}, finish_reason="network_error"),
}


@pytest.mark.parametrize("case", UPSTREAM)
@pytest.mark.timeout(60)
def test_an_error_in_a_good_envelope_is_asked_again_and_named(
    case: str, connect: Connect
) -> None:
    """Case llm_error_in_choice: the same question after a pause; if it stays, its words."""
    with FaultServer(Behaviour(script=send(UPSTREAM[case]))) as server:
        reply = connect(server.url, retries=1).answer(tag_requests(1))[0]
        assert server.asked.total() == 2
        assert len(server.asked) == 1, "the same question, not a re-ask"
    assert reply.text is None
    words = "network_error" if case == "a reason to finish" else "upstream failed"
    assert words in reply.failure


def test_an_error_in_a_choice_that_passes_costs_no_row(connect: Connect) -> None:
    """Case llm_error_in_choice: the second answer is good."""
    met: set[str] = set()

    def script(body: Body) -> Scripted | None:
        question = body["messages"][1]["content"]
        if question in met:
            return None
        met.add(question)
        return Scripted(200, UPSTREAM["an error in a choice"])

    with FaultServer(Behaviour(script=script)) as server:
        replies = connect(server.url).answer(tag_requests(5))
    assert all(reply.text for reply in replies)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"code": 402, "message": "Insufficient credits"}}, "no credit left"),
        ({"error": {"code": 401, "message": "No cookie auth"}}, "holds the key"),
        ({"error": "Unexpected endpoint or method. (POST /chat)"}, r"llm\.base_url"),
        ({"object": "error", "message": "gone", "code": 404}, r"llm\.base_url"),
    ],
)
def test_an_error_with_status_200_stops_as_with_its_own(
    body: Any, message: str, connect: Connect
) -> None:
    """Brothers of llm_error_in_choice, which no other try would mend."""
    with FaultServer(Behaviour(script=send(body))) as server:
        with pytest.raises(LLMError, match=message):
            connect(server.url, concurrency=2).answer(tag_requests(30))
        assert server.asked.total() <= 4


@pytest.mark.parametrize("status", [201, 202, 206])
def test_every_status_of_success_is_one(status: int, connect: Connect) -> None:
    """Gateways that answer a POST with 201."""

    def script(body: Body) -> Scripted:
        return Scripted(status, completion({"content": ANSWER}))

    with FaultServer(Behaviour(script=script)) as server:
        assert all(reply.text for reply in connect(server.url).answer(tag_requests(2)))


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[1, 2]",
        b"7",
        {"choices": [7]},
        {"choices": "none"},
        {"choices": [{"message": "text"}]},
        {"result": "ok"},
        b"data: {not json}\n\n",
        b": PROCESSING\n\n<html>",
    ],
)
def test_what_is_no_reply_asks_whether_the_address_is_right(
    body: Any, connect: Connect
) -> None:
    """What none of the shapes above explains is still a foreign server's."""
    with (
        FaultServer(Behaviour(script=send(body))) as server,
        pytest.raises(LLMError, match=r"the reply is.*llm\.base_url"),
    ):
        connect(server.url, concurrency=1).answer(tag_requests(3))


def test_a_stream_that_ends_early_is_no_answer(connect: Connect) -> None:
    """Case llm_sse: a cut list of tags would look complete to a lenient reader."""
    cut = "".join(event({"choices": [{"delta": delta}]}) for delta in CONTENT[:2])
    with FaultServer(Behaviour(script=send(cut.encode()))) as server:
        reply = connect(server.url, retries=1).answer(tag_requests(1))[0]
        assert server.asked.total() == 2
    assert reply.text is None
    assert "the stream ended before the reply did" in reply.failure
