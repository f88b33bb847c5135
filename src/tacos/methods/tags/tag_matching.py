"""Asks a language model how the tags of candidate pairs are related, and reads its answers.

A candidate pair (`tacos.methods.tags.tag_pairs`) is "same", or one of the two is the parent of the
other, or it is "different". Tags that are the same become one; parents are links.

A request holds several pairs, as a pair alone is far shorter than the rules that stand before it.
Which pairs share a request, and which tag of a pair comes first, is drawn by a hash of the tags:
neighbours in a request have nothing in common, no kind of tag always comes first, and a new pair
leaves most of the other requests, and the replies that are paid for, as they were.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import orjson
import polars as pl

from tacos.config import NormaliseSettings
from tacos.methods.tags import tag_links
from tacos.methods.tags.overrides import Move
from tacos.methods.tags.tag_links import TagLink
from tacos.records import Reject, Reply, Request, canonical_hash

SAME = "same"
LEFT_PARENT = "a-parent"
RIGHT_PARENT = "b-parent"
DIFFERENT = "different"
RELATIONS = (SAME, LEFT_PARENT, RIGHT_PARENT, DIFFERENT)


# Questions


def build_match_questions(
    pairs: pl.DataFrame,
    per_request: int,
) -> pl.DataFrame:
    """One row per request: id, left, right; the last two are lists of tags of the same length.

    `pairs` has left and right, in any order. Requests hold about `per_request` pairs.
    """
    hashed = []
    for tags in pairs.select("left", "right").iter_rows():
        key = canonical_hash(sorted(tags))
        first, second = sorted(tags, key=lambda tag: canonical_hash([key, tag]))
        hashed.append((key, first, second))
    n_digits = choose_prefix(len(hashed), per_request)
    requests: dict[str, list[tuple[str, str]]] = {}
    for key, first, second in sorted(set(hashed)):
        bits = f"{int(key[:8], 16):032b}"
        requests.setdefault(bits[:n_digits], []).append((first, second))

    rows = []
    for prefix, members in requests.items():
        row = {
            "id": f"pairs {prefix or '0'}",
            "left": [left for left, _ in members],
            "right": [right for _, right in members],
        }
        rows.append(row)
    return pl.DataFrame(rows, QUESTION)


QUESTION = pl.Schema(
    {
        "id": pl.String(),
        "left": pl.List(pl.String()),
        "right": pl.List(pl.String()),
    }
)


def choose_prefix(
    n_pairs: int,
    per_request: int,
) -> int:
    """How many binary digits of a pair's hash number its request.

    >>> choose_prefix(160, 20), choose_prefix(161, 20), choose_prefix(5, 20)
    (3, 4, 0)
    """
    n_requests = -(-n_pairs // per_request)
    return max(n_requests - 1, 0).bit_length()


def ask_matches(
    row: dict[str, Any],
    template: str,
    template_hash: str,
    config: NormaliseSettings,
) -> Request:
    """The question about the pairs of one row of `build_match_questions`."""
    n_pairs = len(row["left"])
    return Request(
        "match-tags",
        fields={"pairs": _list_pairs(row["left"], row["right"])},
        template=template,
        template_hash=template_hash,
        schema=_build_answer_schema(n_pairs),
        sampling={
            "temperature": config.temperature,
            "max_tokens": config.max_tokens,
        },
    )


def _list_pairs(
    left: Sequence[str],
    right: Sequence[str],
) -> str:
    """Numbered lines; the tags are JSON texts, so that none can end its line."""
    lines = []
    for number, tags in enumerate(zip(left, right, strict=True), start=1):
        a, b = (orjson.dumps(tag).decode() for tag in tags)
        lines.append(f"{number}. A: {a} B: {b}")
    return "\n".join(lines)


def _build_answer_schema(n_pairs: int) -> dict[str, Any]:
    """The JSON schema of an answer; the reason comes first, so that it guides the relation."""
    answer = {
        "type": "object",
        "properties": {
            "number": {"type": "integer", "minimum": 1, "maximum": n_pairs},
            "reason": {"type": "string"},
            "relation": {"type": "string", "enum": list(RELATIONS)},
        },
        "required": ["number", "reason", "relation"],
    }
    answers = {
        "type": "array",
        "minItems": n_pairs,
        "maxItems": n_pairs,
        "items": answer,
    }
    return {
        "type": "object",
        "properties": {"answers": answers},
        "required": ["answers"],
    }


# Answers


def parse_matches(
    row: dict[str, Any],
    reply: Reply,
) -> dict[str, Any] | Reject:
    """A row of `TAG_MATCHES`, or a `Reject` if there is no usable answer for every pair."""
    if reply.text is None:
        return _reject(row, reply.failure or "no reply", reply)
    answers = {}
    for answer in orjson.loads(reply.text)["answers"]:
        answers[answer["number"]] = answer
    numbers = range(1, len(row["left"]) + 1)
    if any(number not in answers for number in numbers):
        return _reject(row, "a pair has no answer of its own", reply)
    return {
        **row,
        "relation": [answers[number]["relation"] for number in numbers],
        "reason": [answers[number]["reason"] for number in numbers],
        "reply": reply.key,
    }


def _reject(
    row: dict[str, Any],
    reason: str,
    reply: Reply,
) -> Reject:
    return Reject(
        row["id"],
        "match",
        reason,
        reply.raw,
    )


# Following answers


class ResolvedMatches(NamedTuple):
    """What the answers make of the names."""

    moves: dict[str, Move]
    links: list[TagLink]
    remarks: list[str]


def resolve_matches(
    matches: pl.DataFrame,
    counts: Mapping[str, int],
) -> ResolvedMatches:
    """Groups of tags that are the same, each under its most frequent name, and links to parents.

    `matches` are by `TAG_MATCHES`, `counts` those of the current names. Two groups join at a pair
    that is the same unless another pair of the two was said to be different, or parent and child:
    then they stay apart, and a remark says so. Pairs of frequent tags are followed first.
    """
    said = {}
    for answer in _list_answers(matches):
        if answer.left in counts and answer.right in counts:
            said[frozenset((answer.left, answer.right))] = answer
    same = [answer for answer in said.values() if answer.relation == SAME]
    same.sort(key=lambda answer: _rank_answer(answer, counts))

    group_of = {name: [name] for answer in said.values() for name in answer[:2]}
    remarks = []
    for answer in same:
        group = group_of[answer.left]
        other = group_of[answer.right]
        if group is other:
            continue
        conflict = _find_conflict(group, other, said)
        if conflict is not None:
            remarks.append(
                f"kept apart: '{answer.left}' and '{answer.right}' are said to be the same, "
                f"but '{conflict.left}' and '{conflict.right}' are not"
            )
            continue
        group += other
        group_of |= dict.fromkeys(other, group)

    heads = {
        name: min(group, key=lambda member: (-counts[member], member))
        for name, group in group_of.items()
    }
    moves = {
        name: Move(head, _explain_match(name, head, said))
        for name, head in heads.items()
        if name != head
    }
    return ResolvedMatches(
        moves,
        links=tag_links.drop_cycles(_list_links(said.values()), counts),
        remarks=remarks,
    )


class _Answer(NamedTuple):
    left: str
    right: str
    relation: str
    reason: str


def _list_answers(matches: pl.DataFrame) -> list[_Answer]:
    """The answers to single pairs, sorted."""
    columns = matches.select(_Answer._fields)
    pairs = columns.explode(*_Answer._fields)
    return sorted(_Answer(*row) for row in pairs.iter_rows())


def _rank_answer(
    answer: _Answer,
    counts: Mapping[str, int],
) -> tuple[int, str, str]:
    """A sort key: pairs of frequent tags first."""
    rarer = min(counts[answer.left], counts[answer.right])
    return -rarer, answer.left, answer.right


def _find_conflict(
    group: Sequence[str],
    other: Sequence[str],
    said: Mapping[frozenset[str], _Answer],
) -> _Answer | None:
    """A pair of two groups that is said not to be the same, or None."""
    for pair in product(group, other):
        answer = said.get(frozenset(pair))
        if answer is not None and answer.relation != SAME:
            return answer
    return None


def _explain_match(
    name: str,
    head: str,
    said: Mapping[frozenset[str], _Answer],
) -> str:
    """Why a name goes to the head of its group."""
    answer = said.get(frozenset((name, head)))
    if answer is None:
        return f"same as '{head}', through others between them"
    reason = f": {answer.reason}" if answer.reason else ""
    return f"same as '{head}'{reason}"


def _list_links(answers: Iterable[_Answer]) -> list[TagLink]:
    """A link for each pair of parent and child."""
    links = []
    for answer in answers:
        reason = answer.reason or "said by the model"
        if answer.relation == LEFT_PARENT:
            links.append(TagLink(answer.right, answer.left, "match", reason))
        elif answer.relation == RIGHT_PARENT:
            links.append(TagLink(answer.left, answer.right, "match", reason))
    return links
