"""Several questions in one request: how they are put together, and which part of the answer belongs
to which. Pure.

Questions that are asked together share a prompt, so the answers are not those of single questions,
and the ledger keeps them apart: the key of a question in a group is made of what the single
question's is made of, the group's wording and the largest size of a group, not of its neighbours.
Inside a group questions stand in an order drawn from the group's own content, so that no row is
first in every run of a data set that was sorted somehow.

An answer is matched by its number and must satisfy the single question's schema. One that is
missing, misshapen, or given twice and differently is no answer; where one has the number 0 the
model counts from there, so that each answer would go to the question before its own, and none is
one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import fastjsonschema
import orjson

from tacos import prompts
from tacos.llm.chat import reply_parsing
from tacos.llm.chat.messages import RenderedRequest, render_messages
from tacos.llm.ledger.schema import LedgerEntry
from tacos.records import Request, canonical_hash

NUMBER = {"type": "integer"}


def name_grouped_template(template: str) -> str:
    """The name of the template that asks several of a template's questions at once."""
    return f"{template}_several"


def merge_requests(requests: Sequence[Request]) -> Request:
    """One request for several of one template: each field is the list of theirs. Raises
    `ConfigError` where there is no such template.
    """
    first, template = requests[0], name_grouped_template(requests[0].template)
    fields = {name: [request.fields[name] for request in requests] for name in first.fields}
    sampling = dict(first.sampling)
    if "max_tokens" in sampling:
        sampling["max_tokens"] *= len(requests)
    schema = _build_numbered_schema(first.schema, len(requests))
    return Request(
        first.task,
        fields,
        template,
        prompts.hash_template(template),
        schema,
        sampling,
        first.repetition,
    )


def _build_numbered_schema(schema: Mapping[str, Any], n: int) -> dict[str, Any]:
    """The schema of n numbered answers, each by `schema`."""
    one = {
        "type": "object",
        "properties": {"number": {**NUMBER, "minimum": 1, "maximum": n}, **schema["properties"]},
        "required": ["number", *schema["required"]],
    }
    answers = {"type": "array", "minItems": n, "maxItems": n, "items": one}
    return {"type": "object", "properties": {"answers": answers}, "required": ["answers"]}


def build_group_member(
    request: Request, model: str, extra: Mapping[str, Any], per_request: int
) -> RenderedRequest:
    """A question as one of a group of at most `per_request`; it has a key and a schema, and is
    never sent itself.
    """
    sampling = {**request.sampling, **extra}
    wording = render_messages(merge_requests([request]))
    key = canonical_hash(
        [model, wording, sampling, request.schema, request.repetition, per_request]
    )
    return RenderedRequest(
        key, request.task, model, [], sampling, request.schema, request.repetition
    )


def split_into_groups(keys: Sequence[str], per_request: int) -> list[list[str]]:
    """Neighbours in groups of `per_request`, each group in an order of its own.

    >>> sorted(map(sorted, split_into_groups(["a", "b", "c"], 2)))
    [['a', 'b'], ['c']]
    """
    return [
        shuffle_group(keys[start : start + per_request])
        for start in range(0, len(keys), per_request)
    ]


def shuffle_group(keys: Sequence[str]) -> list[str]:
    """`keys` in an order that depends on which they are, not on how they came.

    >>> shuffle_group(["a", "b", "c"]) == shuffle_group(["c", "b", "a"])
    True
    """
    whole = canonical_hash(sorted(keys))
    return sorted(keys, key=lambda key: canonical_hash([whole, key]))


def read_grouped_answers(text: str, schema: dict[str, Any], n: int) -> list[str | None]:
    """The answers 1 to n in what a model wrote, each as JSON by `schema`; None where there is none.

    >>> one = {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]}
    >>> read_grouped_answers('{"answers": [{"number": 2, "a": 5}, {"number": 1, "b": 0}, {"number": 9, "a": 1}]}', one, 3)
    [None, '{"a":5}', None]
    """
    shape = reply_parsing.compile_schema(schema)
    found: dict[int, set[str]] = {}
    entries = [
        (reply_parsing.unquote_number(each.get("number"), NUMBER), each)
        for each in _collect_answer_objects(text)
    ]
    if any(type(number) is int and number == 0 for number, _ in entries):
        return [None] * n
    for number, each in entries:
        try:
            fitted = reply_parsing.fit_to_schema(
                {name: value for name, value in each.items() if name != "number"}, shape
            )
        except fastjsonschema.JsonSchemaValueException:
            continue
        if type(number) is int:
            found.setdefault(number, set()).add(orjson.dumps(fitted).decode())
    said = (found.get(number, set()) for number in range(1, n + 1))
    return [next(iter(texts)) if len(texts) == 1 else None for texts in said]


def _collect_answer_objects(text: str) -> list[dict[str, Any]]:
    """The objects of every list of answers in a text."""
    try:
        values = [orjson.loads(text)]
    except orjson.JSONDecodeError:
        values = list(reply_parsing.find_json_values(reply_parsing.strip_think_blocks(text)))
    lists = [value.get("answers") if isinstance(value, dict) else value for value in values]
    return [
        each
        for found in lists
        if isinstance(found, list)
        for each in found
        if isinstance(each, dict)
    ]


def split_group_entry(
    entry: LedgerEntry, members: Sequence[RenderedRequest], texts: Sequence[str | None]
) -> list[LedgerEntry]:
    """What a group's reply says to each of its members, its tokens shared out evenly; no text for
    no answer.
    """
    n = len(members)
    prompt, answer = split_evenly(entry.prompt_tokens, n), split_evenly(entry.answer_tokens, n)
    return [
        entry._replace(
            key=asked.key,
            prompt_tokens=prompt[place],
            answer_tokens=answer[place],
            way="grouped",
            raw=_build_member_reply(entry, place + 1, texts[place]),
        )
        for place, asked in enumerate(members)
    ]


def _build_member_reply(entry: LedgerEntry, number: int, text: str | None) -> str:
    """One answer of a group's reply as a chat completion of its own, which says where it comes
    from.
    """
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": text or ""},
    }
    return orjson.dumps(
        {"model": entry.model, "choices": [choice], "group": entry.key, "number": number}
    ).decode()


def split_evenly(total: int, n: int) -> list[int]:
    """`total` in n whole parts that differ by one at most.

    >>> split_evenly(8, 3)
    [3, 3, 2]
    """
    base, rest = divmod(total, n)
    return [base + (place < rest) for place in range(n)]
