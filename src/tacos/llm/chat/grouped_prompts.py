"""Several questions in one request: how they are merged, and which part of the answer belongs to
which. Pure.

Questions in a group share a prompt, so their answers are not those of single questions, and the
ledger keeps them apart: the key of a question in a group is made of everything that the single
question's key is made of, the group's wording and the largest size of a group, but not of its
neighbours. Inside a group questions stand in an order drawn from the group's own content, so that
no row always comes first in a data set that was sorted somehow.

An answer is matched by its number and must satisfy the single question's schema. An answer is
missing if it has the wrong shape, or if its number comes twice with different answers. Where one
has the number 0 the model counts from there, and each answer would go to the question before its
own: then all are missing.
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


# Merging questions


def name_grouped_template(template: str) -> str:
    """The name of the template that asks several of a template's questions at once."""
    return f"{template}_several"


def merge_requests(requests: Sequence[Request]) -> Request:
    """One request for several of one template: each field is the list of theirs. Raises
    `ConfigError` where the template has no version for several.
    """
    first = requests[0]
    template = name_grouped_template(first.template)
    sampling = dict(first.sampling)
    if "max_tokens" in sampling:
        sampling["max_tokens"] *= len(requests)
    return Request(
        task=first.task,
        fields={
            name: [request.fields[name] for request in requests]
            for name in first.fields
        },
        template=template,
        template_hash=prompts.hash_template(template),
        schema=_build_numbered_schema(first.schema, len(requests)),
        sampling=sampling,
        repetition=first.repetition,
    )


def _build_numbered_schema(
    schema: Mapping[str, Any],
    n: int,
) -> dict[str, Any]:
    """The schema of n numbered answers, each by `schema`."""
    answer = {
        "type": "object",
        "properties": {
            "number": {**NUMBER, "minimum": 1, "maximum": n},
            **schema["properties"],
        },
        "required": ["number", *schema["required"]],
    }
    answers = {
        "type": "array",
        "minItems": n,
        "maxItems": n,
        "items": answer,
    }
    return {
        "type": "object",
        "properties": {"answers": answers},
        "required": ["answers"],
    }


def build_group_member(
    request: Request,
    model: str,
    extra: Mapping[str, Any],
    per_request: int,
) -> RenderedRequest:
    """A question as one of a group of at most `per_request`; it has a key and a schema, and is
    never sent itself.
    """
    sampling = {**request.sampling, **extra}
    wording = render_messages(merge_requests([request]))
    decisive = [
        model,
        wording,
        sampling,
        request.schema,
        request.repetition,
        per_request,
    ]
    return RenderedRequest(
        key=canonical_hash(decisive),
        task=request.task,
        model=model,
        messages=[],
        sampling=sampling,
        schema=request.schema,
        repetition=request.repetition,
    )


def split_into_groups(
    keys: Sequence[str],
    per_request: int,
) -> list[list[str]]:
    """Neighbours in groups of `per_request`, each group in an order of its own.

    >>> sorted(map(sorted, split_into_groups(["a", "b", "c"], 2)))
    [['a', 'b'], ['c']]
    """
    groups = []
    for start in range(0, len(keys), per_request):
        neighbours = keys[start : start + per_request]
        group = shuffle_group(neighbours)
        groups.append(group)
    return groups


def shuffle_group(keys: Sequence[str]) -> list[str]:
    """`keys` in an order that depends on which they are, not on the order in which they came.

    >>> shuffle_group(["a", "b", "c"]) == shuffle_group(["c", "b", "a"])
    True
    """
    group_hash = canonical_hash(sorted(keys))

    def place_by_chance(key: str) -> str:
        return canonical_hash([group_hash, key])

    return sorted(keys, key=place_by_chance)


# Reading answers


def read_grouped_answers(
    text: str,
    schema: dict[str, Any],
    n: int,
) -> list[str | None]:
    """The answers 1 to n in what a model wrote, each as JSON by `schema`; None for a missing one.

    >>> one = {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]}
    >>> text = '{"answers": [{"number": 2, "a": 5}, {"number": 1, "b": 0}, {"number": 9, "a": 1}]}'
    >>> read_grouped_answers(text, one, 3)
    [None, '{"a":5}', None]
    """
    compiled = reply_parsing.compile_schema(schema)
    numbered_answers = []
    for answer in _collect_answer_objects(text):
        number = reply_parsing.unquote_number(answer.get("number"), NUMBER)
        if type(number) is int:  # true and 1.0 are no numbers here
            numbered_answers.append((number, answer))
    if any(number == 0 for number, _ in numbered_answers):
        return [None] * n

    texts_by_number: dict[int, set[str]] = {}
    for number, answer in numbered_answers:
        members = {name: value for name, value in answer.items() if name != "number"}
        try:
            fitted = reply_parsing.fit_to_schema(members, compiled)
        except fastjsonschema.JsonSchemaValueException:
            continue
        texts = texts_by_number.setdefault(number, set())
        texts.add(orjson.dumps(fitted).decode())
    return [
        _pick_only(texts_by_number.get(number, set())) for number in range(1, n + 1)
    ]


def _pick_only(texts: set[str]) -> str | None:
    """The only text, None where there are none or several."""
    return next(iter(texts)) if len(texts) == 1 else None


def _collect_answer_objects(text: str) -> list[dict[str, Any]]:
    """The objects of every list of answers in a text."""
    try:
        values = [orjson.loads(text)]
    except orjson.JSONDecodeError:
        plain_text = reply_parsing.strip_think_blocks(text)
        values = list(reply_parsing.find_json_values(plain_text))
    objects = []
    for value in values:
        answers = value
        if isinstance(value, dict):
            answers = value.get("answers")
        if not isinstance(answers, list):
            continue
        objects += [answer for answer in answers if isinstance(answer, dict)]
    return objects


# Keeping answers


def split_group_entry(
    entry: LedgerEntry,
    members: Sequence[RenderedRequest],
    texts: Sequence[str | None],
) -> list[LedgerEntry]:
    """A group's ledger entry split into one per member, the tokens shared out evenly; a missing
    answer becomes an entry without text.
    """
    prompt_tokens = split_evenly(entry.prompt_tokens, len(members))
    answer_tokens = split_evenly(entry.answer_tokens, len(members))
    return [
        entry._replace(
            key=member.key,
            prompt_tokens=prompt_tokens[place],
            answer_tokens=answer_tokens[place],
            way="grouped",
            raw=_build_member_reply(entry, place + 1, texts[place]),
        )
        for place, member in enumerate(members)
    ]


def _build_member_reply(
    entry: LedgerEntry,
    number: int,
    text: str | None,
) -> str:
    """One answer of a group's reply as a chat completion of its own, which says where it comes
    from.
    """
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": text or ""},
    }
    reply = {
        "model": entry.model,
        "choices": [choice],
        "group": entry.key,
        "number": number,
    }
    return orjson.dumps(reply).decode()


def split_evenly(total: int, n: int) -> list[int]:
    """`total` in n whole parts that differ by one at most.

    >>> split_evenly(8, 3)
    [3, 3, 2]
    """
    base, rest = divmod(total, n)
    larger = [base + 1] * rest
    smaller = [base] * (n - rest)
    return larger + smaller
