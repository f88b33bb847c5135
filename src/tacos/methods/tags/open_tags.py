"""Asks a model for the open tags of each question, and reads its answers (as in TACOS and InsTag).

Every user turn of a conversation is tagged by itself. In a cascade some turns are tagged before a
model is asked. An answer without a tag is an answer too: the sample has none.
"""

from __future__ import annotations

from typing import Any

import orjson
import polars as pl

from tacos.config import TagSettings
from tacos.methods.samples.truncation import truncate_text
from tacos.records import TAGS, Reject, Reply, Request

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "tags": {
            "type": "array",
            "maxItems": 30,
            "items": {
                "type": "object",
                "properties": {
                    "tag": {"type": "string"},
                    "explanation": {"type": "string"},
                },
                "required": ["tag", "explanation"],
            },
        }
    },
    "required": ["tags"],
}
"""A list of tags with a short explanation each; embedded taggers add a `confidence`."""

QUESTION = ["id", "turn"]
"""What identifies a question."""


# Questions


def build_turn_questions(
    samples: pl.DataFrame,
    known: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """One row per user turn: id, turn (its number in the conversation), instruction, given, known.

    Two kinds of rows need no model (see `reuse_known_tags`): samples whose tags the input gives
    have one row, with these tags in `given`; turns that `known` (by `TAGS`) holds carry them in
    `known`.
    """
    is_given = pl.col("given_tags").is_not_null()
    open_turns = _list_user_turns(samples.filter(~is_given))
    given = samples.filter(is_given).select(
        "id",
        turn=pl.lit(0, pl.UInt16),
        instruction=pl.lit(""),
        given="given_tags",
    )
    questions = pl.concat([open_turns, given])
    # A left join keeps the order of the questions.
    return questions.join(
        _pack_known_tags(known),
        on=QUESTION,
        how="left",
        maintain_order="left",
    )


def _list_user_turns(samples: pl.DataFrame) -> pl.DataFrame:
    """id, turn, instruction of each user turn, and `given` (null)."""
    turns = pl.col("turns")
    # Turns are numbered over the whole conversation, so before the other roles are left out.
    numbered = samples.select(
        "id",
        "turns",
        turn=pl.int_ranges(0, turns.list.len(), dtype=pl.UInt16),
    ).explode("turns", "turn")
    user_turns = numbered.filter(turns.struct.field("role") == "user")
    return user_turns.select(
        "id",
        "turn",
        instruction=turns.struct.field("text"),
        given=pl.lit(None, pl.List(pl.String)),
    )


def _pack_known_tags(known: pl.DataFrame | None) -> pl.DataFrame:
    """id, turn, and the other columns of `TAGS` in one struct, `known`."""
    table = pl.DataFrame(schema=TAGS) if known is None else known
    packed = [name for name in TAGS if name not in QUESTION]
    return table.select(*QUESTION, known=pl.struct(packed))


def reuse_known_tags(row: dict[str, Any]) -> dict[str, Any] | None:
    """The row of `TAGS` if its tags are known, from the input or from an earlier stage; or None."""
    if row["known"] is not None:
        return {
            "id": row["id"],
            "turn": row["turn"],
            **row["known"],
        }
    if row["given"] is None:
        return None
    items = []
    for tag in row["given"]:
        item = {
            "tag": tag,
            "explanation": "given in the input",
        }
        items.append(item)
    return build_tags_row(row, items, key="")


def build_tag_request(
    row: dict[str, Any],
    template: str,
    template_hash: str,
    config: TagSettings,
) -> Request:
    """The question about one turn."""
    instruction = truncate_text(row["instruction"], config.max_chars)
    return Request(
        "tag",
        fields={"instruction": instruction},
        template=template,
        template_hash=template_hash,
        schema=SCHEMA,
        sampling={
            "temperature": config.temperature,
            "top_p": config.top_p,
            "max_tokens": config.max_tokens,
        },
    )


# Answers


def parse_tag_reply(
    row: dict[str, Any],
    reply: Reply,
) -> dict[str, Any] | Reject:
    """A row of `TAGS`, or a `Reject` if there is no usable answer."""
    if reply.text is None:
        reason = reply.failure or "no reply"
        return Reject(
            row["id"],
            "tag",
            reason,
            reply.raw,
        )
    answer = orjson.loads(reply.text)
    items = [item for item in answer["tags"] if item["tag"].strip()]
    return build_tags_row(
        row,
        items,
        key=reply.key,
        model=reply.model,
    )


def build_tags_row(
    row: dict[str, Any],
    items: list[dict[str, Any]],
    key: str,
    model: str = "",
) -> dict[str, Any]:
    """A row of `TAGS`; repeated tags of one turn count once, with the first explanation."""
    distinct: dict[str, dict[str, Any]] = {}
    for item in items:
        distinct.setdefault(item["tag"].strip(), item)
    explanations = []
    confidences = []
    for item in distinct.values():
        explanation = item.get("explanation", "")
        explanations.append(str(explanation))
        confidences.append(item.get("confidence"))
    return {
        "id": row["id"],
        "turn": row["turn"],
        "tags": list(distinct),
        "explanations": explanations,
        # All or none: a mean over some of the tags would say nothing.
        "confidences": None if None in confidences else confidences,
        "reply": key,
        "model": model,
    }


def join_turn_tags(tags: pl.DataFrame) -> pl.DataFrame:
    """One row per sample: id, tags of all its turns (each once), in the order of the samples."""
    # Empty lists become nulls, so that samples without a tag keep their rows.
    rows = tags.select("id", "tags").explode("tags", empty_as_null=True)
    distinct = pl.col("tags").drop_nulls().unique(maintain_order=True)
    samples = rows.group_by("id", maintain_order=True)
    return samples.agg(distinct)
